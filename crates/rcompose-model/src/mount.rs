use serde::{Deserialize, Serialize};

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
        /// Image reference.
        image: String,
        /// Directory inside the image.
        subpath: Option<String>,
    },
}

/// Options of a bind mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindOptions {
    /// Make the source as a directory when it is missing (always so in the short form).
    pub create_host_path: bool,
    /// `rprivate`, `rshared`, `rslave`, `private`, `shared`, `slave`.
    pub propagation: Option<String>,
    /// `enabled`, `disabled`, `writable`, `readonly`.
    pub recursive: Option<String>,
    /// `z` or `Z`.
    pub selinux: Option<String>,
}

/// Options of a volume mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeOptions {
    /// Don't fill a new volume with what the image has at the target.
    pub nocopy: bool,
    /// Mount a directory inside the volume.
    pub subpath: Option<String>,
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
