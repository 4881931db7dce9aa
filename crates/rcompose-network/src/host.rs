use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use netlink_packet_core::Parseable;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};

use crate::link::{GETADDR, GETLINK, GETROUTE};
use crate::netlink::Netlink;
use crate::nft::tables;
use crate::{Ipv4Net, NetError};

const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

/// The subnets that the calling thread's namespace already uses: its addresses and its routes in all tables but
/// the default ones. Input of [`crate::SubnetPool`] and [`crate::UplinkPair::allocate`].
pub fn host_networks() -> Result<Vec<Ipv4Net>, NetError> {
    let socket = Netlink::route()?;
    let mut found = Vec::new();
    let mut request = AddressMessage::default();
    request.header.family = AddressFamily::Inet;
    for body in socket.dump(GETADDR, &request, "list addresses")? {
        let message = AddressMessage::parse(body.as_slice()).map_err(garbled)?;
        found.extend(message.attributes.iter().find_map(|a| match a {
            AddressAttribute::Address(IpAddr::V4(address)) => {
                Ipv4Net::new(*address, message.header.prefix_len)
            }
            _ => None,
        }));
    }
    for message in routes(&socket)? {
        let prefix = message.header.destination_prefix_length;
        if message.header.kind != RouteType::Unicast || prefix == 0 {
            continue;
        }
        found.extend(message.attributes.iter().find_map(|a| match a {
            RouteAttribute::Destination(RouteAddress::Inet(to)) => Ipv4Net::new(*to, prefix),
            _ => None,
        }));
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Whether the calling thread's namespace has a default route through `via`.
pub(crate) fn has_default_route(via: Ipv4Addr) -> Result<bool, NetError> {
    let gateway = RouteAttribute::Gateway(RouteAddress::Inet(via));
    Ok(routes(&Netlink::route()?)?.iter().any(|message| {
        message.header.destination_prefix_length == 0 && message.attributes.contains(&gateway)
    }))
}

fn routes(socket: &Netlink) -> Result<Vec<RouteMessage>, NetError> {
    let mut request = RouteMessage::default();
    request.header.address_family = AddressFamily::Inet;
    socket
        .dump(GETROUTE, &request, "list routes")?
        .iter()
        .map(|body| RouteMessage::parse(body.as_slice()).map_err(garbled))
        .collect()
}

fn garbled(e: netlink_packet_core::DecodeError) -> NetError {
    NetError::Protocol(format!("a list of addresses or routes: {e}"))
}

/// Whatever the calling thread's namespace may forward for: its virtual links (bridges, tunnels, veth ends) but our
/// own uplinks, which go in the background, and the firewall tables of projects. Sorted.
pub fn who_may_forward() -> Result<Vec<String>, NetError> {
    let mut names = Vec::new();
    let request = LinkMessage::default();
    for body in Netlink::route()?.dump(GETLINK, &request, "list links")? {
        let message = LinkMessage::parse(body.as_slice()).map_err(garbled)?;
        let kind = |a: &LinkAttribute| matches!(a, LinkAttribute::LinkInfo(_));
        let name = message.attributes.iter().find_map(|a| match a {
            LinkAttribute::IfName(name) if !is_uplink(name) => Some(name.clone()),
            _ => None,
        });
        names.extend(name.filter(|_| message.attributes.iter().any(kind)));
    }
    names.extend(tables()?.into_iter().filter(|name| is_project_table(name)));
    names.sort();
    Ok(names)
}

/// Whether a name that [`who_may_forward`] tells is the firewall table of a project.
pub fn is_project_table(name: &str) -> bool {
    name.starts_with("rcompose-")
}

/// `rc`, six digits of a project's hash, `u`, the uplink's number.
fn is_uplink(link: &str) -> bool {
    let hash = |h: &str| h.len() == 6 && h.bytes().all(|b| b.is_ascii_hexdigit());
    let number = |n: &str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
    let parts = link.strip_prefix("rc").and_then(|rest| rest.split_once('u'));
    parts.is_some_and(|(h, n)| hash(h) && number(n))
}

/// Lets the host forward IPv4 packets. True if this changed something: record it before, and give it back with
/// [`restore_ip_forward`] when the last network is gone. From here on the host routes between all its links,
/// unless its own firewall says otherwise.
pub fn enable_ip_forward() -> Result<bool, NetError> {
    let path = Path::new(IP_FORWARD);
    let fail = |action| move |source| NetError::File { action, path: path.to_owned(), source };
    if fs::read_to_string(path).map_err(fail("read"))?.trim() == "1" {
        return Ok(false);
    }
    fs::write(path, "1").map_err(fail("write 1 to"))?;
    Ok(true)
}

/// Switches IPv4 forwarding off again.
pub fn restore_ip_forward() -> Result<(), NetError> {
    fs::write(IP_FORWARD, "0").map_err(|source| NetError::File {
        action: "write 0 to",
        path: IP_FORWARD.into(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uplinks_are_known_by_their_names() {
        for (name, is) in [
            ("rc0a1b2cu0", true),
            ("rc0a1b2cu32767", true),
            ("rc0a1b2cu", false),
            ("rc0a1b2cux", false),
            ("rcu1", false),
            ("rc0a1b2c", false),
            ("docker0", false),
        ] {
            assert_eq!(is_uplink(name), is, "{name}");
        }
    }
}
