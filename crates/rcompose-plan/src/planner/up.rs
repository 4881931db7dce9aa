use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use rcompose_model::{
    DependencyCondition, NetworkAttachment, NetworkDef, NetworkMode, ProjectName, Service, ServiceName,
};

use super::address::{Addresses, Subnets, network_hash};
use super::builder::{Builder, Member, Members, Volumes, Waits, container, is_up, satisfied};
use super::container::{Identity, Surroundings, net_ns, ns_mode, spec};
use super::hash::config_hash;
use super::order::{dependencies, needed_services};
use crate::{
    ContainerId, ContainerSpec, CreateOptions, Desired, EndpointSpec, LocalOp, MountSource, MountSpec,
    NetworkSpec, Observed, ObservedContainer, Plan, PlanError, RecreatePolicy, StepId, UpOptions, VolumeSpec,
    WaitCondition,
};

/// Plans `up`, `create`, `scale`.
pub(crate) fn plan(
    project: &ProjectName,
    desired: &Desired,
    have: &Observed,
    options: &UpOptions,
) -> Result<Plan, PlanError> {
    let order = needed_services(&desired.project, &options.services, options.create.no_deps)?;
    let mut up = Up::new(project, desired, have, &options.create, &order)?;
    up.no_start = options.no_start;
    up.orphans();
    for name in &order {
        let Some(service) = desired.project.services.get(name) else { continue };
        let selected = options.services.is_empty() || options.services.contains(name);
        let policy = if selected { options.create.recreate } else { options.create.recreate_deps };
        let replicas = options.scale.get(name).copied().unwrap_or(service.replicas);
        up.service(service, replicas, policy)?;
    }
    if options.wait && !options.no_start {
        for name in order.iter().filter(|n| options.services.is_empty() || options.services.contains(n)) {
            up.wait_ready(name, options.wait_timeout);
        }
    }
    Ok(up.b.plan)
}

/// An `up` that grows.
pub(crate) struct Up<'a> {
    pub(crate) project: &'a ProjectName,
    pub(crate) desired: &'a Desired,
    pub(crate) have: &'a Observed,
    pub(crate) options: &'a CreateOptions,
    pub(crate) b: Builder,
    pub(crate) no_start: bool,
    networks: BTreeMap<String, NetworkSpec>,
    network_steps: BTreeMap<String, StepId>,
    addresses: BTreeMap<String, Addresses>,
    volumes: Volumes,
    waits: Waits,
    pub(crate) members: Members,
    /// Removed already, since their network is made anew: the step and the spec.
    gone: BTreeMap<ContainerId, StepId>,
    recreated: BTreeSet<ServiceName>,
}

impl<'a> Up<'a> {
    pub(crate) fn new(
        project: &'a ProjectName,
        desired: &'a Desired,
        have: &'a Observed,
        options: &'a CreateOptions,
        order: &[ServiceName],
    ) -> Result<Self, PlanError> {
        let mut up = Self {
            project,
            desired,
            have,
            options,
            b: Builder::new(have.generation),
            no_start: false,
            networks: BTreeMap::new(),
            network_steps: BTreeMap::new(),
            addresses: BTreeMap::new(),
            volumes: Volumes::default(),
            waits: Waits::default(),
            members: Members::new(),
            gone: BTreeMap::new(),
            recreated: BTreeSet::new(),
        };
        let services: Vec<&Service> = order.iter().filter_map(|n| desired.project.services.get(n)).collect();
        up.make_networks(&services)?;
        up.make_volumes(&services)?;
        Ok(up)
    }

    fn make_networks(&mut self, services: &[&Service]) -> Result<(), PlanError> {
        let mut subnets = Subnets::new(self.have);
        let bridge = NetworkDef { name: format!("{}_bridge", self.project), ..NetworkDef::default() };
        let mut wanted: BTreeMap<&str, &NetworkDef> = BTreeMap::new();
        for s in services {
            match &s.network_mode {
                NetworkMode::Networks(map) => {
                    for key in map.keys() {
                        if let Some(def) = self.desired.project.networks.get(key) {
                            wanted.insert(key, def);
                        }
                    }
                }
                NetworkMode::Bridge => drop(wanted.insert("bridge", &bridge)),
                _ => {}
            }
        }
        for (key, def) in wanted {
            self.make_network(key, def, &mut subnets)?;
        }
        Ok(())
    }

