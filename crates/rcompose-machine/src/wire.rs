//! What supervisor and keeper say to each other over their socket pair.

use std::os::fd::OwnedFd;

use rcompose_engine::{ExecSpec, StepFailure};
use rcompose_plan::ContainerId;
use serde::{Deserialize, Serialize};

/// From the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToKeeper {
    /// Make a container's process from its record; it waits for the word on `go`.
    Create {
        seq: u64,
        id: ContainerId,
        /// Pipes (or a terminal of this size) for a person instead of the log.
        attached: bool,
        /// Rows and columns. Not inside an option of an option: JSON has one null only.
        size: Option<(u16, u16)>,
    },
    /// Start a process in a running container.
    Exec { seq: u64, id: ContainerId, spec: ExecSpec },
    /// The log of an ended container is complete.
    Forget { id: ContainerId },
    /// Nothing is left to keep: end after the supervisor.
    Finish,
}

/// What a descriptor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fd {
    Pidfd,
    Netns,
    Go,
    Status,
    Console,
    Stdin,
    Stdout,
    Stderr,
}

/// From the keeper. Descriptors travel with the message, in the order of `fds`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromKeeper {
    /// First of all: the containers that run, which follow as `Adopted`.
    Hello { pid: i32, containers: Vec<ContainerId> },
    /// A container that was started for a former supervisor.
    Adopted { id: ContainerId, pid: i32, exited: Option<ExitNote>, fds: Vec<Fd> },
    /// Answer to `Create` and `Exec`.
    Started { seq: u64, pid: i32, notes: Vec<String>, fds: Vec<Fd> },
    /// Answer to `Create` and `Exec`.
    Failed { seq: u64, failure: StepFailure },
    /// A container's PID 1 ended.
    ContainerExited { id: ContainerId, pid: i32, note: ExitNote },
    /// A process of an exec ended.
    ExecExited { pid: i32, code: i32 },
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExitNote {
    /// As a shell's `$?`.
    pub(crate) code: i32,
    /// Nanoseconds since 1970.
    pub(crate) at: i64,
    /// The out-of-memory killer struck.
    pub(crate) oom_killed: bool,
}

impl FromKeeper {
    pub(crate) fn fds(&self) -> &[Fd] {
        match self {
            Self::Adopted { fds, .. } | Self::Started { fds, .. } => fds,
            _ => &[],
        }
    }
}

/// Descriptors by what they are.
#[derive(Debug, Default)]
pub(crate) struct Fds(Vec<(Fd, OwnedFd)>);

impl Fds {
    pub(crate) fn new(kinds: &[Fd], fds: Vec<OwnedFd>) -> Self {
        Self(kinds.iter().copied().zip(fds).collect())
    }

    pub(crate) fn push(&mut self, kind: Fd, fd: Option<OwnedFd>) {
        if let Some(fd) = fd {
            self.0.push((kind, fd));
        }
    }

    pub(crate) fn take(&mut self, kind: Fd) -> Option<OwnedFd> {
        let at = self.0.iter().position(|(k, _)| *k == kind)?;
        Some(self.0.swap_remove(at).1)
    }

    pub(crate) fn kinds(&self) -> Vec<Fd> {
        self.0.iter().map(|(k, _)| *k).collect()
    }

    pub(crate) fn borrowed(&self) -> Vec<std::os::fd::BorrowedFd<'_>> {
        self.0.iter().map(|(_, fd)| std::os::fd::AsFd::as_fd(fd)).collect()
    }
}
