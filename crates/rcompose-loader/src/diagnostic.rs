use std::path::PathBuf;

use rcompose_model::Origin;

use crate::code::Code;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is done.
    Error,
    /// It goes on.
    Warning,
}

/// A place in a file, with the text of its line: a diagnostic can be shown when the file is gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The file, as the user would name it.
    pub file: PathBuf,
    /// Line, from 1; 0 when only the file is known.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Length in characters.
    pub length: u32,
    /// The line; of a very long one the part around the place.
    pub text: String,
    /// Characters of the line that stand before `text`.
    pub cut: u32,
    /// The lines that what is marked goes on over.
    pub rest: Vec<String>,
    /// The lines before and after all that, where they help.
    pub around: (Vec<String>, Vec<String>),
}

impl Place {
    /// A place with what is needed of its line: nobody reads a megabyte.
    pub fn new(file: PathBuf, line: u32, column: u32, length: u32, text: &str) -> Self {
        const BEFORE: u32 = 60;
        const WIDTH: usize = 160;
        let cut = if text.len() > WIDTH { column.max(1).saturating_sub(1 + BEFORE) } else { 0 };
        let text = text.chars().skip(cut as usize).take(WIDTH).collect();
        Self {
            file,
            line,
            column,
            length: length.max(1),
            text,
            cut,
            rest: Vec::new(),
            around: Default::default(),
        }
    }

    /// Shows the lines before and after it as well.
    #[must_use]
    pub fn between(mut self, before: Vec<String>, after: Vec<String>) -> Self {
        self.around = (before, after);
        self
    }

    /// Marks these lines below it, too.
    #[must_use]
    pub fn through(mut self, rest: Vec<String>) -> Self {
        self.rest = rest;
        self
    }

    /// Without the text.
    pub fn origin(&self) -> Origin {
        Origin { file: self.file.as_path().into(), line: self.line, column: self.column }
    }

    /// The marked part of `text`, in bytes.
    pub(crate) fn marked(&self) -> std::ops::Range<usize> {
        let start = self.column.max(1).saturating_sub(1 + self.cut) as usize;
        let from = self.text.char_indices().nth(start).map_or(self.text.len(), |(i, _)| i);
        let rest = &self.text[from..];
        let to = rest.char_indices().nth(self.length.max(1) as usize).map_or(rest.len(), |(i, _)| i);
        from..from + to
    }
}

/// One thing that is wrong, or doubtful.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// What kind of thing, for what was found in files.
    pub code: Option<Code>,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// Where.
    pub place: Option<Place>,
    /// Other places that belong to it, with a word for each.
    pub related: Vec<(Place, String)>,
    /// What to do.
    pub help: Vec<String>,
    /// The service whose `build` it is about, if that alone.
    pub build_of: Option<String>,
}

impl Diagnostic {
    /// An error without a place.
    pub fn error(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code: None,
            message: message.into(),
            place: None,
            related: Vec::new(),
            help: Vec::new(),
            build_of: None,
        }
    }

    /// Adds what to do.
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }

    /// Says what kind of thing it is.
    pub fn code(mut self, code: Code) -> Self {
        self.code = Some(code);
        self
    }

    /// Says what kind of thing it is.
    pub(crate) fn is(&mut self, code: Code) -> &mut Self {
        self.code = Some(code);
        self
    }
}

/// Nothing could be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.summary())]
pub struct LoadError {
    /// All that was found, errors first found first; at least one error.
    pub diagnostics: Vec<Diagnostic>,
}

impl LoadError {
    fn summary(&self) -> String {
        let errors = || self.diagnostics.iter().filter(|d| d.severity == Severity::Error);
        let more = errors().count().saturating_sub(1);
        let first = errors().next().map(|d| d.message.clone()).unwrap_or_default();
        if more == 0 { first } else { format!("{first} (and {more} more)") }
    }
}

impl From<Diagnostic> for LoadError {
    fn from(d: Diagnostic) -> Self {
        Self { diagnostics: vec![d] }
    }
}
