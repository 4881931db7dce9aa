//! What one container gives up before another one can take it: host ports and addresses.

use std::collections::BTreeMap;

use crate::{
    BoundPort, ContainerId, ContainerSpec, EndpointSpec, LocalOp, Observed, ObservedContainer, Plan, StepId,
};

/// Lets each start wait for the stop and the removal of those containers that hold what it needs.
///
/// Such a stop waits for nothing but other stops, so that no circle can come of it.
pub(crate) fn order(mut plan: Plan, have: &Observed) -> Plan {
    let mut ending: Vec<(StepId, &ObservedContainer)> = Vec::new();
    for (i, step) in plan.steps.iter().enumerate() {
        if let LocalOp::StopContainer { id, .. } | LocalOp::RemoveContainer { id, .. } = &step.op {
            ending.extend(have.containers.get(id).map(|c| (i, c)));
        }
    }
    if ending.is_empty() {
        return plan;
    }
    let specs = specs(&plan, have);
    let mut waits: Vec<(StepId, StepId)> = Vec::new();
    for (i, step) in plan.steps.iter().enumerate() {
        let LocalOp::StartContainer { id } = &step.op else { continue };
        let Some(spec) = specs.get(id) else { continue };
        // A predecessor of the same name is gone before its successor is made anyway.
        let before = ending.iter().filter(|(_, c)| c.spec.name != spec.name && holds(c, spec));
        waits.extend(before.map(|(end, _)| (i, *end)));
    }
    drop(specs);
    let late = waits.iter().any(|(start, end)| end > start);
    for (start, end) in waits {
        let list = &mut plan.steps[start].after_any;
        list.push(end);
        list.sort_unstable();
        list.dedup();
    }
    if late { ends_first(plan) } else { plan }
}

fn specs<'a>(plan: &'a Plan, have: &'a Observed) -> BTreeMap<&'a ContainerId, &'a ContainerSpec> {
    let known = have.containers.iter().map(|(id, c)| (id, &c.spec));
    let made = plan.steps.iter().filter_map(|s| match &s.op {
        LocalOp::CreateContainer { spec, .. } => Some((&spec.id, &**spec)),
        _ => None,
    });
    known.chain(made).collect()
}

/// Whether a container that is there has a host port or an address that another one is to have.
fn holds(there: &ObservedContainer, wanting: &ContainerSpec) -> bool {
    let port = wanting.ports.iter().any(|p| {
        p.host_port.is_some_and(|(first, last)| {
            let held = |b: &BoundPort| b.protocol == p.protocol && (first..=last).contains(&b.host_port);
            there.state.ports.iter().any(held)
        })
    });
    let address =
        |e: &EndpointSpec| wanting.endpoints.iter().any(|w| w.network == e.network && w.address == e.address);
    port || there.spec.endpoints.iter().any(address)
}

/// The same plan with the stops and removals at its beginning: steps only name earlier ones.
fn ends_first(plan: Plan) -> Plan {
    let (mut first, mut rest) = (Vec::new(), Vec::new());
    for i in 0..plan.steps.len() {
        let op = &plan.steps[i].op;
        let end = matches!(op, LocalOp::StopContainer { .. } | LocalOp::RemoveContainer { .. });
        if end { &mut first } else { &mut rest }.push(i);
    }
    first.append(&mut rest);
    let mut place = vec![0; first.len()];
    for (new, &old) in first.iter().enumerate() {
        place[old] = new;
    }
    let mut steps: Vec<_> = plan.steps.into_iter().enumerate().collect();
    steps.sort_by_key(|(old, _)| place[*old]);
    let renumber = |list: Vec<StepId>| {
        let mut list: Vec<StepId> = list.into_iter().map(|old| place[old]).collect();
        list.sort_unstable();
        list
    };
    let steps = steps.into_iter().map(|(_, mut s)| {
        s.after = renumber(std::mem::take(&mut s.after));
        s.after_any = renumber(std::mem::take(&mut s.after_any));
        s
    });
    Plan { steps: steps.collect(), ..plan }
}
