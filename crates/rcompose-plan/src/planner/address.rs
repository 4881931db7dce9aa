use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use rcompose_model::{Cidr, IpamPool, NetworkDef, ProjectName};

use crate::{NetworkSpec, Observed, PlanError, hash_hex};

/// Docker's default pools: 172.17–172.31 by /16 (the first is the default bridge's), then 192.168 by /20.
fn pools() -> impl Iterator<Item = (Ipv4Addr, u8)> {
    let b = (18..=31).map(|n| (Ipv4Addr::new(172, n, 0, 0), 16));
    let c = (0..16).map(|n| (Ipv4Addr::new(192, 168, n * 16, 0), 20));
    // What docker does not have: room for more than thirty networks.
    let a = (0..=255u8).flat_map(|m| (0..=255u8).map(move |n| (Ipv4Addr::new(10, m, n, 0), 24)));
    b.chain(c).chain(a)
}

fn mask(prefix: u8) -> u32 {
    if prefix == 0 { 0 } else { u32::MAX << (32 - u32::from(prefix)) }
}

fn overlap(a: (Ipv4Addr, u8), b: (Ipv4Addr, u8)) -> bool {
    let m = mask(a.1.min(b.1));
    u32::from(a.0) & m == u32::from(b.0) & m
}

/// Chooses subnets and uplinks for networks that are to be made in this plan.
pub(crate) struct Subnets {
    used: Vec<(Ipv4Addr, u8)>,
    uplinks: BTreeSet<u16>,
}

impl Subnets {
    pub(crate) fn new(have: &Observed) -> Self {
        let mut used = have.host.used_subnets.clone();
        used.extend(have.networks.values().map(|n| (n.subnet, n.prefix)));
        let mut uplinks: BTreeSet<u16> = have.host.used_uplinks.iter().copied().collect();
        uplinks.extend(have.networks.values().map(|n| n.uplink));
        Self { used, uplinks }
    }

    /// A network's spec with everything chosen. `had` is the one that it replaces: it keeps what it had.
    pub(crate) fn network(
        &mut self,
        project: &ProjectName,
        key: &str,
        def: &NetworkDef,
        had: Option<&NetworkSpec>,
        root_hash: &str,
    ) -> Result<NetworkSpec, PlanError> {
        let refused = |message: String| PlanError::Refused { message, origin: Some(def.origin.clone()) };
        let v4 = |c: Cidr| match c.address() {
            IpAddr::V4(address) => Some((address, c.prefix())),
            IpAddr::V6(_) => None,
        };
        let pools_of = def.ipam.config.iter();
        let pool = pools_of.filter_map(|p| Some((p, v4(p.subnet?)?))).next();
        let (subnet, prefix) = match (pool, had) {
            (Some((_, (address, prefix))), _) if prefix <= 30 => {
                (Ipv4Addr::from(u32::from(address) & mask(prefix)), prefix)
            }
            (Some((_, (address, prefix))), _) => {
                return Err(refused(format!("network {key}: subnet {address}/{prefix} has no room")));
            }
            (None, Some(had)) => (had.subnet, had.prefix),
            (None, None) => pools()
                .find(|p| !self.used.iter().any(|u| overlap(*p, *u)))
                .ok_or_else(|| refused(format!("network {key}: no free subnet is left")))?,
        };
        self.used.push((subnet, prefix));
        let gateway = match pool.and_then(|(p, _)| p.gateway) {
            Some(IpAddr::V4(gateway)) => gateway,
            Some(gateway) => return Err(refused(format!("network {key}: {gateway} isn't in its subnet"))),
            None => Ipv4Addr::from(u32::from(subnet) + 1),
        };
        let uplink = match had {
            Some(h) => h.uplink,
            None => (0..32768)
                .find(|n| !self.uplinks.contains(n))
                .ok_or_else(|| refused(format!("network {key}: no free uplink is left")))?,
        };
        self.uplinks.insert(uplink);
        let mut labels = def.labels.clone();
        labels.insert("com.docker.compose.network".into(), key.to_owned());
        labels.insert("com.docker.compose.project".into(), project.to_string());
        let mtu = def.driver_opts.get("com.docker.network.driver.mtu").and_then(|m| m.parse().ok());
        Ok(NetworkSpec {
            id: hash_hex(&[root_hash, project.as_str(), "network", &def.name]),
            name: def.name.clone(),
            key: key.to_owned(),
            subnet,
            prefix,
            gateway,
            internal: def.internal,
            mtu,
            uplink,
            labels,
            config_hash: network_hash(def),
        })
    }
}

