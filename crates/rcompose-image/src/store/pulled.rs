//! Layers that a pull has finished while others of its image aren't: they stay when it breaks off, so that the next pull
//! goes on. Each has a mark, made before the layer is placed, that goes once its image is there, with a pruning, or
//! when it is old.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::temp::entries;
use super::{Hold, LayerId, Removed, Store, Unpacked, files};
use crate::Digest;
use crate::error::{ImageError, Result};

/// So long what a pull has got stays without a pull that goes on: as with containerd's leases of pulls.
const STAYS: Duration = Duration::from_secs(24 * 60 * 60);

impl Store {
    fn pulled(&self) -> PathBuf {
        self.root().join("pulled")
    }

    /// Puts a layer of a pull in its place. The hold keeps it until it is dropped, its mark afterwards.
    pub(crate) fn place_pulled(&self, layer: &Unpacked, hold: &Hold) -> Result<()> {
        let _adding = self.adding()?;
        let path = self.pulled().join(layer.info.id.0.hex());
        let made = match File::create(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                files::make_dirs(&self.pulled(), 0o700)?;
                File::create(&path)
            }
            other => other,
        };
        made.map_err(|e| ImageError::io("create", &path, e))?;
        self.place_unpacked(layer)?;
        hold.keep(&layer.info.id)
    }

    /// Takes the marks of layers: an image has them, or they are not to stay.
    pub(crate) fn unmark_pulled<'a>(&self, layers: impl IntoIterator<Item = &'a LayerId>) -> Result<()> {
        for layer in layers {
            files::remove(&self.pulled().join(layer.0.hex()))?;
        }
        Ok(())
    }

    /// Layers that wait for a pull to go on.
    pub fn pulled_layers(&self) -> Result<BTreeSet<LayerId>> {
        Ok(entries(&self.pulled())?.iter().filter_map(|p| layer(p)).collect())
    }

    /// Those that have waited too long.
    pub(super) fn old_pulled(&self) -> Result<Vec<LayerId>> {
        let mut old = Vec::new();
        for path in entries(&self.pulled())? {
            let made = match fs::metadata(&path).and_then(|m| m.modified()) {
                // Its image is there by now.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                made => made.map_err(|e| ImageError::io("look at", &path, e))?,
            };
            // One from the future is of a clock that was wrong, and would never get old.
            old.extend(layer(&path).filter(|_| !made.elapsed().is_ok_and(|e| e < STAYS)));
        }
        Ok(old)
    }

    /// Removes what no pull is at.
    pub(crate) fn let_go_pulled(&self) -> Result<()> {
        let temp = self.temp_or_spare()?;
        let _alone = self.alone()?;
        self.unmark_idle()?;
        self.sweep(&temp, &mut Removed::default())
    }

    /// Takes the marks of all layers that no pull is at. The caller holds the store's lock alone.
    pub(super) fn unmark_idle(&self) -> Result<()> {
        let held: BTreeSet<LayerId> = self.held()?.into_iter().collect();
        self.unmark_pulled(self.pulled_layers()?.difference(&held))
    }
}

fn layer(path: &Path) -> Option<LayerId> {
    Digest::from_hex(path.file_name()?.to_str()?).ok().map(LayerId)
}
