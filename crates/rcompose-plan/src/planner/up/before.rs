//! `pre_start`: what runs before the first container of a service.

use std::collections::BTreeMap;

use rcompose_model::{
    Healthcheck, Logging, NetworkMode, PreStart, Resources, RestartPolicy, Security, Service,
};

use super::Up;
use crate::planner::builder::{Builder, Members, container};
use crate::planner::container::{Identity, spec};
use crate::{
    ContainerId, ContainerSpec, CreateOptions, Desired, LocalOp, Observed, PlanError, StepId, WaitCondition,
};

/// Label of the containers that do it, as docker compose has it.
const HOOK: &str = "com.docker.compose.hook";

/// How far it is with one service.
pub(crate) enum PreStartOf {
    /// There is nothing to run.
    Nothing,
    /// It runs before the next start.
    Due,
    /// It is over with this step.
    Planned(StepId),
}

/// For `start`: the step after which the containers of a service may start, of which none is up. `first` is the one with
/// the lowest number, `members` are those of the services that come before, and what it depends on is there `after`
/// these steps.
pub(crate) fn before_start(
    b: &mut Builder,
    desired: &Desired,
    have: &Observed,
    service: &Service,
    first: &ContainerSpec,
    members: &Members,
    after: &[StepId],
) -> Result<Option<StepId>, PlanError> {
    let options = CreateOptions::default();
    let mut up = Up::empty(&desired.project.name, desired, have, &options);
    up.as_is = true;
    up.make_networks(&[service])?;
    up.members = members.clone();
    up.pre_start = PreStartOf::Due;
    std::mem::swap(b, &mut up.b);
    let step = up.pre_start(service, first, after);
    std::mem::swap(b, &mut up.b);
    step
}

impl Up<'_> {
    /// The step after which a container may start. The first one of the service has all of it run before: `first`,
    /// whose volumes the commands see, is made and what it depends on is there `after` these steps.
    pub(super) fn pre_start(
        &mut self,
        service: &Service,
        first: &ContainerSpec,
        after: &[StepId],
    ) -> Result<Option<StepId>, PlanError> {
        match self.pre_start {
            PreStartOf::Nothing => return Ok(None),
            PreStartOf::Planned(step) => return Ok(Some(step)),
            PreStartOf::Due => {}
        }
        let mut after = after.to_vec();
        after.extend(self.remove_failed(service));
        let mut last = None;
        for (i, step) in service.pre_start.iter().enumerate() {
            let ended = self.run_before(service, i, step, first, after)?;
            after = vec![ended];
            last = Some(ended);
        }
        if let Some(last) = last {
            self.pre_start = PreStartOf::Planned(last);
        }
        Ok(last)
    }

    /// Containers of commands that failed the last time are kept until now, for whoever wants to see why.
    fn remove_failed(&mut self, service: &Service) -> Vec<StepId> {
        let have = self.have;
        let failed = have
            .containers
            .values()
            .filter(|c| c.spec.service == service.name && c.spec.labels.contains_key(HOOK));
        let reason = "it failed the last time";
        failed
            .map(|c| {
                self.b.stop_and_remove(&c.spec, &c.state, self.options.timeout, reason, Vec::new(), false)
            })
            .collect()
    }

    fn run_before(
        &mut self,
        service: &Service,
        index: usize,
        step: &PreStart,
        first: &ContainerSpec,
        after: Vec<StepId>,
    ) -> Result<StepId, PlanError> {
        let place = service.attribute_origins.get(&format!("pre_start.{index}")).unwrap_or(&service.origin);
        let image = match &step.image {
            Some(image) if service.image.as_ref() != Some(image) => self.desired.further.get(image.as_str()),
            _ => self.desired.images.get(&service.name),
        };
        let image = image.ok_or_else(|| PlanError::Refused {
            message: format!("service \"{}\": the image of pre_start[{index}] is not here", service.name),
            origin: Some(place.clone()),
        })?;
        let service = of_step(service, step);
        let name = self.desired.project.name_of(&[service.name.as_str(), "pre_start", &index.to_string()]);
        let generation = self.have.generation.to_string();
        let id = ContainerId::derive(&[&self.have.host.root_hash, self.project.as_str(), &name, &generation]);
        let who = Identity { id: id.clone(), name, number: 1, oneoff: true, config_hash: String::new() };
        let endpoints = self.endpoints(&service, &who, None, vec![service.name.to_string()])?;
        let mut around = self.around(&service, None, endpoints)?;
        around.borrowed = first.mounts.clone();
        // It has no volumes of its own: nothing is left of it, and what it borrows isn't removed with it.
        let mut image = image.clone();
        image.defaults.volumes.clear();
        let (mut spec, _) = spec(&service, &image, who, around)?;
        spec.labels.insert(HOOK.to_owned(), "pre_start".to_owned());
        spec.origin = place.clone();
        let mut after = after;
        after.extend(first.endpoints.iter().filter_map(|e| self.network_steps.get(&e.network).copied()));
        let subject = container(&spec);
        let reason = "before the first start";
        let op = LocalOp::CreateContainer { spec: Box::new(spec), replaces: None };
        let created = self.b.push(op, subject.clone(), reason, after);
        let mut push = |op, after| self.b.push(op, subject.clone(), reason, vec![after]);
        let started = push(LocalOp::StartContainer { id: id.clone() }, created);
        let condition = WaitCondition::CompletedSuccessfully;
        let ended = push(LocalOp::WaitFor { id: id.clone(), condition, timeout: None }, started);
        Ok(push(LocalOp::RemoveContainer { id, volumes: false }, ended))
    }
}

/// A service whose container does one step: in the networks and with the environment of the real one, and else as
/// plain as docker compose makes it.
fn of_step(service: &Service, step: &PreStart) -> Service {
    let mut environment = service.environment.clone();
    environment.extend(step.environment.clone());
    let mut network_mode = service.network_mode.clone();
    // A fixed address belongs to the service's own container.
    if let NetworkMode::Networks(map) = &mut network_mode {
        map.values_mut().for_each(|a| a.ipv4_address = None);
    }
    Service {
        command: (!step.command.is_empty()).then(|| step.command.clone()),
        entrypoint: None,
        environment,
        user: step.user.clone(),
        working_dir: step.working_dir.clone(),
        privileged: step.privileged,
        network_mode,
        healthcheck: Some(Healthcheck { disable: true, ..Healthcheck::default() }),
        restart: RestartPolicy::No,
        resources: Resources::default(),
        security: Security::default(),
        logging: Logging::Whole,
        container_name: None,
        hostname: None,
        domainname: None,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        sysctls: BTreeMap::new(),
        ports: Vec::new(),
        expose: Vec::new(),
        mounts: Vec::new(),
        volumes_from: Vec::new(),
        group_add: Vec::new(),
        ulimits: Vec::new(),
        cap_add: Vec::new(),
        cap_drop: Vec::new(),
        extra_hosts: Vec::new(),
        dns: Vec::new(),
        dns_search: Vec::new(),
        dns_opt: Vec::new(),
        devices: Vec::new(),
        device_rules: Vec::new(),
        secrets: Vec::new(),
        configs: Vec::new(),
        pre_start: Vec::new(),
        post_start: Vec::new(),
        pre_stop: Vec::new(),
        init: false,
        read_only: false,
        tty: false,
        stdin_open: false,
        shm_size: None,
        stop_signal: None,
        stop_grace_period: None,
        pid: None,
        ipc: None,
        uts: None,
        cgroup: None,
        cgroup_parent: None,
        links: Vec::new(),
        ..service.clone()
    }
}
