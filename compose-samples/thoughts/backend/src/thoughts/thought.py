"""What a thought is, and what it must not be."""

from dataclasses import dataclass

LONGEST = 280


class Invalid(ValueError):
    """A thought that can't be kept; the text says why."""


@dataclass(frozen=True)
class Thought:
    author: str
    text: str

    @classmethod
    def parse(cls, value):
        """From decoded JSON."""
        if not isinstance(value, dict):
            raise Invalid("a thought is an object with author and text")
        author, text = value.get("author"), value.get("text")
        if not isinstance(author, str) or not author.strip():
            raise Invalid("who thinks this? author is missing")
        if not isinstance(text, str) or not text.strip():
            raise Invalid("text is missing")
        if len(text) > LONGEST:
            raise Invalid(f"a thought has at most {LONGEST} characters, this one has {len(text)}")
        return cls(author.strip(), text.strip())