    fn make_network(&mut self, key: &str, def: &NetworkDef, subnets: &mut Subnets) -> Result<(), PlanError> {
        if def.external {
            let found = self.have.networks.get(&def.name).or(self.have.host.external_networks.get(&def.name));
            let Some(found) = found else {
                return Err(PlanError::Refused {
                    message: format!("network {} declared as external, but could not be found", def.name),
                    origin: Some(def.origin.clone()),
                });
            };
            self.networks.insert(key.to_owned(), found.clone());
            self.open_addresses(&found.clone());
            return Ok(());
        }
        let had = self.have.networks.get(&def.name);
        if let Some(had) = had.filter(|h| h.config_hash == network_hash(def)) {
            self.networks.insert(key.to_owned(), had.clone());
            self.open_addresses(&had.clone());
            return Ok(());
        }
        let spec = subnets.network(self.project, key, def, None, &self.have.host.root_hash)?;
        let subject = format!("Network {}", spec.name);
        let mut after = Vec::new();
        let mut reason = "not there";
        if had.is_some() {
            reason = "its configuration changed";
            let users = self.have.containers.values().filter(|c| uses(&c.spec, &def.name));
            let removed: Vec<StepId> =
                users.map(|c| self.remove_for(c, "its network is made anew")).collect::<Vec<_>>();
            let op = LocalOp::RemoveNetwork { name: def.name.clone() };
            after.push(self.b.push(op, subject.clone(), reason, removed));
        }
        let step = self.b.push(LocalOp::CreateNetwork { spec: spec.clone() }, subject, reason, after);
        self.network_steps.insert(spec.name.clone(), step);
        self.open_addresses(&spec);
        self.networks.insert(key.to_owned(), spec);
        Ok(())
    }

    fn open_addresses(&mut self, network: &NetworkSpec) {
        let taken = self
            .have
            .containers
            .values()
            .filter(|c| !self.gone.contains_key(&c.spec.id))
            .flat_map(|c| &c.spec.endpoints)
            .filter(|e| e.network == network.name)
            .map(|e| e.address);
        let mut addresses = Addresses::new(network, taken);
        // Addresses that the file fixes are nobody else's, whoever comes first.
        for s in self.desired.project.services.values() {
            if let NetworkMode::Networks(map) = &s.network_mode
                && let Some(a) = map.get(&network.key).and_then(|a| a.ipv4_address)
            {
                addresses.reserve(a);
            }
        }
        self.addresses.insert(network.name.clone(), addresses);
    }

    fn make_volumes(&mut self, services: &[&Service]) -> Result<(), PlanError> {
        let keys: BTreeSet<&String> = services
            .iter()
            .flat_map(|s| &s.mounts)
            .filter_map(|m| match &m.kind {
                rcompose_model::MountKind::Volume { key, .. } => Some(key),
                _ => None,
            })
            .collect();
        for key in keys {
            let Some(def) = self.desired.project.volumes.get(key) else { continue };
            if self.have.volumes.contains_key(&def.name) {
                continue;
            }
            if def.external {
                return Err(PlanError::Refused {
                    message: format!("external volume \"{}\" not found", def.name),
                    origin: Some(def.origin.clone()),
                });
            }
            let mut labels = def.labels.clone();
            labels.insert("com.docker.compose.project".into(), self.project.to_string());
            labels.insert("com.docker.compose.volume".into(), key.clone());
            let spec = VolumeSpec {
                name: def.name.clone(),
                key: key.clone(),
                driver: def.driver.clone().unwrap_or_else(|| "local".into()),
                driver_opts: def.driver_opts.clone(),
                labels,
                anonymous: false,
            };
            self.volumes.step(&mut self.b, spec, "not there");
        }
        Ok(())
    }

    /// Containers of services that the file doesn't have (any more).
    pub(crate) fn orphans(&mut self) {
        let project = &self.desired.project;
        let orphans: Vec<&ObservedContainer> = self
            .have
            .containers
            .values()
            .filter(|c| {
                let s = c.spec.service.as_str();
                !c.spec.oneoff
                    && !project.services.contains_key(s)
                    && !project.disabled_services.contains_key(s)
            })
            .collect();
        if orphans.is_empty() {
            return;
        }
        if self.options.remove_orphans {
            for c in orphans {
                self.remove_for(c, "its service is no longer in the file");
            }
        } else if !self.options.ignore_orphans {
            let names: Vec<&str> = orphans.iter().map(|c| c.spec.name.as_str()).collect();
            self.b.plan.warnings.push(format!(
                "Found orphan containers ([{}]) for this project. If you removed or renamed this service in your \
                 compose file, you can run this command with the --remove-orphans flag to clean it up.",
                names.join(" ")
            ));
        }
    }

