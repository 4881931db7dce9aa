//! The keeper: parent of a project's containers. One thread, no event loop library, so that it may clone.

mod children;
mod serve;

pub(crate) use children::child_failure;
pub use serve::keeper_main;
