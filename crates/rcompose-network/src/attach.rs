use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::io::Errno;

use crate::NetError;
use crate::link::{self, VethEnd};
use crate::netlink::{Batch, CREATE, EXCL, Netlink};
use crate::netns::in_netns;
use crate::network::BRIDGE_INDEX;

/// Links about to be deleted are gathered in this group, so that the kernel waits for its grace period once.
const LEAVING: u32 = 0x7fff_fffe;

/// One container's connection to one network.
#[derive(Clone, Debug)]
pub struct Attachment<'a> {
    /// The container's network namespace.
    pub container: BorrowedFd<'a>,
    /// The network's namespace ([`crate::NetworkHandle`]).
    pub network: BorrowedFd<'a>,
    /// The interface's name in the container: `eth0` for the first network, and so on.
    pub interface: String,
    /// The interface's index in the container, unused there: 2 for the first network, and so on.
    pub index: u32,
    /// The container's address.
    pub address: Ipv4Addr,
    /// The subnet's prefix length.
    pub prefix: u8,
    /// Hardware address; [`crate::mac_of`] the address unless the user asks for another.
    pub mac: [u8; 6],
    /// The default route, for one network of a container at most; none in an internal network.
    pub gateway: Option<Ipv4Addr>,
    /// The name of the bridge's end in the network's namespace; unique there, at most 15 bytes.
    pub host_end: String,
    /// `IFLA_GROUP`: the project's number.
    pub group: u32,
    /// Largest packet in bytes; the kernel's 1500 if not given.
    pub mtu: Option<u32>,
}

