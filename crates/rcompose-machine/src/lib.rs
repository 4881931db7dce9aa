//! Does one step on this Linux machine, and remembers it.
#![forbid(unsafe_code)]

mod build;
mod bundle;
mod claims;
mod dirs;
mod error;
mod etc;
mod files;
mod forward;
mod keeper;
mod launch;
mod link;
mod local_host;
mod net;
mod observe;
mod places;
mod reach;
mod records;
mod under;
mod volumes;
mod wire;

pub use build::{BuildMount, BuildNetwork, BuildStep, BuildStream, ProcessStepRunner, build_helper_main};
pub use dirs::Dirs;
pub use error::{LaunchError, StateError};
pub use files::make_room;
pub use keeper::keeper_main;
pub use launch::{connect, connect_existing, wait_for_end};
pub use local_host::LocalHost;
pub use observe::observe;
pub use reach::handles_signal;
pub use records::{ProjectMeta, ProjectRecord, list_projects, list_volumes, read_project, read_volume};
pub use volumes::{create as create_volume, remove as remove_volume};
