//! A container's life: start, end, restart, stop, removal.

use std::rc::Rc;
use std::time::Duration;

use rcompose_engine::{FailureKind, Host, SignalOutcome, Started, StepFailure};
use rcompose_model::Signal;
use rcompose_plan::{ContainerId, ContainerState, ContainerStatus, HealthState, LocalOp};
use tokio::sync::watch;

use crate::core::{Core, End, between, now};
use crate::health::watch_health;
use crate::hooks;
use crate::pump::{ContainerLog, pump};
use crate::restart::restart_delay;
use crate::{LifeEvent, LogStream};

/// How long SIGKILL may take until we say that it doesn't work.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// Starts a container that doesn't run. With `attach` its pipes are returned, not logged.
pub(crate) async fn start<H: Host + 'static>(
    core: &Rc<Core<H>>,
    id: &ContainerId,
    attach: Option<Option<(u16, u16)>>,
) -> Result<Option<Started>, StepFailure> {
    let spec = core.known(id)?;
    cancel_restart(core, id);
    if matches!(core.status(id), Some(ContainerStatus::Running | ContainerStatus::Paused)) {
        return Ok(None);
    }
    if let Some(live) = core.containers.borrow_mut().get_mut(id) {
        live.stopping = false;
        live.log_failed = false;
    }
    core.starting.borrow_mut().insert(id.clone());
    let result = core.host.start(&spec, attach).await;
    core.starting.borrow_mut().remove(id);
    let early_end = core.early_ends.borrow_mut().remove(id);
    let mut started = match result {
        Ok(s) => s,
        Err(failure) => {
            core.host.forget(id);
            core.update(id, |s| {
                s.status = match s.started_at {
                    Some(_) => ContainerStatus::Exited,
                    None => ContainerStatus::Created,
                };
                s.error = Some(failure.message.clone());
                s.exit_code = failure.exit_code.or(s.exit_code);
            });
            return Err(failure);
        }
    };
    core.update(id, |s| {
        s.status = ContainerStatus::Running;
        s.pid = Some(started.pid);
        s.started_at = Some(now());
        s.finished_at = None;
        s.exit_code = None;
        s.oom_killed = false;
        s.stopped_by_user = false;
        s.error = None;
        s.ports = std::mem::take(&mut started.ports);
        s.health = spec.health.as_ref().map(|_| HealthState::default());
    });
    if attach.is_none() {
        begin_pumps(core, id, &mut started);
    }
    begin_health(core, id);
    core.life(id, LifeEvent::Started);
    if let Some(end) = early_end {
        tokio::task::spawn_local(ended(core.clone(), id.clone(), end));
    }
    Ok(Some(started))
}

fn begin_pumps<H: Host + 'static>(core: &Rc<Core<H>>, id: &ContainerId, started: &mut Started) {
    let keep = core.spec(id).map(|s| s.logging).unwrap_or_default();
    let log = match ContainerLog::open(&core.host.log_path(id), keep) {
        Ok(l) => l,
        Err(e) => return core.note_log_failure(id, &e),
    };
    let ends = [
        (LogStream::Stdout, started.console.take().or_else(|| started.stdout.take())),
        (LogStream::Stderr, started.stderr.take()),
    ];
    let mut pumps = Vec::new();
    for (stream, fd) in ends {
        if let Some(fd) = fd {
            let task = pump(core.clone(), id.clone(), log.clone(), stream, fd);
            pumps.push(tokio::task::spawn_local(task));
        }
    }
    if let Some(live) = core.containers.borrow_mut().get_mut(id) {
        live.pumps = pumps;
        live.log = Some(log);
    }
}

fn begin_health<H: Host + 'static>(core: &Rc<Core<H>>, id: &ContainerId) {
    let wanted = core.spec(id).is_some_and(|s| s.health.is_some());
    if wanted {
        let task = tokio::task::spawn_local(watch_health(core.clone(), id.clone()));
        if let Some(live) = core.containers.borrow_mut().get_mut(id)
            && let Some(old) = live.health.replace(task)
        {
            old.abort();
        }
    }
}

/// A container that ran on while there was no supervisor.
pub(crate) fn adopted<H: Host + 'static>(core: &Rc<Core<H>>, id: &ContainerId, mut started: Started) {
    core.update(id, |s| {
        if !matches!(s.status, ContainerStatus::Running | ContainerStatus::Paused) {
            s.status = ContainerStatus::Running;
        }
        s.pid = Some(started.pid);
        if !started.ports.is_empty() {
            s.ports = std::mem::take(&mut started.ports);
        }
    });
    begin_pumps(core, id, &mut started);
    begin_health(core, id);
}

