//! Running a build's steps: a helper process with one thread makes the containers, since a builder has many.

mod agent;
mod helper;
mod network;
mod runner;
mod terminal;
mod wire;

use std::path::PathBuf;

use rcompose_model::{CpuSet, Resources};
use serde::{Deserialize, Serialize};

pub use helper::build_helper_main;
pub use runner::ProcessStepRunner;

/// One RUN.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct BuildStep {
    /// Lower directories, top first.
    pub lowers: Vec<PathBuf>,
    /// Receives the changes.
    pub upper: PathBuf,
    /// Overlayfs' work directory, on the same file system.
    pub work: PathBuf,
    /// What is executed.
    pub argv: Vec<String>,
    /// Environment, in order.
    pub env: Vec<(String, String)>,
    /// `user[:group]`; empty is root.
    pub user: String,
    /// Working directory.
    pub cwd: String,
    /// Its host name.
    pub hostname: String,
    /// Network.
    pub network: BuildNetwork,
    /// Lines of /etc/hosts: name, address.
    pub extra_hosts: Vec<(String, String)>,
    /// Bytes of /dev/shm; 64 MiB when `None`.
    pub shm_size: Option<u64>,
    /// `--mount`s.
    pub mounts: Vec<BuildMount>,
    /// Standard input, e.g. a heredoc for an interpreter.
    pub stdin: Option<Vec<u8>>,
    /// Resource limits: name without `RLIMIT_` in lower case, soft, hard; -1 is unlimited.
    pub ulimits: Vec<(String, i64, i64)>,
    /// All capabilities, no filter of system calls, the host's devices.
    pub insecure: bool,
    /// What it may take of the machine.
    pub resources: Resources,
    /// Nodes to take memory from.
    pub cpuset_mems: Option<CpuSet>,
    /// The cgroup that its own lies in.
    pub cgroup_parent: Option<String>,
    /// The terminal of the user, for a shell on it.
    pub terminal: Option<PathBuf>,
}

/// Network of a RUN.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum BuildNetwork {
    /// A network of its own with a way out.
    #[default]
    Default,
    /// The host's.
    Host,
    /// None.
    None,
}

/// A mount of a RUN.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct BuildMount {
    /// Absolute path in the container.
    pub target: String,
    /// Directory, file or socket of the host; `None` is memory.
    pub source: Option<PathBuf>,
    /// Directories of the host, top first, shown as one. `source` is `None` then.
    pub layers: Vec<PathBuf>,
    /// A directory with `upper` and `work`, on one file system, that takes what is written to `layers`.
    pub writes: Option<PathBuf>,
    /// A file with these bytes, kept in memory only. `source` is `None` then.
    pub content: Option<Vec<u8>>,
    /// A socket in the container whose connections go to this unix socket of the host. `source` is `None` then.
    pub agent: Option<PathBuf>,
    /// Owner of `content` and `agent`.
    pub uid: u32,
    /// Group of `content` and `agent`.
    pub gid: u32,
    /// Permission bits of `content` and `agent`.
    pub mode: u32,
    /// Read-only.
    pub read_only: bool,
    /// Bytes, of memory.
    pub size: Option<u64>,
}

/// Where a RUN's output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}
