//! The project's networks on this machine: made and removed, and their rules taken back.

use std::time::Duration;

use rcompose_engine::StepFailure;
use rcompose_plan::NetworkSpec;

use super::LocalHost;
use crate::forward;

/// How long rules of ended containers stay, so that many are taken back at once.
const SETTLE_AFTER: Duration = Duration::from_millis(100);

impl LocalHost {
    pub(super) fn remove_network(&self, name: &str) -> Result<(), StepFailure> {
        let spec = self.file.borrow().networks.get(name).cloned();
        let Some(spec) = spec else { return Ok(()) };
        self.networks.remove(name)?;
        self.change_file(|f| drop(f.networks.remove(name)))?;
        forward::give_back(&self.dirs, &spec)
    }

    pub(super) fn create_network(&self, spec: &NetworkSpec) -> Result<(), StepFailure> {
        self.change_file(|f| drop(f.networks.insert(spec.name.clone(), spec.clone())))?;
        forward::switch_on(&self.dirs)?;
        self.networks.create(spec)
    }

    /// Takes back the rules of ended containers, those of many in one step: a stack that goes down, or a
    /// container that is started again at once, costs no change at all.
    pub(super) fn settle_rules_soon(&self) {
        if self.settling.replace(true) {
            return;
        }
        let (networks, settling) = (self.networks.clone(), self.settling.clone());
        tokio::task::spawn_local(async move {
            tokio::time::sleep(SETTLE_AFTER).await;
            settling.set(false);
            if let Err(e) = networks.settle_rules() {
                eprintln!("supervisor: {e}");
            }
        });
    }
}
