//! Carries out a plan's steps: each through the host, waits through the containers' states.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use rcompose_engine::{Events, FailureKind, Host, Started, StepEvent, StepFailure, StepRunner};
use rcompose_plan::{
    ContainerId, ContainerState, ContainerStatus, HealthStatus, LocalOp, PlanStep, StepId, WaitCondition,
};
use tokio::sync::{Notify, mpsc};

use crate::core::{Core, now};
use crate::{Attach, LifeEvent, LogReader, hooks, life};

/// How many of a failed container's last log lines are shown.
const SHOWN_LOG_LINES: usize = 10;

/// Runs one plan for one client.
pub(crate) struct Applier<H: Host + 'static> {
    pub(crate) core: Rc<Core<H>>,
    pub(crate) attach: Option<Attach>,
    /// The attached container, once it runs.
    pub(crate) attached: RefCell<Option<Started>>,
    pub(crate) attached_ready: Notify,
    /// Its state, from its start on.
    pub(crate) watching: RefCell<Option<tokio::sync::watch::Receiver<ContainerState>>>,
    pub(crate) cancelled: Cell<bool>,
    pub(crate) cancel: Notify,
    pub(crate) events: mpsc::UnboundedSender<StepEvent>,
}

impl<H: Host + 'static> Events for Applier<H> {
    fn event(&self, event: StepEvent) {
        // The receiver lives as long as the plan is carried out.
        drop(self.events.send(event));
    }
}

impl<H: Host + 'static> StepRunner for Applier<H> {
    fn cancelled(&self) -> bool {
        self.cancelled.get()
    }

    async fn step(&self, id: StepId, step: &PlanStep) -> Result<(), StepFailure> {
        let core = &self.core;
        match &step.op {
            LocalOp::CreateContainer { spec, .. } => {
                core.host.run(&step.op).await?;
                let state = ContainerState { created_at: now(), ..ContainerState::default() };
                core.insert(spec.id.clone(), (**spec).clone(), state);
                core.update(&spec.id, |_| ());
                core.life(&spec.id, LifeEvent::Created);
                Ok(())
            }
            LocalOp::StartContainer { id: container } => self.start(id, container).await,
            LocalOp::WaitFor { id, condition, timeout } => self.wait_for(id, *condition, *timeout).await,
            LocalOp::StopContainer { id: container, grace } => self.stop(id, container, *grace).await,
            LocalOp::KillContainer { id, signal } => life::kill(core, id, *signal).await,
            LocalOp::PauseContainer { id } => life::pause(core, id, true).await,
            LocalOp::UnpauseContainer { id } => life::pause(core, id, false).await,
            LocalOp::RemoveContainer { id, volumes } => life::remove(core, id, *volumes).await,
            LocalOp::CreateNetwork { .. }
            | LocalOp::RemoveNetwork { .. }
            | LocalOp::CreateVolume { .. }
            | LocalOp::RemoveVolume { .. }
            | LocalOp::RenameContainer { .. } => core.host.run(&step.op).await,
        }
    }
}

