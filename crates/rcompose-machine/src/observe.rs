use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use rcompose_model::ProjectName;
use rcompose_plan::{HostFacts, Observed};

use crate::records::{list_dir, list_projects, read_project, read_volume};
use crate::{Dirs, StateError};

/// What is, with the facts of the host that planning needs.
pub fn observe(dirs: &Dirs, project: &ProjectName) -> Result<Observed, StateError> {
    let mut observed = read_project(dirs, project)?.map(|r| r.observed).unwrap_or_default();
    observed.host = host_facts(dirs)?;
    // Volumes live on their own: one made by another project, or left by a `down`, is met again by its name.
    for name in list_dir(&dirs.volumes())? {
        if !observed.volumes.contains_key(&name)
            && let Some(v) = read_volume(dirs, &name)?
        {
            observed.volumes.insert(name, v);
        }
    }
    Ok(observed)
}

pub(crate) fn host_facts(dirs: &Dirs) -> Result<HostFacts, StateError> {
    let mut facts = HostFacts { root_hash: dirs.root_hash(), ..HostFacts::default() };
    for claim in list_dir(&dirs.claims())? {
        match parse_claim(&claim) {
            Some(Claim::Subnet(a, p)) => facts.used_subnets.push((a, p)),
            Some(Claim::Uplink(n)) => facts.used_uplinks.push(n),
            None => {}
        }
    }
    let path = Path::new("/proc/net/route");
    let routes = fs::read_to_string(path).map_err(|e| StateError::read(path, e))?;
    for (address, prefix) in parse_routes(&routes) {
        let o = address.octets();
        if o[0] == 100 && o[1] == 127 {
            facts.used_uplinks.push((u16::from(o[2]) << 7) | u16::from(o[3] >> 1));
        } else if prefix > 0 {
            facts.used_subnets.push((address, prefix));
        }
    }
    facts.used_subnets.sort_unstable();
    facts.used_subnets.dedup();
    facts.used_uplinks.sort_unstable();
    facts.used_uplinks.dedup();
    for other in list_projects(dirs)? {
        if let Some(file) = crate::records::ProjectFile::read(dirs, &other)? {
            facts.external_networks.extend(file.networks);
        }
    }
    Ok(facts)
}

/// One name in the claims directory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// `s172.18.0.0-16`
    Subnet(Ipv4Addr, u8),
    /// `u5`
    Uplink(u16),
}

impl std::fmt::Display for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Subnet(a, p) => write!(f, "s{a}-{p}"),
            Self::Uplink(n) => write!(f, "u{n}"),
        }
    }
}

fn parse_claim(name: &str) -> Option<Claim> {
    if let Some(n) = name.strip_prefix('u') {
        return n.parse().ok().map(Claim::Uplink);
    }
    let (a, p) = name.strip_prefix('s')?.split_once('-')?;
    Some(Claim::Subnet(a.parse().ok()?, p.parse().ok()?))
}

/// `/proc/net/route` (proc(5)): destination and mask are little-endian hexadecimal.
fn parse_routes(text: &str) -> impl Iterator<Item = (Ipv4Addr, u8)> {
    text.lines().skip(1).filter_map(|line| {
        let mut f = line.split_whitespace();
        let destination = u32::from_str_radix(f.nth(1)?, 16).ok()?;
        let mask = u32::from_str_radix(f.nth(5)?, 16).ok()?;
        Some((Ipv4Addr::from(destination.to_le_bytes()), u8::try_from(mask.count_ones()).ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read() {
        let text = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                    eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                    eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        let got: Vec<_> = parse_routes(text).collect();
        assert_eq!(got, [(Ipv4Addr::UNSPECIFIED, 0), (Ipv4Addr::new(192, 0, 2, 0), 24),]);
    }

    #[test]
    fn claims_survive_their_names() {
        for c in [Claim::Subnet(Ipv4Addr::new(172, 18, 0, 0), 16), Claim::Uplink(7)] {
            assert_eq!(parse_claim(&c.to_string()), Some(c));
        }
    }
}
