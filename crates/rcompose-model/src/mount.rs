use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::ImageName;

/// One entry of `volumes` or `tmpfs`, long form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// What is mounted.
    pub kind: MountKind,
    /// Absolute path in the container.
    pub target: String,
    /// `ro`.
    pub read_only: bool,
}

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountKind {
    /// A path of the host.
    Bind {
        /// Absolute path on the host.
        source: String,
        /// `bind:` options.
        options: BindOptions,
    },
    /// A named volume: a key of the project's `volumes`.
    Volume {
        /// Key in [`crate::Project::volumes`].
        key: String,
        /// `volume:` options.
        options: VolumeOptions,
    },
    /// A volume without a name, kept as long as the container (and its successors).
    Anonymous {
        /// `volume:` options.
        options: VolumeOptions,
    },
    /// Memory.
    Tmpfs {
        /// `tmpfs:` options.
        options: TmpfsOptions,
    },
    /// An image's file system, read-only by default.
    Image {
        /// Its name, or the service whose image it is.
        image: ImageName,
        /// Directory inside the image.
        subpath: Option<String>,
        /// Its unpacked layers, top first; none until it is resolved.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        layers: Vec<PathBuf>,
    },
}

/// Options of a bind mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindOptions {
    /// Make the source as a directory when it is missing (always so in the short form).
    pub create_host_path: bool,
    /// How mounts made later go in and out.
    pub propagation: Option<Propagation>,
    /// What becomes of mounts below the source.
    pub recursive: Recursive,
    /// Which label files get.
    pub selinux: Option<SelinuxLabel>,
}

/// Propagation of a mount (mount_namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Propagation {
    /// This mount alone, neither way.
    Private,
    /// This mount and all below it, neither way.
    RPrivate,
    /// This mount alone, both ways.
    Shared,
    /// This mount and all below it, both ways.
    RShared,
    /// This mount alone, from the host only.
    Slave,
    /// This mount and all below it, from the host only.
    RSlave,
}

impl Propagation {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Private, Self::RPrivate, Self::Shared, Self::RShared, Self::Slave, Self::RSlave];

    /// From the word in a Compose file.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.as_str() == text)
    }

    /// As in Compose files, and as a mount option.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::RPrivate => "rprivate",
            Self::Shared => "shared",
            Self::RShared => "rshared",
            Self::Slave => "slave",
            Self::RSlave => "rslave",
        }
    }
}

/// `bind.recursive`: what becomes of mounts below the source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recursive {
    /// They are mounted, and read-only if the mount is, where the kernel can do it.
    #[default]
    Enabled,
    /// They aren't mounted.
    Disabled,
    /// They are mounted, and writable even if the mount is read-only.
    Writable,
    /// They are mounted read-only, as the mount is.
    ReadOnly,
}

/// `bind.selinux`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SelinuxLabel {
    /// `z`: one that containers share.
    Shared,
    /// `Z`: one of this container's own.
    Private,
}

impl SelinuxLabel {
    /// From the letter in a Compose file.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "z" => Some(Self::Shared),
            "Z" => Some(Self::Private),
            _ => None,
        }
    }

    /// As in Compose files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shared => "z",
            Self::Private => "Z",
        }
    }
}

/// Options of a volume mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeOptions {
    /// Don't fill a new volume with what the image has at the target.
    pub nocopy: bool,
    /// Mount a directory inside the volume.
    pub subpath: Option<String>,
    /// Labels of the volume if it is made for this mount: one without a name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// Options of a tmpfs mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TmpfsOptions {
    /// Bytes; `None` is the kernel's default.
    pub size: Option<u64>,
    /// Permission bits; `None` is 1777.
    pub mode: Option<u32>,
    /// Further mount options of the short `tmpfs:` form (`noexec`, `uid=1000`, …).
    pub options: Vec<String>,
}
