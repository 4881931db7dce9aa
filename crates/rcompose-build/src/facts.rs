//! What a build took from outside, for its provenance.

use std::collections::{BTreeMap, BTreeSet};

/// What went into a build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Images by package URL, repositories and files by address; with algorithm and hexadecimal digest if that is known.
    pub materials: BTreeMap<Material, Option<(&'static str, String)>>,
    /// A RUN had a network.
    pub network: bool,
    /// Secrets of RUN by id; true: it would do without.
    pub secrets: BTreeMap<String, bool>,
    /// SSH agents of RUN by id; true: it would do without.
    pub ssh: BTreeMap<String, bool>,
    /// The Dockerfile's text.
    pub dockerfile: String,
    /// The Dockerfile's name, without its directory.
    pub filename: String,
    /// Contexts that are directories of this machine, by name.
    pub locals: BTreeSet<String>,
}

/// Something that a build took from elsewhere. In BuildKit's order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Material {
    /// An image, by package URL.
    Image(String),
    /// A repository.
    Git(String),
    /// A file.
    Http(String),
}

impl Material {
    /// Its address.
    pub fn uri(&self) -> &str {
        let (Self::Image(uri) | Self::Git(uri) | Self::Http(uri)) = self;
        uri
    }
}
