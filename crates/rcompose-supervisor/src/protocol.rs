use std::path::PathBuf;

use rcompose_engine::{ExecSpec, StepEvent, StepFailure};
use rcompose_model::Signal;
use rcompose_plan::{ContainerId, Plan};
use serde::{Deserialize, Serialize};

use crate::LogStream;

/// What a client asks of a project's supervisor. One request at a time on a connection;
/// closing the connection ends what it asked for (a plan is cancelled, an exec goes on).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Carry out a plan. Answers: `Stale`, or `Step`…, (`Attached`, `Exited` with attach), `Applied`.
    Apply {
        /// The plan.
        plan: Plan,
        /// What is known of the project, kept with its records.
        meta: ProjectMeta,
        /// Give the client this container's pipes or terminal.
        attach: Option<Attach>,
    },
    /// Stop beginning further steps of the plan that is being carried out on this connection
    /// and give up its waits.
    Cancel,
    /// Send log entries and life events as they happen until the connection closes.
    /// Answer: `Following`, then `Log` and `Life`.
    Follow {
        /// Containers; empty is all of the project.
        containers: Vec<ContainerId>,
        /// With log entries.
        logs: bool,
        /// With life events.
        life: bool,
    },
    /// Run a process in a container. Answers: `ExecStarted` with fds, then `ExecExited`; or `Refused`.
    Exec {
        /// Container.
        container: ContainerId,
        /// Process.
        spec: ExecSpec,
    },
    /// Signal the process of the exec that runs on this connection.
    SignalExec {
        /// Signal.
        signal: Signal,
    },
    /// Signal a container's PID 1. Answer: `Done` or `Refused`.
    Signal {
        /// Container.
        container: ContainerId,
        /// Signal.
        signal: Signal,
    },
}

/// The container whose pipes the client wants (`run`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// Container.
    pub container: ContainerId,
    /// With a terminal of (rows, columns).
    pub tty: Option<(u16, u16)>,
    /// With stdin.
    pub stdin: bool,
}

/// What is known of a project besides its resources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectMeta {
    /// Project directory.
    pub working_dir: PathBuf,
    /// Compose files.
    pub config_files: Vec<PathBuf>,
}

/// What a supervisor says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "response", rename_all = "snake_case")]
pub enum Response {
    /// The plan was made from records that have changed since: observe and plan again.
    Stale,
    /// A step of the plan.
    Step {
        /// What happened.
        #[serde(flatten)]
        event: StepEvent,
    },
    /// The attached container runs. Carries fds: the terminal, or \[stdin,\] stdout, stderr.
    Attached {
        /// Container.
        container: ContainerId,
        /// One fd: the terminal. Else the pipes.
        tty: bool,
        /// The first of the pipes is stdin.
        stdin: bool,
    },
    /// The attached container ended.
    Exited {
        /// Container.
        container: ContainerId,
        /// As a shell's `$?`.
        code: i32,
    },
    /// The plan is done.
    Applied {
        /// No step failed and none was skipped.
        success: bool,
        /// Failed steps with their reasons.
        failures: Vec<(usize, StepFailure)>,
        /// Steps not tried.
        skipped: usize,
        /// Nothing of the project is left: this process is ending, and its keeper (this PID) too.
        ending: Option<i32>,
    },
    /// From here on everything that happens is sent.
    Following,
    /// A log entry.
    Log {
        /// Container.
        container: ContainerId,
        /// Stream.
        stream: LogStream,
        /// Nanoseconds since 1970.
        at: i64,
        /// Text without its newline; bytes that are no UTF-8 are replaced.
        text: String,
        /// The line goes on in the next entry of this stream.
        partial: bool,
        /// Length of the log file with this entry: a client that has read so far drops it.
        offset: u64,
    },
    /// Something in a container's life.
    Life {
        /// Container.
        container: ContainerId,
        /// Service.
        service: String,
        /// Nanoseconds since 1970.
        at: i64,
        /// What.
        #[serde(flatten)]
        event: LifeEvent,
    },
    /// The process runs. Carries fds as `Attached` does.
    ExecStarted {
        /// One fd: the terminal. Else the pipes.
        tty: bool,
        /// The first of the pipes is stdin.
        stdin: bool,
    },
    /// The process of the exec ended.
    ExecExited {
        /// As a shell's `$?`.
        code: i32,
    },
    /// Done.
    Done,
    /// It can't be done.
    Refused {
        /// Why.
        failure: StepFailure,
    },
}

/// Something in a container's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "life", rename_all = "snake_case")]
pub enum LifeEvent {
    /// Recorded.
    Created,
    /// Its process runs.
    Started,
    /// Its process ended.
    Exited {
        /// As a shell's `$?`.
        code: i32,
        /// It will be started again.
        restarting: bool,
        /// Ended by a stop or kill that someone asked for.
        stopped: bool,
    },
    /// Its health changed: `healthy`, `unhealthy`.
    Health {
        /// New verdict.
        status: String,
    },
    /// Frozen.
    Paused,
    /// Thawed.
    Unpaused,
    /// Removed.
    Removed,
}