/// Connects containers: one send makes all veth pairs of a network, one more per container namespace sets its
/// loopback and interface up and gives addresses and routes. If a part fails, all pairs of the call are removed.
///
/// An end in the network that already has the name or the index of one to be made belongs to a container that
/// had the name or the address before, and whose namespace is still dying: it is removed.
pub fn attach(batch: &[Attachment<'_>]) -> Result<(), NetError> {
    let pairs = match make_pairs(batch) {
        Err(e) if e.errno() == Some(Errno::EXIST.raw_os_error()) => {
            remove_leftovers(batch).and_then(|()| make_pairs(batch))
        }
        other => other,
    };
    if let Err(e) = pairs.and_then(|()| configure(batch)).and_then(|()| settle(batch)) {
        let mut errors = vec![e];
        // An end that is there by a clash of names is not ours to remove.
        if errors[0].errno() != Some(Errno::EXIST.raw_os_error()) {
            errors.extend(detach(batch).err());
        }
        return NetError::collect(errors);
    }
    Ok(())
}

fn make_pairs(batch: &[Attachment<'_>]) -> Result<(), NetError> {
    for group in by(batch, |a| a.network) {
        let mut messages = Batch::default();
        for a in &group {
            let near = VethEnd {
                name: &a.host_end,
                index: Some(near_index(a)),
                mac: None,
                master: Some(BRIDGE_INDEX),
                group: a.group,
                mtu: a.mtu,
            };
            let far = VethEnd {
                name: &a.interface,
                index: Some(a.index),
                mac: Some(a.mac),
                master: None,
                group: a.group,
                mtu: a.mtu,
            };
            messages.push(
                link::NEWLINK,
                CREATE | EXCL,
                &link::veth(&near, &far, a.container),
                format!("create veth pair {} for {}", a.host_end, a.address),
            );
        }
        in_netns(group[0].network, Netlink::route)?.run(&messages)?;
    }
    Ok(())
}

/// Removes what stands in the way of a batch, and what the batch itself made before it met that.
fn remove_leftovers(batch: &[Attachment<'_>]) -> Result<(), NetError> {
    for group in by(batch, |a| a.network) {
        let mut messages = Batch::default();
        for a in &group {
            for (message, what) in [
                (link::regroup(&a.host_end, LEAVING), a.host_end.clone()),
                (link::regroup_index(near_index(a), LEAVING), format!("number {}", near_index(a))),
            ] {
                messages.push(link::SETLINK, 0, &message, format!("mark the old link {what} for removal"));
                messages.unless(Errno::NODEV.raw_os_error());
            }
        }
        messages.push(link::DELLINK, 0, &link::of_group(LEAVING), "remove old veth pairs");
        messages.unless(Errno::NODEV.raw_os_error());
        in_netns(group[0].network, Netlink::route)?.run(&messages)?;
    }
    Ok(())
}

fn configure(batch: &[Attachment<'_>]) -> Result<(), NetError> {
    for group in by(batch, |a| a.container) {
        let mut messages = Batch::default();
        push_loopback(&mut messages);
        for a in group.iter() {
            let of = |what: &str| format!("{what} {} for {}", a.interface, a.address);
            messages.push(link::SETLINK, 0, &link::without_link_local(a.index), of("keep IPv6 off"));
            // A kernel without IPv6, or with it disabled, has nothing to keep off.
            messages.unless(Errno::AFNOSUPPORT.raw_os_error());
            messages.push(link::SETLINK, 0, &link::set_up(a.index), of("set up interface"));
            messages.push(
                link::NEWADDR,
                CREATE | EXCL,
                &link::address(a.index, a.address, a.prefix),
                of("set the address of"),
            );
            if let Some(gateway) = a.gateway {
                messages.push(
                    link::NEWROUTE,
                    CREATE | EXCL,
                    &link::route(None, gateway, a.index),
                    of("set the default route through"),
                );
            }
        }
        in_netns(group[0].container, Netlink::route)?.run(&messages)?;
    }
    Ok(())
}

/// Returns when the bridge and its ends really pass packets, so that a container's first one isn't lost. Before Linux
/// 6.8 there is nothing to ask, and the first packet may be lost if it comes within the first milliseconds.
fn settle(batch: &[Attachment<'_>]) -> Result<(), NetError> {
    for group in by(batch, |a| a.network) {
        let mut messages = Batch::default();
        for a in &group {
            let label = format!("wait for link {}", a.host_end);
            messages.push(link::GETLINK, 0, &link::settled(near_index(a)), label);
        }
        // The bridge comes last: its own carrier comes with its first port. Until it is in use the bridge drops the
        // host's first ARP request, and the next one is a second later.
        messages.push(link::GETLINK, 0, &link::settled(BRIDGE_INDEX), "wait for the bridge");
        in_netns(group[0].network, Netlink::route)?.run_questions(&messages)?;
    }
    Ok(())
}

/// The index of the bridge's end. It has to be chosen, or the kernel doesn't honour the chosen index of the
/// container's end (veth_newlink); the place of the address in the subnet makes it unique in the network.
fn near_index(a: &Attachment<'_>) -> u32 {
    const BASE: u32 = 0x1_0000;
    let host_bits = u32::MAX.checked_shr(a.prefix.into()).unwrap_or(0);
    BASE + (a.address.to_bits() & host_bits & 0x0fff_ffff)
}

/// Sets the loopback up, for a container that is in no network.
pub fn loopback_up(netns: impl AsFd) -> Result<(), NetError> {
    let mut messages = Batch::default();
    push_loopback(&mut messages);
    in_netns(netns, Netlink::route)?.run(&messages)
}

fn push_loopback(messages: &mut Batch) {
    messages.push(link::SETLINK, 0, &link::set_up(link::LOOPBACK), "set up the loopback");
}

/// Disconnects containers whose namespaces live on; a dying namespace takes its links along by itself. A pair
/// that is already gone is fine. Some 20 to 40 ms, however many: the kernel waits for its grace period.
pub fn detach(batch: &[Attachment<'_>]) -> Result<(), NetError> {
    let mut errors = Vec::new();
    for group in by(batch, |a| a.network) {
        let mut messages = Batch::default();
        for a in &group {
            messages.push(
                link::SETLINK,
                0,
                &link::regroup(&a.host_end, LEAVING),
                format!("mark link {} for removal", a.host_end),
            );
            messages.unless(Errno::NODEV.raw_os_error());
        }
        messages.push(link::DELLINK, 0, &link::of_group(LEAVING), "remove the veth pairs");
        messages.unless(Errno::NODEV.raw_os_error());
        let run = in_netns(group[0].network, Netlink::route).and_then(|n| n.run(&messages));
        errors.extend(run.err());
    }
    NetError::collect(errors)
}

/// Groups by a descriptor, in order of first appearance.
fn by<'a, 'b>(
    batch: &'b [Attachment<'a>],
    key: impl Fn(&Attachment<'a>) -> BorrowedFd<'a>,
) -> Vec<Vec<&'b Attachment<'a>>> {
    let mut groups: Vec<(i32, Vec<&Attachment<'a>>)> = Vec::new();
    for a in batch {
        let fd = key(a).as_raw_fd();
        match groups.iter_mut().find(|(known, _)| *known == fd) {
            Some((_, group)) => group.push(a),
            None => groups.push((fd, vec![a])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}
