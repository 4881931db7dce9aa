use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcompose_model::Signal;
use rcompose_plan::{BoundPort, ContainerId, ContainerSpec, ContainerState, LocalOp, Observed, Plan, StepId};
use serde::{Deserialize, Serialize};

use crate::StepFailure;

/// A process to run inside a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecSpec {
    /// What.
    pub argv: Vec<String>,
    /// Added to the container's environment; replaces equal names, and takes those without a value away.
    pub env: Vec<(String, Option<String>)>,
    /// `user[:group]`; the container's when `None`.
    pub user: Option<String>,
    /// Working directory; the container's when `None`.
    pub cwd: Option<String>,
    /// With a terminal of (rows, columns).
    pub tty: Option<(u16, u16)>,
    /// With stdin.
    pub stdin: bool,
    /// All capabilities.
    pub privileged: bool,
    /// Nobody reads what it writes: its three streams are `/dev/null`.
    pub detached: bool,
}

/// A process that was started, with the ends of its pipes or its terminal.
#[derive(Debug)]
pub struct Started {
    /// Host's PID.
    pub pid: i32,
    /// Terminal, instead of the three pipes.
    pub console: Option<OwnedFd>,
    /// Write end of stdin.
    pub stdin: Option<OwnedFd>,
    /// Read end of stdout.
    pub stdout: Option<OwnedFd>,
    /// Read end of stderr.
    pub stderr: Option<OwnedFd>,
    /// Published ports as they came out.
    pub ports: Vec<BoundPort>,
    /// What could not be honoured, one line each.
    pub notes: Vec<String>,
}

/// What became of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalOutcome {
    /// It was sent and the process handles it.
    Sent,
    /// PID 1 of the container has no handler for it: the kernel drops it (`pid_namespaces(7)`).
    Ineffective,
    /// There is no process.
    Gone,
}

/// How a probe ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeOutcome {
    /// Status; -1 when it timed out or could not be run.
    pub exit_code: i32,
    /// At most 4096 bytes of its output.
    pub output: String,
}

/// What the machine reports of its own accord.
#[derive(Debug)]
pub enum HostEvent {
    /// A container's PID 1 ended.
    ContainerExited {
        /// Which.
        id: ContainerId,
        /// The PID that it had: an end is only of that start.
        pid: i32,
        /// As a shell's `$?`.
        code: i32,
        /// Nanoseconds since 1970.
        at: i64,
        /// The out-of-memory killer struck.
        oom_killed: bool,
    },
    /// A process started by exec ended.
    ExecExited {
        /// Host's PID.
        pid: i32,
        /// As a shell's `$?`.
        code: i32,
    },
    /// A container that a former supervisor left running, with its log pipes.
    Adopted {
        /// Which.
        id: ContainerId,
        /// Its process and pipes.
        started: Started,
    },
}

/// One machine: does one step at a time, decides nothing.
///
/// Implementations run on one thread (a current-thread loop); futures need not be `Send`.
#[expect(async_fn_in_trait, reason = "one thread by design; no caller needs Send futures")]
pub trait Host {
    /// Networks, volumes, container records: everything of [`LocalOp`] but starting, stopping, waiting.
    async fn run(&self, op: &LocalOp) -> Result<(), StepFailure>;

    /// Starts a container's process, its network, ports and names. With `attach`, the pipes
    /// (and a terminal of (rows, columns)) are for a person, not for the log.
    async fn start(
        &self,
        spec: &ContainerSpec,
        attach: Option<Option<(u16, u16)>>,
    ) -> Result<Started, StepFailure>;

    /// Releases what a container's running held (ports, names, cgroup) once its process has ended.
    async fn release(&self, spec: &ContainerSpec);

    /// Sends a signal to a container's PID 1.
    async fn signal(&self, id: &ContainerId, signal: Signal) -> Result<SignalOutcome, StepFailure>;

    /// Freezes or thaws a container.
    async fn freeze(&self, id: &ContainerId, frozen: bool) -> Result<(), StepFailure>;

    /// Starts a process in a running container.
    async fn exec(&self, spec: &ContainerSpec, exec: &ExecSpec) -> Result<Started, StepFailure>;

    /// Sends a signal to a process started by [`Host::exec`].
    async fn signal_exec(&self, pid: i32, signal: Signal) -> Result<(), StepFailure>;

    /// Runs a health probe to its end.
    async fn probe(&self, spec: &ContainerSpec, argv: &[String], timeout: Duration) -> ProbeOutcome;

    /// The next thing the machine reports; `None` when the machine is gone (the keeper died).
    async fn next_event(&self) -> Option<HostEvent>;

    /// The records and states as they are.
    async fn observe(&self) -> Result<Observed, StepFailure>;

    /// Takes what a plan needs from the machine for itself alone: subnets, uplinks. False when
    /// somebody else was faster: the plan must be made anew.
    fn claim(&self, plan: &Plan) -> Result<bool, StepFailure>;

    /// What of a plan is sure to fail, by step: found before anything of it is done, and then nothing of it is, and
    /// what was claimed for it is given back.
    fn foresee(&self, plan: &Plan) -> Vec<(StepId, StepFailure)>;

    /// Generation of the records.
    fn generation(&self) -> u64;

    /// Counts the records' generation up; a plan made before is refused from now on.
    fn advance(&self) -> Result<(), StepFailure>;

    /// Keeps what is known of the project besides its resources.
    fn keep_meta(&self, working_dir: &Path, config_files: &[PathBuf]);

    /// Keeps a container's state for other processes to read.
    fn save_state(&self, id: &ContainerId, state: &ContainerState) -> Result<(), StepFailure>;

    /// Where a container's log is.
    fn log_path(&self, id: &ContainerId) -> PathBuf;

    /// The log of an ended container is complete: its pipes may go.
    fn forget(&self, id: &ContainerId);

    /// True when nobody can come any more: the caller ends and must not serve another client. From the moment when
    /// nobody can come any more, `late` tells whether somebody came before it: then nothing is sealed.
    fn seal(&self, late: &mut dyn FnMut() -> bool) -> bool;

    /// The process that outlives this one by a moment, for clients that wait for the end of everything.
    fn keeper_pid(&self) -> i32;
}
