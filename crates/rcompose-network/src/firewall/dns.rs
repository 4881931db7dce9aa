use std::net::Ipv4Addr;
use std::os::fd::AsFd;

use crate::netns::in_netns;
use crate::nft::{self, Action, Chain, Hook, Match, Place, Rule, Table};
use crate::{NetError, Protocol};

/// The address that containers ask for names, as in Docker; real configurations name it.
pub const NAMESERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// Inside a container: 127.0.0.11:53 leads to the ports that [`crate::DnsServer`] really has, so that port 53
/// stays free for the container's own server. Connection tracking gives the answers port 53 back.
pub fn redirect_dns(container: impl AsFd, udp_port: u16, tcp_port: u16) -> Result<(), NetError> {
    in_netns(container, || nft::apply(&table(udp_port, tcp_port), Place::Container))
}

fn table(udp_port: u16, tcp_port: u16) -> Table {
    let redirect = |protocol, port| Rule {
        matches: vec![Match::To(NAMESERVER), Match::Port(protocol, 53)],
        action: Action::Dnat(NAMESERVER, Some(port)),
    };
    Table {
        name: "rcompose-dns".into(),
        chains: vec![Chain {
            hook: Hook::Output,
            rules: vec![redirect(Protocol::Udp, udp_port), redirect(Protocol::Tcp, tcp_port)],
        }],
    }
}
