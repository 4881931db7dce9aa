//! Keeps one project alive — logs, exits, restarts, health, waits — and is its client's other end.
//!
//! Generic over [`rcompose_engine::Host`]: it never touches the machine itself.
#![forbid(unsafe_code)]

mod apply;
mod client;
mod connection;
mod core;
mod health;
mod hooks;
mod life;
mod logfile;
mod protocol;
mod pump;
mod restart;
mod serve;

pub use client::{Client, ClientError};
pub use logfile::{LogEntry, LogReader, LogStream, LogWriter, log_end};
pub use protocol::{Attach, LifeEvent, ProjectMeta, Request, Response};
pub use serve::serve;
