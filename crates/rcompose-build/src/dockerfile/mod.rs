//! The Dockerfile language (Dockerfile reference; BuildKit's frontend/dockerfile is the model where it is silent).

mod instruction;
mod lines;
mod parse;
mod types;
pub(crate) mod words;

pub use lines::{Directives, Heredoc};
pub use parse::parse;
pub use types::{
    Command, Copy, Dockerfile, From, Health, Instruction, Kind, ParseError, Position, Run, Stage,
};

pub(crate) use instruction::instruction_at;
