use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{NetworkDef, Origin, ProjectName, Service, ServiceName, VolumeDef};

/// A whole project after reading, merging, interpolation and checks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// The project's name.
    pub name: ProjectName,
    /// Project directory, absolute: relative paths were resolved against it.
    pub working_dir: PathBuf,
    /// Compose files, absolute, in merge order.
    pub files: Vec<PathBuf>,
    /// `.env` files that were read for interpolation, absolute.
    pub env_files: Vec<PathBuf>,
    /// Enabled services.
    pub services: BTreeMap<ServiceName, Service>,
    /// Services whose profiles are not active.
    pub disabled_services: BTreeMap<ServiceName, Service>,
    /// Networks by key; holds `default` when a service uses it.
    pub networks: BTreeMap<String, NetworkDef>,
    /// Volumes by key.
    pub volumes: BTreeMap<String, VolumeDef>,
    /// Secrets by key.
    pub secrets: BTreeMap<String, FileObject>,
    /// Configs by key.
    pub configs: BTreeMap<String, FileObject>,
    /// Active profiles.
    pub profiles: Vec<String>,
    /// What stands between the parts of a container's or image's name.
    pub separator: Separator,
}

/// What stands between the parts of a name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Separator {
    /// `-`.
    #[default]
    Hyphen,
    /// `_`, as in Compose 1 (`--compatibility`).
    Underscore,
}

impl Separator {
    /// The character.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hyphen => "-",
            Self::Underscore => "_",
        }
    }
}

impl Project {
    /// The name of something of the project that has no name of its own: `{project}-{part}-…`.
    pub fn name_of(&self, parts: &[&str]) -> String {
        let all: Vec<&str> = std::iter::once(self.name.as_str()).chain(parts.iter().copied()).collect();
        all.join(self.separator.as_str())
    }

    /// An enabled service by name.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.get(name)
    }
}

/// A top-level secret or config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileObject {
    /// Real name.
    pub name: String,
    /// Where its content comes from.
    pub source: FileSource,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Where it is written.
    pub origin: Origin,
}

/// Where a secret's or config's content comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileSource {
    /// A file on the host, absolute.
    File(PathBuf),
    /// A variable of the interpolation environment, with its value when set.
    Environment {
        /// The variable.
        variable: String,
        /// Its value now; `None` when unset.
        value: Option<String>,
    },
    /// Written in the Compose file.
    Content(String),
    /// Must exist elsewhere.
    External,
}
