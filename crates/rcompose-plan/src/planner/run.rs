use rcompose_model::{NetworkMode, ProjectName, RestartPolicy};

use super::container::Identity;
use super::hash::config_hash;
use super::order::needed_services;
use super::up::Up;
use crate::{ContainerId, Desired, LocalOp, Observed, Plan, PlanError, RunOptions};

/// Plans `run`: the dependencies as `up` would, then one container more.
pub(crate) fn plan(
    project: &ProjectName,
    desired: &Desired,
    have: &Observed,
    options: &RunOptions,
) -> Result<Plan, PlanError> {
    let name = &options.service;
    let order = needed_services(&desired.project, std::slice::from_ref(name), options.create.no_deps)?;
    let mut up = Up::new(project, desired, have, &options.create, &order)?;
    up.orphans();
    for d in order.iter().filter(|d| *d != name) {
        if let Some(service) = desired.project.services.get(d) {
            up.service(service, service.replicas, options.create.recreate_deps)?;
        }
    }
    let mut service = desired.project.services[name].clone();
    if let Some(entrypoint) = &options.entrypoint {
        service.entrypoint = Some(entrypoint.clone());
        service.command = Some(Vec::new());
    }
    if !options.command.is_empty() {
        service.command = Some(options.command.clone());
    }
    for (k, v) in &options.env {
        service.environment.insert(k.clone(), v.clone());
    }
    service.labels.extend(options.labels.clone());
    service.user = options.user.clone().or(service.user);
    service.working_dir = options.workdir.clone().or(service.working_dir);
    if !options.service_ports {
        service.ports.clear();
    }
    service.ports.extend(options.publish.iter().cloned());
    for m in &options.volumes {
        service.mounts.retain(|s| s.target != m.target);
        service.mounts.push(m.clone());
    }
    service.cap_add.extend(options.cap_add.iter().cloned());
    service.cap_drop.extend(options.cap_drop.iter().cloned());
    service.tty = options.tty;
    service.stdin_open = options.interactive;
    service.restart = RestartPolicy::No;
    service.container_name = None;
    // A fixed address belongs to the service's own container.
    if let NetworkMode::Networks(map) = &mut service.network_mode {
        for a in map.values_mut() {
            a.ipv4_address = None;
            if !options.use_aliases {
                a.aliases.clear();
            }
        }
    }
    let container_name = match &options.name {
        Some(n) => n.clone(),
        None => desired.project.name_of(&[name.as_str(), "run", &options.slug]),
    };
    let image_id = desired.images.get(name).map(|i| i.id.as_str()).unwrap_or_default();
    let hash = config_hash(&service, image_id);
    let generation = have.generation.to_string();
    let id = ContainerId::derive(&[
        &have.host.root_hash,
        project.as_str(),
        &container_name,
        &options.slug,
        &generation,
    ]);
    let who = Identity { id: id.clone(), name: container_name, number: 1, oneoff: true, config_hash: hash };
    let names = if options.use_aliases { vec![name.to_string()] } else { Vec::new() };
    if !desired.images.contains_key(name) {
        return Err(PlanError::Refused {
            message: format!("service \"{name}\" has neither an image nor a build context specified"),
            origin: Some(service.origin.clone()),
        });
    }
    up.create(&service, who, None, names, None, "asked for")?;
    let mut plan = up.b.plan;
    for step in &mut plan.steps {
        if let LocalOp::CreateContainer { spec, .. } = &mut step.op
            && spec.id == id
        {
            spec.auto_remove = options.auto_remove;
            spec.labels.insert("com.docker.compose.slug".into(), options.slug.clone());
        }
    }
    Ok(plan)
}
