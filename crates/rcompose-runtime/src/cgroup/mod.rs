//! Control groups: where a container lives, its limits, what it uses, and its end. Version 1, version 2, and both at once.

mod control;
mod devices;
mod layout;
mod limits;
mod machine;
mod path;
mod stats;

pub use machine::{controllers, is_v1};
pub use path::{CgroupError, CgroupPath};
pub use stats::Stats;
