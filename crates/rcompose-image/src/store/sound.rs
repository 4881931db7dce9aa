//! Layers and power cuts.
//!
//! Waiting until a whole root file system is on the disk would take longer than unpacking it. So a layer carries a
//! mark with the id of the boot it was made in. While the machine is up, the kernel's cache makes it whole; after the
//! next boot it is read once against its digest, and then the mark goes. A layer that didn't make it to the disk is as
//! if it were not there, and is replaced by whoever makes it again.

use std::fs;
use std::io;
use std::path::Path;

use super::{LayerId, Store, files};
use crate::error::{ImageError, Result};

const MARK: &str = "unsynced";
/// proc(5): another one with every boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

fn boot_id() -> Result<Vec<u8>> {
    fs::read(BOOT_ID).map_err(|e| ImageError::io("read", BOOT_ID, e))
}

/// Marks a layer that is about to be moved to its place.
pub(super) fn mark(layer: &Path) -> Result<()> {
    let path = layer.join(MARK);
    fs::write(&path, boot_id()?).map_err(|e| ImageError::io("write", &path, e))
}

impl Store {
    /// Whether the store has a layer, whole.
    pub(super) fn sound(&self, layer: &LayerId) -> Result<bool> {
        let dir = self.layer_dir(layer);
        let path = dir.join(MARK);
        let Some(boot) = files::read(&path)? else { return Ok(dir.join("fs").is_dir()) };
        if boot == boot_id()? {
            return Ok(true);
        }
        match self.write_layer(layer, &mut io::sink()) {
            Ok(()) => files::remove(&path).map(|_| true),
            // Whatever can't be read back wasn't written.
            Err(_) => Ok(false),
        }
    }
}
