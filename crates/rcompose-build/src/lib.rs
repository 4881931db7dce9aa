//! From a Dockerfile to an image, through a content-addressed graph.
#![forbid(unsafe_code)]

mod access;
mod api;
mod apply;
mod archive;
mod binds;
mod cache;
mod cacheconfig;
mod change;
mod chmod;
mod configure;
mod copy;
mod digests;
pub mod dockerfile;
mod download;
mod epoch;
mod error;
mod expand;
mod export;
mod facts;
mod git;
mod ignore;
mod kept;
mod known;
mod lint;
mod mounts;
mod outline;
mod pattern;
mod plan;
mod ports;
mod provenance;
mod recipe;
mod remote;
mod run;
mod sbom;
mod scan;
mod scratch;
mod select;
mod signal;
mod solve;
mod stage;
mod state;
mod text;
mod unpack;
mod users;
mod view;

pub use access::GitAccess;
pub use api::{
    BaseImage, BuildEvent, BuildEvents, BuildRequest, Built, DockerfileSource, ImageSource, LayerStore,
    OutsideError, RunLimits, RunNetwork, RunStep, SecretSource, StagedLayer, StepMount, StepOutcome,
    StepRunner, Stream,
};
pub use cache::{CacheKind, CacheRecord, cache_records, clear_steps, forget_record, import_steps};
pub use cacheconfig::{CACHE_CONFIG, CacheContents, CacheForm, cache_document, read_cache, read_inline};
pub use change::change;
pub use dockerfile::comma_fields;
pub use error::{BuildError, BuildErrorKind, BuildFailure};
pub use export::{Tree, export_directory, export_tar, file_digests};
pub use facts::{Facts, Material};
pub use git::GitSource;
pub use kept::Kept;
pub use known::parse_bool;
pub use lint::{Lint, LintReport, check};
pub use outline::{Outline, OutlineArg, OutlineInput, Target, Targets, outline, targets};
pub use provenance::{ContextSource, Invocation, Provenance, ProvenanceOptions};
pub use recipe::{INLINE, check_context};
pub use sbom::{SbomSubject, sbom};
pub use scan::Scan;
pub use scratch::Scratch;
pub use solve::build;
pub use unpack::unpack;
