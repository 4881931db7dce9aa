use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcompose_engine::{FailureKind, Host, HostEvent, StepFailure};
use rcompose_plan::{
    ContainerId, ContainerSpec, ContainerState, ContainerStatus, HealthStatus, ObservedContainer,
};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::pump::ContainerLog;
use crate::{LifeEvent, Response};

/// Nanoseconds since 1970.
pub(crate) fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
}

/// How many messages a follower may lag behind before it is cut off; it finds what it missed in
/// the log files.
const FOLLOWER_QUEUE: usize = 4096;

/// One container that the supervisor looks after.
pub(crate) struct Live {
    pub(crate) spec: Rc<ContainerSpec>,
    pub(crate) state: watch::Sender<ContainerState>,
    pub(crate) log: Option<Rc<ContainerLog>>,
    pub(crate) pumps: Vec<JoinHandle<()>>,
    pub(crate) health: Option<JoinHandle<()>>,
    /// The pending automatic restart.
    pub(crate) restart: Option<JoinHandle<()>>,
    /// Somebody asked for its end: its next exit is no reason to restart.
    pub(crate) stopping: bool,
    /// A full disk was already reported for this run.
    pub(crate) log_failed: bool,
}

/// How a container's process ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    pub(crate) pid: i32,
    pub(crate) code: i32,
    pub(crate) at: i64,
    pub(crate) oom_killed: bool,
}

struct Follower {
    queue: mpsc::Sender<Response>,
    containers: Vec<ContainerId>,
    logs: bool,
    life: bool,
}

/// What all tasks of the supervisor share; one thread.
pub(crate) struct Core<H> {
    pub(crate) host: H,
    pub(crate) containers: RefCell<BTreeMap<ContainerId, Live>>,
    pub(crate) applying: tokio::sync::Mutex<()>,
    followers: RefCell<Vec<Follower>>,
    execs: RefCell<HashMap<i32, oneshot::Sender<i32>>>,
    early_exec_exits: RefCell<HashMap<i32, i32>>,
    /// Containers that are being started, and the ends of those that were faster than we.
    pub(crate) starting: RefCell<BTreeSet<ContainerId>>,
    pub(crate) early_ends: RefCell<BTreeMap<ContainerId, End>>,
    /// Connections that ask for something; followers don't count.
    pub(crate) busy: Cell<usize>,
    /// Something ended: look whether anything is left to do.
    pub(crate) idle_check: Notify,
}

impl<H: Host + 'static> Core<H> {
    pub(crate) fn new(host: H) -> Rc<Self> {
        Rc::new(Self {
            host,
            containers: RefCell::default(),
            applying: tokio::sync::Mutex::new(()),
            followers: RefCell::default(),
            execs: RefCell::default(),
            early_exec_exits: RefCell::default(),
            starting: RefCell::default(),
            early_ends: RefCell::default(),
            busy: Cell::new(0),
            idle_check: Notify::new(),
        })
    }
}

impl<H: Host> Core<H> {
    /// Takes over what the records say.
    pub(crate) fn adopt_records(&self, observed: BTreeMap<ContainerId, ObservedContainer>) {
        for (id, c) in observed {
            self.insert(id, c.spec, c.state);
        }
    }

    pub(crate) fn insert(&self, id: ContainerId, spec: ContainerSpec, state: ContainerState) {
        let live = Live {
            spec: Rc::new(spec),
            state: watch::Sender::new(state),
            log: None,
            pumps: Vec::new(),
            health: None,
            restart: None,
            stopping: false,
            log_failed: false,
        };
        self.containers.borrow_mut().insert(id, live);
    }

    pub(crate) fn spec(&self, id: &ContainerId) -> Option<Rc<ContainerSpec>> {
        self.containers.borrow().get(id).map(|l| l.spec.clone())
    }

    pub(crate) fn known(&self, id: &ContainerId) -> Result<Rc<ContainerSpec>, StepFailure> {
        self.spec(id)
            .ok_or_else(|| StepFailure::new(FailureKind::User, format!("no such container: {}", id.short())))
    }

    pub(crate) fn state(&self, id: &ContainerId) -> Option<ContainerState> {
        self.containers.borrow().get(id).map(|l| l.state.borrow().clone())
    }

    pub(crate) fn status(&self, id: &ContainerId) -> Option<ContainerStatus> {
        self.containers.borrow().get(id).map(|l| l.state.borrow().status)
    }

    pub(crate) fn health_status(&self, id: &ContainerId) -> Option<HealthStatus> {
        let all = self.containers.borrow();
        let live = all.get(id)?;
        let state = live.state.borrow();
        state.health.as_ref().map(|h| h.status)
    }

    pub(crate) fn watch(&self, id: &ContainerId) -> Option<watch::Receiver<ContainerState>> {
        self.containers.borrow().get(id).map(|l| l.state.subscribe())
    }