/// A container's PID 1 has ended: complete its log, release what it held, decide on a restart.
pub(crate) async fn ended<H: Host + 'static>(core: Rc<Core<H>>, id: ContainerId, end: End) {
    let End { pid, code, at, oom_killed } = end;
    let Some(spec) = core.spec(&id) else { return };
    if core.state(&id).is_none_or(|s| s.pid != Some(pid)) {
        // A start that failed after its process was there.
        return;
    }
    let pumps = {
        let mut all = core.containers.borrow_mut();
        let Some(live) = all.get_mut(&id) else { return };
        if let Some(h) = live.health.take() {
            h.abort();
        }
        std::mem::take(&mut live.pumps)
    };
    for p in pumps {
        // A pump only ends by itself; a panic in it was already printed.
        drop(p.await);
    }
    core.host.forget(&id);
    core.host.release(&spec).await;
    let stopping = core.containers.borrow().get(&id).is_some_and(|l| l.stopping);
    let delay = core
        .update(&id, |s| {
            let ran_for = between(s.started_at, at);
            s.pid = None;
            s.finished_at = Some(at);
            s.exit_code = Some(code);
            s.oom_killed = oom_killed;
            s.ports.clear();
            s.stopped_by_user = stopping;
            if ran_for >= Duration::from_secs(10) {
                s.restart_count = 0;
            }
            let delay = restart_delay(spec.restart, code, s.restart_count, ran_for, stopping);
            s.status = if delay.is_some() { ContainerStatus::Restarting } else { ContainerStatus::Exited };
            delay
        })
        .flatten();
    core.life(&id, LifeEvent::Exited { code, restarting: delay.is_some(), stopped: stopping });
    if let Some(delay) = delay {
        let task = tokio::task::spawn_local(restart_later(core.clone(), id.clone(), delay));
        if let Some(live) = core.containers.borrow_mut().get_mut(&id) {
            live.restart = Some(task);
        }
    } else if spec.auto_remove {
        // What fails here is met again, and reported, by the next `down`.
        drop(remove(&core, &id, true).await);
        drop(core.host.advance());
    }
    core.idle_check.notify_one();
}

async fn restart_later<H: Host + 'static>(core: Rc<Core<H>>, id: ContainerId, delay: Duration) {
    tokio::time::sleep(delay).await;
    // From here on this task must not be cancelled half-way: it is no longer "pending".
    if let Some(live) = core.containers.borrow_mut().get_mut(&id) {
        live.restart = None;
    }
    core.update(&id, |s| s.restart_count += 1);
    if start(&core, &id, None).await.is_err() {
        // The failure is in the container's state; try again as after a bad run.
        let again = core
            .update(&id, |s| {
                let spec_policy = core.spec(&id).map(|sp| sp.restart)?;
                let d = restart_delay(spec_policy, 1, s.restart_count, Duration::ZERO, false)?;
                s.status = ContainerStatus::Restarting;
                Some(d)
            })
            .flatten();
        if let Some(d) = again {
            let next = tokio::task::spawn_local(Box::pin(restart_later(core.clone(), id.clone(), d)));
            if let Some(live) = core.containers.borrow_mut().get_mut(&id) {
                live.restart = Some(next);
            }
        }
        core.idle_check.notify_one();
    }
}

fn cancel_restart<H: Host>(core: &Core<H>, id: &ContainerId) {
    let task = core.containers.borrow_mut().get_mut(id).and_then(|l| l.restart.take());
    if let Some(t) = task {
        t.abort();
        core.update(id, |s| s.status = ContainerStatus::Exited);
    }
}

/// `pre_stop`, friendly stop, then SIGKILL. Not running is fine. Lines of `pre_stop` go to `say`, its failure to
/// `failed`: it stops the container nevertheless.
pub(crate) async fn stop<H: Host>(
    core: &Rc<Core<H>>,
    id: &ContainerId,
    grace: Option<Duration>,
    say: &dyn Fn(String),
    failed: &dyn Fn(StepFailure),
) -> Result<(), StepFailure> {
    let spec = core.known(id)?;
    mark_stopping(core, id);
    cancel_restart(core, id);
    match core.status(id) {
        Some(ContainerStatus::Paused) => core.host.freeze(id, false).await?,
        Some(ContainerStatus::Running) => {}
        _ => {
            core.update(id, |s| s.stopped_by_user = true);
            return Ok(());
        }
    }
    if let Err(failure) = hooks::run(core, id, "pre_stop", &spec.pre_stop, say).await
        && core.status(id) == Some(ContainerStatus::Running)
    {
        failed(failure);
    }
    let outcome = core.host.signal(id, spec.stop_signal).await?;
    let grace = grace.unwrap_or(spec.stop_grace);
    // A signal that PID 1 doesn't handle is dropped by the kernel: no grace time changes that.
    let in_vain = outcome == SignalOutcome::Ineffective;
    if !in_vain && wait_end(core, id, grace).await {
        return Ok(());
    }
    kill_and_wait(core, id).await
}

