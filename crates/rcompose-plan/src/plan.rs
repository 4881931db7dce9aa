use rcompose_model::{Project, ServiceName};
use serde::{Deserialize, Serialize};

use crate::LocalOp;

/// Number of a step in its plan.
pub type StepId = usize;

/// A directed acyclic graph of steps. Steps stand in a topological order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Generation of the observation that it was made from.
    pub generation: u64,
    /// Steps; `after` only names earlier ones.
    pub steps: Vec<PlanStep>,
    /// What the planner has to say to the user, one line each.
    pub warnings: Vec<String>,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanStep {
    /// What.
    pub op: LocalOp,
    /// Steps that must have succeeded before.
    pub after: Vec<StepId>,
    /// Steps that must have ended before, successfully or not (tear-down).
    pub after_any: Vec<StepId>,
    /// What it is about, for progress lines: `Container app-db-1`, `Network app_default`.
    pub subject: String,
    /// Why.
    pub reason: String,
}

/// Why no plan could be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A service named on the command line doesn't exist.
    #[error("no such service: {name}")]
    NoSuchService {
        /// As typed.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// Everything else that the user can mend.
    #[error("{message}")]
    Refused {
        /// What is wrong, and what to do.
        message: String,
        /// Where in the Compose file.
        origin: Option<rcompose_model::Origin>,
    },
}

impl PlanError {
    pub(crate) fn no_such_service(name: &ServiceName, project: Option<&Project>) -> Self {
        let services = project.into_iter().flat_map(|p| p.services.keys().chain(p.disabled_services.keys()));
        Self::NoSuchService { name: name.to_string(), known: services.map(ToString::to_string).collect() }
    }
}

impl Plan {
    /// Nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}
