//! An instruction in its file: where it ends, and where parts of it stand.

use super::Position;
use super::lines::{Logical, logical_lines};
use super::words::split_instruction;
use crate::error::Culprit;

/// An instruction in its file.
pub(crate) struct Extent {
    logical: Logical,
    escape: char,
}

/// The instruction that begins at a place.
pub(crate) fn extent(text: &str, at: Position) -> Option<Extent> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let all = logical_lines(text, None);
    let logical = all.logical.into_iter().find(|l| l.position(0) == at)?;
    Some(Extent { logical, escape: all.directives.escape })
}

impl Extent {
    /// Heredocs included.
    pub(crate) fn last_line(&self) -> usize {
        self.logical.last
    }

    /// Where a part of it stands, and its length in characters.
    pub(crate) fn find(&self, file: &str, culprit: &Culprit) -> Option<(Position, usize)> {
        let text = &self.logical.text;
        let length = |part: &str| part.chars().count();
        match culprit {
            Culprit::Text(part) if part.is_empty() => None,
            Culprit::Text(part) => {
                if let Some(offset) = text.find(part.as_str()) {
                    return Some((self.logical.position(offset), length(part)));
                }
                // In a heredoc.
                let first = self.logical.position(0).line;
                let lines = file.lines().enumerate().take(self.logical.last).skip(first);
                lines.into_iter().find_map(|(n, line)| {
                    let column = line[..line.find(part.as_str())?].chars().count() + 1;
                    Some((Position { line: n + 1, column }, length(part)))
                })
            }
            Culprit::Mount(number, part) => {
                let (_, flags, _) = split_instruction(text, self.escape);
                let flag = flags.into_iter().filter(|f| f.text.starts_with("--mount")).nth(*number)?;
                // As written, it may have quotes.
                let inside =
                    text[flag.offset..].find(part.as_str()).filter(|n| !part.is_empty() && *n < flag.written);
                Some(match inside {
                    Some(n) => (self.logical.position(flag.offset + n), length(part)),
                    None => {
                        let written = &text[flag.offset..flag.offset + flag.written];
                        (self.logical.position(flag.offset), length(written))
                    }
                })
            }
        }
    }
}
