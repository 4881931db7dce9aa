use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::ports::Protocol;

/// What can go wrong while making, changing or removing a network.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The kernel refused one step; `action` says which, and on what.
    #[error("failed to {action}")]
    Kernel {
        /// The step as a verb phrase, with the object's name.
        action: String,
        /// The kernel's errno.
        #[source]
        source: io::Error,
    },
    /// A file or directory could not be read, made or removed.
    #[error("failed to {action} {}", path.display())]
    File {
        /// What was being done to the path.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The calling thread entered a network namespace and could not come back. It must not go on: every
    /// socket that it opens from here on lands in the wrong namespace.
    #[error("failed to return from a network namespace")]
    Stranded(#[source] io::Error),
    /// A published port is in use.
    #[error("port {}/{protocol} on {} is taken{}", address.port(), address.ip(),
            holder.as_deref().map(|h| format!(" by {h}")).unwrap_or_default())]
    PortTaken {
        /// The address that could not be bound.
        address: SocketAddr,
        /// tcp or udp.
        protocol: Protocol,
        /// The process that holds it, like `pid 123 (nginx)`, where it could be found.
        holder: Option<String>,
    },
    /// No free subnet, address or uplink pair is left.
    #[error("no free {0} is left")]
    Exhausted(&'static str),
    /// A reply of the kernel could not be understood.
    #[error("unexpected netlink reply to {0}")]
    Protocol(String),
    /// A value that the caller gave makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// Several steps of a tear-down failed. Each was tried.
    #[error("{} (and {} more)", first, more.len())]
    Several {
        /// The first failure.
        #[source]
        first: Box<NetError>,
        /// The others, in order.
        more: Vec<NetError>,
    },
}

impl NetError {
    pub(crate) fn kernel(action: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Kernel { action: action.into(), source: source.into() }
    }

    /// Ok for no errors, the error itself for one, [`NetError::Several`] for more.
    pub(crate) fn collect(errors: Vec<NetError>) -> Result<(), NetError> {
        let mut errors = errors.into_iter();
        match errors.next() {
            None => Ok(()),
            Some(first) if errors.len() == 0 => Err(first),
            Some(first) => Err(Self::Several { first: Box::new(first), more: errors.collect() }),
        }
    }

    /// The errno behind a kernel refusal.
    pub(crate) fn errno(&self) -> Option<i32> {
        match self {
            Self::Kernel { source, .. } | Self::File { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }
}
