//! What `up`, `create` and `scale` do, service by service.

mod before;
mod create;
mod resources;

pub(super) use before::before_start;

use std::collections::{BTreeMap, BTreeSet};

use rcompose_model::{DependencyCondition, ProjectName, Service, ServiceName};

use super::address::Addresses;
use super::builder::{Builder, Member, Members, Volumes, Waits, container, is_up, satisfied};
use super::container::Identity;
use super::hash::config_hash;
use super::order::{dependencies, needed_services};
use crate::{
    ContainerId, ContainerSpec, CreateOptions, Desired, LocalOp, NetworkSpec, Observed, ObservedContainer,
    Plan, PlanError, RecreatePolicy, StepId, UpOptions, WaitCondition,
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
    /// What `pre_start` is about in the service that is looked at.
    pre_start: before::PreStartOf,
    /// Networks are used as they are, however the file has them now.
    as_is: bool,
}

impl<'a> Up<'a> {
    pub(crate) fn new(
        project: &'a ProjectName,
        desired: &'a Desired,
        have: &'a Observed,
        options: &'a CreateOptions,
        order: &[ServiceName],
    ) -> Result<Self, PlanError> {
        let mut up = Self::empty(project, desired, have, options);
        let services: Vec<&Service> = order.iter().filter_map(|n| desired.project.services.get(n)).collect();
        up.make_networks(&services)?;
        up.make_volumes(&services)?;
        Ok(up)
    }

    fn empty(
        project: &'a ProjectName,
        desired: &'a Desired,
        have: &'a Observed,
        options: &'a CreateOptions,
    ) -> Self {
        Self {
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
            pre_start: before::PreStartOf::Nothing,
            as_is: false,
        }
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
        let kept = existing.iter().take(replicas as usize);
        let mut kept = kept.filter(|c| is_up(&c.state) && self.why_anew(service, c, &hash, policy).is_none());
        if !service.pre_start.is_empty() && !self.no_start && kept.next().is_none() {
            self.pre_start = before::PreStartOf::Due;
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
        self.pre_start = before::PreStartOf::Nothing;
        if members.iter().any(|m| m.recreated) {
            self.recreated.insert(service.name.clone());
        }
        self.members.insert(service.name.clone(), members);
        Ok(())
    }

    /// Why one that is there can't stay, if it can't.
    fn why_anew(
        &self,
        service: &Service,
        c: &ObservedContainer,
        hash: &str,
        policy: RecreatePolicy,
    ) -> Option<&'static str> {
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
        match policy {
            _ if self.gone.contains_key(&c.spec.id) => Some("its network is made anew"),
            RecreatePolicy::Force => Some("asked for"),
            RecreatePolicy::Never => None,
            RecreatePolicy::Diverged if c.spec.config_hash != hash => Some(self.change(service, c)),
            RecreatePolicy::Diverged if lost => Some("its networks changed"),
            RecreatePolicy::Diverged if joined => Some("the container that it joins is another one"),
            RecreatePolicy::Diverged => None,
        }
    }

    /// One that is there: kept, started, or made anew.
    fn existing(
        &mut self,
        service: &Service,
        c: &ObservedContainer,
        hash: &str,
        policy: RecreatePolicy,
    ) -> Result<Member, PlanError> {
        if let Some(reason) = self.why_anew(service, c, hash, policy) {
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
                member.start = Some(self.start(&c.spec, why, vec![stop], service)?);
            }
            return Ok(member);
        }
        member.start = Some(self.start(&c.spec, "not running", Vec::new(), service)?);
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
    ) -> Result<StepId, PlanError> {
        after.extend(self.before(service));
        after.extend(self.pre_start(service, spec, &after)?);
        Ok(self.b.push(LocalOp::StartContainer { id: spec.id.clone() }, container(spec), reason, after))
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
            None => self.desired.project.name_of(&[service.name.as_str(), &number.to_string()]),
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
