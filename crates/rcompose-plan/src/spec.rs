use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use rcompose_model::{
    DeviceRule, Hook, HostAddress, Logging, Origin, Origins, PortProtocol, Propagation, Recursive, Resources,
    RestartPolicy, Security, ServiceName, Signal, Ulimit,
};
use serde::{Deserialize, Serialize};

use crate::ContainerId;

/// A network as it is to be made. Every choice is made: name, subnet, uplink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSpec {
    /// Real name, `{project}_{key}`.
    pub name: String,
    /// Key in the Compose file; empty for a machine network.
    pub key: String,
    /// 64 hexadecimal digits.
    pub id: String,
    /// First address of the subnet.
    pub subnet: Ipv4Addr,
    /// Prefix length of the subnet.
    pub prefix: u8,
    /// The bridge's own address.
    pub gateway: Ipv4Addr,
    /// No way out.
    pub internal: bool,
    /// `com.docker.network.driver.mtu`.
    pub mtu: Option<u32>,
    /// Number of the uplink's /31 in 100.127.0.0/16: host end is 100.127.0.0 + 2·n, inner end + 1.
    pub uplink: u16,
    /// Labels, `com.docker.compose.*` included.
    pub labels: BTreeMap<String, String>,
    /// Hash of what the file says; another hash means it must be made anew.
    pub config_hash: String,
}

/// A volume as it is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSpec {
    /// Real name.
    pub name: String,
    /// Key in the Compose file; empty for an anonymous volume.
    pub key: String,
    /// `local`.
    pub driver: String,
    /// Options of the local driver.
    pub driver_opts: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The container that an anonymous volume belongs to.
    pub anonymous: bool,
}

/// A container as it is to be made: nothing is left to decide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Identifier.
    pub id: ContainerId,
    /// `{project}-{service}-{n}`, or as the file says.
    pub name: String,
    /// Service.
    pub service: ServiceName,
    /// Number of the replica, from 1; of the one-off, too.
    pub number: u32,
    /// Made by `run`.
    pub oneoff: bool,
    /// Remove it when it has ended (`run --rm`).
    pub auto_remove: bool,
    /// Hash of the service's configuration and image.
    pub config_hash: String,
    /// Image.
    pub image: ImageRef,
    /// What is executed.
    pub argv: Vec<String>,
    /// `NAME=value`, in order.
    pub env: Vec<(String, String)>,
    /// `user[:group]`, names or numbers; empty is root.
    pub user: String,
    /// Further groups.
    pub groups: Vec<String>,
    /// Working directory; empty is `/`.
    pub cwd: String,
    /// Host name; empty: the short id, or the host's with the host's network.
    pub hostname: String,
    /// Domain name.
    pub domainname: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Mounts in order of their targets.
    pub mounts: Vec<MountSpec>,
    /// Secrets and configs.
    pub files: Vec<FileSpec>,
    /// Whose network namespace.
    pub net: NetNs,
    /// Memberships; the first gives `eth0`.
    pub endpoints: Vec<EndpointSpec>,
    /// Published ports.
    pub ports: Vec<PortSpec>,
    /// Exposed ports, for tables: `5432/tcp`.
    pub exposed: Vec<String>,
    /// Lines of /etc/hosts: name and address (or `host-gateway`).
    pub extra_hosts: Vec<(String, HostAddress)>,
    /// Resolver.
    pub dns: DnsSettings,
    /// Health check, complete; `None` without one.
    pub health: Option<HealthSpec>,
    /// When it exits.
    pub restart: RestartPolicy,
    /// Friendly stop.
    pub stop_signal: Signal,
    /// Time until SIGKILL.
    pub stop_grace: Duration,
    /// Limits.
    pub resources: Resources,
    /// Ulimits.
    pub ulimits: Vec<Ulimit>,
    /// Read-only root.
    pub read_only: bool,
    /// Added capabilities.
    pub cap_add: Vec<String>,
    /// Dropped capabilities.
    pub cap_drop: Vec<String>,
    /// Privileged.
    pub privileged: bool,
    /// `security_opt`.
    #[serde(default)]
    pub security: Security,
    /// Bytes of /dev/shm.
    pub shm_size: u64,
    /// Kernel parameters.
    pub sysctls: BTreeMap<String, String>,
    /// `host[:container[:permissions]]`.
    pub devices: Vec<String>,
    /// What is kept of its output.
    #[serde(default)]
    pub logging: Logging,
    /// Further devices that it may use.
    #[serde(default)]
    pub device_rules: Vec<DeviceRule>,
    /// With a terminal.
    pub tty: bool,
    /// Stdin stays open.
    pub stdin_open: bool,
    /// Tiny init as PID 1.
    pub init: bool,
    /// PID namespace.
    pub pid: NsMode,
    /// IPC namespace.
    pub ipc: NsMode,
    /// Cgroup namespace; `None`: its own unless it is privileged.
    #[serde(default)]
    pub cgroup: Option<NsMode>,
    /// UTS namespace.
    pub uts: NsMode,
    /// Cgroup parent.
    pub cgroup_parent: Option<String>,
    /// What runs in it, in order, once it is started.
    #[serde(default)]
    pub post_start: Vec<Hook>,
    /// What runs in it, in order, before it is stopped.
    #[serde(default)]
    pub pre_stop: Vec<Hook>,
    /// Where the service is written.
    pub origin: Origin,
    /// Where its attributes are written (`command`, `entrypoint`, `user`, `ports.0`, …).
    pub attribute_origins: Origins,
}

