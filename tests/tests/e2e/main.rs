//! End-to-end: the static release binary on this machine's kernel. Needs root, `RCOMPOSE_BIN` and `RCOMPOSE_E2E_BASE`; `cargo xtask ci`
//! sets them. What can't run says `SKIP`.

mod attached;
mod bad_input;
mod build;
mod build_arguments;
mod build_caches;
mod build_git;
mod build_inputs;
mod build_killed;
mod build_limits;
mod build_logins;
mod build_mounts;
mod build_outputs;
mod build_platforms;
mod chaos;
mod confine;
mod data;
mod dockerfiles;
mod examples;
mod health;
mod hooks;
mod images;
mod lifecycle;
mod logins;
mod mounts;
mod network;
mod output;
mod registries;
mod rights;
mod run;

use std::time::Duration;

/// What a process that doesn't listen gets to end: what is over sooner wasn't killed.
const GRACE: Duration = Duration::from_secs(10);

/// A service that prints a line, runs on, and ends at once on SIGTERM.
const POLITE: &str = r#"["sh", "-c", "trap 'exit 0' TERM; echo up; while :; do sleep 1 & wait $$!; done"]"#;
