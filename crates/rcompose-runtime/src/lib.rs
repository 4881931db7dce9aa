//! The runtime core: from an OCI bundle to a process.
//!
//! Everything is prepared in the caller: strings, the list of kernel operations, the seccomp program, environment and
//! arguments. Then one `clone3`; the child only interprets what was prepared, by raw system calls, without allocating.
//! The caller must be single-threaded.

mod capabilities;
pub mod cgroup;
mod child;
mod console;
mod create;
mod error;
mod exec;
mod finish;
mod init;
pub mod layers;
mod mounts;
mod ops;
mod options;
mod overlay;
mod process;
mod rootfs;
pub mod seccomp;
mod spawn;
mod spec;
mod sys;
mod target;
pub mod users;

pub use capabilities::{docker_capabilities, for_user};
pub use create::{CreateRequest, Created, InjectedFile, create};
pub use error::{ChildError, CreateError, Stage, Warning, read_status};
pub use exec::{ExecRequest, Executed, exec};
pub use process::{WinSize, send_signal};
pub use rootfs::Rootfs;
pub use spec::default_spec;
