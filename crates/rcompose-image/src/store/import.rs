use std::io::Read;
use std::time::SystemTime;

use super::{Image, NewImage, Store};
use crate::error::{ImageError, Result};
use crate::{ContainerConfig, History, ImageConfig, Platform, Reference, rfc3339};

/// What an imported image is to be, apart from its files.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// Its name.
    pub reference: Option<Reference>,
    /// What it was made for.
    pub platform: Platform,
    /// What containers begin with (`--change`).
    pub config: ContainerConfig,
    /// Comment of its only history entry (`--message`).
    pub message: Option<String>,
    /// When it was made.
    pub created: SystemTime,
}

impl ImportOptions {
    /// For this machine, made now.
    pub fn new(reference: Option<Reference>) -> Self {
        Self {
            reference,
            platform: Platform::host(),
            config: ContainerConfig::default(),
            message: None,
            created: SystemTime::now(),
        }
    }
}

impl Store {
    /// Makes an image of one layer from a plain, gzip or zstd tar stream of a root file system.
    pub fn import(&self, source: impl Read + Send, options: &ImportOptions) -> Result<Image> {
        let layer = self.unpack(source, None)?;
        let created = rfc3339(options.created);
        let mut config = ImageConfig::new(&options.platform);
        config.config = options.config.clone();
        config.created = Some(created.clone());
        config.rootfs.diff_ids = vec![layer.info.id.0];
        config.history =
            vec![History { created: Some(created), comment: options.message.clone(), ..History::default() }];
        let bytes =
            serde_json::to_vec(&config).map_err(|e| ImageError::json("the image configuration", e))?;
        let names = options.reference.as_slice();
        self.add(&NewImage { config: &bytes, layers: &[layer], names, manifest: None })
    }
}
