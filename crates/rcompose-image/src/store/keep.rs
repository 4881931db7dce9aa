//! Layers that stay without an image: a build's, for the next one.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use super::temp::entries;
use super::{LayerId, Store, files};
use crate::Digest;
use crate::error::{ImageError, Result};

impl Store {
    fn keeping(&self) -> PathBuf {
        self.root().join("kept")
    }

    /// Keeps a layer until [`Self::let_go`], whether an image has it or not. The caller holds it.
    pub fn keep(&self, layer: &LayerId) -> Result<()> {
        let _adding = self.adding()?;
        let path = self.keeping().join(layer.0.hex());
        match File::create(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                files::make_dirs(&self.keeping(), 0o700)?;
                File::create(&path).map(drop).map_err(|e| ImageError::io("create", &path, e))
            }
            other => other.map(drop).map_err(|e| ImageError::io("create", &path, e)),
        }
    }

    /// Keeps layers no longer. Those that no image has go with the next [`Self::prune_layers`].
    pub fn let_go(&self, layers: &BTreeSet<LayerId>) -> Result<()> {
        let _alone = self.alone()?;
        for layer in layers {
            let path = self.keeping().join(layer.0.hex());
            match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(ImageError::io("remove", &path, e));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The layers that are kept, but for those that somebody holds: a running build may be about to write down what
    /// they are for. Who looks for layers that nothing was written about asks here first, and reads that then.
    pub fn idle_layers(&self) -> Result<BTreeSet<LayerId>> {
        let mut idle = self.kept_layers()?;
        for layer in self.held()? {
            idle.remove(&layer);
        }
        Ok(idle)
    }

    /// The layers that are kept.
    pub(super) fn kept_layers(&self) -> Result<BTreeSet<LayerId>> {
        let names = entries(&self.keeping())?;
        let hex = names.iter().filter_map(|p| p.file_name().and_then(|n| n.to_str()));
        Ok(hex.filter_map(|h| Digest::from_hex(h).ok()).map(LayerId).collect())
    }

    /// The layers of all images.
    pub fn image_layers(&self) -> Result<BTreeSet<LayerId>> {
        let mut all = BTreeSet::new();
        for id in self.ids()? {
            all.extend(self.layers_of(&id)?);
        }
        Ok(all)
    }
}
