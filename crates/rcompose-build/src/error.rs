use std::error::Error;
use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::path::Path;

use rcompose_image::without_password;

use crate::dockerfile::{ParseError, Position, extent};

/// What kind of failure, for the exit code and the tone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildErrorKind {
    /// The Dockerfile, the context or the request is wrong.
    Input,
    /// A RUN ended with another status than 0.
    Step,
    /// The machine, the store or a registry failed.
    Environment,
}

/// Mistakes of one Dockerfile that are shown: what has more isn't a Dockerfile.
const SHOWN: usize = 20;

/// Why there is no image: place, reason, remedy. The tags stay as they were.
#[derive(Debug)]
pub struct BuildError(Box<BuildFailure>);

/// What a [`BuildError`] says.
#[derive(Debug)]
pub struct BuildFailure {
    /// What kind.
    pub kind: BuildErrorKind,
    /// What.
    pub message: String,
    /// The Dockerfile, as it should be shown.
    pub file: String,
    /// From 1; 0 when there is no place.
    pub line: usize,
    /// From 1; 0 when there is no place.
    pub column: usize,
    /// Characters from there; 0 is the rest of the line.
    pub length: usize,
    /// The source line.
    pub snippet: Option<String>,
    /// The further lines of the instruction, if all of it is meant.
    pub rest: Vec<String>,
    /// The lines before and after all that.
    pub around: (Vec<String>, Vec<String>),
    /// What to do.
    pub help: Option<String>,
    /// The end of the failed step's output.
    pub output_tail: String,
    /// The failed step's status.
    pub exit_status: Option<i32>,
    /// Further errors of the same Dockerfile.
    pub more: Vec<BuildError>,
    source: Option<Box<dyn Error + Send + Sync>>,
    culprit: Option<Culprit>,
}

/// What of an instruction is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Culprit {
    /// This text of it.
    Text(String),
    /// Of this `--mount`, counted from 0, this text.
    Mount(usize, String),
}

impl BuildError {
    /// Without a place yet.
    pub fn new(kind: BuildErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(BuildFailure {
            kind,
            message: message.into(),
            file: String::new(),
            line: 0,
            column: 0,
            length: 0,
            snippet: None,
            rest: Vec::new(),
            around: Default::default(),
            help: None,
            output_tail: String::new(),
            exit_status: None,
            more: Vec::new(),
            source: None,
            culprit: None,
        }))
    }

    /// The machine failed.
    pub fn environment(message: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let mut error = Self::new(BuildErrorKind::Environment, message);
        error.source = Some(match source.into().downcast::<Self>() {
            // What helps is told behind the place, not within the message.
            Ok(mut known) => {
                error.help = known.help.take();
                known
            }
            Err(other) => other,
        });
        error
    }

    /// The user's mistake.
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::new(BuildErrorKind::Input, message)
    }

    pub(crate) fn io(doing: &str, path: &Path, source: io::Error) -> Self {
        let help = (source.kind() == io::ErrorKind::StorageFull)
            .then(|| "make room, for example with `rcompose system prune`, and try again".to_owned());
        let mut error = Self::environment(format!("failed to {doing} {}", path.display()), source);
        error.help = help;
        error
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says what of the instruction is wrong.
    #[must_use]
    pub(crate) fn about(mut self, culprit: Culprit) -> Self {
        self.culprit = Some(culprit);
        self
    }

    /// Adds the place, unless it has one: what is wrong of the instruction that begins there, or all of it.
    pub(crate) fn place(mut self, file: &str, text: &str, at: Position) -> Self {
        if self.line > 0 {
            return self;
        }
        let Some(extent) = extent(text, at) else { return self.place_in(file, text, at, at.line) };
        match self.culprit.take().and_then(|c| extent.find(text, &c)) {
            Some((at, length)) => {
                self.length = length;
                self.place_in(file, text, at, at.line)
            }
            None => self.place_in(file, text, at, extent.last_line()),
        }
    }

    fn place_in(mut self, file: &str, text: &str, at: Position, last: usize) -> Self {
        file.clone_into(&mut self.file);
        self.line = at.line;
        self.column = at.column;
        let lines: Vec<&str> = text.lines().collect();
        let number = at.line.saturating_sub(1);
        self.snippet = lines.get(number).map(|l| without_password(l));
        self.message = without_password(&self.message);
        // A megabyte on one line helps nobody.
        let short = |l: &&str| without_password(&l.chars().take(160).collect::<String>());
        let next = (number + 1).min(lines.len());
        let end = last.clamp(next, lines.len().max(next));
        let before = lines.get(number.saturating_sub(2)..number).unwrap_or_default();
        let after = lines.get(end..lines.len().min(end + 2)).unwrap_or_default();
        self.rest = lines.get(next..end).unwrap_or_default().iter().map(short).collect();
        self.around = (before.iter().map(short).collect(), after.iter().map(short).collect());
        self
    }

    pub(crate) fn from_parse(file: &str, text: &str, errors: Vec<ParseError>) -> Self {
        let count = errors.len();
        let mut all = errors.into_iter().take(SHOWN).map(|e| {
            let mut one = Self::input(e.message);
            one.help = e.help;
            one.place_in(file, text, e.at, e.at.line)
        });
        let mut first = all.next().unwrap_or_else(|| Self::input("the Dockerfile is wrong"));
        first.more = all.collect();
        if count > SHOWN {
            first.more.push(Self::input(format!("and {} more mistakes in {file}", count - SHOWN)));
        }
        first
    }
}

impl Deref for BuildError {
    type Target = BuildFailure;
    fn deref(&self) -> &BuildFailure {
        &self.0
    }
}

impl DerefMut for BuildError {
    fn deref_mut(&mut self) -> &mut BuildFailure {
        &mut self.0
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        }
        f.write_str(&self.message)
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|e| e as _)
    }
}
