//! A project's networks on this machine: namespaces, rules, ports and names of what runs.

mod ports;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;

use rcompose_engine::{FailureKind, StepFailure};
use rcompose_model::ProjectName;
use rcompose_network::{
    Attachment, DnsServer, HostRules, HostUplink, Ipv4Net, NameTable, NetError, NetworkRules, Outlet,
    PortHolder, Published, UplinkPair, mac_of,
};
use rcompose_plan::{BoundPort, ContainerId, ContainerSpec, EndpointSpec, NetNs, NetworkSpec, PortSpec};

use crate::Dirs;

/// First port tried on an uplink when a host port's own number is taken there.
const RELAY_PORTS: std::ops::RangeInclusive<u16> = 61000..=65535;

pub(crate) struct Networks {
    dirs: Dirs,
    project: ProjectName,
    hash: String,
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    nets: BTreeMap<String, Net>,
    members: BTreeMap<ContainerId, Member>,
    upstreams: Option<Arc<[SocketAddr]>>,
    /// Rules in force, as far as this process set them.
    host_rules: Option<HostRules>,
    network_rules: BTreeMap<String, NetworkRules>,
}

struct Net {
    spec: NetworkSpec,
    handle: Option<Rc<OwnedFd>>,
}

/// A running container, as the networks see it.
struct Member {
    spec: Rc<ContainerSpec>,
    ports: Vec<Held>,
    dns: Option<DnsServer>,
}

struct Held {
    holder: PortHolder,
    bound: Vec<BoundPort>,
    host_ip: Option<IpAddr>,
    network: String,
    relay_port: u16,
    address: Ipv4Addr,
    container_port: u16,
}

fn failure(doing: impl std::fmt::Display, e: &NetError) -> StepFailure {
    StepFailure::environment(doing, e)
}

impl Networks {
    pub(crate) fn new(dirs: Dirs, project: ProjectName, known: &BTreeMap<String, NetworkSpec>) -> Self {
        let hash = dirs.project_hash(&project)[..6].to_owned();
        let nets = known.iter().map(|(n, s)| (n.clone(), Net { spec: s.clone(), handle: None })).collect();
        let inner = RefCell::new(Inner { nets, ..Inner::default() });
        Self { dirs, project, hash, inner }
    }

    fn prefix(&self) -> String {
        format!("rc{}u", self.hash)
    }

    fn table(&self) -> String {
        format!("rcompose-{}", self.dirs.project_hash(&self.project))
    }

    fn group(&self) -> u32 {
        u32::from_str_radix(&self.hash, 16).unwrap_or(1) | 1
    }

    fn uplink(spec: &NetworkSpec) -> UplinkPair {
        let host = u32::from(Ipv4Addr::new(100, 127, 0, 0)) + 2 * u32::from(spec.uplink);
        UplinkPair { host: host.into(), inside: (host + 1).into() }
    }

    fn kernel_spec(&self, spec: &NetworkSpec) -> Result<rcompose_network::NetworkSpec, StepFailure> {
        let subnet = Ipv4Net::new(spec.subnet, spec.prefix).ok_or_else(|| {
            let message = format!("network {}: {}/{} is not a subnet", spec.name, spec.subnet, spec.prefix);
            StepFailure::new(FailureKind::Compose, message)
        })?;
        Ok(rcompose_network::NetworkSpec {
            name: spec.name.clone(),
            subnet,
            gateway: spec.gateway,
            mtu: spec.mtu,
            uplink: Self::uplink(spec),
            host_link: format!("{}{}", self.prefix(), spec.uplink),
            group: self.group(),
            pin: self.dirs.netns_pin(&self.project, &spec.id),
        })
    }

    /// Makes a network with its rules; one that is there is completed.
    pub(crate) fn create(&self, spec: &NetworkSpec) -> Result<(), StepFailure> {
        let kernel = self.kernel_spec(spec)?;
        let handle = rcompose_network::create_network(&kernel)
            .map_err(|e| failure(format!("create network {}", spec.name), &e))?;
        let net = Net { spec: spec.clone(), handle: Some(Rc::new(handle.netns)) };
        self.inner.borrow_mut().nets.insert(spec.name.clone(), net);
        rcompose_network::open_forward(&self.prefix(), &self.table())
            .map_err(|e| failure("open the host's forward chains", &e))?;
        // Its rules come with its first container, together with the ports: each change of a table costs the
        // kernel a grace period.
        Ok(())
    }

