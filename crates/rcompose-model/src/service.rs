use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    Device, DeviceRule, Exposed, Healthcheck, Hook, HostAddress, ImageName, Link, Mount, NetworkMode, Origin,
    Origins, Platform, PortMapping, PreStart, Resources, Security, ServiceName, Signal, Ulimit, User,
    VolumesFrom,
};

/// A service, every value in its final type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Key in `services`.
    pub name: ServiceName,
    /// Where the service is written.
    pub origin: Origin,
    /// Where single attributes are written, by dotted path below the service
    /// (`command`, `ports.0`, `user`): for errors that come later, in the engine.
    pub attribute_origins: Origins,
    /// Image.
    pub image: Option<ImageName>,
    /// How to build the image.
    pub build: Option<Box<Build>>,
    /// When to pull.
    pub pull_policy: Option<PullPolicy>,
    /// `linux/arm64`, …
    pub platform: Option<Platform>,
    /// Replaces the image's CMD; `Some(vec![])` clears it.
    pub command: Option<Vec<String>>,
    /// Replaces the image's ENTRYPOINT (and clears its CMD); `Some(vec![])` clears it.
    pub entrypoint: Option<Vec<String>>,
    /// Environment after env_file and environment; `None` values are unset in the container.
    pub environment: BTreeMap<String, Option<String>>,
    /// What must be there before.
    pub depends_on: BTreeMap<ServiceName, Dependency>,
    /// Published ports.
    pub ports: Vec<PortMapping>,
    /// Ports that are only said (`expose`).
    pub expose: Vec<Exposed>,
    /// Mounts of `volumes` and `tmpfs`.
    pub mounts: Vec<Mount>,
    /// Whose mounts it has, too.
    pub volumes_from: Vec<VolumesFrom>,
    /// Networks or network mode.
    pub network_mode: NetworkMode,
    /// Further names of other services.
    pub links: Vec<Link>,
    /// Health check; `None` leaves the image's.
    pub healthcheck: Option<Healthcheck>,
    /// What to do when it exits.
    pub restart: RestartPolicy,
    /// `user[:group]`.
    pub user: Option<User>,
    /// Further groups.
    pub group_add: Vec<String>,
    /// Working directory.
    pub working_dir: Option<String>,
    /// Host name.
    pub hostname: Option<String>,
    /// Domain name.
    pub domainname: Option<String>,
    /// Fixed container name.
    pub container_name: Option<String>,
    /// A tiny init as PID 1.
    pub init: bool,
    /// Labels of the container (`label_file` and `labels`).
    pub labels: BTreeMap<String, String>,
    /// Annotations of the runtime bundle.
    pub annotations: BTreeMap<String, String>,
    /// Profiles; empty is always on.
    pub profiles: Vec<String>,
    /// Signal for a friendly stop; `None` is the image's, then SIGTERM.
    pub stop_signal: Option<Signal>,
    /// How long to wait after it; 10 s when `None`.
    pub stop_grace_period: Option<Duration>,
    /// Limits.
    pub resources: Resources,
    /// Ulimits.
    pub ulimits: Vec<Ulimit>,
    /// Read-only root file system.
    pub read_only: bool,
    /// Added capabilities, upper case without `CAP_`, `ALL` possible.
    pub cap_add: Vec<String>,
    /// Dropped capabilities.
    pub cap_drop: Vec<String>,
    /// All capabilities, devices, no masks, no seccomp.
    pub privileged: bool,
    /// `security_opt`.
    pub security: Security,
    /// Lines for /etc/hosts: host name and address (`host-gateway` possible), in order.
    pub extra_hosts: Vec<(String, HostAddress)>,
    /// Name servers.
    pub dns: Vec<IpAddr>,
    /// Search domains.
    pub dns_search: Vec<String>,
    /// Resolver options.
    pub dns_opt: Vec<String>,
    /// Number of containers (`scale` or `deploy.replicas`); 1 unless given.
    pub replicas: u32,
    /// Bytes of /dev/shm; 64 MiB when `None`.
    pub shm_size: Option<u64>,
    /// Kernel parameters of the container's namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Devices of the host.
    pub devices: Vec<Device>,
    /// Further devices that it may use, without their nodes.
    pub device_rules: Vec<DeviceRule>,
    /// Allocate a terminal.
    pub tty: bool,
    /// Keep stdin open.
    pub stdin_open: bool,
    /// Secrets to show.
    pub secrets: Vec<FileMount>,
    /// Configs to show.
    pub configs: Vec<FileMount>,
    /// `pid`.
    pub pid: Option<NamespaceMode>,
    /// `cgroup`: `host` or `private`.
    pub cgroup: Option<NamespaceMode>,
    /// `ipc`.
    pub ipc: Option<NamespaceMode>,
    /// `uts: host`.
    pub uts: Option<NamespaceMode>,
    /// Show this service's logs in an attached `up`.
    pub attach: bool,
    /// What is kept of the output.
    pub logging: Logging,
    /// Cgroup parent.
    pub cgroup_parent: Option<String>,
    /// What runs in containers of its own, in order, before the first container starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pre_start: Vec<PreStart>,
    /// What runs in each container, in order, once it is started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post_start: Vec<Hook>,
    /// What runs in each container, in order, before it is stopped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pre_stop: Vec<Hook>,
}