/// SIGKILL, and the end of it.
pub(crate) async fn kill_and_wait<H: Host>(core: &Rc<Core<H>>, id: &ContainerId) -> Result<(), StepFailure> {
    mark_stopping(core, id);
    if core.host.signal(id, Signal::KILL).await? == SignalOutcome::Gone {
        // Its end is on the way here.
    }
    if wait_end(core, id, KILL_PATIENCE).await {
        return Ok(());
    }
    Err(StepFailure::new(
        FailureKind::Environment,
        format!("container {} doesn't end by SIGKILL", id.short()),
    )
    .hint("a process in it is probably stuck in the kernel; see its stack in /proc/PID/stack"))
}

/// Sends any signal (`kill`). SIGKILL is waited for.
pub(crate) async fn kill<H: Host>(
    core: &Rc<Core<H>>,
    id: &ContainerId,
    signal: Signal,
) -> Result<(), StepFailure> {
    core.known(id)?;
    cancel_restart(core, id);
    if !matches!(core.status(id), Some(ContainerStatus::Running | ContainerStatus::Paused)) {
        return Ok(());
    }
    if signal == Signal::KILL {
        return kill_and_wait(core, id).await;
    }
    if signal == Signal::TERM || signal == Signal::INT {
        mark_stopping(core, id);
    }
    core.host.signal(id, signal).await.map(|_| ())
}

/// Freezes or thaws.
pub(crate) async fn pause<H: Host>(
    core: &Rc<Core<H>>,
    id: &ContainerId,
    frozen: bool,
) -> Result<(), StepFailure> {
    let spec = core.known(id)?;
    let wrong = match (core.status(id), frozen) {
        (Some(ContainerStatus::Running), true) | (Some(ContainerStatus::Paused), false) => None,
        (Some(ContainerStatus::Paused), true) => Some("already paused"),
        (_, true) => Some("not running"),
        (_, false) => Some("not paused"),
    };
    if let Some(wrong) = wrong {
        let message = format!("container {} is {wrong}", spec.name);
        return Err(StepFailure::new(FailureKind::User, message));
    }
    core.host.freeze(id, frozen).await?;
    core.update(id, |s| {
        s.status = if frozen { ContainerStatus::Paused } else { ContainerStatus::Running };
    });
    core.life(id, if frozen { LifeEvent::Paused } else { LifeEvent::Unpaused });
    Ok(())
}

/// Removes a container; one that still runs is killed first. Not there is fine.
pub(crate) async fn remove<H: Host>(
    core: &Rc<Core<H>>,
    id: &ContainerId,
    volumes: bool,
) -> Result<(), StepFailure> {
    if core.spec(id).is_none() {
        return Ok(());
    }
    mark_stopping(core, id);
    cancel_restart(core, id);
    if matches!(core.status(id), Some(ContainerStatus::Running | ContainerStatus::Paused)) {
        kill_and_wait(core, id).await?;
    }
    core.update(id, |s| s.status = ContainerStatus::Removing);
    core.host.run(&LocalOp::RemoveContainer { id: id.clone(), volumes }).await?;
    core.life(id, LifeEvent::Removed);
    core.containers.borrow_mut().remove(id);
    Ok(())
}

fn mark_stopping<H: Host>(core: &Core<H>, id: &ContainerId) {
    if let Some(live) = core.containers.borrow_mut().get_mut(id) {
        live.stopping = true;
    }
}

/// True when the container ended in time.
async fn wait_end<H: Host>(core: &Core<H>, id: &ContainerId, patience: Duration) -> bool {
    let Some(mut rx) = core.watch(id) else {
        return true;
    };
    tokio::time::timeout(patience, until(&mut rx, has_ended)).await.is_ok()
}

/// Waits until the state is as asked; returns at once if the container goes away.
pub(crate) async fn until(
    rx: &mut watch::Receiver<ContainerState>,
    wanted: impl Fn(&ContainerState) -> bool,
) {
    // The only error is that the sender is gone: the container was removed, nothing is left to wait for.
    drop(rx.wait_for(|s| wanted(s)).await);
}

pub(crate) fn has_ended(s: &ContainerState) -> bool {
    !matches!(s.status, ContainerStatus::Running | ContainerStatus::Paused)
}
