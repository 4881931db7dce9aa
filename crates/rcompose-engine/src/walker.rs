use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rcompose_plan::{Plan, PlanStep, StepId};

use crate::{Events, StepEvent, StepFailure};

/// Carries out single steps; waits are steps, too.
#[expect(async_fn_in_trait, reason = "one thread by design; no caller needs Send futures")]
pub trait StepRunner {
    /// Does one step to its end.
    async fn step(&self, id: StepId, step: &PlanStep) -> Result<(), StepFailure>;

    /// True once the plan is cancelled: no further step begins.
    fn cancelled(&self) -> bool {
        false
    }
}

/// What became of a plan.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WalkReport {
    /// Steps that failed, in the order in which they did.
    pub failures: Vec<(StepId, StepFailure)>,
    /// Steps that were not tried.
    pub skipped: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Open,
    Done,
    Lost,
}

/// Runs every step as soon as those before it allow, all ready ones side by side.
///
/// A failed step takes its `after` dependants with it; everything else goes on.
pub async fn walk<R: StepRunner>(plan: &Plan, runner: &R, events: &dyn Events) -> WalkReport {
    let n = plan.steps.len();
    let mut report = WalkReport::default();
    let mut fate = vec![Fate::Open; n];
    let mut missing: Vec<usize> = plan.steps.iter().map(|s| s.after.len() + s.after_any.len()).collect();
    let mut dependants: Vec<Vec<StepId>> = vec![Vec::new(); n];
    for (i, s) in plan.steps.iter().enumerate() {
        for &d in s.after.iter().chain(&s.after_any) {
            dependants[d].push(i);
        }
    }
    let mut ready: Vec<StepId> = (0..n).filter(|&i| missing[i] == 0).rev().collect();
    let mut running = FuturesUnordered::new();
    loop {
        while let Some(i) = ready.pop() {
            let step = &plan.steps[i];
            let lost = step.after.iter().any(|&d| fate[d] != Fate::Done);
            if lost || runner.cancelled() {
                fate[i] = Fate::Lost;
                report.skipped += 1;
                events.event(StepEvent::Skipped { step: i });
                settle(i, &dependants, &mut missing, &mut ready);
                continue;
            }
            events.event(StepEvent::Started { step: i });
            running.push(async move {
                let begun = Instant::now();
                (i, runner.step(i, step).await, begun)
            });
        }
        let Some((i, result, begun)) = running.next().await else {
            break;
        };
        match result {
            Ok(()) => {
                fate[i] = Fate::Done;
                let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
                events.event(StepEvent::Finished { step: i, micros });
            }
            Err(failure) => {
                fate[i] = Fate::Lost;
                events.event(StepEvent::Failed { step: i, failure: failure.clone() });
                report.failures.push((i, failure));
            }
        }
        settle(i, &dependants, &mut missing, &mut ready);
    }
    report
}

fn settle(done: StepId, dependants: &[Vec<StepId>], missing: &mut [usize], ready: &mut Vec<StepId>) {
    for &d in dependants[done].iter().rev() {
        missing[d] -= 1;
        if missing[d] == 0 {
            ready.push(d);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use rcompose_plan::LocalOp;

    use super::*;
    use crate::{FailureKind, NoEvents};

    struct Recorder {
        seen: RefCell<Vec<StepId>>,
        bad: Vec<StepId>,
    }

    impl StepRunner for Recorder {
        async fn step(&self, id: StepId, _: &PlanStep) -> Result<(), StepFailure> {
            self.seen.borrow_mut().push(id);
            if self.bad.contains(&id) {
                return Err(StepFailure::new(FailureKind::Environment, "no"));
            }
            Ok(())
        }
    }

    fn step(after: &[StepId], after_any: &[StepId]) -> PlanStep {
        PlanStep {
            op: LocalOp::RemoveNetwork { name: "n".into() },
            after: after.to_vec(),
            after_any: after_any.to_vec(),
            subject: String::new(),
            reason: String::new(),
        }
    }

    fn run(steps: Vec<PlanStep>, bad: Vec<StepId>) -> (Vec<StepId>, WalkReport) {
        let plan = Plan { steps, ..Plan::default() };
        let r = Recorder { seen: RefCell::default(), bad };
        let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let report = rt.block_on(walk(&plan, &r, &NoEvents));
        (r.seen.into_inner(), report)
    }

    #[test]
    fn order_holds() {
        let (seen, report) = run(vec![step(&[], &[]), step(&[0], &[]), step(&[0, 1], &[])], vec![]);
        assert_eq!(seen, [0, 1, 2]);
        assert_eq!(report, WalkReport::default());
    }

    #[test]
    fn a_failure_takes_its_dependants_and_no_others() {
        let (seen, report) =
            run(vec![step(&[], &[]), step(&[0], &[]), step(&[], &[0]), step(&[], &[])], vec![0]);
        assert!(!seen.contains(&1) && seen.contains(&2) && seen.contains(&3));
        assert_eq!(report.failures.len(), 1);
        assert_eq!(report.skipped, 1);
    }
}
