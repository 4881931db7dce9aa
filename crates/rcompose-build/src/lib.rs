//! From a Dockerfile to an image, through a content-addressed graph.
#![forbid(unsafe_code)]

mod api;
mod apply;
mod archive;
mod cache;
mod copy;
mod digests;
pub mod dockerfile;
mod error;
mod expand;
mod export;
mod ignore;
mod pattern;
mod plan;
mod run;
mod select;
mod solve;
mod stage;
mod state;
mod text;
mod users;
mod view;

pub use api::{
    BaseImage, BuildEvent, BuildEvents, BuildRequest, Built, DockerfileSource, ImageSource, LayerStore,
    OutsideError, RunNetwork, RunStep, SecretSource, StagedLayer, StepMount, StepRunner, Stream,
};
pub use archive::unpack;
pub use cache::{CacheRecord, cache_records, forget_record};
pub use error::{BuildError, BuildErrorKind, BuildFailure};
pub use export::{export_directory, export_tar};
pub use solve::build;