impl<H: Host + 'static> Applier<H> {
    async fn start(&self, step: StepId, id: &ContainerId) -> Result<(), StepFailure> {
        let attach = self.attach.as_ref().filter(|a| a.container == *id);
        let started = life::start(&self.core, id, attach.map(|a| a.tty)).await?;
        let Some(mut started) = started else {
            return Ok(());
        };
        for text in std::mem::take(&mut started.notes) {
            self.event(StepEvent::Note { step, text });
        }
        if attach.is_some() {
            // From here on: a quick container that removes itself may be gone before anybody asks.
            *self.watching.borrow_mut() = self.core.watch(id);
            *self.attached.borrow_mut() = Some(started);
            self.attached_ready.notify_one();
        }
        let hooks = self.core.known(id)?.post_start.clone();
        let say = |text| self.event(StepEvent::Output { step, text });
        hooks::run(&self.core, id, "post_start", &hooks, &say).await
    }

    async fn stop(&self, step: StepId, id: &ContainerId, grace: Option<Duration>) -> Result<(), StepFailure> {
        let say = |text| self.event(StepEvent::Output { step, text });
        let failed = |failure: StepFailure| {
            for text in std::iter::once(failure.message).chain(failure.detail) {
                self.event(StepEvent::Note { step, text });
            }
        };
        life::stop(&self.core, id, grace, &say, &failed).await
    }

    async fn wait_for(
        &self,
        id: &ContainerId,
        condition: WaitCondition,
        timeout: Option<Duration>,
    ) -> Result<(), StepFailure> {
        let spec = self.core.known(id)?;
        let Some(mut rx) = self.core.watch(id) else {
            return Ok(());
        };
        let has_check = spec.health.is_some();
        let settled = async {
            life::until(&mut rx, |s| verdict(s, condition, has_check).is_some()).await;
            rx.borrow().clone()
        };
        let limit = async {
            match timeout {
                Some(t) => tokio::time::sleep(t).await,
                None => std::future::pending().await,
            }
        };
        let state = tokio::select! {
            biased;
            state = settled => state,
            () = limit => {
                let seconds = timeout.unwrap_or_default().as_secs_f64();
                let mut f = StepFailure::new(
                    FailureKind::User,
                    format!("container {} is not ready after {seconds}s", spec.name),
                );
                self.explain(id, &mut f);
                return Err(f);
            }
            () = self.cancel.notified() => {
                self.cancel.notify_waiters();
                return Err(StepFailure::new(FailureKind::User, "cancelled"));
            }
        };
        let reason = match verdict(&state, condition, has_check) {
            Some(Ok(())) => return Ok(()),
            Some(Err(reason)) => reason,
            None => "was removed".to_owned(),
        };
        let mut f = StepFailure::new(
            FailureKind::User,
            match condition {
                WaitCondition::CompletedSuccessfully if spec.oneoff => {
                    format!("container {} didn't complete successfully: {reason}", spec.name)
                }
                WaitCondition::CompletedSuccessfully => {
                    format!("service \"{}\" didn't complete successfully: {reason}", spec.service)
                }
                _ => format!("container {} {reason}", spec.name),
            },
        )
        .at(&spec.origin);
        f.exit_code = state.exit_code;
        self.explain(id, &mut f);
        Err(f)
    }

    /// Adds what helps to see why: the last probe's output and the last log lines.
    fn explain(&self, id: &ContainerId, failure: &mut StepFailure) {
        let probe = self.core.state(id).and_then(|s| s.health).and_then(|h| h.log.last().cloned());
        if let Some(p) = probe {
            failure.detail.push(format!("the last health probe ended with {}:", p.exit_code));
            failure.detail.extend(p.output.lines().map(|l| format!("  {l}")));
        }
        let mut last = std::collections::VecDeque::new();
        if let Ok(Some(mut log)) = LogReader::open(&self.core.host.log_path(id)) {
            while let Ok(Some(e)) = log.next_entry() {
                if last.len() == SHOWN_LOG_LINES {
                    last.pop_front();
                }
                last.push_back(String::from_utf8_lossy(&e.text).into_owned());
            }
        }
        if !last.is_empty() {
            failure.detail.push("the last log lines:".to_owned());
            failure.detail.extend(last.into_iter().map(|l| format!("  {l}")));
        }
    }
}

/// Whether a wait is over, and how; `None`: not yet.
fn verdict(s: &ContainerState, condition: WaitCondition, has_check: bool) -> Option<Result<(), String>> {
    use ContainerStatus::{Created, Exited, Paused, Removing, Restarting, Running};
    let code = s.exit_code.unwrap_or(0);
    let exited = || Err(format!("exited ({code})"));
    let health = s.health.as_ref().map(|h| h.status);
    let healthy = || match health {
        Some(HealthStatus::Healthy) => Some(Ok(())),
        Some(HealthStatus::Unhealthy) => Some(Err("is unhealthy".to_owned())),
        _ => None,
    };
    match (condition, s.status) {
        (_, Removing) => Some(Err("is being removed".to_owned())),
        (_, Created) => s.error.as_ref().map(|e| Err(format!("could not be started: {e}"))),
        (WaitCondition::Started, Running | Paused | Exited | Restarting) => Some(Ok(())),
        (WaitCondition::Healthy, Running | Paused) if !has_check => {
            Some(Err("has no healthcheck configured".to_owned()))
        }
        (WaitCondition::Ready, Running | Paused) if !has_check => Some(Ok(())),
        (WaitCondition::Healthy | WaitCondition::Ready, Running | Paused) => healthy(),
        (WaitCondition::Ready, Exited) if code == 0 => Some(Ok(())),
        (WaitCondition::Healthy | WaitCondition::Ready, Exited) => Some(exited()),
        (WaitCondition::CompletedSuccessfully, Exited) if code == 0 => Some(Ok(())),
        (WaitCondition::CompletedSuccessfully, Exited) => Some(Err(format!("exit {code}"))),
        (WaitCondition::Ended, Exited) => Some(Ok(())),
        (_, Restarting | Running | Paused) => None,
    }
}