/// The image of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRef {
    /// As asked for.
    pub reference: String,
    /// `sha256:…`.
    pub id: String,
    /// Lower directories, top first.
    pub layers: Vec<PathBuf>,
}

/// One mount of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountSpec {
    /// What.
    pub source: MountSource,
    /// Where, absolute.
    pub target: String,
    /// Read-only.
    pub read_only: bool,
}

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountSource {
    /// A path of the host.
    Bind {
        /// Absolute path.
        path: PathBuf,
        /// Make it as a directory when missing; else missing is an error.
        create: bool,
        /// Propagation; `rprivate` unless given.
        propagation: Option<Propagation>,
        /// What becomes of mounts below it.
        #[serde(default)]
        recursive: Recursive,
    },
    /// A volume by its real name.
    Volume {
        /// Real name.
        name: String,
        /// Directory inside.
        subpath: Option<String>,
        /// Fill it from the image when it is empty and new.
        copy: bool,
    },
    /// Memory.
    Tmpfs {
        /// Bytes.
        size: Option<u64>,
        /// Permission bits.
        mode: Option<u32>,
        /// Further options.
        options: Vec<String>,
    },
    /// An image's layers, read-only.
    Image {
        /// Lower directories, top first.
        layers: Vec<PathBuf>,
        /// Directory inside.
        subpath: Option<String>,
    },
}

/// A secret or config to be shown as a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSpec {
    /// Absolute path in the container.
    pub target: String,
    /// What is in it.
    pub content: FileContent,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
    /// A secret: is never written to disk where it can be avoided.
    pub secret: bool,
}

/// What is in a secret or config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileContent {
    /// A file of the host.
    HostFile(PathBuf),
    /// Text.
    Text(String),
}

/// Whose network namespace a container lives in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetNs {
    /// Its own.
    Own,
    /// The host's.
    Host,
    /// Another container's.
    Container(ContainerId),
}

/// Another namespace of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NsMode {
    /// Its own.
    #[default]
    Own,
    /// The host's.
    Host,
    /// Another container's.
    Container(ContainerId),
    /// Its own, without the places where it shows (`ipc: none`).
    Bare,
}

/// A container's membership in one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointSpec {
    /// Real name of the network.
    pub network: String,
    /// Address.
    pub address: Ipv4Addr,
    /// Fixed by the file (kept on recreate, an error when taken).
    pub fixed: bool,
    /// Names in this network: service, aliases, container name, short id.
    pub names: Vec<String>,
    /// Interface name; `eth<n>` when `None`.
    pub interface: Option<String>,
    /// MAC address; derived from the address when `None`.
    pub mac: Option<String>,
    /// The default route goes here.
    pub default_route: bool,
}

/// One published port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortSpec {
    /// Address on the host; `None`: all, IPv6 too.
    pub host_ip: Option<IpAddr>,
    /// First host port and last one tried (equal when fixed); `None`: the machine chooses.
    pub host_port: Option<(u16, u16)>,
    /// Port in the container.
    pub container_port: u16,
    /// Protocol.
    pub protocol: PortProtocol,
}

/// Resolver settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsSettings {
    /// Servers; empty: the host's.
    pub servers: Vec<String>,
    /// Search domains.
    pub search: Vec<String>,
    /// Options.
    pub options: Vec<String>,
}

/// A health check with nothing left open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthSpec {
    /// What is executed in the container.
    pub argv: Vec<String>,
    /// Between probes.
    pub interval: Duration,
    /// Of one probe.
    pub timeout: Duration,
    /// Failures until unhealthy.
    pub retries: u32,
    /// Failures here don't count.
    pub start_period: Duration,
    /// Between probes during the start period, or before the first success.
    pub start_interval: Duration,
}
