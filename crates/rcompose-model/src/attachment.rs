use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{PortProtocol, ServiceName};

/// One entry of `devices`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Path on the host.
    pub source: String,
    /// Path in the container.
    pub target: String,
    /// Of `r`, `w` and `m`.
    pub permissions: String,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.source, self.target, self.permissions)
    }
}

/// One entry of `device_cgroup_rules`: `TYPE MAJOR:MINOR ACCESS`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRule {
    /// `a` (all), `b` or `c`.
    pub kind: char,
    /// `None` is each.
    pub major: Option<u32>,
    /// `None` is each.
    pub minor: Option<u32>,
    /// Of `r`, `w` and `m`.
    pub access: String,
}

impl FromStr for DeviceRule {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let [kind, numbers, access] = text.split(' ').collect::<Vec<_>>()[..] else { return Err(()) };
        let (major, minor) = numbers.split_once(':').ok_or(())?;
        let number = |t: &str| if t == "*" { Ok(None) } else { t.parse().map(Some).map_err(drop) };
        let kind = match kind {
            "a" => 'a',
            "b" => 'b',
            "c" => 'c',
            _ => return Err(()),
        };
        if !(1..=3).contains(&access.len()) || access.contains(|c| !matches!(c, 'r' | 'w' | 'm')) {
            return Err(());
        }
        Ok(Self { kind, major: number(major)?, minor: number(minor)?, access: access.to_owned() })
    }
}

/// One entry of `volumes_from`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumesFrom {
    /// Whose mounts.
    pub from: MountsOf,
    /// `:ro`.
    pub read_only: bool,
}

/// Whose mounts `volumes_from` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountsOf {
    /// A service's first container's.
    Service(ServiceName),
    /// `container:name`.
    Container(String),
}

/// One entry of `links`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The other service.
    pub service: ServiceName,
    /// The name that it has here, too.
    pub alias: Option<String>,
}

/// One entry of `expose`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exposed {
    /// The first port of the container.
    pub first: u16,
    /// The last one.
    pub last: u16,
    /// Of which protocol.
    pub protocol: PortProtocol,
}

impl fmt::Display for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}/{}", self.first, self.protocol),
            false => write!(f, "{}-{}/{}", self.first, self.last, self.protocol),
        }
    }
}
