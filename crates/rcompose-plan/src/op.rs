use std::time::Duration;

use rcompose_model::Signal;
use serde::{Deserialize, Serialize};

use crate::{ContainerId, ContainerSpec, NetworkSpec, VolumeSpec};

/// One step on one machine. It leaves nothing to decide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum LocalOp {
    /// Make a network.
    CreateNetwork {
        /// What.
        spec: NetworkSpec,
    },
    /// Remove a network.
    RemoveNetwork {
        /// Real name.
        name: String,
    },
    /// Make a volume.
    CreateVolume {
        /// What.
        spec: VolumeSpec,
    },
    /// Remove a volume with all that is in it.
    RemoveVolume {
        /// Real name.
        name: String,
    },
    /// Record and prepare a container.
    CreateContainer {
        /// What.
        spec: Box<ContainerSpec>,
        /// A container that this one replaces: its anonymous volumes are taken over.
        replaces: Option<ContainerId>,
    },
    /// Start a created or ended container.
    StartContainer {
        /// Which.
        id: ContainerId,
    },
    /// Wait until a container is as wanted. Fails, with the reason, as soon as it can't be any more.
    WaitFor {
        /// Which.
        id: ContainerId,
        /// How it must be.
        condition: WaitCondition,
        /// Give up after this.
        timeout: Option<Duration>,
    },
    /// Friendly stop, then SIGKILL.
    StopContainer {
        /// Which.
        id: ContainerId,
        /// Instead of the container's grace time.
        grace: Option<Duration>,
    },
    /// Send a signal.
    KillContainer {
        /// Which.
        id: ContainerId,
        /// Signal.
        signal: Signal,
    },
    /// Freeze.
    PauseContainer {
        /// Which.
        id: ContainerId,
    },
    /// Thaw.
    UnpauseContainer {
        /// Which.
        id: ContainerId,
    },
    /// Remove a container that doesn't run (kills it when it does).
    RemoveContainer {
        /// Which.
        id: ContainerId,
        /// With its anonymous volumes.
        volumes: bool,
    },
    /// Give a container another name (a recreated container takes over its predecessor's).
    RenameContainer {
        /// Which.
        id: ContainerId,
        /// New name.
        name: String,
    },
}

/// How a container must be for a wait to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitCondition {
    /// Its process was started.
    Started,
    /// Its health check passed.
    Healthy,
    /// It ended with status 0.
    CompletedSuccessfully,
    /// Healthy if it has a health check, else running; ended with 0 is fine, too (`up --wait`).
    Ready,
    /// It ended, whatever the status.
    Ended,
}
