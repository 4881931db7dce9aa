//! rtnetlink messages as this crate needs them (rtnetlink(7), linux/if_link.h).

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    AfSpecInet, AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InetDevConf, InfoData, InfoKind, InfoVeth,
    LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};

use crate::Ipv4Net;

pub(crate) const NEWLINK: u16 = 16;
pub(crate) const DELLINK: u16 = 17;
pub(crate) const GETLINK: u16 = 18;
pub(crate) const SETLINK: u16 = 19;
pub(crate) const NEWADDR: u16 = 20;
pub(crate) const GETADDR: u16 = 22;
pub(crate) const NEWROUTE: u16 = 24;
pub(crate) const GETROUTE: u16 = 26;

/// The loopback device's index in every namespace.
pub(crate) const LOOPBACK: u32 = 1;

/// One end of a veth pair: the end that stays in the socket's namespace, or the peer.
pub(crate) struct VethEnd<'a> {
    pub(crate) name: &'a str,
    pub(crate) index: Option<u32>,
    pub(crate) mac: Option<[u8; 6]>,
    pub(crate) master: Option<u32>,
    pub(crate) group: u32,
    pub(crate) mtu: Option<u32>,
}

impl VethEnd<'_> {
    fn message(&self) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = self.index.unwrap_or(0);
        let attributes = &mut message.attributes;
        attributes.push(LinkAttribute::IfName(self.name.into()));
        attributes.push(LinkAttribute::Group(self.group));
        attributes.extend(self.master.map(LinkAttribute::Controller));
        attributes.extend(self.mac.map(|mac| LinkAttribute::Address(mac.to_vec())));
        attributes.extend(self.mtu.map(LinkAttribute::Mtu));
        message
    }
}

/// A veth pair: `near` in this namespace and up, `far` in `netns` and still down. The kernel refuses a peer that
/// is set up in the same message (ENOTCONN), so that is left to a message from inside.
pub(crate) fn veth(near: &VethEnd<'_>, far: &VethEnd<'_>, netns: BorrowedFd<'_>) -> LinkMessage {
    let mut peer = far.message();
    peer.attributes.push(LinkAttribute::NetNsFd(netns.as_raw_fd()));
    let mut message = up(near.message());
    for end in [&mut peer, &mut message] {
        // One queue each is what the kernel uses anyway. Said beforehand it needs no RCU grace period to come down from
        // one for each CPU (veth_init_queues in drivers/net/veth.c).
        end.attributes.extend([LinkAttribute::NumTxQueues(1), LinkAttribute::NumRxQueues(1)]);
    }
    message.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Veth),
        LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
    ]));
    message
}

/// A bridge that is up. A fixed hardware address: a bridge without one takes that of a port, and changes it when
/// ports come and go, which leaves containers with a stale neighbour entry for their gateway.
pub(crate) fn bridge(name: &str, index: u32, mac: [u8; 6], mtu: Option<u32>) -> LinkMessage {
    let end = VethEnd { name, index: Some(index), mac: Some(mac), master: None, group: 0, mtu };
    let mut message = up(end.message());
    message.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]));
    message
}

/// Sets a link up.
pub(crate) fn set_up(index: u32) -> LinkMessage {
    up(at(index))
}

/// Asks for a link without its counters. Since Linux 6.8 the answer waits until a carrier that just came is really in
/// use (linkwatch_sync_dev in rtnl_getlink): before that the link drops what it is to send, and a bridge what is
/// to pass it. A veth end that was up before its peer is in that state until a kernel worker gets the lock on links.
pub(crate) fn settled(index: u32) -> LinkMessage {
    let mut message = at(index);
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    message
}

/// Keeps a link from giving itself an IPv6 link-local address. Must come before the link is up.
pub(crate) fn without_link_local(index: u32) -> LinkMessage {
    let mut message = at(index);
    message.attributes.push(LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![
        AfSpecInet6::AddrGenMode(In6AddrGenMode::None),
    ])]));
    message
}

/// Lets IPv4 packets that come in by this link be forwarded, whatever new links get.
pub(crate) fn forwarding(index: u32) -> LinkMessage {
    let mut message = at(index);
    let mut conf = InetDevConf::default();
    conf.forwarding = 1;
    // Only what isn't 0 is sent.
    message
        .attributes
        .push(LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet(vec![AfSpecInet::DevConfRequest(conf)])]));
    message
}

/// Puts the link of that name into a group.
pub(crate) fn regroup(name: &str, group: u32) -> LinkMessage {
    let mut message = named(name);
    message.attributes.push(LinkAttribute::Group(group));
    message
}

/// Puts the link of that index into a group.
pub(crate) fn regroup_index(index: u32, group: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes.push(LinkAttribute::Group(group));
    message
}

/// A link by its name, as for `RTM_DELLINK`.
pub(crate) fn named(name: &str) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(name.into()));
    message
}

/// All links of a group, for `RTM_DELLINK`: the kernel waits for its grace period once, not per link.
pub(crate) fn of_group(group: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::Group(group));
    message
}

fn at(index: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message
}

fn up(mut message: LinkMessage) -> LinkMessage {
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    message
}

/// An IPv4 address on a link.
pub(crate) fn address(index: u32, address: Ipv4Addr, prefix: u8) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = prefix;
    message.header.index = index;
    message.attributes =
        vec![AddressAttribute::Local(IpAddr::V4(address)), AddressAttribute::Address(IpAddr::V4(address))];
    if let Some(net) = Ipv4Net::new(address, prefix).filter(|net| net.prefix() < 31) {
        message.attributes.push(AddressAttribute::Broadcast(net.last()));
    }
    message
}

/// A route in the main table through a gateway on a link; `0.0.0.0/0` is the default route.
pub(crate) fn route(to: Option<Ipv4Net>, via: Ipv4Addr, index: u32) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Boot;
    message.header.scope = RouteScope::Universe;
    message.header.kind = RouteType::Unicast;
    if let Some(to) = to {
        message.header.destination_prefix_length = to.prefix();
        message.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(to.address())));
    }
    message.attributes.extend([RouteAttribute::Gateway(RouteAddress::Inet(via)), RouteAttribute::Oif(index)]);
    message
}
