//! Host ports: taken, found taken, and by whom.

use std::collections::BTreeSet;

use rcompose_engine::{FailureKind, StepFailure};
use rcompose_model::PortProtocol;
use rcompose_network::{NetError, PortHolder, Protocol};
use rcompose_plan::{ContainerSpec, ContainerStatus, NetNs, PortSpec};

use super::{Networks, failure, routing_endpoint};
use crate::Dirs;
use crate::records::{list_projects, read_containers};

pub(super) fn protocol(p: PortProtocol) -> Option<Protocol> {
    match p {
        PortProtocol::Tcp => Some(Protocol::Tcp),
        PortProtocol::Udp => Some(Protocol::Udp),
        PortProtocol::Sctp => None,
    }
}

/// Takes the first free one of the host ports that a published port names; `None`: it names none.
pub(super) fn bind(
    dirs: &Dirs,
    spec: &ContainerSpec,
    index: usize,
    port: &PortSpec,
) -> Result<Option<PortHolder>, StepFailure> {
    let origin = spec.attribute_origins.get(&format!("ports.{index}"));
    let origin = origin.or_else(|| spec.attribute_origins.get("ports")).unwrap_or(&spec.origin);
    let Some(proto) = protocol(port.protocol) else {
        let message = format!("service \"{}\": publishing sctp ports is not supported", spec.service);
        return Err(StepFailure::new(FailureKind::Unsupported, message).at(origin));
    };
    let (first, last) = port.host_port.unwrap_or((0, 0));
    let mut refused = None;
    for p in first..=last {
        match PortHolder::bind(port.host_ip, p, proto) {
            Ok(holder) => return Ok(Some(holder)),
            Err(e) => {
                refused.get_or_insert(e);
            }
        }
    }
    let Some(e) = refused else { return Ok(None) };
    let what = format!("service \"{}\": cannot publish port {first} of {}", spec.service, spec.name);
    let mut f = failure(what, &e).at(origin);
    if matches!(e, NetError::PortTaken { .. }) {
        f = f.hint(match container_with(dirs, first, port.protocol) {
            Some((project, container)) => format!(
                "it is container {container}'s: end its project with `rcompose -p {project} down`, or publish \
                 another host port"
            ),
            None => "end what holds the port, or publish another host port".to_owned(),
        });
    }
    Err(f)
}

/// The project and the name of a running container of this installation that publishes a host port.
fn container_with(dirs: &Dirs, port: u16, protocol: PortProtocol) -> Option<(String, String)> {
    list_projects(dirs).ok()?.into_iter().find_map(|project| {
        let all = read_containers(dirs, &project, true).ok()?;
        let container = all.into_values().find(|c| {
            let runs = !matches!(c.state.status, ContainerStatus::Created | ContainerStatus::Exited);
            runs && c.state.ports.iter().any(|b| b.host_port == port && b.protocol == protocol)
        })?;
        Some((project.to_string(), container.spec.name))
    })
}

impl Networks {
    /// Whether a container's published ports could be had now. What a container of this project has itself may be
    /// free when its turn comes.
    pub(crate) fn check_ports(&self, spec: &ContainerSpec) -> Result<(), StepFailure> {
        if spec.net != NetNs::Own || routing_endpoint(spec).is_none() {
            return Ok(());
        }
        let own: BTreeSet<(PortProtocol, u16)> = {
            let inner = self.inner.borrow();
            let bound = inner.members.values().flat_map(|m| &m.ports).flat_map(|h| &h.bound);
            bound.map(|b| (b.protocol, b.host_port)).collect()
        };
        for (i, port) in spec.ports.iter().enumerate() {
            let Some((first, last)) = port.host_port else { continue };
            if !(first..=last).any(|p| own.contains(&(port.protocol, p))) {
                bind(&self.dirs, spec, i, port)?;
            }
        }
        Ok(())
    }
}
