//! What any input may cost at most: 64 MiB and a second, whoever wrote it.
//!
//! Everything that a short text can make long (aliases, `extends`, includes, env files, port ranges, variables) is
//! paid for from one budget per load.

use std::io;
use std::path::Path;

use crate::code::Code;
use crate::cx::Cx;
use crate::tree::{Node, Span, Value};

/// Bytes of one file.
pub const MAX_FILE: u64 = 8 << 20;
/// Bytes that are read in all, the same file each time anew.
const MAX_READ: u64 = 32 << 20;
/// Compose files.
pub(crate) const MAX_FILES: usize = 1_000;
/// Values of all files, with what is expanded; docker compose takes 100,000 for each document.
const MAX_VALUES: usize = 250_000;
/// Bytes of text that count as one value.
const TEXT: usize = 64;
/// What a service costs beside its attributes: its typed form is much larger than a few words of text.
pub(crate) const SERVICE: usize = 40;
/// Nesting of values.
pub(crate) const MAX_DEPTH: usize = 128;
/// Services that extend one another in a row.
pub(crate) const MAX_EXTENDS: usize = 100;
/// Variables in one another's defaults.
pub(crate) const MAX_NESTED: usize = 50;
/// Bytes of one text, or of one env file, after its variables are replaced.
pub(crate) const MAX_EXPANDED: usize = 4 << 20;
/// Errors, and warnings, that are shown.
pub(crate) const MAX_FOUND: usize = 250;

/// What one load has cost.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    values: usize,
    read: u64,
    told: bool,
}

impl Cx<'_> {
    /// Pays for values; false when the budget is used up, which is an error.
    pub(crate) fn spend(&mut self, values: usize, at: Span) -> bool {
        self.spent.values = self.spent.values.saturating_add(values);
        if self.spent.values <= MAX_VALUES {
            return true;
        }
        if !self.spent.told {
            self.spent.told = true;
            let message = format!(
                "the project is too large: here it comes to more than {MAX_VALUES} values, \
                 with all that aliases, extends, includes, variables, env files and port ranges add"
            );
            self.error(at, message).is(Code::UnusableFile).help.push("split it into several projects".into());
        }
        false
    }

    /// Whether the budget is used up: nothing more is expanded.
    pub(crate) fn is_spent(&self) -> bool {
        self.spent.told
    }

    /// Reads a file.
    pub(crate) fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        let too_much = || {
            let message = format!("the project's files come to more than {} MiB", MAX_READ >> 20);
            io::Error::new(io::ErrorKind::FileTooLarge, message)
        };
        if self.spent.read > MAX_READ {
            return Err(too_much());
        }
        let bytes = self.sources.read(path)?;
        self.spent.read += bytes.len() as u64;
        if bytes.len() as u64 > MAX_FILE {
            return Err(too_large());
        }
        if self.spent.read > MAX_READ {
            return Err(too_much());
        }
        Ok(bytes)
    }
}

/// The error for a file above [`MAX_FILE`].
pub(crate) fn too_large() -> io::Error {
    let message = format!("it is larger than {} MiB, the most that is read", MAX_FILE >> 20);
    io::Error::new(io::ErrorKind::FileTooLarge, message)
}

/// What a text costs.
pub(crate) fn of_text(text: &str) -> usize {
    text.len() / TEXT
}

/// What a node with all below it costs.
pub(crate) fn of_node(node: &Node) -> usize {
    1 + match &node.value {
        Value::Seq(items) => items.iter().map(of_node).sum(),
        Value::Map(map) => {
            map.keys().map(|k| of_text(k)).sum::<usize>() + map.values().map(of_node).sum::<usize>()
        }
        Value::Str(text) => of_text(text),
        _ => 0,
    }
}
