//! The Dockerfile language (Dockerfile reference; BuildKit's frontend/dockerfile is the model where it is silent).

mod arguments;
mod device;
mod directives;
mod extent;
mod heredoc;
mod instruction;
mod lines;
mod mount;
mod parse;
mod types;
pub(crate) mod words;

pub use directives::Directives;
pub use heredoc::Heredoc;
pub use mount::{Mount, MountKind, Sharing, comma_fields};
pub use parse::parse;
pub(crate) use parse::parse_partly;
pub use types::{
    Command, Copy, Dockerfile, From, Health, Instruction, Kind, ParseError, Position, Run, Stage,
};

pub(crate) use directives::{directive, syntax_of};
pub(crate) use extent::extent;
pub(crate) use heredoc::is_heredoc;
pub(crate) use instruction::{instruction_at, unknown_trigger};
