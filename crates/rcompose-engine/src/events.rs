use rcompose_plan::StepId;
use serde::{Deserialize, Serialize};

use crate::StepFailure;

/// What happens to the steps of a plan that is carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum StepEvent {
    /// A step began.
    Started {
        /// Which.
        step: StepId,
    },
    /// A step succeeded.
    Finished {
        /// Which.
        step: StepId,
        /// Microseconds since its begin.
        micros: u64,
    },
    /// A step failed.
    Failed {
        /// Which.
        step: StepId,
        /// Why.
        failure: StepFailure,
    },
    /// A step was not tried, since one before it failed or the plan was cancelled.
    Skipped {
        /// Which.
        step: StepId,
    },
    /// Something the user should know about a step that goes on.
    Note {
        /// Which.
        step: StepId,
        /// One line.
        text: String,
    },
    /// A line that a command of the step's container printed (`post_start`, `pre_stop`).
    Output {
        /// Which.
        step: StepId,
        /// The line.
        text: String,
    },
}

/// Receives what happens.
pub trait Events {
    /// One event.
    fn event(&self, event: StepEvent);
}

/// Receives and forgets.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEvents;

impl Events for NoEvents {
    fn event(&self, _event: StepEvent) {}
}
