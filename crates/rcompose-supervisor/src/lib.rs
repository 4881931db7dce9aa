//! Keeps one project alive — logs, exits, restarts, health, waits — and is its client's other end.
//!
//! Generic over [`rcompose_engine::Host`]: it never touches the machine itself.
#![forbid(unsafe_code)]

mod client;
mod logfile;
mod protocol;

pub use client::{Client, ClientError};
pub use logfile::{LogEntry, LogReader, LogStream, LogWriter};
pub use protocol::{Attach, LifeEvent, ProjectMeta, Request, Response};
