//! Bridges, veth pairs, addresses, published ports, firewall and names.
//!
//! A network is a network namespace of its own, pinned by a bind mount: its bridge, its nf_tables rules, and one
//! uplink to the host (a veth pair with a /31). Removing a network is one umount; what is in the namespace goes
//! with it. Containers' namespaces hang on the bridge by veth pairs.
//!
//! Everything but the servers (names, port relays) is synchronous and quick. The caller is a single-threaded
//! process in the host's network namespace; a step inside another namespace goes there and comes back on the same
//! thread ([`in_netns`]).
#![forbid(unsafe_code)]

mod attach;
mod dns;
mod error;
mod firewall;
mod host;
mod link;
mod netlink;
mod netns;
mod network;
mod nft;
mod pool;
mod ports;
mod subnet;

pub use attach::{Attachment, attach, detach, loopback_up};
pub use dns::{Answer, DnsServer, NAMESERVER, NameTable, Question, nameservers};
pub use error::NetError;
pub use firewall::{
    HostRules, HostUplink, NetworkRules, Outlet, Published, close_forward, open_forward, redirect_dns,
};
pub use host::{enable_ip_forward, host_networks, is_project_table, restore_ip_forward, who_may_forward};
pub use netns::{current_netns, in_netns, new_netns, open_network};
pub use network::{NetworkHandle, NetworkSpec, create_network, remove_network};
pub use pool::{IpPool, SubnetPool, UplinkPair, mac_of};
pub use ports::{PortHolder, Protocol, port_holder};
pub use subnet::Ipv4Net;
