use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::User;

/// A command of `post_start` or `pre_stop`: it runs in the service's container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// What is executed.
    pub command: Vec<String>,
    /// Added to the container's environment.
    pub environment: BTreeMap<String, Option<String>>,
    /// As whom; the container's user when `None`.
    pub user: Option<User>,
    /// Where; the container's working directory when `None`.
    pub working_dir: Option<String>,
    /// With all capabilities.
    pub privileged: bool,
}
