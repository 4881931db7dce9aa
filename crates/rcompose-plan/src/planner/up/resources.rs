//! The networks and volumes that the services of an `up` need.

use std::collections::{BTreeMap, BTreeSet};

use rcompose_model::{NetworkDef, NetworkMode, Service};

use super::Up;
use crate::planner::address::{Addresses, Subnets, network_hash};
use crate::{ContainerSpec, LocalOp, NetworkSpec, PlanError, StepId, VolumeSpec};

impl Up<'_> {
    pub(super) fn make_networks(&mut self, services: &[&Service]) -> Result<(), PlanError> {
        let mut subnets = Subnets::new(self.have);
        let bridge = NetworkDef { name: format!("{}_bridge", self.project), ..NetworkDef::default() };
        let mut wanted: BTreeMap<&str, &NetworkDef> = BTreeMap::new();
        for s in services {
            match &s.network_mode {
                NetworkMode::Networks(map) => {
                    for key in map.keys() {
                        if let Some(def) = self.desired.project.networks.get(key) {
                            wanted.insert(key, def);
                        }
                    }
                }
                NetworkMode::Bridge => drop(wanted.insert("bridge", &bridge)),
                _ => {}
            }
        }
        for (key, def) in wanted {
            self.make_network(key, def, &mut subnets)?;
        }
        Ok(())
    }

    fn make_network(&mut self, key: &str, def: &NetworkDef, subnets: &mut Subnets) -> Result<(), PlanError> {
        if def.external {
            let found = self.have.networks.get(&def.name).or(self.have.host.external_networks.get(&def.name));
            let Some(found) = found else {
                return Err(PlanError::Refused {
                    message: format!("network {} declared as external, but could not be found", def.name),
                    origin: Some(def.origin.clone()),
                });
            };
            self.networks.insert(key.to_owned(), found.clone());
            self.open_addresses(&found.clone());
            return Ok(());
        }
        let had = self.have.networks.get(&def.name);
        if let Some(had) = had.filter(|h| self.as_is || h.config_hash == network_hash(def)) {
            self.networks.insert(key.to_owned(), had.clone());
            self.open_addresses(&had.clone());
            return Ok(());
        }
        if self.as_is {
            return Err(PlanError::Refused {
                message: format!("network {} isn't there: `up` makes it", def.name),
                origin: Some(def.origin.clone()),
            });
        }
        let spec = subnets.network(self.project, key, def, None, &self.have.host.root_hash)?;
        let subject = format!("Network {}", spec.name);
        let mut after = Vec::new();
        let mut reason = "not there";
        if had.is_some() {
            reason = "its configuration changed";
            let users = self.have.containers.values().filter(|c| uses(&c.spec, &def.name));
            let removed: Vec<StepId> =
                users.map(|c| self.remove_for(c, "its network is made anew")).collect::<Vec<_>>();
            let op = LocalOp::RemoveNetwork { name: def.name.clone() };
            after.push(self.b.push(op, subject.clone(), reason, removed));
        }
        let step = self.b.push(LocalOp::CreateNetwork { spec: spec.clone() }, subject, reason, after);
        self.network_steps.insert(spec.name.clone(), step);
        self.open_addresses(&spec);
        self.networks.insert(key.to_owned(), spec);
        Ok(())
    }

    fn open_addresses(&mut self, network: &NetworkSpec) {
        let taken = self
            .have
            .containers
            .values()
            .filter(|c| !self.gone.contains_key(&c.spec.id))
            .flat_map(|c| &c.spec.endpoints)
            .filter(|e| e.network == network.name)
            .map(|e| e.address);
        let def = self.desired.project.networks.get(&network.key).filter(|d| d.name == network.name);
        let mut pools = def.into_iter().flat_map(|d| &d.ipam.config);
        let pool = pools.find(|p| p.subnet.is_some_and(|s| s.address().is_ipv4()));
        let mut addresses = Addresses::new(network, pool, taken);
        // Addresses that the file fixes are nobody else's, whoever comes first.
        for s in self.desired.project.services.values() {
            if let NetworkMode::Networks(map) = &s.network_mode
                && let Some(a) = map.get(&network.key).and_then(|a| a.ipv4_address)
            {
                addresses.reserve(a);
            }
        }
        self.addresses.insert(network.name.clone(), addresses);
    }

    pub(super) fn make_volumes(&mut self, services: &[&Service]) -> Result<(), PlanError> {
        let keys: BTreeSet<&String> = services
            .iter()
            .flat_map(|s| &s.mounts)
            .filter_map(|m| match &m.kind {
                rcompose_model::MountKind::Volume { key, .. } => Some(key),
                _ => None,
            })
            .collect();
        for key in keys {
            let Some(def) = self.desired.project.volumes.get(key) else { continue };
            if self.have.volumes.contains_key(&def.name) {
                continue;
            }
            if def.external {
                return Err(PlanError::Refused {
                    message: format!("external volume \"{}\" not found", def.name),
                    origin: Some(def.origin.clone()),
                });
            }
            let mut labels = def.labels.clone();
            labels.insert("com.docker.compose.project".into(), self.project.to_string());
            labels.insert("com.docker.compose.volume".into(), key.clone());
            let spec = VolumeSpec {
                name: def.name.clone(),
                key: key.clone(),
                driver: def.driver.clone().unwrap_or_else(|| "local".into()),
                driver_opts: def.driver_opts.clone(),
                labels,
                anonymous: false,
            };
            self.volumes.step(&mut self.b, spec, "not there");
        }
        Ok(())
    }
}

fn uses(spec: &ContainerSpec, network: &str) -> bool {
    spec.endpoints.iter().any(|e| e.network == network)
}