    /// Removes a network; whatever is already gone is fine.
    pub(crate) fn remove(&self, name: &str) -> Result<(), StepFailure> {
        let net = {
            let mut inner = self.inner.borrow_mut();
            inner.network_rules.remove(name);
            inner.nets.remove(name)
        };
        let Some(net) = net else { return Ok(()) };
        let kernel = self.kernel_spec(&net.spec)?;
        drop(net);
        let removed = rcompose_network::remove_network(&kernel)
            .map_err(|e| failure(format!("remove network {name}"), &e));
        let rules = if self.inner.borrow().nets.is_empty() {
            self.inner.borrow_mut().host_rules = None;
            HostRules::remove(&self.table())
                .and_then(|()| rcompose_network::close_forward(&self.table()))
                .map_err(|e| failure("remove the host's rules", &e))
        } else {
            self.apply_host()
        };
        removed.and(rules)
    }

    /// The namespace of a network; made again if it is gone (a reboot, a crash).
    fn handle(&self, name: &str) -> Result<Rc<OwnedFd>, StepFailure> {
        let spec = {
            let mut inner = self.inner.borrow_mut();
            let net = inner.nets.get_mut(name).ok_or_else(|| {
                StepFailure::new(FailureKind::Internal, format!("network {name} has no record"))
            })?;
            if let Some(h) = &net.handle {
                return Ok(h.clone());
            }
            net.spec.clone()
        };
        self.create(&spec)?;
        let inner = self.inner.borrow();
        let handle = inner.nets.get(name).and_then(|n| n.handle.clone());
        handle.ok_or_else(|| StepFailure::new(FailureKind::Internal, format!("network {name} vanished")))
    }

    pub(crate) fn gateway(&self, spec: &ContainerSpec) -> Option<Ipv4Addr> {
        let name = &routing_endpoint(spec)?.network;
        self.inner.borrow().nets.get(name).map(|n| n.spec.gateway)
    }

    /// Takes a container's published ports, before anything of it runs: a clash changes nothing.
    pub(crate) fn hold_ports(&self, spec: &Rc<ContainerSpec>) -> Result<Vec<BoundPort>, StepFailure> {
        let mut held = Vec::new();
        let mut bound = Vec::new();
        if let (NetNs::Own, Some(endpoint)) = (&spec.net, routing_endpoint(spec)) {
            for (i, port) in spec.ports.iter().enumerate() {
                if let Some(h) = self.hold(spec, i, port, endpoint, &held)? {
                    bound.extend(h.bound.iter().cloned());
                    held.push(h);
                }
            }
        }
        let member = Member { spec: spec.clone(), ports: held, dns: None };
        self.inner.borrow_mut().members.insert(spec.id.clone(), member);
        Ok(bound)
    }

    fn hold(
        &self,
        spec: &ContainerSpec,
        index: usize,
        port: &PortSpec,
        endpoint: &EndpointSpec,
        before: &[Held],
    ) -> Result<Option<Held>, StepFailure> {
        let Some(holder) = ports::bind(&self.dirs, spec, index, port)? else { return Ok(None) };
        let inner = self.inner.borrow();
        let taken: BTreeSet<u16> = inner
            .members
            .values()
            .flat_map(|m| &m.ports)
            .chain(before)
            .filter(|h| h.network == endpoint.network && h.bound.iter().any(|b| b.protocol == port.protocol))
            .map(|h| h.relay_port)
            .collect();
        let number = holder.port();
        let relay_port = if taken.contains(&number) {
            RELAY_PORTS.clone().find(|p| !taken.contains(p)).unwrap_or(number)
        } else {
            number
        };
        let on = |host_ip: IpAddr| BoundPort {
            host_ip,
            host_port: number,
            container_port: port.container_port,
            protocol: port.protocol,
        };
        let bound = match port.host_ip {
            Some(ip) => vec![on(ip)],
            None => vec![on(Ipv4Addr::UNSPECIFIED.into()), on(Ipv6Addr::UNSPECIFIED.into())],
        };
        Ok(Some(Held {
            holder,
            bound,
            host_ip: port.host_ip,
            network: endpoint.network.clone(),
            relay_port,
            address: endpoint.address,
            container_port: port.container_port,
        }))
    }

