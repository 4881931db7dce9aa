//! The seams: what a build needs from outside, and what it says.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcompose_image::{Digest, ImageConfig, Platform, Reference};
use serde::{Deserialize, Serialize};

use crate::{ContextSource, Facts, GitSource, Scan};

/// A failure beyond a seam.
pub type OutsideError = Box<dyn Error + Send + Sync>;

/// One RUN. It crosses a process boundary.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RunStep {
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
    pub network: RunNetwork,
    /// Lines of /etc/hosts: name, address.
    pub extra_hosts: Vec<(String, String)>,
    /// Bytes of /dev/shm; 64 MiB when `None`.
    pub shm_size: Option<u64>,
    /// `--mount`s.
    pub mounts: Vec<StepMount>,
    /// Standard input, e.g. a heredoc for an interpreter.
    pub stdin: Option<Vec<u8>>,
    /// Resource limits: name without `RLIMIT_` in lower case, soft, hard; -1 is unlimited.
    pub ulimits: Vec<(String, i64, i64)>,
    /// `--security=insecure`: all capabilities, no filter of system calls, the host's devices.
    pub insecure: bool,
    /// What it may take of the machine.
    pub limits: RunLimits,
    /// The cgroup that its own lies in.
    pub cgroup_parent: Option<String>,
}

/// What a RUN may take of the machine; `None` is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunLimits {
    /// Bytes.
    pub memory: Option<u64>,
    /// Bytes of memory and swap together; -1 is unlimited.
    pub memory_swap: Option<i64>,
    /// Relative weight.
    pub cpu_shares: Option<u64>,
    /// Microseconds.
    pub cpu_period: Option<u64>,
    /// Microseconds in each period.
    pub cpu_quota: Option<i64>,
    /// CPUs to run on, e.g. `0-1`.
    pub cpuset_cpus: Option<String>,
    /// Nodes to take memory from, e.g. `0`.
    pub cpuset_mems: Option<String>,
}

/// Network of a RUN.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunNetwork {
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
pub struct StepMount {
    /// Absolute path in the container.
    pub target: String,
    /// Directory or file of the host; `None` is memory.
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
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Runs one RUN.
pub trait StepRunner: Sync {
    /// Runs it to its end; the command's status.
    fn run(&self, step: &RunStep, output: &mut dyn FnMut(Stream, &[u8])) -> Result<i32, OutsideError>;
    /// Runs it on the user's terminal.
    fn run_on_terminal(&self, step: &RunStep) -> Result<i32, OutsideError>;
}

/// A layer being made.
pub trait StagedLayer {
    /// Receives the files, in overlayfs's form.
    fn upper(&self) -> &Path;
    /// Overlayfs' work directory, on the same file system.
    fn work(&self) -> &Path;
    /// Makes it a layer; its diff id. Dropped without this, nothing stays.
    fn commit(self: Box<Self>) -> Result<Digest, OutsideError>;
}

/// The image store, as far as a build needs it.
pub trait LayerStore: Sync {
    /// The unpacked files of a layer by diff id, if it is there.
    fn layer(&self, diff_id: &Digest) -> Result<Option<PathBuf>, OutsideError>;
    /// A place for a new layer.
    fn stage(&self) -> Result<Box<dyn StagedLayer + '_>, OutsideError>;
    /// Keeps an image (its layers are `config.rootfs.diff_ids`) under all the names at once; its id.
    fn put_image(&self, config: &ImageConfig, tags: &[Reference]) -> Result<Digest, OutsideError>;
}

/// A base image.
#[derive(Debug, Clone)]
pub struct BaseImage {
    /// Its id.
    pub id: Digest,
    /// Its configuration; the layers are in the store.
    pub config: ImageConfig,
    /// What its registry has under its name, or what stands for it in an archive.
    pub digest: Option<Digest>,
}

/// Gives base images, from the store or a registry, and repositories.
pub trait ImageSource: Sync {
    /// The directory with a commit's files, as they are asked for, and the commit. `.git` is among them only if that is
    /// asked for, and the directory is the root.
    fn checkout(&self, source: &GitSource) -> Result<(PathBuf, String), OutsideError>;
    /// The image of a reference. `pull` asks the registry even if the store has one.
    fn resolve(&self, reference: &str, platform: &Platform, pull: bool) -> Result<BaseImage, OutsideError>;
}

/// Hears what a build does. Called from several threads; `step` numbers are unique in a build.
pub trait BuildEvents: Sync {
    /// Something happened.
    fn event(&self, event: BuildEvent<'_>);
}

/// What a build does.
#[derive(Debug)]
pub enum BuildEvent<'a> {
    /// It begins.
    Planned {
        /// So many steps; triggers of base images add to them.
        steps: usize,
    },
    /// A step begins.
    Started {
        /// Number from 1.
        step: usize,
        /// `[build 2/4] RUN make`.
        name: &'a str,
        /// Dockerfile line.
        line: usize,
    },
    /// A RUN wrote something.
    Output {
        /// Which.
        step: usize,
        /// Where.
        stream: Stream,
        /// What, not cut at lines.
        bytes: &'a [u8],
    },
    /// A step is done.
    Finished {
        /// Which.
        step: usize,
        /// It was taken from the cache.
        cached: bool,
        /// How long it took.
        duration: Duration,
    },
    /// A step failed, and a shell in its file system has the terminal until it ends.
    Shell {
        /// Which.
        step: usize,
        /// It begins; else it has ended.
        begins: bool,
    },
    /// A step failed; the error comes back from [`crate::build`].
    Failed {
        /// Which.
        step: usize,
        /// Why.
        message: &'a str,
    },
    /// Something that is probably not meant.
    Warning {
        /// What.
        message: &'a str,
        /// Dockerfile line; 0 when there is none.
        line: usize,
    },
}

/// Where the Dockerfile is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerfileSource {
    /// A file; absolute, or relative to the context.
    Path(PathBuf),
    /// Its text.
    Inline(String),
}

