use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::{Cidr, MacAddress, Origin, ServiceName};

/// A top-level network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkDef {
    /// Real name: `{project}_{key}` unless given.
    pub name: String,
    /// `bridge` unless given; `None` is the default driver.
    pub driver: Option<String>,
    /// Driver options.
    pub driver_opts: BTreeMap<String, String>,
    /// Address management.
    pub ipam: Ipam,
    /// Must exist already; not made and not removed.
    pub external: bool,
    /// No way to the outside.
    pub internal: bool,
    /// `enable_ipv4` (true unless given).
    pub enable_ipv4: Option<bool>,
    /// `enable_ipv6`.
    pub enable_ipv6: Option<bool>,
    /// `attachable`.
    pub attachable: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Where it is written; default when implicit.
    pub origin: Origin,
}

/// `ipam` of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ipam {
    /// IPAM driver.
    pub driver: Option<String>,
    /// Pools in order.
    pub config: Vec<IpamPool>,
    /// Driver options.
    pub options: BTreeMap<String, String>,
}

/// One `ipam.config` entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpamPool {
    /// Subnet.
    pub subnet: Option<Cidr>,
    /// Range for automatic addresses.
    pub ip_range: Option<Cidr>,
    /// Gateway address.
    pub gateway: Option<IpAddr>,
    /// Reserved addresses by host name.
    pub aux_addresses: BTreeMap<String, IpAddr>,
}

/// A service's membership in one network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkAttachment {
    /// Further names in this network.
    pub aliases: Vec<String>,
    /// Fixed IPv4 address.
    pub ipv4_address: Option<Ipv4Addr>,
    /// Fixed IPv6 address.
    pub ipv6_address: Option<Ipv6Addr>,
    /// Interface name in the container.
    pub interface_name: Option<String>,
    /// Link-local addresses.
    pub link_local_ips: Vec<IpAddr>,
    /// MAC address.
    pub mac_address: Option<MacAddress>,
    /// Driver options.
    pub driver_opts: BTreeMap<String, String>,
    /// Order of attachment; higher first.
    pub priority: i64,
    /// Which network gives the default route; higher wins.
    pub gw_priority: i64,
}

/// How a service meets the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkMode {
    /// Member of networks (keys of [`crate::Project::networks`]).
    Networks(BTreeMap<String, Box<NetworkAttachment>>),
    /// `none`: loopback only.
    None,
    /// `host`: the host's namespace.
    Host,
    /// `service:x`.
    Service(ServiceName),
    /// `container:x`.
    Container(String),
    /// `bridge`: the machine's default network, without names.
    Bridge,
}

/// A top-level volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeDef {
    /// Real name: `{project}_{key}` unless given.
    pub name: String,
    /// `local` unless given.
    pub driver: Option<String>,
    /// Driver options (`type`, `o`, `device` of the local driver).
    pub driver_opts: BTreeMap<String, String>,
    /// Must exist already; not made and not removed.
    pub external: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Where it is written.
    pub origin: Origin,
}
