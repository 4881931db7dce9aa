use std::collections::BTreeMap;
use std::time::Duration;

use rcompose_model::{PortMapping, ServiceName, Signal, User};
use serde::{Deserialize, Serialize};

/// What the user wants done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Intent {
    /// `up`, `create` (with `no_start`), `scale`.
    Up(UpOptions),
    /// `run`.
    Run(Box<RunOptions>),
    /// `start`.
    Start(ScopeOptions),
    /// `stop`.
    Stop(ScopeOptions),
    /// `restart`.
    Restart(ScopeOptions),
    /// `kill`.
    Kill(ScopeOptions, Signal),
    /// `pause`.
    Pause(ScopeOptions),
    /// `unpause`.
    Unpause(ScopeOptions),
    /// `rm` of stopped containers; with `stop` also of running ones.
    Remove {
        /// Which.
        scope: ScopeOptions,
        /// Stop them first.
        stop: bool,
        /// With their anonymous volumes.
        volumes: bool,
    },
    /// `down`.
    Down(DownOptions),
}

/// Which services, and how long to wait for a stop.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ScopeOptions {
    /// Services; empty is all.
    pub services: Vec<ServiceName>,
    /// Instead of the containers' grace time.
    pub timeout: Option<Duration>,
    /// Leave dependencies and dependants alone.
    pub no_deps: bool,
    /// Containers by id instead of services (one-offs, orphans).
    pub containers: Vec<crate::ContainerId>,
    /// `start --wait`.
    pub wait: bool,
    /// `--wait-timeout`.
    pub wait_timeout: Option<Duration>,
}

/// When containers are made anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecreatePolicy {
    /// When the configuration or the image changed.
    #[default]
    Diverged,
    /// Always (`--force-recreate`).
    Force,
    /// Never (`--no-recreate`).
    Never,
}

/// What `up`, `create` and `run` share.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CreateOptions {
    /// Recreation of the selected services.
    pub recreate: RecreatePolicy,
    /// Recreation of their dependencies (`--always-recreate-deps` is Force).
    pub recreate_deps: RecreatePolicy,
    /// Don't touch dependencies.
    pub no_deps: bool,
    /// New anonymous volumes (`-V`).
    pub renew_anonymous: bool,
    /// Remove containers of services that the file no longer has.
    pub remove_orphans: bool,
    /// Don't warn of orphans (`COMPOSE_IGNORE_ORPHANS`).
    pub ignore_orphans: bool,
    /// Grace time for containers that are replaced.
    pub timeout: Option<Duration>,
}

/// `up`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UpOptions {
    /// Services; empty is all.
    pub services: Vec<ServiceName>,
    /// Creation.
    pub create: CreateOptions,
    /// `--scale`.
    pub scale: BTreeMap<ServiceName, u32>,
    /// `--no-start`.
    pub no_start: bool,
    /// `--wait`.
    pub wait: bool,
    /// `--wait-timeout`.
    pub wait_timeout: Option<Duration>,
}

/// `run`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunOptions {
    /// Service.
    pub service: ServiceName,
    /// Replaces the service's command when not empty.
    pub command: Vec<String>,
    /// Replaces the entrypoint; `Some(vec![])` clears it.
    pub entrypoint: Option<Vec<String>>,
    /// `-e`: value `None` takes none.
    pub env: Vec<(String, Option<String>)>,
    /// `-l`.
    pub labels: BTreeMap<String, String>,
    /// `-u`.
    pub user: Option<User>,
    /// `-w`.
    pub workdir: Option<String>,
    /// `--name`.
    pub name: Option<String>,
    /// `-p`.
    pub publish: Vec<PortMapping>,
    /// `-P`: publish the service's ports.
    pub service_ports: bool,
    /// `--use-aliases`.
    pub use_aliases: bool,
    /// `-v`, in the model's form.
    pub volumes: Vec<rcompose_model::Mount>,
    /// `--cap-add`.
    pub cap_add: Vec<String>,
    /// `--cap-drop`.
    pub cap_drop: Vec<String>,
    /// `--rm`.
    pub auto_remove: bool,
    /// With a terminal.
    pub tty: bool,
    /// With stdin.
    pub interactive: bool,
    /// 12 hexadecimal digits from the caller's randomness: `{project}-{service}-run-{slug}`.
    pub slug: String,
    /// Creation of dependencies.
    pub create: CreateOptions,
}

/// `down`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DownOptions {
    /// Services; empty is the whole project.
    pub services: Vec<ServiceName>,
    /// Named volumes of the file and anonymous volumes, too.
    pub volumes: bool,
    /// Containers of services that the file doesn't have.
    pub remove_orphans: bool,
    /// Instead of the containers' grace time.
    pub timeout: Option<Duration>,
}
