use std::collections::BTreeMap;
use std::time::Duration;

use rcompose_model::{DependencyCondition, ServiceName};

use crate::{
    ContainerId, ContainerSpec, ContainerState, ContainerStatus, HealthStatus, LocalOp, Plan, PlanStep,
    StepId, VolumeSpec, WaitCondition,
};

/// Grows a plan step by step.
pub(crate) struct Builder {
    pub(crate) plan: Plan,
}

impl Builder {
    pub(crate) fn new(generation: u64) -> Self {
        Self { plan: Plan { generation, ..Plan::default() } }
    }

    pub(crate) fn push(
        &mut self,
        op: LocalOp,
        subject: impl Into<String>,
        reason: impl Into<String>,
        after: Vec<StepId>,
    ) -> StepId {
        self.push_any(op, subject, reason, after, Vec::new())
    }

    pub(crate) fn push_any(
        &mut self,
        op: LocalOp,
        subject: impl Into<String>,
        reason: impl Into<String>,
        mut after: Vec<StepId>,
        mut after_any: Vec<StepId>,
    ) -> StepId {
        for list in [&mut after, &mut after_any] {
            list.sort_unstable();
            list.dedup();
        }
        let step = PlanStep { op, after, after_any, subject: subject.into(), reason: reason.into() };
        self.plan.steps.push(step);
        self.plan.steps.len() - 1
    }

    /// Stop (when it runs) and remove; the step after which it is gone.
    pub(crate) fn stop_and_remove(
        &mut self,
        spec: &ContainerSpec,
        state: &ContainerState,
        grace: Option<Duration>,
        reason: &str,
        after_any: Vec<StepId>,
        volumes: bool,
    ) -> StepId {
        let mut before = after_any;
        if is_up(state) {
            let op = LocalOp::StopContainer { id: spec.id.clone(), grace };
            before = vec![self.push_any(op, container(spec), reason, Vec::new(), before)];
        }
        let op = LocalOp::RemoveContainer { id: spec.id.clone(), volumes };
        self.push_any(op, container(spec), reason, Vec::new(), before)
    }
}

/// `Container NAME`, as progress lines name it.
pub(crate) fn container(spec: &ContainerSpec) -> String {
    format!("Container {}", spec.name)
}

/// It has a process, or will have one by itself.
pub(crate) fn is_up(state: &ContainerState) -> bool {
    matches!(state.status, ContainerStatus::Running | ContainerStatus::Paused | ContainerStatus::Restarting)
}

/// A container of the plan: new, or kept.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) spec: ContainerSpec,
    pub(crate) state: Option<ContainerState>,
    /// The step that starts it, if one does.
    pub(crate) start: Option<StepId>,
    /// Made anew in this plan in place of another one.
    pub(crate) recreated: bool,
}

/// What a service's dependants wait for, each wait made once.
#[derive(Default)]
pub(crate) struct Waits {
    made: BTreeMap<(ContainerId, WaitKey), StepId>,
}

type WaitKey = u8;

impl Waits {
    /// Steps after which the members satisfy the condition.
    pub(crate) fn steps(
        &mut self,
        b: &mut Builder,
        members: &[Member],
        condition: DependencyCondition,
    ) -> Vec<StepId> {
        let mut out = Vec::new();
        for m in members {
            let (wanted, key) = match condition {
                DependencyCondition::ServiceStarted => {
                    out.extend(m.start);
                    continue;
                }
                DependencyCondition::ServiceHealthy => (WaitCondition::Healthy, 1),
                DependencyCondition::ServiceCompletedSuccessfully => {
                    (WaitCondition::CompletedSuccessfully, 2)
                }
            };
            if m.start.is_none() && m.state.as_ref().is_some_and(|s| satisfied(s, wanted)) {
                continue;
            }
            let id = m.spec.id.clone();
            let step = *self.made.entry((id.clone(), key)).or_insert_with(|| {
                let reason =
                    if key == 1 { "its dependants need it healthy" } else { "its dependants need its end" };
                let op = LocalOp::WaitFor { id, condition: wanted, timeout: None };
                b.push(op, container(&m.spec), reason, m.start.into_iter().collect())
            });
            out.push(step);
        }
        out
    }
}

/// A kept container that is already as wanted.
pub(crate) fn satisfied(state: &ContainerState, wanted: WaitCondition) -> bool {
    let up = state.status == ContainerStatus::Running;
    let healthy = state.health.as_ref().is_some_and(|h| h.status == HealthStatus::Healthy);
    let completed = state.status == ContainerStatus::Exited && state.exit_code == Some(0);
    match wanted {
        WaitCondition::Started => up,
        WaitCondition::Healthy => up && healthy,
        WaitCondition::CompletedSuccessfully => completed,
        WaitCondition::Ready => (up && (healthy || state.health.is_none())) || completed,
        WaitCondition::Ended => state.status == ContainerStatus::Exited,
    }
}

/// Volumes that a plan makes, each once.
#[derive(Default)]
pub(crate) struct Volumes {
    made: BTreeMap<String, StepId>,
}

impl Volumes {
    pub(crate) fn step(&mut self, b: &mut Builder, spec: VolumeSpec, reason: &str) -> StepId {
        *self.made.entry(spec.name.clone()).or_insert_with(|| {
            let subject = format!("Volume {}", spec.name);
            b.push(LocalOp::CreateVolume { spec }, subject, reason, Vec::new())
        })
    }

    pub(crate) fn made(&self, name: &str) -> Option<StepId> {
        self.made.get(name).copied()
    }
}

/// Members by service.
pub(crate) type Members = BTreeMap<ServiceName, Vec<Member>>;
