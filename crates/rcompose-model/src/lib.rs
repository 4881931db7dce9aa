//! What a Compose project is: typed, complete, immutable data.
//!
//! No I/O, no clock, no environment. Values arrive here parsed and checked by
//! `rcompose-loader`; everything downstream reads them and never parses again.
#![forbid(unsafe_code)]

mod address;
mod attachment;
mod capability;
mod cpuset;
mod health;
mod hook;
mod host;
mod image;
mod mount;
mod name;
mod network;
mod origin;
mod platform;
mod port;
mod project;
mod resources;
mod security;
mod service;
mod signal;
mod user;

pub use address::{AddressError, Cidr, MacAddress};
pub use attachment::{Device, DeviceRule, Exposed, Link, MountsOf, VolumesFrom};
pub use capability::CAPABILITIES;
pub use cpuset::{CpuSet, CpuSetError};
pub use health::{HealthTest, Healthcheck};
pub use hook::{Hook, PreStart};
pub use host::{HostAddress, HostAddressError};
pub use image::{ImageName, ImageNameError};
pub use mount::{
    BindOptions, Mount, MountKind, Propagation, Recursive, SelinuxLabel, TmpfsOptions, VolumeOptions,
};
pub use name::{NameError, ProjectName, ServiceName};
pub use network::{Ipam, IpamPool, NetworkAttachment, NetworkDef, NetworkMode, VolumeDef};
pub use origin::{Origin, Origins};
pub use platform::{Platform, PlatformError};
pub use port::{PortMapping, PortProtocol};
pub use project::{FileObject, FileSource, Project, Separator};
pub use resources::{Resources, Ulimit};
pub use security::{Seccomp, SeccompArg, SeccompProfile, SeccompRule, SeccompWhen, Security};
pub use service::{
    Build, BuildSecret, Dependency, DependencyCondition, FileMount, Logging, NamespaceMode, PullPolicy,
    RestartPolicy, Service,
};
pub use signal::{Signal, SignalError};
pub use user::{Account, User, UserError};
