//! Caches of builds elsewhere: `--cache-from`, `--cache-to`, `build.cache_from`, `build.cache_to`, in BuildKit's form.

mod lazy;
mod options;
mod read;
mod write;

pub(super) use lazy::Elsewhere;
pub(super) use read::read;
pub(super) use write::write;

use std::path::PathBuf;

use rcompose_build::CacheForm;
use rcompose_image::{Packing, Reference};

use crate::context::Context;
use crate::failure::Failure;

/// Caches to read and to write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Caches {
    pub(super) from: Vec<From>,
    pub(super) to: Vec<To>,
}

/// A cache to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct From {
    /// As it was written.
    text: String,
    place: Source,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Registry {
        name: Reference,
        insecure: bool,
    },
    /// The one of this digest, or else of this tag.
    Local {
        directory: PathBuf,
        digest: Option<String>,
        tag: String,
    },
    /// What only docker's builders on other machines can read.
    Foreign(&'static str),
}

/// A cache to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct To {
    text: String,
    place: Target,
    /// All steps, not only those of the image.
    all: bool,
    /// A failure to write it is only told.
    lenient: bool,
    form: CacheForm,
    packing: Packing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Registry { name: Reference, insecure: bool },
    Local { directory: PathBuf, tag: String, reset: bool },
    Inline,
    Foreign(&'static str),
}

impl Caches {
    /// As they are written.
    pub(crate) fn parse(cx: &Context, from: &[String], to: &[String]) -> Result<Self, Failure> {
        let from = from.iter().map(|text| options::from(cx, text)).collect::<Result<Vec<_>, _>>()?;
        let to = to.iter().map(|text| options::to(cx, text)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { from: from.concat(), to: to.concat() })
    }

    /// Whether the image is its own cache.
    pub(super) fn inline(&self) -> bool {
        self.to.iter().any(|t| t.place == Target::Inline)
    }
}
