use std::net::{IpAddr, Ipv4Addr};

use crate::nft::{self, Action, Chain, Hook, Match, Place, Rule, Table};
use crate::pool::UplinkPair;
use crate::{Ipv4Net, NetError, Protocol};

const LOOPBACK: (Ipv4Addr, u8) = (Ipv4Addr::new(127, 0, 0, 0), 8);

/// All of a project's rules in the host's namespace, in one table: published ports, the way out, isolation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostRules {
    /// The table's name: `rcompose-` and the project's hash.
    pub table: String,
    /// What every uplink of this project begins with. Nothing is forwarded to such a link but answers and
    /// published ports: networks are kept apart, and nobody outside reaches a container's own address.
    pub link_prefix: String,
    /// The uplinks of the project's networks.
    pub uplinks: Vec<HostUplink>,
    /// The published ports.
    pub published: Vec<Published>,
}

/// The host's view of one network's uplink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostUplink {
    /// The link's name.
    pub link: String,
    /// Its addresses.
    pub pair: UplinkPair,
}

/// A published port, host's side: traffic for it goes to the uplink's inner end, where [`crate::NetworkRules`]
/// send it on. The host's 127.0.0.0/8 and IPv6 are served by [`crate::PortHolder`] instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Only this address of the host; all of them if not given.
    pub host_ip: Option<IpAddr>,
    /// The port on the host.
    pub host_port: u16,
    /// tcp or udp.
    pub protocol: Protocol,
    /// The uplink's inner end.
    pub inside: Ipv4Addr,
    /// The port there, unique in the network per protocol: the host port, unless two host addresses publish the
    /// same port to different containers.
    pub relay_port: u16,
}

impl HostRules {
    /// Puts these rules in force, in place of the table's former ones, in one atomic step.
    pub fn apply(&self) -> Result<(), NetError> {
        nft::apply(&self.render(), Place::Host)
    }

    /// Removes the whole table. A missing one is fine.
    pub fn remove(table: &str) -> Result<(), NetError> {
        nft::remove(table)
    }

    fn render(&self) -> Table {
        let publish: Vec<Rule> = self.published.iter().filter_map(Published::rule).collect();
        let postrouting = self.uplinks.iter().flat_map(HostUplink::rules).collect();
        let forward = vec![
            accept(Match::Translated),
            accept(Match::Established),
            Rule { matches: vec![Match::Out(format!("{}*", self.link_prefix))], action: Action::Drop },
        ];
        let chain = |hook, rules| Chain { hook, rules };
        Table {
            name: self.table.clone(),
            chains: vec![
                chain(Hook::Prerouting, publish.clone()),
                chain(Hook::Output, publish),
                chain(Hook::Postrouting, postrouting),
                chain(Hook::Forward, forward),
            ],
        }
    }
}

fn accept(m: Match) -> Rule {
    Rule { matches: vec![m], action: Action::Accept }
}

impl HostUplink {
    fn rules(&self) -> [Rule; 2] {
        [
            // A container that talks to the outside, to a published port of its own network (hairpin) or of
            // another one: the address of whatever link it leaves by.
            Rule { matches: vec![Match::From(self.pair.inside)], action: Action::Masquerade },
            // The host itself, whichever of its addresses it used: then the container sees the gateway.
            Rule {
                matches: vec![Match::Out(self.link.clone()), Match::FromLocal],
                action: Action::Snat(self.pair.host),
            },
        ]
    }
}

impl Published {
    fn rule(&self) -> Option<Rule> {
        let to = match self.host_ip {
            None => Match::ToLocal,
            Some(IpAddr::V4(ip)) if ip.is_unspecified() => Match::ToLocal,
            Some(IpAddr::V4(ip)) if !ip.is_loopback() => Match::To(ip),
            // The listener's.
            Some(_) => return None,
        };
        let mut matches = vec![to, Match::Port(self.protocol, self.host_port)];
        if matches[0] == Match::ToLocal {
            let loopback = Ipv4Net::new(LOOPBACK.0, LOOPBACK.1)?;
            matches.insert(0, Match::NotToNet(loopback));
        }
        Some(Rule { matches, action: Action::Dnat(self.inside, Some(self.relay_port)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_every_path() {
        let pair = UplinkPair::allocate(&[], 0).unwrap();
        let publish = |host_ip: Option<&str>, host_port, protocol| Published {
            host_ip: host_ip.map(|ip| ip.parse().unwrap()),
            host_port,
            protocol,
            inside: pair.inside,
            relay_port: host_port,
        };
        let rules = HostRules {
            table: "rcompose-0a1b2c3d".into(),
            link_prefix: "rc0a1b2c3du".into(),
            uplinks: vec![HostUplink { link: "rc0a1b2c3du0".into(), pair }],
            published: vec![
                publish(None, 8080, Protocol::Tcp),
                publish(Some("192.0.2.7"), 53, Protocol::Udp),
                publish(Some("127.0.0.1"), 5432, Protocol::Tcp),
                publish(Some("::1"), 5432, Protocol::Tcp),
            ],
        };
        let publish =
            "    ip daddr != 127.0.0.0/8 fib daddr type local tcp dport 8080 dnat to 100.127.0.1:8080
    ip daddr 192.0.2.7 udp dport 53 dnat to 100.127.0.1:53
";
        let want = format!(
            "table ip rcompose-0a1b2c3d {{
  chain prerouting {{ type nat hook prerouting priority -100; policy accept;
{publish}  }}
  chain output {{ type nat hook output priority -100; policy accept;
{publish}  }}
  chain postrouting {{ type nat hook postrouting priority 100; policy accept;
    ip saddr 100.127.0.1 masquerade
    oifname \"rc0a1b2c3du0\" fib saddr type local snat to 100.127.0.0
  }}
  chain forward {{ type filter hook forward priority 0; policy accept;
    ct status dnat accept
    ct state established,related accept
    oifname \"rc0a1b2c3du*\" drop
  }}
}}
"
        );
        assert_eq!(rules.render().to_string(), want);
    }
}
