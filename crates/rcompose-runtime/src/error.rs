//! What can go wrong, in the caller and in the child.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::cgroup::CgroupError;
use crate::seccomp::SeccompError;

/// Failure to bring a process into being, seen by the caller.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The spec asks for something that doesn't fit together.
    #[error("invalid runtime spec: {0}")]
    Spec(String),
    /// A string with a NUL byte can't be handed to the kernel.
    #[error("{0} contains a NUL byte")]
    Nul(&'static str),
    /// A file, namespace or descriptor that is needed can't be had.
    #[error("failed to {action} {path:?}")]
    Path {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A system call without a path.
    #[error("failed to {action}")]
    System {
        /// What was being done.
        action: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The container's cgroup.
    #[error("failed to set up the container's cgroup")]
    Cgroup(#[from] CgroupError),
    /// The seccomp profile.
    #[error("failed to compile the seccomp profile")]
    Seccomp(#[from] SeccompError),
    /// The child failed before its console came back.
    #[error(transparent)]
    Child(ChildError),
}

impl CreateError {
    pub(crate) fn system(action: &'static str) -> impl FnOnce(io::Error) -> CreateError {
        move |source| CreateError::System { action, source }
    }

    pub(crate) fn path(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> CreateError {
        let path = path.into();
        move |source| CreateError::Path { action, path, source }
    }
}

/// Something asked for that this machine doesn't allow, and without which the process was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(pub String);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where in the child something failed.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The caller went away, or closed `go` without a byte.
    Abandoned = 1,
    /// Joining or making namespaces.
    Namespace,
    /// Entering the cgroup.
    Cgroup,
    /// Assembling the root file system.
    Rootfs,
    /// One mount; the detail is its place in the container.
    Mount,
    /// The source of a bind mount; the detail is the path on the host.
    MountSource,
    /// A device node or link in /dev.
    Device,
    /// A masked or read-only path.
    Mask,
    /// A sysctl.
    Sysctl,
    /// Host or domain name.
    Hostname,
    /// Bringing the loopback interface up.
    Loopback,
    /// The pseudo-terminal.
    Console,
    /// Standard input, output, error.
    Stdio,
    /// User, groups, capabilities.
    Credentials,
    /// The seccomp filter.
    Seccomp,
    /// The working directory.
    WorkingDirectory,
    /// Forking the process below the tiny init.
    Init,
    /// Looking the command up and executing it.
    Exec,
}

const STAGES: [Stage; 18] = [
    Stage::Abandoned,
    Stage::Namespace,
    Stage::Cgroup,
    Stage::Rootfs,
    Stage::Mount,
    Stage::MountSource,
    Stage::Device,
    Stage::Mask,
    Stage::Sysctl,
    Stage::Hostname,
    Stage::Loopback,
    Stage::Console,
    Stage::Stdio,
    Stage::Credentials,
    Stage::Seccomp,
    Stage::WorkingDirectory,
    Stage::Init,
    Stage::Exec,
];

/// What the child reported before it gave up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildError {
    /// During what.
    pub stage: Stage,
    /// The kernel's answer.
    pub errno: i32,
    /// A path, a name: what it was about. May be empty, and is cut at 200 bytes.
    pub detail: String,
}

impl ChildError {
    /// The exit status that a shell (and docker) gives such a failure: 127 not found, 126 not executable, else 128.
    pub fn exit_code(&self) -> i32 {
        match (self.stage, self.errno) {
            (Stage::Exec, libc::ENOENT | libc::ENOTDIR) => 127,
            (Stage::Exec, _) => 126,
            (Stage::WorkingDirectory, libc::EACCES | libc::ENOTDIR) => 126,
            (Stage::WorkingDirectory, libc::ENOENT) => 127,
            _ => 128,
        }
    }
}

impl fmt::Display for ChildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.stage {
            Stage::Abandoned => return f.write_str("given up before the start"),
            Stage::Namespace => "namespace",
            Stage::Cgroup => "cgroup",
            Stage::Rootfs => "root file system",
            Stage::Mount => "mount",
            Stage::MountSource => "mount source",
            Stage::Device => "device",
            Stage::Mask => "masked path",
            Stage::Sysctl => "sysctl",
            Stage::Hostname => "hostname",
            Stage::Loopback => "loopback interface",
            Stage::Console => "console",
            Stage::Stdio => "standard streams",
            Stage::Credentials => "credentials",
            Stage::Seccomp => "seccomp",
            Stage::WorkingDirectory => "working directory",
            Stage::Init => "init",
            Stage::Exec => "exec",
        };
        f.write_str(what)?;
        if !self.detail.is_empty() {
            write!(f, ": \"{}\"", self.detail)?;
        }
        if self.stage == Stage::Exec && self.errno == libc::ENOENT && !self.detail.contains('/') {
            return f.write_str(": executable file not found in $PATH");
        }
        write!(f, ": {}", errno_text(self.errno))
    }
}

impl std::error::Error for ChildError {}

/// `ENOENT` → "no such file or directory".
fn errno_text(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// Decodes what came from a `status` descriptor up to its end. `None`: nothing came, the command was executed.
pub fn read_status(bytes: &[u8]) -> Option<ChildError> {
    let (&stage, rest) = bytes.split_first()?;
    let (errno, detail) = rest.split_first_chunk::<4>()?;
    Some(ChildError {
        stage: *STAGES.get(usize::from(stage).checked_sub(1)?)?,
        errno: i32::from_le_bytes(*errno),
        detail: String::from_utf8_lossy(detail).into_owned(),
    })
}

/// A failure in the child, before it is encoded.
pub(crate) struct Failure<'a> {
    pub(crate) stage: Stage,
    pub(crate) errno: i32,
    pub(crate) detail: &'a [u8],
}

impl Failure<'_> {
    /// Writes the wire form of [`read_status`] in one go.
    pub(crate) fn encode(&self, buffer: &mut [u8; 205]) -> usize {
        let length = self.detail.len().min(200);
        buffer[0] = self.stage as u8;
        buffer[1..5].copy_from_slice(&self.errno.to_le_bytes());
        buffer[5..5 + length].copy_from_slice(&self.detail[..length]);
        5 + length
    }
}

/// Says during what, and about what, a system call failed.
pub(crate) trait At<T> {
    fn at(self, stage: Stage, detail: &[u8]) -> Result<T, Failure<'_>>;
}

impl<T> At<T> for crate::sys::Result<T> {
    fn at(self, stage: Stage, detail: &[u8]) -> Result<T, Failure<'_>> {
        self.map_err(|errno| Failure { stage, errno, detail })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_comes_back_as_it_was() {
        for stage in STAGES {
            let mut buffer = [0; 205];
            let length = Failure { stage, errno: libc::EACCES, detail: b"/x" }.encode(&mut buffer);
            let error = read_status(&buffer[..length]).unwrap();
            assert_eq!((error.stage, error.errno, error.detail.as_str()), (stage, libc::EACCES, "/x"));
        }
        assert_eq!(read_status(b""), None);
    }

    #[test]
    fn messages_and_codes() {
        let error = |errno, detail: &str| ChildError { stage: Stage::Exec, errno, detail: detail.into() };
        assert_eq!(
            error(libc::ENOENT, "foo").to_string(),
            "exec: \"foo\": executable file not found in $PATH"
        );
        assert_eq!(error(libc::ENOENT, "/foo").to_string(), "exec: \"/foo\": no such file or directory");
        assert_eq!(error(libc::ENOENT, "foo").exit_code(), 127);
        assert_eq!(error(libc::EACCES, "/foo").exit_code(), 126);
    }
}
