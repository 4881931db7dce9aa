//! What end-to-end tests and `cargo xtask` share: running the binary with a deadline, projects in directories of their own, and
//! snapshots of the machine.
#![forbid(unsafe_code)]

mod command;
mod dockerfiles;
mod http;
mod machine;
mod picture;
mod project;
mod setting;

pub use command::{Deadline, Finished, Run, Running};
pub use dockerfiles::{BASE, Dockerfile, base_archive, differences};
pub use http::{Answer, free_port, get, http, post, wait_for_http};
pub use machine::{Machine, processes_of};
pub use picture::{Picture, Tree};
pub use project::{Project, examples, samples};
pub use setting::{Setting, skip};
