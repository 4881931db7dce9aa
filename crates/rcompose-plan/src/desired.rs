use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use rcompose_model::{HealthTest, Project, ServiceName, Signal};
use serde::{Deserialize, Serialize};

/// What should be: the project and what is known of its images.
#[derive(Debug, Clone)]
pub struct Desired {
    /// The project; mounted images have their layers.
    pub project: Project,
    /// The image of each service that may get a container in this plan.
    pub images: BTreeMap<ServiceName, ImageFacts>,
    /// Further images, of `pre_start`, by their names.
    pub further: BTreeMap<String, ImageFacts>,
}

/// A resolved image, as data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// The name it was asked for by (`postgres:15`, or `{project}-{service}`).
    pub reference: String,
    /// Image id: `sha256:…` of the configuration.
    pub id: String,
    /// Unpacked layers, top first: the lower directories of an overlay.
    pub layers: Vec<PathBuf>,
    /// What the image's configuration says.
    pub defaults: ImageDefaults,
}

/// The parts of an image's configuration that shape a container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageDefaults {
    /// ENV, in order.
    pub env: Vec<(String, String)>,
    /// ENTRYPOINT.
    pub entrypoint: Vec<String>,
    /// CMD.
    pub cmd: Vec<String>,
    /// USER.
    pub user: String,
    /// WORKDIR.
    pub working_dir: String,
    /// VOLUME paths.
    pub volumes: Vec<String>,
    /// EXPOSE entries, `80/tcp`.
    pub exposed_ports: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// STOPSIGNAL.
    pub stop_signal: Option<Signal>,
    /// SHELL; empty means `["/bin/sh", "-c"]`.
    pub shell: Vec<String>,
    /// HEALTHCHECK.
    pub healthcheck: Option<ImageHealth>,
}

/// HEALTHCHECK of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageHealth {
    /// The test; `None` is `NONE`.
    pub test: Option<HealthTest>,
    /// Between probes.
    pub interval: Option<Duration>,
    /// Of one probe.
    pub timeout: Option<Duration>,
    /// Failures until unhealthy.
    pub retries: Option<u32>,
    /// Failures here don't count.
    pub start_period: Option<Duration>,
    /// Between probes during the start period.
    pub start_interval: Option<Duration>,
}
