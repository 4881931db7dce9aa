use std::collections::BTreeMap;
use std::time::Duration;

use rcompose_model::{
    Logging, NetworkDef, NetworkMode, Origin, Project, ProjectName, Resources, RestartPolicy, Security,
    Service, ServiceName, Signal,
};
use rcompose_plan::{
    ContainerId, ContainerSpec, ContainerState, ContainerStatus, Desired, DnsSettings, HealthState,
    HealthStatus, ImageDefaults, ImageFacts, ImageRef, LocalOp, MountSource, NetNs, NsMode, Observed,
    ObservedContainer, Plan, PlanStep, StepId, WaitCondition,
};

/// A container that asks for nothing special.
///
/// # Panics
/// If `service` is no service's name.
pub fn container_spec(service: &str) -> ContainerSpec {
    let Ok(name) = ServiceName::new(service) else { panic!("{service:?} is no service's name") };
    ContainerSpec {
        id: ContainerId::derive(&["test", service]),
        name: format!("test-{service}-1"),
        service: name,
        number: 1,
        oneoff: false,
        auto_remove: false,
        config_hash: String::new(),
        image: ImageRef { reference: "test".into(), id: "sha256:0".into(), layers: Vec::new() },
        argv: vec!["true".into()],
        env: Vec::new(),
        user: String::new(),
        groups: Vec::new(),
        cwd: String::new(),
        hostname: String::new(),
        domainname: String::new(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        mounts: Vec::new(),
        files: Vec::new(),
        net: NetNs::Own,
        endpoints: Vec::new(),
        ports: Vec::new(),
        exposed: Vec::new(),
        extra_hosts: Vec::new(),
        dns: DnsSettings::default(),
        health: None,
        restart: RestartPolicy::No,
        stop_signal: Signal::TERM,
        stop_grace: Duration::from_secs(10),
        resources: Resources::default(),
        ulimits: Vec::new(),
        read_only: false,
        cap_add: Vec::new(),
        cap_drop: Vec::new(),
        privileged: false,
        security: Security::default(),
        shm_size: 64 << 20,
        sysctls: BTreeMap::new(),
        devices: Vec::new(),
        logging: Logging::default(),
        device_rules: Vec::new(),
        tty: false,
        stdin_open: false,
        init: false,
        pid: NsMode::Own,
        ipc: NsMode::Own,
        cgroup: None,
        uts: NsMode::Own,
        cgroup_parent: None,
        post_start: Vec::new(),
        pre_stop: Vec::new(),
        origin: Origin::default(),
        attribute_origins: Default::default(),
    }
}

/// A plan of steps with what each comes after.
pub fn plan_of(generation: u64, steps: Vec<(LocalOp, Vec<StepId>)>) -> Plan {
    let steps = steps
        .into_iter()
        .map(|(op, after)| PlanStep {
            op,
            after,
            after_any: Vec::new(),
            subject: String::new(),
            reason: String::new(),
        })
        .collect();
    Plan { generation, steps, warnings: Vec::new() }
}

/// A service that asks for nothing special, in the default network.
///
/// # Panics
/// If `name` is no service's name.
pub fn service(name: &str) -> Service {
    let Ok(name) = ServiceName::new(name) else { panic!("{name:?} is no service's name") };
    let networks = BTreeMap::from([("default".to_owned(), Default::default())]);
    Service {
        name,
        origin: Origin::default(),
        attribute_origins: Default::default(),
        image: "test".parse().ok(),
        build: None,
        pull_policy: None,
        platform: None,
        command: None,
        entrypoint: None,
        environment: BTreeMap::new(),
        depends_on: BTreeMap::new(),
        ports: Vec::new(),
        expose: Vec::new(),
        mounts: Vec::new(),
        volumes_from: Vec::new(),
        network_mode: NetworkMode::Networks(networks),
        links: Vec::new(),
        healthcheck: None,
        restart: RestartPolicy::No,
        user: None,
        group_add: Vec::new(),
        working_dir: None,
        hostname: None,
        domainname: None,
        container_name: None,
        init: false,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        profiles: Vec::new(),
        stop_signal: None,
        stop_grace_period: None,
        resources: Resources::default(),
        ulimits: Vec::new(),
        read_only: false,
        cap_add: Vec::new(),
        cap_drop: Vec::new(),
        privileged: false,
        security: Security::default(),
        extra_hosts: Vec::new(),
        dns: Vec::new(),
        dns_search: Vec::new(),
        dns_opt: Vec::new(),
        replicas: 1,
        shm_size: None,
        sysctls: BTreeMap::new(),
        devices: Vec::new(),
        device_rules: Vec::new(),
        tty: false,
        stdin_open: false,
        secrets: Vec::new(),
        configs: Vec::new(),
        pid: None,
        cgroup: None,
        ipc: None,
        uts: None,
        attach: true,
        logging: Logging::default(),
        cgroup_parent: None,
        pre_start: Vec::new(),
        post_start: Vec::new(),
        pre_stop: Vec::new(),
    }
}

/// A project of these services, with its default network and one image for all.
///
/// # Panics
/// If `name` is no project's name.
pub fn desired(name: &str, services: Vec<Service>) -> Desired {
    let Ok(project) = ProjectName::new(name) else { panic!("{name:?} is no project's name") };
    let default = NetworkDef { name: format!("{name}_default"), ..NetworkDef::default() };
    let image = ImageFacts {
        reference: "test".into(),
        id: "sha256:0".into(),
        layers: vec!["/layers/0".into()],
        defaults: ImageDefaults { cmd: vec!["serve".into()], ..ImageDefaults::default() },
    };
    Desired {
        further: BTreeMap::new(),
        images: services.iter().map(|s| (s.name.clone(), image.clone())).collect(),
        project: Project {
            name: project,
            working_dir: "/project".into(),
            files: vec!["/project/compose.yaml".into()],
            env_files: Vec::new(),
            services: services.into_iter().map(|s| (s.name.clone(), s)).collect(),
            disabled_services: BTreeMap::new(),
            networks: BTreeMap::from([("default".to_owned(), default)]),
            volumes: BTreeMap::new(),
            secrets: BTreeMap::new(),
            configs: BTreeMap::new(),
            profiles: Vec::new(),
            separator: rcompose_model::Separator::default(),
        },
    }
}

/// What would be observed after a plan was carried out without a fault: what is started runs, is healthy, or (for
/// those that are waited for to complete) has ended well.
pub fn simulate(have: &Observed, plan: &Plan) -> Observed {
    let mut now = have.clone();
    now.generation += 2;
    for step in &plan.steps {
        match &step.op {
            LocalOp::CreateNetwork { spec } => drop(now.networks.insert(spec.name.clone(), spec.clone())),
            LocalOp::RemoveNetwork { name } => drop(now.networks.remove(name)),
            LocalOp::CreateVolume { spec } => drop(now.volumes.insert(spec.name.clone(), spec.clone())),
            LocalOp::RemoveVolume { name } => drop(now.volumes.remove(name)),
            LocalOp::CreateContainer { spec, .. } => {
                let c = ObservedContainer { spec: (**spec).clone(), state: ContainerState::default() };
                now.containers.insert(spec.id.clone(), c);
            }
            LocalOp::RemoveContainer { id, volumes } => {
                if let Some(c) = now.containers.remove(id)
                    && *volumes
                {
                    for m in &c.spec.mounts {
                        if let MountSource::Volume { name, .. } = &m.source
                            && now.volumes.get(name).is_some_and(|v| v.anonymous)
                        {
                            now.volumes.remove(name);
                        }
                    }
                }
            }
            LocalOp::RenameContainer { id, name } => {
                if let Some(c) = now.containers.get_mut(id) {
                    c.spec.name.clone_from(name);
                }
            }
            op => change_state(&mut now, op),
        }
    }
    now
}

fn change_state(now: &mut Observed, op: &LocalOp) {
    let (id, status) = match op {
        LocalOp::StartContainer { id } | LocalOp::UnpauseContainer { id } => (id, ContainerStatus::Running),
        LocalOp::StopContainer { id, .. } | LocalOp::KillContainer { id, .. } => {
            (id, ContainerStatus::Exited)
        }
        LocalOp::PauseContainer { id } => (id, ContainerStatus::Paused),
        LocalOp::WaitFor { id, condition: WaitCondition::CompletedSuccessfully, .. } => {
            (id, ContainerStatus::Exited)
        }
        _ => return,
    };
    let Some(c) = now.containers.get_mut(id) else { return };
    c.state.status = status;
    let ended = status == ContainerStatus::Exited;
    c.state.exit_code = ended.then_some(0);
    if c.spec.health.is_some() {
        c.state.health = Some(HealthState { status: HealthStatus::Healthy, ..HealthState::default() });
    }
}
