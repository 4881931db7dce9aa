//! The network of a build's steps: one namespace with a way out for each helper, no names, no ports.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rcompose_engine::StepFailure;
use rcompose_model::ProjectName;
use rcompose_network::{
    Attachment, HostRules, HostUplink, Ipv4Net, NetError, NetworkHandle, NetworkRules, SubnetPool,
    UplinkPair, mac_of,
};
use rcompose_plan::NetworkSpec;

use crate::records::list_dir;
use crate::{Dirs, StateError, claims, forward};

/// A helper's network while it lives.
pub(super) struct BuildNet {
    dirs: Dirs,
    owner: ProjectName,
    claim: NetworkSpec,
    kernel: rcompose_network::NetworkSpec,
    table: String,
    handle: Option<NetworkHandle>,
    steps: Option<OwnedFd>,
}

fn failed(e: &NetError) -> StepFailure {
    StepFailure::environment("make the build's network", e)
}

fn dir(dirs: &Dirs) -> PathBuf {
    dirs.run.join("builds")
}

impl BuildNet {
    pub(super) fn make(dirs: &Dirs) -> Result<Self, StepFailure> {
        sweep(dirs)?;
        let pid = std::process::id();
        let owner = owner(pid)?;
        loop {
            let spec = choose(dirs, pid)?;
            if !claims::take(dirs, &owner, &spec)? {
                claims::sweep(dirs, &owner, &[])?;
                continue;
            }
            let mut net = Self::described(dirs, owner, spec, pid)?;
            forward::switch_on(dirs)?;
            net.bring_up().map_err(|e| failed(&e))?;
            return Ok(net);
        }
    }

    fn described(dirs: &Dirs, owner: ProjectName, claim: NetworkSpec, pid: u32) -> Result<Self, StepFailure> {
        let subnet = Ipv4Net::new(claim.subnet, claim.prefix).ok_or_else(|| {
            StepFailure::new(rcompose_engine::FailureKind::Internal, "the build's subnet is none")
        })?;
        let host = u32::from(Ipv4Addr::new(100, 127, 0, 0)) + 2 * u32::from(claim.uplink);
        let hash = dirs.project_hash(&owner);
        let kernel = rcompose_network::NetworkSpec {
            name: owner.to_string(),
            subnet,
            gateway: claim.gateway,
            mtu: None,
            uplink: UplinkPair { host: host.into(), inside: (host + 1).into() },
            host_link: format!("rc{}u{}", &hash[..6], claim.uplink),
            group: u32::from_str_radix(&hash[..6], 16).unwrap_or(1) | 1,
            pin: dir(dirs).join(pid.to_string()),
        };
        let table = format!("rcompose-{hash}");
        Ok(Self { dirs: dirs.clone(), owner, claim, kernel, table, handle: None, steps: None })
    }

    fn bring_up(&mut self) -> Result<(), NetError> {
        let handle = rcompose_network::create_network(&self.kernel)?;
        let k = &self.kernel;
        let rules = NetworkRules {
            subnet: k.subnet,
            gateway: k.gateway,
            uplink: k.uplink,
            internal: false,
            outlets: Vec::new(),
        };
        rules.apply(&handle.netns)?;
        let prefix = k.host_link.clone();
        let uplinks = vec![HostUplink { link: k.host_link.clone(), pair: k.uplink }];
        HostRules { table: self.table.clone(), link_prefix: prefix.clone(), uplinks, published: Vec::new() }
            .apply()?;
        rcompose_network::open_forward(&prefix, &self.table)?;
        self.handle = Some(handle);
        Ok(())
    }

    /// This machine, as a step sees it.
    pub(super) fn gateway(&self) -> Ipv4Addr {
        self.kernel.gateway
    }

    /// A namespace for steps, connected. One after the other has it: a step can't change it, and the kernel takes its time
    /// to make and unmake them.
    pub(super) fn namespace(&mut self) -> Result<&OwnedFd, StepFailure> {
        let netns = match self.steps.take() {
            Some(netns) => netns,
            None => {
                let netns = rcompose_network::new_netns().map_err(|e| failed(&e))?;
                self.connect(&netns)?;
                netns
            }
        };
        Ok(self.steps.insert(netns))
    }

    /// After a step that could have changed its namespace.
    pub(super) fn renew(&mut self) {
        self.steps = None;
    }

