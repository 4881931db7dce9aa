use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use nix::net::if_::if_nametoindex;
use rustix::io::Errno;

use crate::link::{self, VethEnd};
use crate::netlink::{APPEND, Batch, CREATE, EXCL, Netlink};
use crate::netns::{current_netns, in_netns, is_pinned, open_network, pin_new, unpin};
use crate::pool::{UplinkPair, mac_of};
use crate::{Ipv4Net, NetError, host, nft};

/// The bridge in a network's namespace. Its index is chosen, so that nothing needs looking up; not a low one,
/// since tunnel modules (ipip, sit, gre) may put a device of theirs into every new namespace.
pub(crate) const BRIDGE: &str = "br0";
pub(crate) const BRIDGE_INDEX: u32 = 100;
/// The uplink's end in a network's namespace.
pub(crate) const UPLINK: &str = "up0";
const UPLINK_INDEX: u32 = 101;

/// Everything about a network that its making needs. Plain data; equal specs make equal networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkSpec {
    /// The name for messages.
    pub name: String,
    /// The containers' subnet.
    pub subnet: Ipv4Net,
    /// The bridge's address in it.
    pub gateway: Ipv4Addr,
    /// Largest packet in bytes; the kernel's 1500 if not given.
    pub mtu: Option<u32>,
    /// The uplink's two addresses.
    pub uplink: UplinkPair,
    /// The uplink's end in the host's namespace; at most 15 bytes, and with the project's hash in it.
    pub host_link: String,
    /// `IFLA_GROUP` of the links: the project's number.
    pub group: u32,
    /// The file that the namespace is bind-mounted on. Parents are made.
    pub pin: PathBuf,
}

/// A network that exists. It lives by its pin; an open handle keeps the namespace alive beyond the pin's removal,
/// so drop it for a removal that is to take effect.
#[derive(Debug)]
pub struct NetworkHandle {
    /// The network's own namespace.
    pub netns: OwnedFd,
}

/// Makes a network: namespace, uplink, bridge, addresses, and the host's route to the subnet. Call it in the
/// host's network namespace. A complete one is returned as it is; a half-made one (a crash) is made anew. Rules
/// are separate ([`crate::NetworkRules`]). If another network has the same subnet, its route stays the one in
/// use until it goes.
pub fn create_network(spec: &NetworkSpec) -> Result<NetworkHandle, NetError> {
    if is_pinned(&spec.pin).unwrap_or(false) {
        let netns = open_network(&spec.pin)?;
        if is_complete(spec, &netns)? {
            return Ok(NetworkHandle { netns });
        }
    }
    unpin(&spec.pin)?;
    let netns = match pin_new(&spec.pin).and_then(|netns| build(spec, &netns).map(|()| netns)) {
        Ok(netns) => netns,
        Err(e) => {
            let mut errors = vec![e];
            errors.extend(unpin(&spec.pin).err());
            NetError::collect(errors)?;
            unreachable!("there is at least one error")
        }
    };
    Ok(NetworkHandle { netns })
}

/// Removes a network: one umount. Whatever is already gone is fine. Its links, rules and the host's route go as
/// soon as nobody has the namespace open; the kernel clears them in the background, which takes some 40 ms.
/// Nothing here waits for that, nor for the lock on links that it holds meanwhile. Containers that are still
/// attached lose their links.
pub fn remove_network(spec: &NetworkSpec) -> Result<(), NetError> {
    nft::release();
    unpin(&spec.pin)
}

/// The default route inside is the last thing that [`build`] makes.
fn is_complete(spec: &NetworkSpec, netns: impl AsFd) -> Result<bool, NetError> {
    if if_nametoindex(spec.host_link.as_str()).is_err() {
        return Ok(false);
    }
    in_netns(netns, || host::has_default_route(spec.uplink.host))
}

fn build(spec: &NetworkSpec, netns: &OwnedFd) -> Result<(), NetError> {
    let inside = in_netns(netns, || {
        // IPv6 off before there are links: no link-local addresses, no duplicate address detection.
        set_sysctl("/proc/sys/net/ipv6/conf/default/disable_ipv6", true)?;
        forward_between_new_links()?;
        Netlink::route()
    })?;
    let host = Netlink::route()?;
    add_uplink(spec, &host, &inside)?;
    inside.run(&inner_links(spec))?;
    host.run(&host_routes(spec)?)?;
    let mut last = Batch::default();
    last.push(
        link::NEWROUTE,
        CREATE | EXCL,
        &link::route(None, spec.uplink.host, UPLINK_INDEX),
        format!("set the default route of network {}", spec.name),
    );
    let mut settled = Batch::default();
    let label = format!("wait for the uplink of network {}", spec.name);
    settled.push(link::GETLINK, 0, &link::settled(UPLINK_INDEX), label);
    inside.run_questions(&settled)?;
    inside.run(&last)
}

