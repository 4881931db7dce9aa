//! An instruction's flags and arguments.

use super::lines::Logical;
use super::words::{RawFlag, Word, blank_words, json_form, nearest, split_words};
use super::{Command, ParseError};

/// A flag: name, value, offset.
pub(super) struct Flag {
    pub(super) name: String,
    pub(super) value: Option<String>,
    pub(super) offset: usize,
}

/// An instruction while it is read.
pub(super) struct Line<'a> {
    pub(super) logical: &'a Logical,
    pub(super) name: &'static str,
    flags: Vec<Flag>,
    /// What follows the flags, and its offset.
    pub(super) rest: &'a str,
    pub(super) offset: usize,
    escape: char,
    pub(super) errors: Vec<ParseError>,
}

impl<'a> Line<'a> {
    pub(super) fn new(
        logical: &'a Logical,
        name: &'static str,
        flags: Vec<RawFlag>,
        rest: &'a str,
        escape: char,
    ) -> Self {
        let split = |f: RawFlag| {
            let body = f.text.strip_prefix("--").unwrap_or(&f.text);
            let (name, value) = body.split_once('=').map_or((body, None), |(n, v)| (n, Some(v.to_owned())));
            Flag { name: name.to_owned(), value, offset: f.offset }
        };
        let flags = flags.into_iter().map(split).collect();
        let offset = logical.text.len() - rest.len();
        Self { logical, name, flags, rest, offset, escape, errors: Vec::new() }
    }

    pub(super) fn error(&mut self, offset: usize, message: impl Into<String>) {
        self.errors.push(ParseError::new(self.logical.position(offset), message));
    }

    pub(super) fn error_help(&mut self, offset: usize, message: impl Into<String>, help: impl Into<String>) {
        self.errors.push(ParseError::new(self.logical.position(offset), message).help(help));
    }

    /// Takes the flags that the instruction knows; any other, and one given twice, is an error.
    pub(super) fn flags(&mut self, known: &[&str]) -> Vec<Flag> {
        let all = std::mem::take(&mut self.flags);
        let (good, bad): (Vec<_>, Vec<_>) = all.into_iter().partition(|f| known.contains(&f.name.as_str()));
        for flag in bad {
            let message = format!("unknown flag `--{}` of {}", flag.name, self.name);
            match nearest(&flag.name, known.iter().copied()) {
                Some(near) => self.error_help(flag.offset, message, format!("did you mean `--{near}`?")),
                None if known.is_empty() => {
                    self.error_help(flag.offset, message, format!("{} has no flags", self.name));
                }
                None => {
                    let list = known.iter().map(|k| format!("--{k}")).collect::<Vec<_>>().join(", ");
                    self.error_help(flag.offset, message, format!("{} has {list}", self.name));
                }
            }
        }
        for (n, flag) in good.iter().enumerate() {
            let several = ["mount", "device", "exclude"].contains(&flag.name.as_str());
            if !several && good[..n].iter().any(|f| f.name == flag.name) {
                self.error(flag.offset, format!("flag `--{}` is given twice", flag.name));
            }
        }
        good
    }

    pub(super) fn value(&mut self, flag: Flag) -> String {
        match flag.value {
            Some(v) => v,
            None => {
                self.error(flag.offset, format!("flag `--{}` needs a value", flag.name));
                String::new()
            }
        }
    }

    pub(super) fn truth(&mut self, flag: &Flag) -> bool {
        match flag.value.as_ref().map(|v| v.to_lowercase()).as_deref() {
            None | Some("true") => true,
            Some("false") => false,
            Some("") => {
                self.error(flag.offset, format!("flag `--{}=` has no value", flag.name));
                false
            }
            Some(other) => {
                self.error(flag.offset, format!("flag `--{}` is true or false, not `{other}`", flag.name));
                false
            }
        }
    }

    /// Words with their quotes.
    pub(super) fn words(&self) -> Vec<Word> {
        self.placed(split_words(self.rest, self.escape))
    }

    /// Words between blanks.
    pub(super) fn blank_words(&self) -> Vec<Word> {
        self.placed(blank_words(self.rest))
    }

    fn placed(&self, mut words: Vec<Word>) -> Vec<Word> {
        words.iter_mut().for_each(|w| w.offset += self.offset);
        words
    }

    /// The JSON form; `None` is any other text.
    pub(super) fn json(&mut self, text: &str) -> Option<Vec<String>> {
        json_form(text).unwrap_or_else(|message| {
            let offset = self.logical.text.len() - text.len();
            self.error_help(offset, message, "put every element into double quotes");
            None
        })
    }

    /// Words between blanks, or a JSON array.
    pub(super) fn list(&mut self) -> Vec<String> {
        let json = self.json(self.rest);
        json.unwrap_or_else(|| self.blank_words().into_iter().map(|w| w.text).collect())
    }

    pub(super) fn command(&mut self) -> Command {
        self.json(self.rest).map_or_else(|| Command::Shell(self.rest.to_owned()), Command::Exec)
    }
}
