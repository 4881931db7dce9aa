//! For tests only: a machine that isn't there, and specs to run on it.
#![forbid(unsafe_code)]

mod fake_host;
mod specs;

pub use fake_host::{FakeHost, FakeProcess};
pub use specs::{container_spec, desired, plan_of, service, simulate};
