//! The planner itself.

mod address;
mod builder;
mod container;
mod down;
mod handover;
mod hash;
mod lifecycle;
mod order;
mod render;
mod run;
mod up;

use rcompose_model::ProjectName;

use crate::{Desired, Intent, Observed, Plan, PlanError};

pub use container::image_key;
pub use hash::config_hash;
pub use order::needed_services;
pub use render::render;

/// Decides what is to be done. Without `desired` (the Compose file is gone) everything but `up` and `run` works from
/// the records alone.
pub fn plan(
    project: &ProjectName,
    desired: Option<&Desired>,
    have: &Observed,
    intent: &Intent,
) -> Result<Plan, PlanError> {
    let need = || {
        desired.ok_or_else(|| PlanError::Refused {
            message: "no configuration file provided: not found".to_owned(),
            origin: None,
        })
    };
    match intent {
        Intent::Up(options) => up::plan(project, need()?, have, options).map(|p| handover::order(p, have)),
        Intent::Run(options) => run::plan(project, need()?, have, options).map(|p| handover::order(p, have)),
        Intent::Down(options) => down::plan(desired, have, options),
        other => lifecycle::plan(desired, have, other),
    }
}
