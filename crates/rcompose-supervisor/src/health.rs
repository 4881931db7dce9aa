use std::rc::Rc;
use std::time::Duration;

use rcompose_engine::{Host, ProbeOutcome};
use rcompose_plan::{ContainerId, ContainerStatus, HealthLogEntry, HealthSpec, HealthState, HealthStatus};
use tokio::time::Instant;

use crate::LifeEvent;
use crate::core::{Core, now};
use crate::life;

/// How many probes the log keeps, as docker does.
const LOG_LENGTH: usize = 5;
/// The first extra probe comes this long after the start, each next one half as much later again.
const EAGER_FIRST: Duration = Duration::from_millis(10);
/// Extra probes never come less often than this.
const EAGER_LONGEST: Duration = Duration::from_millis(500);

/// Probes a container until it is aborted (when the container ends).
///
/// Docker's schedule decides what counts against a service: the first scheduled probe after
/// one interval, failures in the start period for nothing. Until the first success there are
/// extra probes in between that can only count in its favour, so that whatever waits for it
/// goes on within milliseconds of its being ready.
pub(crate) async fn watch_health<H: Host>(core: Rc<Core<H>>, id: ContainerId) {
    let Some(spec) = core.spec(&id) else { return };
    let Some(health) = spec.health.clone() else {
        return;
    };
    let begun = Instant::now();
    let mut eager = EAGER_FIRST;
    let mut scheduled = begun + first_interval(&health);
    loop {
        let starting = core.health_status(&id) == Some(HealthStatus::Starting);
        let mut counts = true;
        let mut due = scheduled;
        if starting {
            let extra = Instant::now() + eager;
            if extra < scheduled {
                due = extra;
                counts = false;
                eager = (eager * 3 / 2).min(EAGER_LONGEST);
            }
        }
        tokio::time::sleep_until(due).await;
        if core.status(&id) == Some(ContainerStatus::Paused)
            && let Some(mut rx) = core.watch(&id)
        {
            // docker stops probing what is paused, too.
            life::until(&mut rx, |s| s.status != ContainerStatus::Paused).await;
        }
        let start = now();
        let outcome = core.host.probe(&spec, &health.argv, health.timeout).await;
        if core.status(&id) == Some(ContainerStatus::Paused) {
            continue;
        }
        let in_start_period = begun.elapsed() < health.start_period;
        let failure_counts = counts && !in_start_period;
        let entry = HealthLogEntry {
            start,
            end: now(),
            exit_code: outcome.exit_code,
            output: outcome.output.clone(),
        };
        let verdict = core.update(&id, |state| {
            let h = state.health.get_or_insert_default();
            judge(h, &health, &outcome, failure_counts, entry)
        });
        if let Some(Some(status)) = verdict {
            let status = match status {
                HealthStatus::Healthy => "healthy",
                HealthStatus::Unhealthy => "unhealthy",
                HealthStatus::Starting => "starting",
            };
            core.life(&id, LifeEvent::Health { status: status.to_owned() });
        }
        if counts {
            let interval = if in_start_period && core.health_status(&id) == Some(HealthStatus::Starting) {
                health.start_interval
            } else {
                health.interval
            };
            scheduled = Instant::now() + interval;
        } else if core.health_status(&id) == Some(HealthStatus::Healthy) {
            scheduled = Instant::now() + health.interval;
        }
    }
}

fn first_interval(health: &HealthSpec) -> Duration {
    if health.start_period.is_zero() { health.interval } else { health.start_interval }
}

/// Takes one result in; the new verdict if it changed.
fn judge(
    h: &mut HealthState,
    spec: &HealthSpec,
    outcome: &ProbeOutcome,
    failure_counts: bool,
    entry: HealthLogEntry,
) -> Option<HealthStatus> {
    let before = h.status;
    if outcome.exit_code == 0 {
        h.failing_streak = 0;
        h.status = HealthStatus::Healthy;
    } else if failure_counts {
        h.failing_streak += 1;
        if h.failing_streak >= spec.retries.max(1) {
            h.status = HealthStatus::Unhealthy;
        }
    }
    if h.log.len() >= LOG_LENGTH {
        h.log.remove(0);
    }
    h.log.push(entry);
    (h.status != before).then_some(h.status)
}
