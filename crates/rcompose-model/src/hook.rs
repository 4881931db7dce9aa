use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ImageName, User};

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

/// A command of `pre_start`: it runs in a container of its own, before the service's first container starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreStart {
    /// Whose file system; the service's image when `None`.
    pub image: Option<ImageName>,
    /// Instead of the image's command, if there is any.
    pub command: Vec<String>,
    /// Added to the service's environment.
    pub environment: BTreeMap<String, Option<String>>,
    /// As whom; the image's user when `None`.
    pub user: Option<User>,
    /// Where; the image's working directory when `None`.
    pub working_dir: Option<String>,
    /// With all capabilities.
    pub privileged: bool,
}
