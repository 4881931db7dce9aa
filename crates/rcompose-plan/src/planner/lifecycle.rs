use std::collections::{BTreeMap, BTreeSet};

use rcompose_model::{DependencyCondition, ServiceName};

use super::builder::{Builder, Member, Members, Waits, container, is_up, satisfied};
use super::order::{needed_services, recorded_dependencies};
use super::up::before_start;
use crate::{
    ContainerSpec, ContainerStatus, Desired, Intent, LocalOp, Observed, ObservedContainer, Plan, PlanError,
    ScopeOptions, StepId, WaitCondition,
};

/// Plans `start`, `stop`, `restart`, `kill`, `pause`, `unpause`, `rm`.
pub(crate) fn plan(desired: Option<&Desired>, have: &Observed, intent: &Intent) -> Result<Plan, PlanError> {
    let mut b = Builder::new(have.generation);
    match intent {
        Intent::Start(scope) => start(&mut b, desired, have, scope)?,
        Intent::Stop(scope) => {
            let chosen = chosen(desired, have, scope)?;
            stop(&mut b, &chosen, scope, "stop");
        }
        Intent::Restart(scope) => restart(&mut b, desired, have, scope)?,
        Intent::Kill(scope, signal) => {
            for c in chosen(desired, have, scope)?.iter().filter(|c| is_up(&c.state)) {
                let op = LocalOp::KillContainer { id: c.spec.id.clone(), signal: *signal };
                b.push(op, container(&c.spec), "kill", Vec::new());
            }
        }
        Intent::Pause(scope) => {
            for c in
                chosen(desired, have, scope)?.iter().filter(|c| c.state.status == ContainerStatus::Running)
            {
                let op = LocalOp::PauseContainer { id: c.spec.id.clone() };
                b.push(op, container(&c.spec), "pause", Vec::new());
            }
        }
        Intent::Unpause(scope) => {
            for c in
                chosen(desired, have, scope)?.iter().filter(|c| c.state.status == ContainerStatus::Paused)
            {
                let op = LocalOp::UnpauseContainer { id: c.spec.id.clone() };
                b.push(op, container(&c.spec), "unpause", Vec::new());
            }
        }
        Intent::Remove { scope, stop, volumes } => {
            for c in chosen(desired, have, scope)? {
                if is_up(&c.state) && !stop {
                    continue;
                }
                b.stop_and_remove(&c.spec, &c.state, scope.timeout, "rm", Vec::new(), *volumes);
            }
        }
        Intent::Up(_) | Intent::Run(_) | Intent::Down(_) => {}
    }
    Ok(b.plan)
}

fn chosen<'a>(
    desired: Option<&Desired>,
    have: &'a Observed,
    scope: &ScopeOptions,
) -> Result<Vec<&'a ObservedContainer>, PlanError> {
    for s in &scope.services {
        let in_file = desired.is_some_and(|d| {
            d.project.services.contains_key(s) || d.project.disabled_services.contains_key(s)
        });
        if !in_file && !have.containers.values().any(|c| c.spec.service == *s) {
            return Err(PlanError::no_such_service(s, desired.map(|d| &d.project)));
        }
    }
    Ok(have
        .containers
        .values()
        .filter(|c| {
            if scope.containers.contains(&c.spec.id) {
                return true;
            }
            let by_service = !c.spec.oneoff && scope.containers.is_empty();
            by_service && (scope.services.is_empty() || scope.services.contains(&c.spec.service))
        })
        .collect())
}

/// Dependants before what they depend on.
fn stop(
    b: &mut Builder,
    chosen: &[&ObservedContainer],
    scope: &ScopeOptions,
    reason: &str,
) -> BTreeMap<String, Vec<StepId>> {
    let mut done: BTreeMap<String, Vec<StepId>> = BTreeMap::new();
    let mut open: BTreeSet<&str> = chosen.iter().map(|c| c.spec.service.as_str()).collect();
    while !open.is_empty() {
        let waits_for = |s: &str| -> Vec<&str> {
            chosen
                .iter()
                .filter(|c| recorded_dependencies(&c.spec).any(|d| d == s))
                .map(|c| c.spec.service.as_str())
                .collect()
        };
        let ready: Vec<&str> = open
            .iter()
            .copied()
            .filter(|s| waits_for(s).iter().all(|d| d == s || !open.contains(d)))
            .collect();
        let ready = if ready.is_empty() { open.iter().copied().collect() } else { ready };
        for service in ready {
            let before: Vec<StepId> =
                waits_for(service).iter().filter_map(|d| done.get(*d)).flatten().copied().collect();
            let mut steps = Vec::new();
            for c in chosen.iter().filter(|c| c.spec.service.as_str() == service && is_up(&c.state)) {
                let op = LocalOp::StopContainer { id: c.spec.id.clone(), grace: scope.timeout };
                steps.push(b.push_any(op, container(&c.spec), reason, Vec::new(), before.clone()));
            }
            done.insert(service.to_owned(), steps);
            open.remove(service);
        }
    }
    done
}

/// Conditions of dependencies as the records say: `db:service_healthy:false`.
fn recorded_conditions(c: &ObservedContainer) -> Vec<(ServiceName, DependencyCondition)> {
    let text = c.spec.labels.get(super::order::DEPENDS_ON).map(String::as_str).unwrap_or_default();
    text.split(',')
        .filter_map(|d| {
            let mut parts = d.split(':');
            let name = ServiceName::new(parts.next()?).ok()?;
            let condition = match parts.next()? {
                "service_healthy" => DependencyCondition::ServiceHealthy,
                "service_completed_successfully" => DependencyCondition::ServiceCompletedSuccessfully,
                _ => DependencyCondition::ServiceStarted,
            };
            Some((name, condition))
        })
        .collect()
}

