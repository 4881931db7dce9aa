use std::io;
use std::path::{Path, PathBuf};

use rcompose_engine::{FailureKind, StepFailure};

/// Why the records could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Reading failed.
    #[error("failed to read {}", path.display())]
    Read {
        /// File or directory.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// Writing or removing failed.
    #[error("failed to write {}", path.display())]
    Write {
        /// File or directory.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// A record isn't what this version writes.
    #[error("{} is damaged or from another version", path.display())]
    Decode {
        /// File.
        path: PathBuf,
        /// Cause.
        source: serde_json::Error,
    },
    /// A record could not be encoded.
    #[error("failed to encode {}", path.display())]
    Encode {
        /// File.
        path: PathBuf,
        /// Cause.
        source: serde_json::Error,
    },
}

impl StateError {
    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }
    pub(crate) fn write(path: &Path, source: io::Error) -> Self {
        Self::Write { path: path.to_owned(), source }
    }
    pub(crate) fn decode(path: &Path, source: serde_json::Error) -> Self {
        Self::Decode { path: path.to_owned(), source }
    }
    pub(crate) fn encode(path: &Path, source: serde_json::Error) -> Self {
        Self::Encode { path: path.to_owned(), source }
    }
}

impl From<StateError> for StepFailure {
    fn from(e: StateError) -> Self {
        let kind = match &e {
            StateError::Decode { .. } | StateError::Encode { .. } => FailureKind::Internal,
            _ => FailureKind::Environment,
        };
        let mut f = StepFailure::new(
            kind,
            match std::error::Error::source(&e) {
                Some(s) => format!("{e}: {s}"),
                None => e.to_string(),
            },
        );
        if let StateError::Write { source, .. } = &e
            && source.kind() == io::ErrorKind::StorageFull
        {
            f = f.hint("the disk is full: free some space and try again");
        }
        f
    }
}

/// Why no supervisor could be reached.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The records.
    #[error(transparent)]
    State(#[from] StateError),
    /// The socket.
    #[error("failed to {doing} {}", path.display())]
    Socket {
        /// `connect to`, `listen on`.
        doing: &'static str,
        /// Socket.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The keeper could not be started.
    #[error("failed to start the keeper process from {}", exe.display())]
    Spawn {
        /// This program.
        exe: PathBuf,
        /// Cause.
        source: io::Error,
    },
}
