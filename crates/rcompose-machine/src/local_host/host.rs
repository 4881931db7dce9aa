//! What the supervisor asks of this machine.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use rcompose_engine::{
    ExecSpec, FailureKind, Host, HostEvent, ProbeOutcome, SignalOutcome, Started, StepFailure,
};
use rcompose_model::Signal;
use rcompose_plan::{ContainerId, ContainerSpec, ContainerState, LocalOp, NsMode, Observed, Plan, StepId};
use rcompose_runtime::cgroup::CgroupPath;

use super::containers::{CgroupRecord, remove_cgroup};
use super::lives::{await_exec, send};
use super::{LocalHost, Running};
use crate::files::{read_json, write_json};
use crate::link::started;
use crate::records::settle_dead;
use crate::wire::{Fd, ToKeeper};
use crate::{ProjectMeta, claims, volumes};

impl Host for LocalHost {
    async fn run(&self, op: &LocalOp) -> Result<(), StepFailure> {
        match op {
            LocalOp::CreateNetwork { spec } => self.create_network(spec),
            LocalOp::RemoveNetwork { name } => self.remove_network(name),
            LocalOp::CreateVolume { spec } => {
                self.change_file(|f| {
                    f.volumes.insert(spec.name.clone());
                })?;
                volumes::create(&self.dirs, spec)
            }
            LocalOp::RemoveVolume { name } => {
                volumes::remove(&self.dirs, name)?;
                self.change_file(|f| {
                    f.volumes.remove(name);
                })
            }
            // The planner has named a predecessor's anonymous volumes in the spec already.
            LocalOp::CreateContainer { spec, .. } => self.create_container(spec).await,
            LocalOp::RemoveContainer { id, volumes } => self.remove_container(id, *volumes),
            LocalOp::RenameContainer { id, name } => {
                let path = self.container_dir(id).join("spec.json");
                if let Some(mut spec) = read_json::<ContainerSpec>(&path)? {
                    spec.name.clone_from(name);
                    write_json(&path, &spec)?;
                }
                Ok(())
            }
            LocalOp::StartContainer { .. }
            | LocalOp::WaitFor { .. }
            | LocalOp::StopContainer { .. }
            | LocalOp::KillContainer { .. }
            | LocalOp::PauseContainer { .. }
            | LocalOp::UnpauseContainer { .. } => {
                let message = format!("{op:?} is the supervisor's");
                Err(StepFailure::new(FailureKind::Internal, message))
            }
        }
    }

    async fn start(
        &self,
        spec: &ContainerSpec,
        attach: Option<Option<(u16, u16)>>,
    ) -> Result<Started, StepFailure> {
        let spec = Rc::new(spec.clone());
        self.check_mounts(&spec)?;
        let ports = self.networks.hold_ports(&spec)?;
        let result = async {
            self.write_etc(&spec)?;
            let mut begun = self.keeper.create(&spec.id, attach).await?;
            let pidfd = begun.fds.take(Fd::Pidfd).ok_or_else(crate::link::keeper_gone)?;
            let entry = Running { spec: spec.clone(), pid: begun.pid, pidfd: Rc::new(pidfd) };
            self.running.borrow_mut().insert(spec.id.clone(), entry);
            self.release_process(&spec, &mut begun.fds).await?;
            Ok(started(&mut begun))
        }
        .await;
        match result {
            Ok(mut s) => {
                s.ports = ports;
                Ok(s)
            }
            Err(failure) => {
                self.release(&spec).await;
                Err(failure)
            }
        }
    }

    async fn release(&self, spec: &ContainerSpec) {
        self.running.borrow_mut().remove(&spec.id);
        if self.networks.disconnect(&spec.id).await {
            self.settle_rules_soon();
        }
        remove_cgroup(&self.container_dir(&spec.id));
    }

    async fn signal(&self, id: &ContainerId, signal: Signal) -> Result<SignalOutcome, StepFailure> {
        let (pid, pidfd, own_ns) = match self.running.borrow().get(id) {
            Some(r) => (r.pid, r.pidfd.clone(), r.spec.pid == NsMode::Own),
            None => return Ok(SignalOutcome::Gone),
        };
        if signal != Signal::KILL && own_ns && !crate::reach::comes_to_handle(pid, signal).await {
            return Ok(SignalOutcome::Ineffective);
        }
        send(&pidfd, signal)
    }

    async fn freeze(&self, id: &ContainerId, frozen: bool) -> Result<(), StepFailure> {
        let record: Option<CgroupRecord> = read_json(&self.container_dir(id).join("cgroup.json"))?;
        let fail = |e: &dyn std::error::Error| {
            StepFailure::environment(
                format!("{} container {}", if frozen { "pause" } else { "unpause" }, id.short()),
                e,
            )
        };
        let Some(record) = record else {
            return Err(StepFailure::new(
                FailureKind::User,
                format!("container {} is not running", id.short()),
            ));
        };
        let cgroup = CgroupPath::from_record(&record.name, &record.directories).map_err(|e| fail(&e))?;
        if frozen { cgroup.freeze() } else { cgroup.thaw() }.map_err(|e| fail(&e))
    }

