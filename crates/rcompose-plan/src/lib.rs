//! Decides: (project, images, observed, intent) → a DAG of steps.
//!
//! Pure: no I/O, no clock, no environment, no randomness. Equal in, equal out. The planner
//! decides everything — names, ids, addresses, order; a step never looks at the project.
#![forbid(unsafe_code)]

mod desired;
mod id;
mod intent;
mod observed;
mod op;
mod plan;
mod planner;
mod spec;

pub use desired::{Desired, ImageDefaults, ImageFacts, ImageHealth};
pub use id::{ContainerId, hash_hex};
pub use intent::{CreateOptions, DownOptions, Intent, RecreatePolicy, RunOptions, ScopeOptions, UpOptions};
pub use observed::{
    BoundPort, ContainerState, ContainerStatus, HealthLogEntry, HealthState, HealthStatus, HostFacts,
    Observed, ObservedContainer,
};
pub use op::{LocalOp, WaitCondition};
pub use plan::{Plan, PlanError, PlanStep, StepId};
pub use planner::{config_hash, image_key, needed_services, plan, render};
pub use spec::{
    ContainerSpec, DnsSettings, EndpointSpec, FileContent, FileSpec, HealthSpec, ImageRef, MountSource,
    MountSpec, NetNs, NetworkSpec, NsMode, PortSpec, VolumeSpec,
};
