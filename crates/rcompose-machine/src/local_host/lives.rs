//! Lives of processes: connected and released, taken over, reached by signals.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use rcompose_engine::{HostEvent, SignalOutcome, StepFailure};
use rcompose_model::Signal;
use rcompose_plan::ContainerSpec;
use tokio::net::unix::pipe::Receiver;

use super::{LocalHost, Running};
use crate::Dirs;
use crate::files::read_json;
use crate::keeper::child_failure;
use crate::link::{Begun, Found, started};
use crate::under::explained;
use crate::wire::{Fd, Fds};

impl LocalHost {
    /// Connects a created process and lets it execute.
    pub(super) async fn release_process(
        &self,
        spec: &ContainerSpec,
        fds: &mut Fds,
    ) -> Result<(), StepFailure> {
        if let Some(netns) = fds.take(Fd::Netns) {
            self.networks.connect(spec, &netns)?;
        }
        if let Some(go) = fds.take(Fd::Go) {
            match rustix::io::write(&go, b"g") {
                // It has failed already: its status says how.
                Ok(_) | Err(rustix::io::Errno::PIPE) => {}
                Err(e) => return Err(StepFailure::environment("start the process", &e)),
            }
        }
        await_exec(&self.dirs, spec, fds).await
    }

    /// Takes containers over that a former supervisor started.
    pub(super) fn adopt(&self, found: Found) -> Option<HostEvent> {
        let Found { id, pid, exited, mut fds } = found;
        let dir = self.container_dir(&id);
        let spec: ContainerSpec = read_json(&dir.join("spec.json")).ok().flatten()?;
        let spec = Rc::new(spec);
        let pidfd = Rc::new(fds.take(Fd::Pidfd)?);
        let mut ports = Vec::new();
        if exited.is_none() {
            // What can't be had again (a port that someone took in between) costs the port, not the container.
            ports = self.networks.hold_ports(&spec).unwrap_or_default();
            if let Some(netns) = fds.take(Fd::Netns)
                && let Err(e) = self.networks.reconnect(&spec, &netns)
            {
                eprintln!("supervisor: {e}");
            }
            self.running.borrow_mut().insert(id.clone(), Running { spec, pid, pidfd });
        }
        let mut begun = Begun { pid, notes: Vec::new(), fds };
        let mut s = started(&mut begun);
        s.ports = ports;
        Some(HostEvent::Adopted { id, started: s })
    }
}

/// Waits until the process has executed; what it reports instead is the failure.
pub(super) async fn await_exec(dirs: &Dirs, spec: &ContainerSpec, fds: &mut Fds) -> Result<(), StepFailure> {
    let Some(status) = fds.take(Fd::Status) else { return Ok(()) };
    let bytes = read_to_end(status, 256)
        .await
        .map_err(|e| StepFailure::environment(format!("start {}", spec.name), &e))?;
    match rcompose_runtime::read_status(&bytes) {
        None => Ok(()),
        Some(child) => Err(explained(child_failure(spec, &child), &child, &dirs.lib)),
    }
}

async fn read_to_end(fd: OwnedFd, limit: usize) -> io::Result<Vec<u8>> {
    rustix::io::ioctl_fionbio(&fd, true)?;
    let pipe = Receiver::from_owned_fd_unchecked(fd)?;
    let mut out = Vec::new();
    loop {
        pipe.readable().await?;
        let mut chunk = [0u8; 512];
        match pipe.try_read(&mut chunk) {
            Ok(0) => return Ok(out),
            Ok(n) => {
                let room = limit.saturating_sub(out.len());
                out.extend_from_slice(&chunk[..n.min(room)]);
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
}

pub(super) fn send(pidfd: &OwnedFd, signal: Signal) -> Result<SignalOutcome, StepFailure> {
    match rcompose_runtime::send_signal(pidfd.as_fd(), signal.number()) {
        Ok(()) => Ok(SignalOutcome::Sent),
        Err(rustix::io::Errno::SRCH) => Ok(SignalOutcome::Gone),
        Err(e) => Err(StepFailure::environment(format!("send {signal}"), &e)),
    }
}
