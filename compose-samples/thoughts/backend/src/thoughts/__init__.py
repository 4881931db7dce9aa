"""A backend for short messages."""

__version__ = "1.2.0"
