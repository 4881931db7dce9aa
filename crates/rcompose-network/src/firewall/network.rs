use std::net::Ipv4Addr;
use std::os::fd::AsFd;

use crate::netns::in_netns;
use crate::network::{BRIDGE, UPLINK};
use crate::nft::{self, Action, Chain, Hook, Match, Place, Rule, Table};
use crate::{Ipv4Net, NetError, Protocol, UplinkPair};

/// The rules inside one network's namespace. They go with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkRules {
    /// The containers' subnet.
    pub subnet: Ipv4Net,
    /// The bridge's address.
    pub gateway: Ipv4Addr,
    /// The uplink's addresses.
    pub uplink: UplinkPair,
    /// No way out and none in, but for the host.
    pub internal: bool,
    /// Where the published ports lead.
    pub outlets: Vec<Outlet>,
}

/// A published port, network's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlet {
    /// tcp or udp.
    pub protocol: Protocol,
    /// The port on the uplink's inner end ([`crate::Published::relay_port`]).
    pub relay_port: u16,
    /// The container's address.
    pub address: Ipv4Addr,
    /// The container's port.
    pub port: u16,
}

impl NetworkRules {
    /// Puts these rules in force inside the network, in place of the former ones, in one atomic step.
    pub fn apply(&self, network: impl AsFd) -> Result<(), NetError> {
        in_netns(network, || nft::apply(&self.render(), Place::Network))
    }

    fn render(&self) -> Table {
        let rule = |matches, action| Rule { matches, action };
        let (from_up, from_bridge) = (|| Match::In(UPLINK.into()), || Match::In(BRIDGE.into()));
        let (to_up, to_bridge) = (|| Match::Out(UPLINK.into()), || Match::Out(BRIDGE.into()));

        let mut prerouting: Vec<Rule> = self
            .outlets
            .iter()
            .map(|o| {
                rule(
                    vec![from_up(), Match::Port(o.protocol, o.relay_port)],
                    Action::Dnat(o.address, Some(o.port)),
                )
            })
            .collect();
        // For a container the gateway is the host, as in Docker.
        prerouting
            .push(rule(vec![from_bridge(), Match::To(self.gateway)], Action::Dnat(self.uplink.host, None)));
        let postrouting = vec![
            rule(vec![to_up(), Match::FromNet(self.subnet)], Action::Masquerade),
            // And the host's connections come from the gateway.
            rule(vec![to_bridge(), Match::From(self.uplink.host)], Action::Snat(self.gateway)),
        ];
        let mut chains = vec![
            Chain { hook: Hook::Prerouting, rules: prerouting },
            Chain { hook: Hook::Postrouting, rules: postrouting },
        ];
        if self.internal {
            chains.push(Chain {
                hook: Hook::Forward,
                rules: vec![
                    rule(vec![Match::Established], Action::Accept),
                    rule(vec![to_up(), Match::To(self.uplink.host)], Action::Accept),
                    rule(vec![from_up(), Match::From(self.uplink.host)], Action::Accept),
                    rule(vec![to_up()], Action::Drop),
                    rule(vec![from_up()], Action::Drop),
                ],
            });
        }
        Table { name: "rcompose".into(), chains }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_an_internal_network_with_a_port() {
        let subnet: Ipv4Net = "172.18.0.0/16".parse().unwrap();
        let rules = NetworkRules {
            subnet,
            gateway: subnet.first_host(),
            uplink: UplinkPair::allocate(&[], 0).unwrap(),
            internal: true,
            outlets: vec![Outlet {
                protocol: Protocol::Tcp,
                relay_port: 8080,
                address: "172.18.0.2".parse().unwrap(),
                port: 80,
            }],
        };
        let want = "table ip rcompose {
  chain prerouting { type nat hook prerouting priority -100; policy accept;
    iifname \"up0\" tcp dport 8080 dnat to 172.18.0.2:80
    iifname \"br0\" ip daddr 172.18.0.1 dnat to 100.127.0.0
  }
  chain postrouting { type nat hook postrouting priority 100; policy accept;
    oifname \"up0\" ip saddr 172.18.0.0/16 masquerade
    oifname \"br0\" ip saddr 100.127.0.0 snat to 172.18.0.1
  }
  chain forward { type filter hook forward priority 0; policy accept;
    ct state established,related accept
    oifname \"up0\" ip daddr 100.127.0.0 accept
    iifname \"up0\" ip saddr 100.127.0.0 accept
    oifname \"up0\" drop
    iifname \"up0\" drop
  }
}
";
        assert_eq!(rules.render().to_string(), want);
    }
}