    fn remove_for(&mut self, c: &ObservedContainer, reason: &str) -> StepId {
        if let Some(&step) = self.gone.get(&c.spec.id) {
            return step;
        }
        let step = self.b.stop_and_remove(&c.spec, &c.state, self.options.timeout, reason, Vec::new(), false);
        self.gone.insert(c.spec.id.clone(), step);
        step
    }

    /// Brings one service to so many containers as the file says.
    pub(crate) fn service(
        &mut self,
        service: &Service,
        replicas: u32,
        policy: RecreatePolicy,
    ) -> Result<(), PlanError> {
        let image = self.desired.images.get(&service.name).ok_or_else(|| PlanError::Refused {
            message: format!(
                "service \"{}\" has neither an image nor a build context specified",
                service.name
            ),
            origin: Some(service.origin.clone()),
        })?;
        let hash = config_hash(service, &image.id);
        let have = self.have;
        let mut existing: Vec<&ObservedContainer> =
            have.containers.values().filter(|c| c.spec.service == service.name && !c.spec.oneoff).collect();
        existing.sort_by_key(|c| c.spec.number);
        if service.container_name.is_some() && replicas > 1 {
            return Err(PlanError::Refused {
                message: format!(
                    "service \"{}\": a container_name allows one container only, not {replicas}",
                    service.name
                ),
                origin: Some(service.origin.clone()),
            });
        }
        let mut numbers: Vec<u32> = Vec::new();
        let mut members = Vec::new();
        for (i, c) in existing.iter().enumerate() {
            if i >= replicas as usize {
                self.remove_for(c, "fewer are wanted");
                continue;
            }
            numbers.push(c.spec.number);
            members.push(self.existing(service, c, &hash, policy)?);
        }
        let mut number = 1;
        while members.len() < replicas as usize {
            while numbers.contains(&number) {
                number += 1;
            }
            numbers.push(number);
            members.push(self.fresh(service, number, &hash, None, "not there")?);
        }
        if members.iter().any(|m| m.recreated) {
            self.recreated.insert(service.name.clone());
        }
        self.members.insert(service.name.clone(), members);
        Ok(())
    }

    /// One that is there: kept, started, or made anew.
    fn existing(
        &mut self,
        service: &Service,
        c: &ObservedContainer,
        hash: &str,
        policy: RecreatePolicy,
    ) -> Result<Member, PlanError> {
        let lost = c.spec.endpoints.iter().any(|e| {
            self.network_steps.contains_key(&e.network)
                || !self.networks.values().any(|n| n.name == e.network)
        });
        let joined = match &c.spec.net {
            crate::NetNs::Container(id) => {
                !self.have.containers.contains_key(id) || self.gone.contains_key(id)
            }
            _ => false,
        };
        let reason = match policy {
            _ if self.gone.contains_key(&c.spec.id) => Some("its network is made anew"),
            RecreatePolicy::Force => Some("asked for"),
            RecreatePolicy::Never => None,
            RecreatePolicy::Diverged if c.spec.config_hash != hash => Some(self.change(service, c)),
            RecreatePolicy::Diverged if lost => Some("its networks changed"),
            RecreatePolicy::Diverged if joined => Some("the container that it joins is another one"),
            RecreatePolicy::Diverged => None,
        };
        if let Some(reason) = reason {
            self.remove_for(c, reason);
            return self.fresh(service, c.spec.number, hash, Some(c), reason);
        }
        let mut member =
            Member { spec: c.spec.clone(), state: Some(c.state.clone()), start: None, recreated: false };
        if self.no_start {
            return Ok(member);
        }
        let restart = service.depends_on.iter().any(|(d, dep)| dep.restart && self.recreated.contains(d));
        if is_up(&c.state) {
            if restart {
                let why = "a dependency was recreated";
                let op = LocalOp::StopContainer { id: c.spec.id.clone(), grace: self.options.timeout };
                let stop = self.b.push(op, container(&c.spec), why, Vec::new());
                member.start = Some(self.start(&c.spec, why, vec![stop], service));
            }
            return Ok(member);
        }
        member.start = Some(self.start(&c.spec, "not running", Vec::new(), service));
        Ok(member)
    }

