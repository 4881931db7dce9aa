//! From a Dockerfile to an image, through a content-addressed graph.
#![forbid(unsafe_code)]

mod apply;
mod digests;
pub mod dockerfile;
mod error;
mod expand;
mod ignore;
mod select;
mod text;
mod users;
mod view;

pub use error::{BuildError, BuildErrorKind};
