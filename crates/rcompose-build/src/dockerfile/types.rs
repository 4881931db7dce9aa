use std::fmt;

use super::{Directives, Heredoc};

/// A place in a Dockerfile, from 1; columns count characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// What is wrong with a Dockerfile, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Where.
    pub at: Position,
    /// What.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl ParseError {
    pub(super) fn new(at: Position, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.at.line, self.at.column, self.message)
    }
}

impl std::error::Error for ParseError {}

/// A whole Dockerfile.
#[derive(Debug, Clone)]
pub struct Dockerfile {
    /// Comments that configure the parser.
    pub directives: Directives,
    /// ARGs before the first FROM.
    pub global_args: Vec<Instruction>,
    /// In order.
    pub stages: Vec<Stage>,
    /// Where continuations with an empty line in them end.
    pub empty_continuations: Vec<usize>,
}

/// From one FROM to the next.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Its FROM.
    pub from: From,
    /// Where.
    pub at: Position,
    /// Its last line.
    pub last_line: usize,
    /// The FROM as written.
    pub text: String,
    /// The comments right above it.
    pub comments: Vec<String>,
    /// What follows.
    pub instructions: Vec<Instruction>,
}

/// `FROM [--platform=…] image [AS name]`, not expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// Image, stage or `scratch`.
    pub image: String,
    /// `--platform`.
    pub platform: Option<String>,
    /// AS, in lower case.
    pub name: Option<String>,
}

/// One instruction of a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Instruction {
    /// First line and its column.
    pub at: Position,
    /// Last line, heredocs included.
    pub last_line: usize,
    /// As written, continuations joined.
    pub text: String,
    /// The comments right above it.
    pub comments: Vec<String>,
    /// What it says.
    pub kind: Kind,
}

/// The instructions; values are not expanded yet.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// RUN.
    Run(Run),
    /// COPY.
    Copy(Copy),
    /// ADD.
    Add(Copy),
    /// ENV.
    Env(Vec<(String, String)>),
    /// LABEL.
    Label(Vec<(String, String)>),
    /// ARG: names with defaults.
    Arg(Vec<(String, Option<String>)>),
    /// WORKDIR.
    Workdir(String),
    /// USER.
    User(String),
    /// ENTRYPOINT.
    Entrypoint(Command),
    /// CMD.
    Cmd(Command),
    /// EXPOSE.
    Expose(Vec<String>),
    /// VOLUME.
    Volume(Vec<String>),
    /// HEALTHCHECK; `None` is NONE.
    Healthcheck(Option<Health>),
    /// SHELL.
    Shell(Vec<String>),
    /// STOPSIGNAL.
    Stopsignal(String),
    /// ONBUILD: the instruction, as text.
    Onbuild(String),
    /// MAINTAINER.
    Maintainer(String),
}

/// Shell or exec form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// For the shell.
    Shell(String),
    /// As is.
    Exec(Vec<String>),
}

/// RUN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// What is run.
    pub command: Command,
    /// Values of `--mount`.
    pub mounts: Vec<String>,
    /// `--network`.
    pub network: Option<String>,
    /// `--security`.
    pub security: Option<String>,
    /// `--device`s: names, and whether RUN can't do without.
    pub devices: Vec<(String, bool)>,
    /// Its heredocs.
    pub heredocs: Vec<Heredoc>,
}

/// COPY or ADD.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copy {
    /// Sources, as written; a heredoc's word is in `heredocs` instead.
    pub sources: Vec<String>,
    /// Files given in the Dockerfile.
    pub heredocs: Vec<Heredoc>,
    /// Where to.
    pub target: String,
    /// `--from`.
    pub from: Option<String>,
    /// `--chown`.
    pub chown: Option<String>,
    /// `--chmod`.
    pub chmod: Option<String>,
    /// `--link`.
    pub link: bool,
    /// `--parents`.
    pub parents: bool,
    /// `--exclude`s.
    pub exclude: Vec<String>,
    /// `--checksum`.
    pub checksum: Option<String>,
    /// `--keep-git-dir`.
    pub keep_git_dir: bool,
    /// `--unpack`.
    pub unpack: Option<bool>,
}

/// HEALTHCHECK. Nanoseconds; 0 is the default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The probe.
    pub command: Command,
    /// `--interval`.
    pub interval: i64,
    /// `--timeout`.
    pub timeout: i64,
    /// `--start-period`.
    pub start_period: i64,
    /// `--start-interval`.
    pub start_interval: i64,
    /// `--retries`.
    pub retries: i64,
}
