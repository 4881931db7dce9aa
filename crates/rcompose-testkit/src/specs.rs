use std::collections::BTreeMap;
use std::time::Duration;

use rcompose_model::{Origin, Resources, RestartPolicy, ServiceName, Signal};
use rcompose_plan::{
    ContainerId, ContainerSpec, DnsSettings, ImageRef, LocalOp, NetNs, NsMode, Plan, PlanStep, StepId,
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
        security_opt: Vec::new(),
        shm_size: 64 << 20,
        sysctls: BTreeMap::new(),
        devices: Vec::new(),
        tty: false,
        stdin_open: false,
        init: false,
        pid: NsMode::Own,
        ipc: NsMode::Own,
        uts: NsMode::Own,
        cgroup_parent: None,
        origin: Origin::default(),
        attribute_origins: BTreeMap::new(),
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
