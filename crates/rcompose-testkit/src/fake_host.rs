use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcompose_engine::{
    ExecSpec, FailureKind, Host, HostEvent, ProbeOutcome, SignalOutcome, Started, StepFailure,
};
use rcompose_model::Signal;
use rcompose_plan::{ContainerId, ContainerSpec, ContainerState, LocalOp, Observed, Plan, StepId};
use tokio::sync::mpsc;

/// How a container's process behaves on the fake machine.
#[derive(Debug, Clone, Default)]
pub struct FakeProcess {
    /// Ends by itself with this status, right after its start.
    pub exits: Option<i32>,
    /// Has no handler for its stop signal.
    pub deaf: bool,
    /// Handles its stop signal by going on.
    pub stubborn: bool,
    /// What it writes to standard output.
    pub says: String,
    /// Can't be started at all, with this message.
    pub fails: Option<String>,
    /// Statuses of its health probes in turn; the last one stays.
    pub probes: VecDeque<i32>,
    /// What commands that are executed in it print and how they end, by their name.
    pub commands: BTreeMap<String, (String, i32)>,
}

/// A machine of the imagination: processes are entries in a table, and everything done is written down.
#[derive(Debug)]
pub struct FakeHost {
    processes: RefCell<BTreeMap<ContainerId, FakeProcess>>,
    running: RefCell<BTreeMap<ContainerId, i32>>,
    deeds: RefCell<Vec<String>>,
    next_pid: Cell<i32>,
    generation: Cell<u64>,
    sender: mpsc::UnboundedSender<HostEvent>,
    events: tokio::sync::Mutex<mpsc::UnboundedReceiver<HostEvent>>,
    logs: PathBuf,
    sealed: Cell<bool>,
}

impl FakeHost {
    /// An empty machine that keeps logs in `logs`.
    pub fn new(logs: &Path) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        Self {
            processes: RefCell::default(),
            running: RefCell::default(),
            deeds: RefCell::default(),
            next_pid: Cell::new(100),
            generation: Cell::new(0),
            sender,
            events: tokio::sync::Mutex::new(events),
            logs: logs.to_owned(),
            sealed: Cell::new(false),
        }
    }

    /// Says how a container's process will behave.
    pub fn script(&self, id: &ContainerId, process: FakeProcess) {
        self.processes.borrow_mut().insert(id.clone(), process);
    }

    fn note(&self, what: &str, id: &ContainerId) {
        self.deeds.borrow_mut().push(format!("{what} {}", id.short()));
        let path = self.logs.join("deeds");
        let mut text = self.deeds.borrow().join("\n");
        text.push('\n');
        // Tests read the file: the host itself is owned by what they test.
        if let Err(e) = std::fs::write(&path, text) {
            panic!("{}: {e}", path.display());
        }
    }

    fn end(&self, id: &ContainerId, code: i32) {
        let Some(pid) = self.running.borrow_mut().remove(id) else { return };
        let event = HostEvent::ContainerExited { id: id.clone(), pid, code, at: 0, oom_killed: false };
        if self.sender.send(event).is_err() {
            unreachable!("the receiver is ours");
        }
    }

    fn process(&self, id: &ContainerId) -> FakeProcess {
        self.processes.borrow().get(id).cloned().unwrap_or_default()
    }
}

/// A pipe with something to read.
fn pipe_with(says: &str) -> Result<OwnedFd, StepFailure> {
    let pipe = rustix::pipe::pipe().map_err(|e| StepFailure::environment("make a pipe", &e))?;
    let mut write = std::fs::File::from(pipe.1);
    if write.write_all(says.as_bytes()).is_err() {
        unreachable!("the pipe has room and a reader");
    }
    Ok(pipe.0)
}

impl Host for FakeHost {
    async fn run(&self, op: &LocalOp) -> Result<(), StepFailure> {
        match op {
            LocalOp::CreateContainer { spec, .. } => self.note("create", &spec.id),
            LocalOp::RemoveContainer { id, .. } => self.note("remove", id),
            _ => {}
        }
        Ok(())
    }

