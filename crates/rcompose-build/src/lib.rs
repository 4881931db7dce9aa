//! From a Dockerfile to an image, through a content-addressed graph.
#![forbid(unsafe_code)]

pub mod dockerfile;
mod expand;
mod ignore;
mod text;
