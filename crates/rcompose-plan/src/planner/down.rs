use std::collections::{BTreeMap, BTreeSet};

use super::builder::Builder;
use super::order::recorded_dependencies;
use crate::{
    ContainerId, Desired, DownOptions, LocalOp, MountSource, Observed, ObservedContainer, Plan, PlanError,
    StepId,
};

/// Plans `down`: dependants first, everything independent at once, and on after every failure.
pub(crate) fn plan(
    desired: Option<&Desired>,
    have: &Observed,
    options: &DownOptions,
) -> Result<Plan, PlanError> {
    if let Some(d) = desired {
        for s in &options.services {
            let known = d.project.services.contains_key(s) || d.project.disabled_services.contains_key(s);
            if !known {
                return Err(PlanError::no_such_service(s, Some(&d.project)));
            }
        }
    }
    let mut b = Builder::new(have.generation);
    let in_file = |c: &ObservedContainer| {
        desired.is_none_or(|d| {
            let s = c.spec.service.as_str();
            d.project.services.contains_key(s) || d.project.disabled_services.contains_key(s)
        })
    };
    let chosen: Vec<&ObservedContainer> = have
        .containers
        .values()
        .filter(|c| {
            if options.services.is_empty() {
                in_file(c) || c.spec.oneoff || options.remove_orphans
            } else {
                options.services.contains(&c.spec.service)
            }
        })
        .collect();
    let gone = remove_all(&mut b, &chosen, options);
    if !options.services.is_empty() {
        return Ok(b.plan);
    }
    let left: Vec<&ObservedContainer> =
        have.containers.values().filter(|c| !gone.contains_key(&c.spec.id)).collect();
    for (name, network) in &have.networks {
        let external =
            desired.is_some_and(|d| d.project.networks.get(&network.key).is_some_and(|n| n.external));
        if external {
            continue;
        }
        if let Some(user) = left.iter().find(|c| c.spec.endpoints.iter().any(|e| e.network == *name)) {
            b.plan.warnings.push(format!(
                "network {name} stays: container {} uses it (--remove-orphans removes both)",
                user.spec.name
            ));
            continue;
        }
        let op = LocalOp::RemoveNetwork { name: name.clone() };
        let after = gone.values().copied().collect();
        b.push_any(op, format!("Network {name}"), "down", Vec::new(), after);
    }
    if options.volumes {
        remove_volumes(&mut b, desired, have, &left, gone.values().copied().collect());
    }
    Ok(b.plan)
}

fn remove_all(
    b: &mut Builder,
    chosen: &[&ObservedContainer],
    options: &DownOptions,
) -> BTreeMap<ContainerId, StepId> {
    // Services whose containers must be gone before a service's own: those that depend on it.
    let mut dependants: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for c in chosen {
        for d in recorded_dependencies(&c.spec) {
            dependants.entry(d).or_default().insert(c.spec.service.as_str());
        }
    }
    let mut gone: BTreeMap<ContainerId, StepId> = BTreeMap::new();
    let mut done: BTreeMap<&str, Vec<StepId>> = BTreeMap::new();
    let mut open: BTreeSet<&str> = chosen.iter().map(|c| c.spec.service.as_str()).collect();
    while !open.is_empty() {
        let ready: Vec<&str> = open
            .iter()
            .copied()
            .filter(|s| dependants.get(s).is_none_or(|d| d.iter().all(|x| x == s || !open.contains(x))))
            .collect();
        // A cycle in old records: take them all, in any order.
        let ready = if ready.is_empty() { open.iter().copied().collect() } else { ready };
        for service in ready {
            let waits: Vec<StepId> = dependants
                .get(service)
                .into_iter()
                .flatten()
                .filter_map(|d| done.get(d))
                .flatten()
                .copied()
                .collect();
            let mut steps = Vec::new();
            for c in chosen.iter().filter(|c| c.spec.service.as_str() == service) {
                let volumes = options.volumes || c.spec.oneoff;
                let step =
                    b.stop_and_remove(&c.spec, &c.state, options.timeout, "down", waits.clone(), volumes);
                gone.insert(c.spec.id.clone(), step);
                steps.push(step);
            }
            done.insert(service, steps);
            open.remove(service);
        }
    }
    gone
}

fn remove_volumes(
    b: &mut Builder,
    desired: Option<&Desired>,
    have: &Observed,
    left: &[&ObservedContainer],
    after: Vec<StepId>,
) {
    let project_label = "com.docker.compose.project";
    let ours = have
        .networks
        .values()
        .map(|n| &n.labels)
        .chain(have.containers.values().map(|c| &c.spec.labels))
        .find_map(|l| l.get(project_label))
        .cloned()
        .or_else(|| desired.map(|d| d.project.name.to_string()));
    let mounts = |c: &ObservedContainer, volume: &str| {
        let is = |m: &MountSource| matches!(m, MountSource::Volume { name, .. } if name == volume);
        c.spec.mounts.iter().any(|m| is(&m.source))
    };
    for v in have.volumes.values() {
        let labelled = ours.is_some() && v.labels.get(project_label) == ours.as_ref();
        let wanted = match desired {
            // It goes with its container; one that has none any more is what a crash left.
            _ if v.anonymous => labelled && !have.containers.values().any(|c| mounts(c, &v.name)),
            Some(d) => d.project.volumes.values().any(|def| def.name == v.name && !def.external),
            None => !v.key.is_empty() && labelled,
        };
        let used = left.iter().any(|c| mounts(c, &v.name));
        if wanted && !used {
            let op = LocalOp::RemoveVolume { name: v.name.clone() };
            b.push_any(op, format!("Volume {}", v.name), "down -v", Vec::new(), after.clone());
        }
    }
}