    /// Connects a container's namespace: interfaces, names, ports.
    pub(crate) fn connect(&self, spec: &ContainerSpec, netns: &OwnedFd) -> Result<(), StepFailure> {
        if spec.net != NetNs::Own {
            return Ok(());
        }
        if spec.endpoints.is_empty() {
            return rcompose_network::loopback_up(netns).map_err(|e| failure("bring up loopback", &e));
        }
        let mut handles = Vec::new();
        for e in &spec.endpoints {
            handles.push(self.handle(&e.network)?);
        }
        let batch = self.attachments(spec, netns, &handles)?;
        rcompose_network::attach(&batch)
            .map_err(|e| failure(format!("connect container {} to its networks", spec.name), &e))?;
        self.serve(spec, netns)
    }

    /// Serves a container again that a former supervisor connected.
    pub(crate) fn reconnect(&self, spec: &ContainerSpec, netns: &OwnedFd) -> Result<(), StepFailure> {
        if spec.net != NetNs::Own || spec.endpoints.is_empty() {
            return Ok(());
        }
        for e in &spec.endpoints {
            self.handle(&e.network)?;
        }
        self.serve(spec, netns)
    }

    fn attachments<'a>(
        &self,
        spec: &ContainerSpec,
        netns: &'a OwnedFd,
        handles: &'a [Rc<OwnedFd>],
    ) -> Result<Vec<Attachment<'a>>, StepFailure> {
        let inner = self.inner.borrow();
        let mut out = Vec::new();
        for (i, (e, handle)) in spec.endpoints.iter().zip(handles).enumerate() {
            let Some(net) = inner.nets.get(&e.network) else { continue };
            let mac = match &e.mac {
                Some(text) => parse_mac(text).ok_or_else(|| {
                    StepFailure::new(FailureKind::Compose, format!("invalid MAC address {text:?}"))
                        .at(&spec.origin)
                })?,
                None => mac_of(e.address),
            };
            let index = u32::try_from(i).unwrap_or(0);
            out.push(Attachment {
                container: netns.as_fd(),
                network: handle.as_fd(),
                interface: e.interface.clone().unwrap_or_else(|| format!("eth{i}")),
                index: 2 + index,
                address: e.address,
                prefix: net.spec.prefix,
                mac,
                gateway: Some(net.spec.gateway).filter(|_| e.default_route && !net.spec.internal),
                host_end: format!("v{}", &spec.id.short()[..11]),
                group: self.group(),
                mtu: net.spec.mtu,
            });
        }
        Ok(out)
    }

    /// Names and ports of a connected container.
    fn serve(&self, spec: &ContainerSpec, netns: &OwnedFd) -> Result<(), StepFailure> {
        let upstreams = self.upstreams(spec)?;
        let server = DnsServer::start(netns, Arc::new(NameTable::default()), upstreams)
            .map_err(|e| failure(format!("serve names to container {}", spec.name), &e))?;
        {
            let mut inner = self.inner.borrow_mut();
            let Inner { nets, members, .. } = &mut *inner;
            if let Some(m) = members.get_mut(&spec.id) {
                m.dns = Some(server);
                for h in &mut m.ports {
                    let Some(net) = nets.get(&h.network) else { continue };
                    let target = SocketAddrV4::new(Self::uplink(&net.spec).inside, h.relay_port);
                    h.holder.serve(target).map_err(|e| failure("serve a published port", &e))?;
                }
            }
        }
        self.refresh_names();
        for e in &spec.endpoints {
            self.apply_network(&e.network)?;
        }
        self.apply_host()
    }

    /// A container without a process has no ports and no name. When this is done, its ports can be had. True when rules
    /// are left that are to be taken back by [`Networks::settle_rules`].
    pub(crate) async fn disconnect(&self, id: &ContainerId) -> bool {
        let member = self.inner.borrow_mut().members.remove(id);
        let Some(Member { ports, dns, .. }) = member else { return false };
        let had_ports = !ports.is_empty();
        if dns.is_some() {
            drop(dns);
            self.refresh_names();
        }
        for held in ports {
            held.holder.close().await;
        }
        had_ports
    }

    /// Brings the rules in line with the containers that run.
    pub(crate) fn settle_rules(&self) -> Result<(), StepFailure> {
        let names: Vec<String> = self.inner.borrow().nets.keys().cloned().collect();
        for n in &names {
            self.apply_network(n)?;
        }
        if names.is_empty() { Ok(()) } else { self.apply_host() }
    }

    fn upstreams(&self, spec: &ContainerSpec) -> Result<Arc<[SocketAddr]>, StepFailure> {
        if !spec.dns.servers.is_empty() {
            let parsed = spec.dns.servers.iter().filter_map(|s| s.parse::<IpAddr>().ok());
            return Ok(parsed.map(|ip| SocketAddr::new(ip, 53)).collect());
        }
        if let Some(u) = &self.inner.borrow().upstreams {
            return Ok(u.clone());
        }
        let text = crate::etc::host_file("/etc/resolv.conf")?;
        let list: Arc<[SocketAddr]> = rcompose_network::nameservers(&text).into();
        self.inner.borrow_mut().upstreams = Some(list.clone());
        Ok(list)
    }

    /// Builds one table for each set of networks and hands it to all containers that have that set.
    fn refresh_names(&self) {
        let inner = self.inner.borrow();
        let mut tables: BTreeMap<Vec<&str>, Arc<NameTable>> = BTreeMap::new();
        for m in inner.members.values() {
            let Some(dns) = &m.dns else { continue };
            let mut key: Vec<&str> = m.spec.endpoints.iter().map(|e| e.network.as_str()).collect();
            key.sort_unstable();
            let table = tables.entry(key).or_insert_with_key(|key| Arc::new(table(&inner, key)));
            dns.swap(table.clone());
        }
    }

    fn apply_network(&self, name: &str) -> Result<(), StepFailure> {
        let inner = self.inner.borrow();
        let Some(net) = inner.nets.get(name) else { return Ok(()) };
        let Some(handle) = &net.handle else { return Ok(()) };
        let kernel = self.kernel_spec(&net.spec)?;
        let held = inner.members.values().flat_map(|m| &m.ports).filter(|h| h.network == name);
        let rules = NetworkRules {
            subnet: kernel.subnet,
            gateway: kernel.gateway,
            uplink: kernel.uplink,
            internal: net.spec.internal,
            outlets: held
                .filter_map(|h| {
                    Some(Outlet {
                        protocol: ports::protocol(h.bound.first()?.protocol)?,
                        relay_port: h.relay_port,
                        address: h.address,
                        port: h.container_port,
                    })
                })
                .collect(),
        };
        if inner.network_rules.get(name) == Some(&rules) {
            return Ok(());
        }
        rules.apply(handle.as_fd()).map_err(|e| failure(format!("set the rules of network {name}"), &e))?;
        drop(inner);
        self.inner.borrow_mut().network_rules.insert(name.to_owned(), rules);
        Ok(())
    }

    fn apply_host(&self) -> Result<(), StepFailure> {
        let inner = self.inner.borrow();
        let uplinks = inner
            .nets
            .values()
            .map(|n| HostUplink {
                link: format!("{}{}", self.prefix(), n.spec.uplink),
                pair: Self::uplink(&n.spec),
            })
            .collect();
        let published = inner
            .members
            .values()
            .flat_map(|m| &m.ports)
            .filter_map(|h| {
                let net = inner.nets.get(&h.network)?;
                Some(Published {
                    host_ip: h.host_ip,
                    host_port: h.holder.port(),
                    protocol: ports::protocol(h.bound.first()?.protocol)?,
                    inside: Self::uplink(&net.spec).inside,
                    relay_port: h.relay_port,
                })
            })
            .collect();
        let rules = HostRules { table: self.table(), link_prefix: self.prefix(), uplinks, published };
        if inner.host_rules.as_ref() == Some(&rules) {
            return Ok(());
        }
        rules.apply().map_err(|e| failure("set the host's rules", &e))?;
        drop(inner);
        self.inner.borrow_mut().host_rules = Some(rules);
        Ok(())
    }
}

/// Everything that runs in any of these networks.
fn table(inner: &Inner, networks: &[&str]) -> NameTable {
    let mut t = NameTable::default();
    for m in inner.members.values().filter(|m| m.dns.is_some()) {
        for e in m.spec.endpoints.iter().filter(|e| networks.contains(&e.network.as_str())) {
            for n in &e.names {
                t.add(n, e.address);
            }
            t.add_pointer(e.address, &format!("{}.{}", m.spec.name, e.network));
        }
    }
    t
}

/// The membership that published ports and `host-gateway` are about.
fn routing_endpoint(spec: &ContainerSpec) -> Option<&EndpointSpec> {
    spec.endpoints.iter().find(|e| e.default_route).or_else(|| spec.endpoints.first())
}

fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut out = [0; 6];
    let mut parts = text.split([':', '-']);
    for b in &mut out {
        *b = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(out)
}