/// Hash of what the file says of a network.
pub(crate) fn network_hash(def: &NetworkDef) -> String {
    let mut d = def.clone();
    d.origin = rcompose_model::Origin::default();
    hash_hex(&[&serde_json::to_string(&d).unwrap_or_default()])
}

/// Addresses of one network that are taken.
pub(crate) struct Addresses {
    first: u32,
    last: u32,
    /// Where addresses come from that nobody asks for.
    range: std::ops::Range<u32>,
    taken: BTreeSet<u32>,
}

impl Addresses {
    /// `pool` is what the file says of the subnet.
    pub(crate) fn new(
        network: &NetworkSpec,
        pool: Option<&IpamPool>,
        taken: impl Iterator<Item = Ipv4Addr>,
    ) -> Self {
        let base = u32::from(network.subnet);
        let (first, last) = (base + 1, base | !mask(network.prefix));
        let mut taken: BTreeSet<u32> = taken.map(u32::from).collect();
        taken.insert(u32::from(network.gateway));
        let v4 = |address: IpAddr| match address {
            IpAddr::V4(address) => Some(u32::from(address)),
            IpAddr::V6(_) => None,
        };
        taken.extend(pool.iter().flat_map(|p| p.aux_addresses.values()).filter_map(|a| v4(*a)));
        let range = pool.and_then(|p| p.ip_range).and_then(|range| {
            let from = v4(range.address())? & mask(range.prefix());
            Some(from.max(first)..(from | !mask(range.prefix())).saturating_add(1).min(last))
        });
        Self { first, last, range: range.unwrap_or(first..last), taken }
    }

    pub(crate) fn reserve(&mut self, address: Ipv4Addr) -> bool {
        self.taken.insert(address.into())
    }

    pub(crate) fn next(&mut self) -> Option<Ipv4Addr> {
        let free = self.range.clone().find(|a| !self.taken.contains(a))?;
        self.taken.insert(free);
        Some(free.into())
    }

    pub(crate) fn has(&self, address: Ipv4Addr) -> bool {
        (self.first..self.last).contains(&u32::from(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_avoid_what_is_used() {
        let mut have = Observed::default();
        have.host.used_subnets.push((Ipv4Addr::new(172, 18, 3, 0), 24));
        let mut s = Subnets::new(&have);
        let project = ProjectName::new("p").unwrap();
        let mut subnets = Vec::new();
        for key in ["a", "b"] {
            let def = NetworkDef { name: format!("p_{key}"), ..NetworkDef::default() };
            let spec = s.network(&project, key, &def, None, "r").unwrap();
            subnets.push((spec.subnet, spec.uplink, spec.gateway));
        }
        assert_eq!(subnets[0], (Ipv4Addr::new(172, 19, 0, 0), 0, Ipv4Addr::new(172, 19, 0, 1)));
        assert_eq!(subnets[1], (Ipv4Addr::new(172, 20, 0, 0), 1, Ipv4Addr::new(172, 20, 0, 1)));
    }

    #[test]
    fn addresses_come_from_the_range_and_leave_some_free() {
        let def = NetworkDef {
            name: "p_a".into(),
            ipam: rcompose_model::Ipam {
                config: vec![IpamPool {
                    subnet: "10.9.0.0/16".parse().ok(),
                    ip_range: "10.9.4.0/30".parse().ok(),
                    gateway: None,
                    aux_addresses: [("router".to_owned(), IpAddr::from([10, 9, 4, 1]))].into(),
                }],
                ..Default::default()
            },
            ..NetworkDef::default()
        };
        let project = ProjectName::new("p").unwrap();
        let spec = Subnets::new(&Observed::default()).network(&project, "a", &def, None, "r").unwrap();
        let mut addresses = Addresses::new(&spec, def.ipam.config.first(), std::iter::empty());
        let all: Vec<String> = std::iter::from_fn(|| addresses.next()).map(|a| a.to_string()).collect();
        assert_eq!(all, ["10.9.4.0", "10.9.4.2", "10.9.4.3"]);
        assert!(addresses.has(Ipv4Addr::new(10, 9, 200, 1)));
    }
}