    async fn start(
        &self,
        spec: &ContainerSpec,
        _attach: Option<Option<(u16, u16)>>,
    ) -> Result<Started, StepFailure> {
        let process = self.process(&spec.id);
        self.note("start", &spec.id);
        if let Some(message) = process.fails {
            return Err(StepFailure::new(FailureKind::User, message));
        }
        let pid = self.next_pid.replace(self.next_pid.get() + 1);
        self.running.borrow_mut().insert(spec.id.clone(), pid);
        let read = pipe_with(&process.says)?;
        if let Some(code) = process.exits {
            self.end(&spec.id, code);
        }
        Ok(Started {
            pid,
            console: None,
            stdin: None,
            stdout: Some(read),
            stderr: None,
            ports: Vec::new(),
            notes: Vec::new(),
        })
    }

    async fn release(&self, spec: &ContainerSpec) {
        self.note("release", &spec.id);
    }

    async fn signal(&self, id: &ContainerId, signal: Signal) -> Result<SignalOutcome, StepFailure> {
        if !self.running.borrow().contains_key(id) {
            return Ok(SignalOutcome::Gone);
        }
        self.note(&signal.to_string(), id);
        let process = self.process(id);
        if signal == Signal::KILL {
            self.end(id, 137);
        } else if process.deaf {
            return Ok(SignalOutcome::Ineffective);
        } else if !process.stubborn {
            self.end(id, 0);
        }
        Ok(SignalOutcome::Sent)
    }

    async fn freeze(&self, id: &ContainerId, frozen: bool) -> Result<(), StepFailure> {
        self.note(if frozen { "freeze" } else { "thaw" }, id);
        Ok(())
    }

    async fn exec(&self, spec: &ContainerSpec, exec: &ExecSpec) -> Result<Started, StepFailure> {
        let name = exec.argv.first().cloned().unwrap_or_default();
        let Some((says, code)) = self.process(&spec.id).commands.get(&name).cloned() else {
            return Err(StepFailure::new(FailureKind::User, format!("{name}: not found")));
        };
        self.note(&name, &spec.id);
        let pid = self.next_pid.replace(self.next_pid.get() + 1);
        let read = pipe_with(&says)?;
        if self.sender.send(HostEvent::ExecExited { pid, code }).is_err() {
            unreachable!("the receiver is ours");
        }
        Ok(Started {
            pid,
            console: None,
            stdin: None,
            stdout: Some(read),
            stderr: None,
            ports: Vec::new(),
            notes: Vec::new(),
        })
    }

    async fn signal_exec(&self, _pid: i32, _signal: Signal) -> Result<(), StepFailure> {
        Ok(())
    }

    async fn probe(&self, spec: &ContainerSpec, _argv: &[String], _timeout: Duration) -> ProbeOutcome {
        let mut all = self.processes.borrow_mut();
        let exit_code = match all.get_mut(&spec.id) {
            Some(p) if p.probes.len() > 1 => p.probes.pop_front().unwrap_or(0),
            Some(p) => p.probes.front().copied().unwrap_or(0),
            None => 0,
        };
        ProbeOutcome { exit_code, output: format!("probe says {exit_code}") }
    }

    async fn next_event(&self) -> Option<HostEvent> {
        self.events.lock().await.recv().await
    }

    async fn observe(&self) -> Result<Observed, StepFailure> {
        Ok(Observed::default())
    }

    fn claim(&self, _plan: &Plan) -> Result<bool, StepFailure> {
        Ok(true)
    }

    fn foresee(&self, _plan: &Plan) -> Vec<(StepId, StepFailure)> {
        Vec::new()
    }

    fn generation(&self) -> u64 {
        self.generation.get()
    }

    fn advance(&self) -> Result<(), StepFailure> {
        self.generation.set(self.generation.get() + 1);
        Ok(())
    }

    fn keep_meta(&self, _working_dir: &Path, _config_files: &[PathBuf]) {}

    fn save_state(&self, _id: &ContainerId, _state: &ContainerState) -> Result<(), StepFailure> {
        Ok(())
    }

    fn log_path(&self, id: &ContainerId) -> PathBuf {
        self.logs.join(id.short())
    }

    fn forget(&self, id: &ContainerId) {
        self.note("forget", id);
    }

    fn seal(&self, late: &mut dyn FnMut() -> bool) -> bool {
        !late() && !self.sealed.replace(true)
    }

    fn keeper_pid(&self) -> i32 {
        1
    }
}