    /// Changes a container's state, keeps it on disk, wakes who waits for it.
    pub(crate) fn update<T>(
        &self,
        id: &ContainerId,
        change: impl FnOnce(&mut ContainerState) -> T,
    ) -> Option<T> {
        let all = self.containers.borrow();
        let live = all.get(id)?;
        let mut result = None;
        live.state.send_modify(|s| result = Some(change(s)));
        let saved = self.host.save_state(id, &live.state.borrow());
        if let Err(e) = saved {
            live.state.send_modify(|s| s.error = Some(e.message));
        }
        result
    }

    /// A log entry could not be written: shown as the container's error, once a run.
    pub(crate) fn note_log_failure(&self, id: &ContainerId, e: &io::Error) {
        let mut all = self.containers.borrow_mut();
        let Some(live) = all.get_mut(id) else { return };
        if !std::mem::replace(&mut live.log_failed, true) {
            let text = format!("log entries are lost: {e}");
            live.state.send_modify(|s| s.error = Some(text));
        }
    }

    pub(crate) fn has_followers(&self) -> bool {
        !self.followers.borrow().is_empty()
    }

    pub(crate) fn follow(
        &self,
        containers: Vec<ContainerId>,
        logs: bool,
        life: bool,
    ) -> mpsc::Receiver<Response> {
        let (queue, receiver) = mpsc::channel(FOLLOWER_QUEUE);
        self.followers.borrow_mut().push(Follower { queue, containers, logs, life });
        receiver
    }

    /// Sends to all followers that want it. One that lags too far behind is cut off.
    pub(crate) fn publish(&self, response: &Response) {
        let (about, is_log) = match response {
            Response::Log { container, .. } => (container, true),
            Response::Life { container, .. } => (container, false),
            _ => return,
        };
        self.followers.borrow_mut().retain(|f| {
            let wanted = (f.containers.is_empty() || f.containers.contains(about))
                && if is_log { f.logs } else { f.life };
            !f.queue.is_closed() && (!wanted || f.queue.try_send(response.clone()).is_ok())
        });
    }

    pub(crate) fn life(&self, id: &ContainerId, event: LifeEvent) {
        let service = self.spec(id).map(|s| s.service.to_string()).unwrap_or_default();
        self.publish(&Response::Life { container: id.clone(), service, at: now(), event });
    }

    /// A channel that receives the status of an exec's process, also if it has already ended.
    pub(crate) fn exec_exit(&self, pid: i32) -> oneshot::Receiver<i32> {
        let (tx, rx) = oneshot::channel();
        match self.early_exec_exits.borrow_mut().remove(&pid) {
            // The receiver is alive: it is returned below.
            Some(code) => drop(tx.send(code)),
            None => drop(self.execs.borrow_mut().insert(pid, tx)),
        }
        rx
    }

    fn exec_exited(&self, pid: i32, code: i32) {
        match self.execs.borrow_mut().remove(&pid) {
            // Nobody waits for an exec whose client has gone.
            Some(tx) => drop(tx.send(code)),
            None => drop(self.early_exec_exits.borrow_mut().insert(pid, code)),
        }
    }

    /// True when nothing runs and nobody asks for anything.
    pub(crate) fn is_idle(&self) -> bool {
        self.busy.get() == 0
            && !self.containers.borrow().values().any(|l| {
                matches!(
                    l.state.borrow().status,
                    ContainerStatus::Running | ContainerStatus::Paused | ContainerStatus::Restarting
                )
            })
    }
}

/// Takes in what the machine reports, until it is gone.
pub(crate) async fn handle_events<H: Host + 'static>(core: Rc<Core<H>>) {
    while let Some(event) = core.host.next_event().await {
        match event {
            HostEvent::ExecExited { pid, code } => core.exec_exited(pid, code),
            HostEvent::ContainerExited { id, pid, code, at, oom_killed } => {
                let end = End { pid, code, at, oom_killed };
                // Its start may not have been taken in yet: then it goes on from there.
                if core.starting.borrow().contains(&id) {
                    core.early_ends.borrow_mut().insert(id, end);
                } else {
                    tokio::task::spawn_local(crate::life::ended(core.clone(), id, end));
                }
            }
            HostEvent::Adopted { id, started } => crate::life::adopted(&core, &id, started),
        }
    }
}

/// Counts a request for as long as it is answered.
pub(crate) struct Busy<H: Host + 'static>(Rc<Core<H>>);

impl<H: Host + 'static> Busy<H> {
    pub(crate) fn new(core: &Rc<Core<H>>) -> Self {
        core.busy.set(core.busy.get() + 1);
        Self(core.clone())
    }
}

impl<H: Host + 'static> Drop for Busy<H> {
    fn drop(&mut self) {
        self.0.busy.set(self.0.busy.get() - 1);
        self.0.idle_check.notify_one();
    }
}

/// Time between two instants in nanoseconds since 1970.
pub(crate) fn between(from: Option<i64>, to: i64) -> Duration {
    Duration::from_nanos(from.map_or(0, |f| u64::try_from(to - f).unwrap_or(0)))
}