/// `build`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Build {
    /// Directory, absolute, or a URL.
    pub context: String,
    /// Dockerfile relative to the context, or absolute; `Dockerfile` unless given.
    pub dockerfile: Option<String>,
    /// The Dockerfile's text itself.
    pub dockerfile_inline: Option<String>,
    /// The line above the text, if it is written there line by line.
    #[serde(default)]
    pub dockerfile_inline_at: Option<Origin>,
    /// Build arguments; `None` had no value.
    pub args: BTreeMap<String, Option<String>>,
    /// Stage to build.
    pub target: Option<String>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Further names of the image.
    pub tags: Vec<ImageName>,
    /// Network of RUN: `default`, `host`, `none`.
    pub network: Option<String>,
    /// Use no cache.
    pub no_cache: bool,
    /// Pull base images.
    pub pull: bool,
    /// Lines for /etc/hosts in RUN.
    pub extra_hosts: Vec<(String, HostAddress)>,
    /// Bytes of /dev/shm in RUN.
    pub shm_size: Option<u64>,
    /// Platforms to build for.
    pub platforms: Vec<Platform>,
    /// Named contexts.
    pub additional_contexts: BTreeMap<String, String>,
    /// SSH agents by id: a socket or a key file; `None` is the agent of the environment.
    pub ssh: BTreeMap<String, Option<String>>,
    /// Caches to read from, as `type=…,…` or an image.
    pub cache_from: Vec<String>,
    /// Caches to write to.
    pub cache_to: Vec<String>,
    /// Stages whose steps all run.
    pub no_cache_filter: Vec<String>,
    /// Secrets that RUN may mount.
    pub secrets: Vec<BuildSecret>,
    /// Resource limits of RUN.
    pub ulimits: Vec<Ulimit>,
    /// RUN may ask for `--security=insecure`.
    pub privileged: bool,
    /// What RUN may ask for: `network.host`, `security.insecure`.
    pub entitlements: Vec<String>,
    /// Provenance attestation, as written: a truth, or `mode=max`.
    pub provenance: Option<String>,
    /// Bill of materials, as written: a truth, or `generator=…`.
    pub sbom: Option<String>,
    /// Where it is written.
    pub origin: Origin,
}

/// A secret of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildSecret {
    /// Key of the top-level section.
    pub source: String,
    /// The id that RUN names.
    pub id: String,
}

/// One edge of `depends_on`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// When the dependant may start.
    pub condition: DependencyCondition,
    /// Restart the dependant when the dependency is restarted by hand.
    pub restart: bool,
    /// False: only a warning when the dependency isn't there.
    pub required: bool,
    /// Where it is written.
    pub origin: Origin,
}

/// When a dependency counts as ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DependencyCondition {
    /// Started.
    ServiceStarted,
    /// Its health check passed.
    ServiceHealthy,
    /// Exited with 0.
    ServiceCompletedSuccessfully,
}

/// `restart`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// Whatever happens, unless stopped by hand.
    Always,
    /// As `always`, and stopped stays stopped.
    UnlessStopped,
    /// On a status other than 0, at most so often (`None`: without end).
    OnFailure(Option<u32>),
}

/// `pull_policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullPolicy {
    /// Each time.
    Always,
    /// Never.
    Never,
    /// When it isn't there (`missing`, `if_not_present`).
    Missing,
    /// Build instead.
    Build,
    /// When older than this.
    Every(Duration),
}

/// A secret or config in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMount {
    /// Key of the top-level section.
    pub source: String,
    /// Absolute path in the container.
    pub target: String,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Permission bits; 0444 when `None`.
    pub mode: Option<u32>,
}

/// Whose namespace to use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NamespaceMode {
    /// Its own.
    Private,
    /// Its own, joinable (`ipc: shareable`).
    Shareable,
    /// The host's.
    Host,
    /// A service's.
    Service(ServiceName),
    /// A container's.
    Container(String),
    /// None at all (`ipc: none`).
    None,
}

/// `logging`: what is kept of the output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Logging {
    /// All of it.
    #[default]
    Whole,
    /// The last of it (`max-size`, `max-file`).
    Rotated {
        /// Bytes of a file at which the next one is begun.
        size: u64,
        /// How many files there are, the one that is written to among them.
        files: u32,
    },
    /// Nothing (driver `none`).
    Nothing,
}

impl Build {
    /// The build's Dockerfile as a path, unless it is inline.
    pub fn dockerfile_path(&self) -> Option<PathBuf> {
        if self.dockerfile_inline.is_some() {
            return None;
        }
        Some(PathBuf::from(&self.context).join(self.dockerfile.as_deref().unwrap_or("Dockerfile")))
    }
}
