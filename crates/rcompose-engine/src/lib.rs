//! The seams between deciding and doing, and the walker that carries out any plan.
//!
//! Nothing here has an effect of its own: effects are behind [`Host`], talk is behind [`Events`].
#![forbid(unsafe_code)]

mod events;
mod failure;
mod frame;
mod host;
mod walker;

pub use events::{Events, NoEvents, StepEvent};
pub use failure::{FailureKind, StepFailure};
pub use frame::{FrameBuffer, FrameError, encode_frame, send_frame_bytes};
pub use host::{ExecSpec, Host, HostEvent, ProbeOutcome, SignalOutcome, Started};
pub use walker::{StepRunner, WalkReport, walk};