fn host_routes(spec: &NetworkSpec) -> Result<Batch, NetError> {
    let index = if_nametoindex(spec.host_link.as_str())
        .map_err(|e| NetError::kernel(format!("find link {}", spec.host_link), e))?;
    let mut batch = Batch::default();
    batch.push(
        link::SETLINK,
        0,
        &link::without_link_local(index),
        format!("keep IPv6 off link {}", spec.host_link),
    );
    // A kernel without IPv6 has nothing to keep off.
    batch.unless(Errno::AFNOSUPPORT.raw_os_error());
    batch.push(link::SETLINK, 0, &link::set_up(index), format!("set up link {}", spec.host_link));
    batch.push(
        link::SETLINK,
        0,
        &link::forwarding(index),
        format!("let packets through from link {}", spec.host_link),
    );
    batch.push(
        link::NEWADDR,
        CREATE | EXCL,
        &link::address(index, spec.uplink.host, 31),
        format!("give {} to link {}", spec.uplink.host, spec.host_link),
    );
    batch.push(
        link::NEWROUTE,
        CREATE | APPEND,
        &link::route(Some(spec.subnet), spec.uplink.inside, index),
        format!("route {} to network {}", spec.subnet, spec.name),
    );
    Ok(batch)
}

fn inner_links(spec: &NetworkSpec) -> Batch {
    let of = |what: &str| format!("{what} of network {}", spec.name);
    let mut batch = Batch::default();
    batch.push(
        link::NEWLINK,
        CREATE | EXCL,
        &link::bridge(BRIDGE, BRIDGE_INDEX, mac_of(spec.gateway), spec.mtu),
        of("create the bridge"),
    );
    batch.push(link::SETLINK, 0, &link::set_up(link::LOOPBACK), of("set up the loopback"));
    batch.push(
        link::NEWADDR,
        CREATE | EXCL,
        &link::address(BRIDGE_INDEX, spec.gateway, spec.subnet.prefix()),
        of("set the gateway"),
    );
    batch.push(
        link::NEWADDR,
        CREATE | EXCL,
        &link::address(UPLINK_INDEX, spec.uplink.inside, 31),
        of("set the uplink's address"),
    );
    batch
}

/// The uplink's veth pair, made from inside: the kernel honours a chosen index only for the near end, or for both
/// (veth_newlink). A host link of the same name is a remnant of a namespace that is just dying; deleting it waits
/// for that.
fn add_uplink(spec: &NetworkSpec, host: &Netlink, inside: &Netlink) -> Result<(), NetError> {
    let end =
        |name, index| VethEnd { name, index, mac: None, master: None, group: spec.group, mtu: spec.mtu };
    let here = current_netns()?;
    let mut create = Batch::default();
    create.push(
        link::NEWLINK,
        CREATE | EXCL,
        &link::veth(&end(UPLINK, Some(UPLINK_INDEX)), &end(&spec.host_link, None), here.as_fd()),
        format!("create uplink {} of network {}", spec.host_link, spec.name),
    );
    match inside.run(&create) {
        Err(e) if e.errno() == Some(Errno::EXIST.raw_os_error()) => {
            let mut delete = Batch::default();
            delete.push(
                link::DELLINK,
                0,
                &link::named(&spec.host_link),
                format!("remove the old link {}", spec.host_link),
            );
            delete.unless(Errno::NODEV.raw_os_error());
            host.run(&delete)?;
            inside.run(&create)
        }
        other => other,
    }
}

/// Lets the calling thread's namespace forward IPv4 packets of links that are yet to be made.
///
/// A new namespace starts with what the machine's first one has this moment, value by value (`inet_init_net`). Where
/// that one forwards (`all`) but its new links don't (`default`), writing 1 to `ip_forward` is no change, and no
/// link would get it.
fn forward_between_new_links() -> Result<(), NetError> {
    set_sysctl("/proc/sys/net/ipv4/ip_forward", false)?;
    set_sysctl("/proc/sys/net/ipv4/conf/default/forwarding", false)
}

fn set_sysctl(path: &'static str, optional: bool) -> Result<(), NetError> {
    match fs::write(path, "1") {
        // A kernel without IPv6 has nothing to switch off.
        Err(e) if optional && e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(|source| NetError::File { action: "write 1 to", path: path.into(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netns::new_netns;

    #[test]
    fn forwards_wherever_the_namespace_begins() {
        for (all, default) in [("0", "0"), ("1", "0"), ("0", "1"), ("1", "1")] {
            in_netns(new_netns().unwrap(), || {
                let default_file = "/proc/sys/net/ipv4/conf/default/forwarding";
                fs::write("/proc/sys/net/ipv4/ip_forward", all).unwrap();
                fs::write(default_file, default).unwrap();
                forward_between_new_links()?;
                assert_eq!(fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap(), "1\n");
                assert_eq!(fs::read_to_string(default_file).unwrap(), "1\n", "all {all}, default {default}");
                Ok(())
            })
            .unwrap();
        }
    }
}
