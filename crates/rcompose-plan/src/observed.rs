use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use rcompose_model::PortProtocol;
use serde::{Deserialize, Serialize};

use crate::{ContainerId, ContainerSpec, NetworkSpec, VolumeSpec};

/// What is: the project's records, and facts of the machine that decisions need.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// Grows with every change of the records; a plan carries the one it was made from.
    pub generation: u64,
    /// Networks of the project by real name.
    pub networks: BTreeMap<String, NetworkSpec>,
    /// Volumes by real name: the project's, and those of other origin that it names.
    pub volumes: BTreeMap<String, VolumeSpec>,
    /// Containers of the project.
    pub containers: BTreeMap<ContainerId, ObservedContainer>,
    /// The machine.
    pub host: HostFacts,
}

/// A container's record and state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObservedContainer {
    /// What it was made from.
    pub spec: ContainerSpec,
    /// How it is.
    pub state: ContainerState,
}

/// Facts of the machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HostFacts {
    /// Subnets in use on the host: routes, addresses, other projects' networks. (first address, prefix)
    pub used_subnets: Vec<(Ipv4Addr, u8)>,
    /// Uplink numbers in use.
    pub used_uplinks: Vec<u16>,
    /// Networks of other origin by real name (for `external`).
    pub external_networks: BTreeMap<String, NetworkSpec>,
    /// The root that state lives under: goes into every kernel object's name.
    pub root_hash: String,
}

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerStatus {
    /// Recorded and prepared, never started.
    #[default]
    Created,
    /// Its process runs.
    Running,
    /// Frozen.
    Paused,
    /// Waiting to be started again by its restart policy.
    Restarting,
    /// Ended.
    Exited,
    /// Being removed.
    Removing,
}

/// How a container is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ContainerState {
    /// Status.
    pub status: ContainerStatus,
    /// Host's PID of its PID 1 while running.
    pub pid: Option<i32>,
    /// Creation, nanoseconds since 1970.
    pub created_at: i64,
    /// Last start, nanoseconds since 1970.
    pub started_at: Option<i64>,
    /// Last end, nanoseconds since 1970.
    pub finished_at: Option<i64>,
    /// Status of the last end: as a shell's `$?` (128 + signal).
    pub exit_code: Option<i32>,
    /// The kernel's out-of-memory killer struck.
    pub oom_killed: bool,
    /// Automatic restarts.
    pub restart_count: u32,
    /// Stopped by a person: `unless-stopped` and `always` leave it alone.
    pub stopped_by_user: bool,
    /// Why the last start failed.
    pub error: Option<String>,
    /// Health, with a health check only.
    pub health: Option<HealthState>,
    /// Published ports as they are.
    pub ports: Vec<BoundPort>,
}

/// A published port as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundPort {
    /// Address on the host.
    pub host_ip: IpAddr,
    /// Port on the host.
    pub host_port: u16,
    /// Port in the container.
    pub container_port: u16,
    /// Protocol.
    pub protocol: PortProtocol,
}

/// Result of health checking so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthState {
    /// Verdict.
    pub status: HealthStatus,
    /// Failures in a row.
    pub failing_streak: u32,
    /// The last five probes, oldest first.
    pub log: Vec<HealthLogEntry>,
}

/// Verdict of health checking.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// No verdict yet.
    #[default]
    Starting,
    /// The last probe passed.
    Healthy,
    /// Too many failures.
    Unhealthy,
}

/// One probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthLogEntry {
    /// Begin, nanoseconds since 1970.
    pub start: i64,
    /// End, nanoseconds since 1970.
    pub end: i64,
    /// Status; -1 when it timed out.
    pub exit_code: i32,
    /// At most 4096 bytes of its output.
    pub output: String,
}
