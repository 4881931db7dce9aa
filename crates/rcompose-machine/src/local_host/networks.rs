//! The project's networks on this machine: made and removed, and their rules taken back.

use std::time::Duration;

use rcompose_engine::StepFailure;
use rcompose_plan::NetworkSpec;

use super::LocalHost;
use crate::files::remove_file;
use crate::{claims, etc};

/// How long rules of ended containers stay, so that many are taken back at once.
const SETTLE_AFTER: Duration = Duration::from_millis(100);

impl LocalHost {
    pub(super) fn remove_network(&self, name: &str) -> Result<(), StepFailure> {
        let spec = self.file.borrow().networks.get(name).cloned();
        let Some(spec) = spec else { return Ok(()) };
        self.networks.remove(name)?;
        self.change_file(|f| drop(f.networks.remove(name)))?;
        if claims::give_back(&self.dirs, &spec)? {
            let marker = self.dirs.run.join("ip_forward");
            if marker.exists() {
                rcompose_network::restore_ip_forward()
                    .map_err(|e| StepFailure::environment("restore ip_forward", &e))?;
                remove_file(&marker)?;
            }
        }
        Ok(())
    }

    pub(super) fn create_network(&self, spec: &NetworkSpec) -> Result<(), StepFailure> {
        self.change_file(|f| drop(f.networks.insert(spec.name.clone(), spec.clone())))?;
        self.forward_packets()?;
        self.networks.create(spec)
    }

    /// The host must forward; whether it did before is recorded first.
    fn forward_packets(&self) -> Result<(), StepFailure> {
        let path = "/proc/sys/net/ipv4/ip_forward";
        if etc::host_file(path)?.trim() == "1" {
            return Ok(());
        }
        crate::files::write_atomic(&self.dirs.run.join("ip_forward"), b"0\n", 0o600)?;
        rcompose_network::enable_ip_forward()
            .map(drop)
            .map_err(|e| StepFailure::environment("let the host forward packets", &e))
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