    fn connect(&self, netns: &OwnedFd) -> Result<(), StepFailure> {
        let Some(handle) = &self.handle else { return Ok(()) };
        let address = Ipv4Addr::from(u32::from(self.kernel.gateway) + 1);
        let attachment = Attachment {
            container: netns.as_fd(),
            network: handle.netns.as_fd(),
            interface: "eth0".to_owned(),
            index: 2,
            address,
            prefix: self.kernel.subnet.prefix(),
            mac: mac_of(address),
            gateway: Some(self.kernel.gateway),
            // The last namespace's link goes in the background; an equal name may still be there.
            host_end: format!("b{}", unique()),
            group: self.kernel.group,
            mtu: None,
        };
        rcompose_network::attach(&[attachment]).map_err(|e| failed(&e))
    }
}

/// A number that grows with each namespace of this process.
fn unique() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Drop for BuildNet {
    fn drop(&mut self) {
        self.steps = None;
        self.handle = None;
        let removed = rcompose_network::remove_network(&self.kernel)
            .and(HostRules::remove(&self.table))
            .and(rcompose_network::close_forward(&self.table));
        if let Err(e) = removed {
            eprintln!("build: {e}");
        }
        if let Err(e) = forward::give_back(&self.dirs, &self.claim) {
            eprintln!("build: {e}");
        }
        if let Err(e) = claims::sweep(&self.dirs, &self.owner, &[]) {
            eprintln!("build: {e}");
        }
    }
}

fn owner(pid: u32) -> Result<ProjectName, StepFailure> {
    ProjectName::new(format!("0build-{pid}"))
        .map_err(|e| StepFailure::environment("name the build's network", &e))
}

fn choose(dirs: &Dirs, pid: u32) -> Result<NetworkSpec, StepFailure> {
    let facts = crate::observe::host_facts(dirs)?;
    let used = facts.used_subnets.iter().filter_map(|(a, p)| Ipv4Net::new(*a, *p));
    let subnet = SubnetPool::new(used).allocate().map_err(|e| failed(&e))?;
    let uplink = (0..=u16::MAX >> 1).rev().find(|n| !facts.used_uplinks.contains(n)).unwrap_or(0);
    Ok(NetworkSpec {
        name: format!("build-{pid}"),
        key: String::new(),
        id: pid.to_string(),
        subnet: subnet.address(),
        prefix: subnet.prefix(),
        gateway: subnet.first_host(),
        internal: false,
        mtu: None,
        uplink,
        labels: BTreeMap::new(),
        config_hash: String::new(),
    })
}

/// Removes what helpers left that were killed.
fn sweep(dirs: &Dirs) -> Result<(), StateError> {
    let dead = |pid: u32| !fs::exists(format!("/proc/{pid}")).unwrap_or(true);
    for name in list_dir(&dirs.claims())? {
        let path = dirs.claims().join(&name);
        let Ok(target) = fs::read_link(&path) else { continue };
        let pid = target.to_str().and_then(|t| t.strip_prefix("0build-")).and_then(|p| p.parse().ok());
        if pid.is_some_and(dead) {
            crate::files::remove_file(&path)?;
        }
    }
    for name in list_dir(&dir(dirs))? {
        let Some(pid) = name.parse().ok().filter(|p| dead(*p)) else { continue };
        let Ok(owner) = owner(pid) else { continue };
        let pin = dir(dirs).join(&name);
        // The namespace takes its links and the host's route with it.
        if rustix::mount::unmount(&pin, rustix::mount::UnmountFlags::DETACH).is_err() {
            // Not mounted: killed before it was.
        }
        crate::files::remove_file(&pin)?;
        let table = format!("rcompose-{}", dirs.project_hash(&owner));
        if let Err(e) = HostRules::remove(&table).and(rcompose_network::close_forward(&table)) {
            eprintln!("build: {e}");
        }
    }
    Ok(())
}

/// Name servers that a step can reach: the host's, but for those on its loopback.
pub(super) fn resolv_conf() -> Result<String, StepFailure> {
    let usable = |text: &str| {
        text.lines().any(|l| {
            let address = l.strip_prefix("nameserver").and_then(|a| a.trim().parse::<IpAddr>().ok());
            address.is_some_and(|a| !a.is_loopback())
        })
    };
    let host = crate::etc::host_file("/etc/resolv.conf")?;
    if usable(&host) {
        return Ok(host);
    }
    // systemd-resolved(8): the real servers behind its stub on 127.0.0.53.
    let real = crate::etc::host_file("/run/systemd/resolve/resolv.conf")?;
    Ok(if usable(&real) { real } else { host })
}
