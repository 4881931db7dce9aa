//! The steps that make a container, and what its spec takes from around it.

use std::net::Ipv4Addr;

use rcompose_model::{MountsOf, NetworkAttachment, NetworkMode, Service, VolumesFrom};

use super::Up;
use crate::planner::builder::{Member, container};
use crate::planner::container::{Identity, Surroundings, net_ns, ns_mode, spec};
use crate::{ContainerId, ContainerSpec, EndpointSpec, LocalOp, MountSource, MountSpec, PlanError, StepId};

impl Up<'_> {
    /// Plans the steps that make (and start) a container.
    pub(crate) fn create(
        &mut self,
        service: &Service,
        who: Identity,
        previous: Option<&ContainerSpec>,
        names: Vec<String>,
        removed: Option<StepId>,
        reason: &str,
    ) -> Result<Member, PlanError> {
        let image = &self.desired.images[&service.name];
        let endpoints = self.endpoints(service, &who, previous, names)?;
        let networks: Vec<String> = endpoints.iter().map(|e| e.network.clone()).collect();
        let around = self.around(service, previous, endpoints)?;
        let (spec, anonymous) = spec(service, image, who, around)?;
        let mut after: Vec<StepId> =
            networks.iter().filter_map(|n| self.network_steps.get(n).copied()).collect();
        after.extend(removed);
        for v in anonymous {
            if !self.have.volumes.contains_key(&v.name) {
                after.push(self.volumes.step(&mut self.b, v, "an anonymous volume"));
            }
        }
        for m in &spec.mounts {
            if let MountSource::Volume { name, .. } = &m.source {
                after.extend(self.volumes.made(name));
            }
        }
        let op = LocalOp::CreateContainer {
            spec: Box::new(spec.clone()),
            replaces: previous.map(|p| p.id.clone()),
        };
        let created = self.b.push(op, container(&spec), reason, after);
        let start = match self.no_start {
            true => None,
            false => Some(self.start(&spec, reason, vec![created], service)?),
        };
        Ok(Member { spec, state: None, start, recreated: false })
    }

    /// What a container gets from outside its service.
    pub(super) fn around<'s>(
        &'s self,
        service: &Service,
        previous: Option<&'s ContainerSpec>,
        endpoints: Vec<EndpointSpec>,
    ) -> Result<Surroundings<'s>, PlanError> {
        let members = &self.members;
        let observed = &self.have.containers;
        let find = |name: &str, is_service: bool| -> Option<ContainerId> {
            if is_service {
                return members.get(name).and_then(|m| m.first()).map(|m| m.spec.id.clone());
            }
            observed
                .values()
                .find(|c| c.spec.name == name || c.spec.id.as_str().starts_with(name))
                .map(|c| c.spec.id.clone())
        };
        Ok(Surroundings {
            project: &self.desired.project,
            root_hash: &self.have.host.root_hash,
            previous,
            net: net_ns(&service.network_mode, &find),
            endpoints,
            pid: ns_mode(service.pid.as_ref(), &find),
            ipc: ns_mode(service.ipc.as_ref(), &find),
            uts: ns_mode(service.uts.as_ref(), &find),
            borrowed: self.borrowed(service)?,
            links: self.links(service),
            renew: self.options.renew_anonymous.then(|| self.have.generation.to_string()),
        })
    }

    pub(super) fn endpoints(
        &mut self,
        service: &Service,
        who: &Identity,
        previous: Option<&ContainerSpec>,
        names: Vec<String>,
    ) -> Result<Vec<EndpointSpec>, PlanError> {
        let plain = NetworkAttachment::default();
        let mut list: Vec<(&str, &NetworkAttachment)> = match &service.network_mode {
            NetworkMode::Networks(map) => map.iter().map(|(k, a)| (k.as_str(), &**a)).collect(),
            NetworkMode::Bridge => vec![("bridge", &plain)],
            _ => Vec::new(),
        };
        list.sort_by_key(|(key, a)| (std::cmp::Reverse(a.priority), (*key).to_owned()));
        let internal = |key: &str| self.networks.get(key).is_some_and(|n| n.internal);
        let route = list
            .iter()
            .filter(|(k, _)| !internal(k))
            .max_by_key(|(k, a)| (a.gw_priority, a.priority, std::cmp::Reverse((*k).to_owned())))
            .map(|(k, _)| (*k).to_owned());
        let mut out = Vec::new();
        for (key, a) in list {
            let Some(network) = self.networks.get(key) else { continue };
            let network = network.name.clone();
            let address = self.address(&network, a, previous).ok_or_else(|| PlanError::Refused {
                message: format!("network {network}: no free address is left for {}", who.name),
                origin: Some(service.origin.clone()),
            })?;
            let mut all = names.clone();
            if matches!(service.network_mode, NetworkMode::Bridge) {
                all.clear();
            }
            all.extend(a.aliases.iter().cloned());
            all.push(who.name.clone());
            all.push(who.id.short().to_owned());
            all.dedup();
            out.push(EndpointSpec {
                network,
                address,
                fixed: a.ipv4_address.is_some(),
                names: all,
                interface: a.interface_name.clone(),
                mac: a.mac_address.map(|m| m.to_string()),
                default_route: route.as_deref() == Some(key),
            });
        }
        Ok(out)
    }

    /// The file's address, the predecessor's, or the next free one.
    fn address(
        &mut self,
        network: &str,
        a: &NetworkAttachment,
        previous: Option<&ContainerSpec>,
    ) -> Option<Ipv4Addr> {
        if a.ipv4_address.is_some() {
            return a.ipv4_address;
        }
        let pool = self.addresses.get_mut(network)?;
        let before = previous.and_then(|p| p.endpoints.iter().find(|e| e.network == network && !e.fixed));
        if let Some(b) = before.filter(|b| pool.has(b.address)) {
            pool.reserve(b.address);
            return Some(b.address);
        }
        pool.next()
    }

    fn borrowed(&self, service: &Service) -> Result<Vec<MountSpec>, PlanError> {
        let mut out = Vec::new();
        for VolumesFrom { from, read_only } in &service.volumes_from {
            let (name, found) = match from {
                MountsOf::Container(name) => {
                    let of_name = self.have.containers.values().find(|c| c.spec.name == *name);
                    (name.as_str(), of_name.map(|c| &c.spec))
                }
                MountsOf::Service(name) => {
                    let first = self.members.get(name.as_str()).and_then(|m| m.first());
                    (name.as_str(), first.map(|m| &m.spec))
                }
            };
            let found = found.ok_or_else(|| PlanError::Refused {
                message: format!("service \"{}\": volumes_from: no container of {name}", service.name),
                origin: Some(service.origin.clone()),
            })?;
            for m in &found.mounts {
                let read_only = m.read_only || *read_only;
                out.push(MountSpec { read_only, ..m.clone() });
            }
        }
        Ok(out)
    }

    fn links(&self, service: &Service) -> Vec<(String, Ipv4Addr)> {
        let mut out = Vec::new();
        for link in &service.links {
            let Some(alias) = &link.alias else { continue };
            let target = self
                .members
                .get(link.service.as_str())
                .and_then(|m| m.first())
                .and_then(|m| m.spec.endpoints.first());
            out.extend(target.map(|e| (alias.clone(), e.address)));
        }
        out
    }
}
