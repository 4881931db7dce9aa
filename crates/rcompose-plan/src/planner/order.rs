use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::toposort;
use petgraph::graphmap::DiGraphMap;
use rcompose_model::{NamespaceMode, NetworkMode, Project, Service, ServiceName};

use crate::{ContainerSpec, PlanError};

/// Label with a container's dependencies, as docker compose writes it: `db:service_healthy:false,…`.
pub(crate) const DEPENDS_ON: &str = "com.docker.compose.depends_on";

/// The services that are to run, dependencies first. Selected ones bring their dependencies along.
pub fn needed_services(
    project: &Project,
    selected: &[ServiceName],
    no_deps: bool,
) -> Result<Vec<ServiceName>, PlanError> {
    let mut wanted: BTreeSet<&ServiceName> = BTreeSet::new();
    let mut queue: Vec<&ServiceName> = Vec::new();
    for name in selected {
        match project.services.get_key_value(name) {
            Some((key, _)) => queue.push(key),
            None => return Err(PlanError::no_such_service(name, Some(project))),
        }
    }
    if selected.is_empty() {
        queue.extend(project.services.keys());
    }
    while let Some(name) = queue.pop() {
        if !wanted.insert(name) || no_deps {
            continue;
        }
        if let Some(service) = project.services.get(name) {
            let all: Vec<ServiceName> = dependencies(service).collect();
            for d in all {
                if let Some((key, _)) = project.services.get_key_value(&d) {
                    queue.push(key);
                }
            }
        }
    }
    Ok(in_order(project, &wanted))
}

/// Everything that must be there before a service, namespaces that it joins included.
pub(crate) fn dependencies(service: &Service) -> impl Iterator<Item = ServiceName> + '_ {
    let joined = [&service.pid, &service.ipc, &service.uts].into_iter().filter_map(|m| match m {
        Some(NamespaceMode::Service(s)) => Some(s.clone()),
        _ => None,
    });
    let net = match &service.network_mode {
        NetworkMode::Service(s) => Some(s.clone()),
        _ => None,
    };
    service.depends_on.keys().cloned().chain(joined).chain(net)
}

fn in_order(project: &Project, wanted: &BTreeSet<&ServiceName>) -> Vec<ServiceName> {
    let names: Vec<&ServiceName> = wanted.iter().copied().collect();
    let index: BTreeMap<&str, usize> = names.iter().enumerate().map(|(i, n)| (n.as_str(), i)).collect();
    let mut graph: DiGraphMap<usize, ()> = DiGraphMap::new();
    for (i, name) in names.iter().enumerate() {
        graph.add_node(i);
        let Some(service) = project.services.get(*name) else { continue };
        for d in dependencies(service) {
            if let Some(&j) = index.get(d.as_str()) {
                graph.add_edge(j, i, ());
            }
        }
    }
    match toposort(&graph, None) {
        Ok(order) => order.into_iter().map(|i| names[i].clone()).collect(),
        // The loader has refused cycles with their places; here the order of names is as good as any.
        Err(_) => names.into_iter().cloned().collect(),
    }
}

/// Services that a container depends on, read from its own record.
pub(crate) fn recorded_dependencies(spec: &ContainerSpec) -> impl Iterator<Item = &str> {
    spec.labels
        .get(DEPENDS_ON)
        .map(String::as_str)
        .unwrap_or_default()
        .split(',')
        .filter_map(|d| d.split(':').next())
        .filter(|d| !d.is_empty())
}
