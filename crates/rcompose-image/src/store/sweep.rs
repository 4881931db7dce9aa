//! Parts of images that no image has. Processes that are killed between two steps leave them: layers that were moved to
//! their place before their image was written, or were to be removed after it.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::temp::{Temp, entries};
use super::{LayerId, Removed, Store, files};
use crate::error::{ImageError, Result};
use crate::{Digest, remove_tree};

impl Store {
    /// Layers that no image has and nobody holds or keeps; what pulls left that broke off, too.
    pub fn loose_layers(&self) -> Result<Vec<LayerId>> {
        self.layers_without(&self.needed()?)
    }

    fn layers_without(&self, kept: &BTreeSet<LayerId>) -> Result<Vec<LayerId>> {
        let hex = |path: &Path| Digest::from_hex(path.file_name()?.to_str()?).ok();
        let all = entries(&self.root.join("layers"))?;
        Ok(all.iter().filter_map(|p| hex(p)).map(LayerId).filter(|l| !kept.contains(l)).collect())
    }

    /// Removes them, and configurations and manifests without an image. The caller holds the store's lock alone.
    pub(super) fn sweep(&self, temp: &Temp, removed: &mut Removed) -> Result<()> {
        for layer in self.layers_without(&self.kept()?)? {
            self.delete_layer(&layer, temp, removed)?;
        }
        let stem = |path: &Path| Digest::from_hex(path.file_stem()?.to_str()?).ok();
        let parts = entries(&self.root.join("blobs/sha256"))?.into_iter().chain(
            entries(&self.root.join("images"))?
                .into_iter()
                .filter(|p| p.extension().is_some_and(|e| e == "manifest")),
        );
        for part in parts {
            if stem(&part).is_some_and(|id| !self.summary_path(&id).exists()) {
                files::remove(&part)?;
            }
        }
        Ok(())
    }

    /// Removes what operations left that were killed: their work, parts that no image has, and `old` layers of pulls.
    /// While somebody adds something it is left to the next operation.
    pub(super) fn clear_up(&self, stale: &[PathBuf], old: &[LayerId], temp: &Temp) -> Result<()> {
        if stale.is_empty() && old.is_empty() {
            return Ok(());
        }
        let path = self.root.join("lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(|e| ImageError::io("open", &path, e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(()),
            Err(TryLockError::Error(e)) => return Err(ImageError::io("lock", &path, e)),
        }
        self.unmark_pulled(old)?;
        self.sweep(temp, &mut Removed::default())?;
        drop(lock);
        if !stale.is_empty() {
            self.clear_turns()?;
        }
        for dir in stale {
            // Another process may be at it too, and what stays is found again by the next operation.
            let _ = remove_tree(dir);
        }
        Ok(())
    }
}