    async fn exec(&self, spec: &ContainerSpec, exec: &ExecSpec) -> Result<Started, StepFailure> {
        let mut begun = self.keeper.exec(&spec.id, exec, None).await?;
        await_exec(&self.dirs, spec, &mut begun.fds).await?;
        if let Some(pidfd) = begun.fds.take(Fd::Pidfd) {
            self.execs.borrow_mut().insert(begun.pid, pidfd);
        }
        Ok(started(&mut begun))
    }

    async fn signal_exec(&self, pid: i32, signal: Signal) -> Result<(), StepFailure> {
        match self.execs.borrow().get(&pid) {
            Some(pidfd) => send(pidfd, signal).map(drop),
            None => Ok(()),
        }
    }

    async fn probe(&self, spec: &ContainerSpec, argv: &[String], timeout: Duration) -> ProbeOutcome {
        self.run_probe(spec, argv, timeout).await
    }

    async fn next_event(&self) -> Option<HostEvent> {
        loop {
            let found = self.found.borrow_mut().pop();
            let Some(f) = found else { break };
            let ended = f.exited.clone().map(|n| (f.id.clone(), f.pid, n));
            let event = self.adopt(f);
            if let Some((id, pid, n)) = ended {
                // Adopt first, so that its log is completed; the end follows through the same queue.
                let end =
                    HostEvent::ContainerExited { id, pid, code: n.code, at: n.at, oom_killed: n.oom_killed };
                self.late.borrow_mut().push(end);
            }
            if event.is_some() {
                return event;
            }
        }
        if let Some(late) = self.late.borrow_mut().pop() {
            return Some(late);
        }
        let event = self.events.lock().await.recv().await;
        if let Some(HostEvent::ExecExited { pid, .. }) = &event {
            self.execs.borrow_mut().remove(pid);
        }
        event
    }

    async fn observe(&self) -> Result<Observed, StepFailure> {
        let record = crate::records::read_project(&self.dirs, &self.project)?;
        let mut observed = record.map(|r| r.observed).unwrap_or_default();
        let found = self.found.borrow();
        for (id, c) in &mut observed.containers {
            if !found.iter().any(|f| f.id == *id) {
                let dir = self.container_dir(id);
                settle_dead(&dir, &mut c.state)?;
                write_json(&dir.join("state.json"), &c.state)?;
            }
        }
        Ok(observed)
    }

    fn claim(&self, plan: &Plan) -> Result<bool, StepFailure> {
        for step in &plan.steps {
            if let LocalOp::CreateNetwork { spec } = &step.op
                && !claims::take(&self.dirs, &self.project, spec)?
            {
                let file = self.file.borrow();
                let keep: Vec<_> = file.networks.values().collect();
                claims::sweep(&self.dirs, &self.project, &keep)?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn foresee(&self, plan: &Plan) -> Vec<(StepId, StepFailure)> {
        let failures = self.foreseen(plan);
        if !failures.is_empty() {
            let file = self.file.borrow();
            let keep: Vec<_> = file.networks.values().collect();
            if let Err(e) = claims::sweep(&self.dirs, &self.project, &keep) {
                eprintln!("supervisor: {e}");
            }
        }
        failures
    }

    fn generation(&self) -> u64 {
        self.file.borrow().generation
    }

    fn advance(&self) -> Result<(), StepFailure> {
        self.change_file(|f| f.generation += 1)
    }

    fn keep_meta(&self, working_dir: &Path, config_files: &[PathBuf]) {
        let meta = ProjectMeta { working_dir: working_dir.to_owned(), config_files: config_files.to_vec() };
        self.file.borrow_mut().meta = meta;
    }

    fn save_state(&self, id: &ContainerId, state: &ContainerState) -> Result<(), StepFailure> {
        write_json(&self.container_dir(id).join("state.json"), state)?;
        Ok(())
    }

    fn log_path(&self, id: &ContainerId) -> PathBuf {
        self.dirs.log_file(&self.project, id)
    }

    fn forget(&self, id: &ContainerId) {
        if let Err(e) = self.keeper.tell(&ToKeeper::Forget { id: id.clone() }) {
            eprintln!("supervisor: {e}");
        }
    }

    fn seal(&self, late: &mut dyn FnMut() -> bool) -> bool {
        let run = self.dirs.project_run(&self.project);
        let lock = match fs::File::create(run.join("start.lock")) {
            Ok(lock) => lock,
            // Its directory went, and the socket in it: whoever comes now comes to another keeper. What is there by then
            // is that one's.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                if late() {
                    return false;
                }
                if let Err(e) = self.keeper.tell(&ToKeeper::Finish) {
                    eprintln!("supervisor: {e}");
                }
                return true;
            }
            Err(_) => return false,
        };
        if rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
            return false;
        }
        // From here on nobody can connect: who wants to, waits for this lock and then finds no socket.
        if late() {
            return false;
        }
        if let Err(e) = self.clean_up(&run) {
            eprintln!("supervisor: {e}");
        }
        if let Err(e) = self.keeper.tell(&ToKeeper::Finish) {
            eprintln!("supervisor: {e}");
        }
        self.seal.set(Some(lock.into()));
        true
    }

    fn keeper_pid(&self) -> i32 {
        self.keeper_pid
    }
}
