use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A service's `healthcheck`. Absent fields are inherited from the image's
/// HEALTHCHECK, then from Docker's defaults (interval 30 s, timeout 30 s, retries 3,
/// start period 0 s, start interval 5 s).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Healthcheck {
    /// What to run; `None` inherits the image's test.
    pub test: Option<HealthTest>,
    /// Time between probes.
    pub interval: Option<Duration>,
    /// How long one probe may take.
    pub timeout: Option<Duration>,
    /// Consecutive failures until unhealthy.
    pub retries: Option<u32>,
    /// Time in which failures don't count.
    pub start_period: Option<Duration>,
    /// Time between probes during the start period.
    pub start_interval: Option<Duration>,
    /// `disable: true`, or a test of `NONE`.
    pub disable: bool,
}

/// The command of a health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HealthTest {
    /// `["CMD", …]`: executed as it is.
    Exec(Vec<String>),
    /// `["CMD-SHELL", s]` or a plain string: run by the image's shell.
    Shell(String),
}