impl Default for DockerfileSource {
    fn default() -> Self {
        Self::Path("Dockerfile".into())
    }
}

/// Where a secret's content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// In a file.
    File(PathBuf),
    /// Here.
    Value(Vec<u8>),
}

/// What to build.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BuildRequest {
    /// The context directory.
    pub context: PathBuf,
    /// The Dockerfile.
    pub dockerfile: DockerfileSource,
    /// The stage to build; the last by default.
    pub target: Option<String>,
    /// `--build-arg`s; without a value they are as if not given.
    pub args: BTreeMap<String, Option<String>>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Its names.
    pub tags: Vec<Reference>,
    /// Runs every step.
    pub no_cache: bool,
    /// Asks registries for newer base images.
    pub pull: bool,
    /// Network of RUN without `--network`.
    pub network: RunNetwork,
    /// Lines of /etc/hosts: name, address.
    pub extra_hosts: Vec<(String, String)>,
    /// Bytes of /dev/shm.
    pub shm_size: Option<u64>,
    /// Directories by name for `--from` and FROM, `docker-image://…` as well.
    pub additional_contexts: BTreeMap<String, String>,
    /// Where those of them come from that aren't directories of this machine, by name.
    pub context_sources: BTreeMap<String, ContextSource>,
    /// Where the context comes from, if it isn't a directory of this machine.
    pub context_source: Option<ContextSource>,
    /// Secrets by id, for `RUN --mount=type=secret`.
    pub secrets: BTreeMap<String, SecretSource>,
    /// Sockets of SSH agents by id, for `RUN --mount=type=ssh`.
    pub ssh: BTreeMap<String, PathBuf>,
    /// Resource limits of RUN: name without `RLIMIT_` in lower case, soft, hard; -1 is unlimited.
    pub ulimits: Vec<(String, i64, i64)>,
    /// What each RUN may take of the machine. It isn't part of a step's key.
    pub limits: RunLimits,
    /// The cgroup that those of RUN lie in.
    pub cgroup_parent: Option<String>,
    /// What RUN may ask for beyond the usual: `network.host`, `security.insecure`.
    pub allow: BTreeSet<String>,
    /// Stages whose steps all run.
    pub no_cache_filter: BTreeSet<String>,
    /// The platform; the host's by default.
    pub platform: Option<Platform>,
    /// Where step records, file digests and cache mounts are kept.
    pub cache_root: PathBuf,
    /// Opens a shell in the file system of a RUN that fails.
    pub debug_shell: bool,
    /// Writes what its steps made into the image: it is a cache for later builds then.
    pub inline_cache: bool,
    /// Seconds since the epoch for everything that is dated, unless an argument or the Dockerfile says something else.
    pub source_date_epoch: Option<u64>,
}

/// What was built.
#[derive(Debug, Clone)]
pub struct Built {
    /// The image's id.
    pub image: Digest,
    /// Its configuration.
    pub config: ImageConfig,
    /// Steps with a layer that were taken from the cache.
    pub cached_steps: usize,
    /// Steps with a layer that were done.
    pub ran_steps: usize,
    /// What the steps made, for caches elsewhere.
    pub steps: Vec<StepOutcome>,
    /// What went in.
    pub facts: Facts,
    /// What else is to be looked through for packages: `BUILDKIT_SBOM_SCAN_CONTEXT` and `BUILDKIT_SBOM_SCAN_STAGE`.
    pub scans: Vec<Scan>,
    /// Seconds since the epoch for everything that is dated, if the request or the Dockerfile says so.
    pub source_date_epoch: Option<u64>,
}

/// What a step made. The same key gives the same outcome on any machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepOutcome {
    /// Hash of all that went in.
    pub key: Digest,
    /// `None`: it changes no files.
    pub layer: Option<Digest>,
    /// When, RFC 3339.
    pub created: String,
}
