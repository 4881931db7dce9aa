use std::io;
use std::path::{Path, PathBuf};

use crate::Digest;

/// What went wrong in the store.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// No space or quota left. What had been written of the new image is removed again.
    #[error("disk full while writing {}", path.display())]
    DiskFull {
        /// What was being written.
        path: PathBuf,
        /// The kernel's error.
        #[source]
        source: io::Error,
    },
    /// The file system refused.
    #[error("failed to {doing} {}", path.display())]
    Io {
        /// What we were doing.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The kernel's error.
        #[source]
        source: io::Error,
    },
    /// An archive from outside can't be read.
    #[error("failed to read {what}")]
    Read {
        /// Which archive.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An archive's member can't be unpacked.
    #[error("failed to unpack `{member}`")]
    Unpack {
        /// Its name in the archive.
        member: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A member that is dangerous or malformed.
    #[error("archive member `{member}` {why}")]
    Member {
        /// Its name in the archive.
        member: String,
        /// What is wrong with it.
        why: String,
    },
    /// Content is not what its address says.
    #[error("{what} is damaged: expected {expected}, got {actual}")]
    Mismatch {
        /// Which content.
        what: String,
        /// Its address.
        expected: Digest,
        /// Its true digest.
        actual: Digest,
    },
    /// A JSON document of the store or of an archive can't be read.
    #[error("{what} is malformed")]
    Json {
        /// Which document.
        what: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// An archive or a record is not what it should be.
    #[error("{what}: {why}")]
    Malformed {
        /// Which.
        what: String,
        /// Why.
        why: String,
    },
    /// No such image.
    #[error("no such image: {0}")]
    NotFound(String),
    /// An id's beginning that several images share.
    #[error("image id `{prefix}` is ambiguous: {}", ids.iter().map(Digest::short).collect::<Vec<_>>().join(", "))]
    Ambiguous {
        /// What was asked for.
        prefix: String,
        /// Who has it.
        ids: Vec<Digest>,
    },
    /// A container needs it.
    #[error("image {0} is used by a container")]
    InUse(String),
    /// Removing by id would remove several names.
    #[error("image {id} has several names: {}", names.join(", "))]
    SeveralNames {
        /// Its id, short.
        id: String,
        /// The names.
        names: Vec<String>,
    },
    /// Removing by id would take one platform out of what a name stands for.
    #[error("image {id} is only a part of {name}")]
    PartOf {
        /// Its id, short.
        id: String,
        /// A name that it is part of, and its platform.
        name: String,
    },
    /// A layer that an image needs is gone.
    #[error("layer {0} is missing from the store")]
    LayerMissing(Digest),
}

impl ImageError {
    pub(crate) fn io(doing: &'static str, path: impl AsRef<Path>, source: impl Into<io::Error>) -> Self {
        let (path, source) = (path.as_ref().to_owned(), source.into());
        match is_full(&source) {
            true => Self::DiskFull { path, source },
            false => Self::Io { doing, path, source },
        }
    }

    pub(crate) fn unpack(member: &[u8], source: impl Into<io::Error>) -> Self {
        let (member, source) = (String::from_utf8_lossy(member).into_owned(), source.into());
        match is_full(&source) {
            true => Self::DiskFull { path: PathBuf::from(member), source },
            false => Self::Unpack { member, source },
        }
    }

    pub(crate) fn member(member: &[u8], why: impl Into<String>) -> Self {
        Self::Member { member: String::from_utf8_lossy(member).into_owned(), why: why.into() }
    }

    pub(crate) fn json(what: impl Into<String>, source: serde_json::Error) -> Self {
        Self::Json { what: what.into(), source }
    }

    pub(crate) fn malformed(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Malformed { what: what.into(), why: why.into() }
    }
}

fn is_full(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

pub(crate) type Result<T, E = ImageError> = std::result::Result<T, E>;