    /// Why the hash is another one.
    fn change(&self, service: &Service, c: &ObservedContainer) -> &'static str {
        let image = self.desired.images.get(&service.name).map(|i| i.id.as_str());
        if image == Some(c.spec.image.id.as_str()) {
            "its configuration changed"
        } else {
            "its image changed"
        }
    }

    fn start(
        &mut self,
        spec: &ContainerSpec,
        reason: &str,
        mut after: Vec<StepId>,
        service: &Service,
    ) -> StepId {
        after.extend(self.before(service));
        self.b.push(LocalOp::StartContainer { id: spec.id.clone() }, container(spec), reason, after)
    }

    /// Makes a container, in place of `previous` if there is one.
    fn fresh(
        &mut self,
        service: &Service,
        number: u32,
        hash: &str,
        previous: Option<&ObservedContainer>,
        reason: &str,
    ) -> Result<Member, PlanError> {
        let name = match &service.container_name {
            Some(n) => n.clone(),
            None => format!("{}-{}-{number}", self.project, service.name),
        };
        let generation = self.have.generation.to_string();
        let id = ContainerId::derive(&[
            &self.have.host.root_hash,
            self.project.as_str(),
            &name,
            hash,
            &generation,
        ]);
        let who = Identity { id, name: name.clone(), number, oneoff: false, config_hash: hash.to_owned() };
        let names = vec![service.name.to_string()];
        let removed = previous.and_then(|p| self.gone.get(&p.spec.id).copied());
        let member = self.create(service, who, previous.map(|p| &p.spec), names, removed, reason)?;
        Ok(Member { recreated: previous.is_some(), ..member })
    }

    /// Plans the steps that make (and start) a container.
    pub(crate) fn create(
        &mut self,
        service: &Service,
        who: Identity,
        previous: Option<&ContainerSpec>,
        names: Vec<String>,
        removed: Option<StepId>,
        reason: &str,
    ) -> Result<Member, PlanError> {
        let image = &self.desired.images[&service.name];
        let endpoints = self.endpoints(service, &who, previous, names)?;
        let networks: Vec<String> = endpoints.iter().map(|e| e.network.clone()).collect();
        let members = &self.members;
        let observed = &self.have.containers;
        let find = |name: &str, is_service: bool| -> Option<ContainerId> {
            if is_service {
                return members.get(name).and_then(|m| m.first()).map(|m| m.spec.id.clone());
            }
            observed
                .values()
                .find(|c| c.spec.name == name || c.spec.id.as_str().starts_with(name))
                .map(|c| c.spec.id.clone())
        };
        let around = Surroundings {
            project: &self.desired.project,
            root_hash: &self.have.host.root_hash,
            previous,
            net: net_ns(&service.network_mode, &find),
            endpoints,
            pid: ns_mode(service.pid.as_ref(), &find),
            ipc: ns_mode(service.ipc.as_ref(), &find),
            uts: ns_mode(service.uts.as_ref(), &find),
            borrowed: self.borrowed(service)?,
            links: self.links(service),
            renew: self.options.renew_anonymous.then(|| self.have.generation.to_string()),
        };
        let (spec, anonymous) = spec(service, image, who, around)?;
        let mut after: Vec<StepId> =
            networks.iter().filter_map(|n| self.network_steps.get(n).copied()).collect();
        after.extend(removed);
        for v in anonymous {
            if !self.have.volumes.contains_key(&v.name) {
                after.push(self.volumes.step(&mut self.b, v, "an anonymous volume"));
            }
        }
        for m in &spec.mounts {
            if let MountSource::Volume { name, .. } = &m.source {
                after.extend(self.volumes.made(name));
            }
        }
        let op = LocalOp::CreateContainer {
            spec: Box::new(spec.clone()),
            replaces: previous.map(|p| p.id.clone()),
        };
        let created = self.b.push(op, container(&spec), reason, after);
        let start = (!self.no_start).then(|| self.start(&spec, reason, vec![created], service));
        Ok(Member { spec, state: None, start, recreated: false })
    }

    fn endpoints(
        &mut self,
        service: &Service,
        who: &Identity,
        previous: Option<&ContainerSpec>,
        names: Vec<String>,
    ) -> Result<Vec<EndpointSpec>, PlanError> {
        let plain = NetworkAttachment::default();
        let mut list: Vec<(&str, &NetworkAttachment)> = match &service.network_mode {
            NetworkMode::Networks(map) => map.iter().map(|(k, a)| (k.as_str(), a)).collect(),
            NetworkMode::Bridge => vec![("bridge", &plain)],
            _ => Vec::new(),
        };
        list.sort_by_key(|(key, a)| (std::cmp::Reverse(a.priority), (*key).to_owned()));
        let internal = |key: &str| self.networks.get(key).is_some_and(|n| n.internal);
        let route = list
            .iter()
            .filter(|(k, _)| !internal(k))
            .max_by_key(|(k, a)| (a.gw_priority, a.priority, std::cmp::Reverse((*k).to_owned())))
            .map(|(k, _)| (*k).to_owned());
        let mut out = Vec::new();
        for (key, a) in list {
            let Some(network) = self.networks.get(key) else { continue };
            let network = network.name.clone();
            let address = self.address(&network, a, previous).ok_or_else(|| PlanError::Refused {
                message: format!("network {network}: no free address is left for {}", who.name),
                origin: Some(service.origin.clone()),
            })?;
            let mut all = names.clone();
            if matches!(service.network_mode, NetworkMode::Bridge) {
                all.clear();
            }
            all.extend(a.aliases.iter().cloned());
            all.push(who.name.clone());
            all.push(who.id.short().to_owned());
            all.dedup();
            out.push(EndpointSpec {
                network,
                address,
                fixed: a.ipv4_address.is_some(),
                names: all,
                interface: a.interface_name.clone(),
                mac: a.mac_address.clone(),
                default_route: route.as_deref() == Some(key),
            });
        }
        Ok(out)
    }

    /// The file's address, the predecessor's, or the next free one.
    fn address(
        &mut self,
        network: &str,
        a: &NetworkAttachment,
        previous: Option<&ContainerSpec>,
    ) -> Option<Ipv4Addr> {
        if a.ipv4_address.is_some() {
            return a.ipv4_address;
        }
        let pool = self.addresses.get_mut(network)?;
        let before = previous.and_then(|p| p.endpoints.iter().find(|e| e.network == network && !e.fixed));
        if let Some(b) = before.filter(|b| pool.has(b.address)) {
            pool.reserve(b.address);
            return Some(b.address);
        }
        pool.next()
    }

    fn borrowed(&self, service: &Service) -> Result<Vec<MountSpec>, PlanError> {
        let mut out = Vec::new();
        for text in &service.volumes_from {
            let (text, is_container) = match text.strip_prefix("container:") {
                Some(t) => (t, true),
                None => (text.as_str(), false),
            };
            let (name, mode) = text.split_once(':').unwrap_or((text, "rw"));
            let found = if is_container {
                self.have.containers.values().find(|c| c.spec.name == name).map(|c| &c.spec)
            } else {
                self.members.get(name).and_then(|m| m.first()).map(|m| &m.spec)
            };
            let found = found.ok_or_else(|| PlanError::Refused {
                message: format!("service \"{}\": volumes_from: no container of {name}", service.name),
                origin: Some(service.origin.clone()),
            })?;
            for m in &found.mounts {
                let read_only = m.read_only || mode == "ro";
                out.push(MountSpec { read_only, ..m.clone() });
            }
        }
        Ok(out)
    }

    fn links(&self, service: &Service) -> Vec<(String, Ipv4Addr)> {
        let mut out = Vec::new();
        for link in &service.links {
            let Some((name, alias)) = link.split_once(':') else { continue };
            let target =
                self.members.get(name).and_then(|m| m.first()).and_then(|m| m.spec.endpoints.first());
            out.extend(target.map(|e| (alias.to_owned(), e.address)));
        }
        out
    }

    /// Steps after which everything that a service depends on is as it needs it.
    fn before(&mut self, service: &Service) -> Vec<StepId> {
        let mut out = Vec::new();
        for (name, d) in &service.depends_on {
            if let Some(members) = self.members.get(name) {
                out.extend(self.waits.steps(&mut self.b, members, d.condition));
            }
        }
        for name in dependencies(service).filter(|n| !service.depends_on.contains_key(n)) {
            if let Some(members) = self.members.get(&name) {
                let started = DependencyCondition::ServiceStarted;
                out.extend(self.waits.steps(&mut self.b, members, started));
            }
        }
        out
    }

    fn wait_ready(&mut self, name: &ServiceName, timeout: Option<std::time::Duration>) {
        let Some(members) = self.members.get(name) else { return };
        for m in members {
            if m.start.is_none() && m.state.as_ref().is_some_and(|s| satisfied(s, WaitCondition::Ready)) {
                continue;
            }
            let op = LocalOp::WaitFor { id: m.spec.id.clone(), condition: WaitCondition::Ready, timeout };
            self.b.push(op, container(&m.spec), "asked to wait", m.start.into_iter().collect());
        }
    }
}

fn uses(spec: &ContainerSpec, network: &str) -> bool {
    spec.endpoints.iter().any(|e| e.network == network)
}