fn start(
    b: &mut Builder,
    desired: Option<&Desired>,
    have: &Observed,
    scope: &ScopeOptions,
) -> Result<(), PlanError> {
    let mut scope = scope.clone();
    if let Some(d) = desired
        && !scope.services.is_empty()
        && !scope.no_deps
    {
        let in_file: Vec<ServiceName> =
            scope.services.iter().filter(|s| d.project.services.contains_key(*s)).cloned().collect();
        if !in_file.is_empty() {
            scope.services.extend(needed_services(&d.project, &in_file, false)?);
        }
    }
    let all = chosen(desired, have, &scope)?;
    for s in &scope.services {
        if !all.iter().any(|c| c.spec.service == *s) {
            return Err(PlanError::Refused {
                message: format!("service \"{s}\" has no container to start"),
                origin: None,
            });
        }
    }
    let before = |b: &mut Builder, members: &Members, first: &ContainerSpec, after: &[StepId]| {
        let known = desired.and_then(|d| Some((d, d.project.services.get(&first.service)?)));
        match known.filter(|(_, s)| !s.pre_start.is_empty()) {
            Some((d, service)) => before_start(b, d, have, service, first, members, after),
            None => Ok(None),
        }
    };
    let members = start_all(b, &all, |_| Vec::new(), before)?;
    if scope.wait {
        for m in members.values().flatten() {
            let ready = m.state.as_ref().is_some_and(|s| satisfied(s, WaitCondition::Ready));
            if m.start.is_some() || !ready {
                let id = m.spec.id.clone();
                let op =
                    LocalOp::WaitFor { id, condition: WaitCondition::Ready, timeout: scope.wait_timeout };
                b.push(op, container(&m.spec), "asked to wait", m.start.into_iter().collect());
            }
        }
    }
    Ok(())
}

/// Starts what doesn't run, dependencies first, with their conditions. What has to be done `before` the first container
/// of a service, of which none is up, is asked with that container, those of the services before, and the steps after
/// which it may be done.
fn start_all(
    b: &mut Builder,
    all: &[&ObservedContainer],
    stopped: impl Fn(&ObservedContainer) -> Vec<StepId>,
    before: impl Fn(&mut Builder, &Members, &ContainerSpec, &[StepId]) -> Result<Option<StepId>, PlanError>,
) -> Result<Members, PlanError> {
    let mut members = Members::new();
    let mut waits = Waits::default();
    let mut open: BTreeSet<&ServiceName> = all.iter().map(|c| &c.spec.service).collect();
    while !open.is_empty() {
        let ready: Vec<&ServiceName> = open
            .iter()
            .copied()
            .filter(|s| {
                all.iter().filter(|c| c.spec.service == **s).all(|c| {
                    recorded_dependencies(&c.spec)
                        .all(|d| d == s.as_str() || !open.iter().any(|o| o.as_str() == d))
                })
            })
            .collect();
        let ready = if ready.is_empty() { open.iter().copied().collect() } else { ready };
        for service in ready {
            let mut list = Vec::new();
            let mut own: Vec<_> = all.iter().filter(|c| c.spec.service == *service).collect();
            own.sort_by_key(|c| (c.spec.oneoff, c.spec.number));
            let none_up = own.iter().all(|c| !c.spec.oneoff && !is_up(&c.state));
            let mut prepared = None;
            for (i, c) in own.into_iter().enumerate() {
                let stop_steps = stopped(c);
                let mut start = None;
                if !is_up(&c.state) || !stop_steps.is_empty() {
                    let mut after = stop_steps;
                    for (dep, condition) in recorded_conditions(c) {
                        if let Some(m) = members.get(&dep) {
                            after.extend(waits.steps(b, m, condition));
                        }
                    }
                    if i == 0 && none_up {
                        prepared = before(b, &members, &c.spec, &after)?;
                    }
                    after.extend(prepared);
                    let op = LocalOp::StartContainer { id: c.spec.id.clone() };
                    start = Some(b.push(op, container(&c.spec), "start", after));
                }
                list.push(Member {
                    spec: c.spec.clone(),
                    state: Some(c.state.clone()),
                    start,
                    recreated: false,
                });
            }
            members.insert(service.clone(), list);
            open.remove(service);
        }
    }
    Ok(members)
}

fn restart(
    b: &mut Builder,
    desired: Option<&Desired>,
    have: &Observed,
    scope: &ScopeOptions,
) -> Result<(), PlanError> {
    let mut scope = scope.clone();
    if let Some(d) = desired
        && !scope.services.is_empty()
        && !scope.no_deps
    {
        // Dependants that want to be restarted along.
        loop {
            let more: Vec<ServiceName> = d
                .project
                .services
                .values()
                .filter(|s| !scope.services.contains(&s.name))
                .filter(|s| s.depends_on.iter().any(|(n, dep)| dep.restart && scope.services.contains(n)))
                .map(|s| s.name.clone())
                .collect();
            if more.is_empty() {
                break;
            }
            scope.services.extend(more);
        }
    }
    let all = chosen(desired, have, &scope)?;
    let stopped = stop(b, &all, &scope, "restart");
    start_all(
        b,
        &all,
        |c| stopped.get(c.spec.service.as_str()).cloned().unwrap_or_default(),
        |_, _, _, _| {
            // As with docker compose: who restarts wants what is there, and it was prepared when it started.
            Ok(None)
        },
    )?;
    Ok(())
}
