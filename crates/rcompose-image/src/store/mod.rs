//! Where images live.
//!
//! ```text
//! lock                   flock: shared while something is added, exclusive while something is removed
//! refs.json              names → image ids; replaced as a whole by a rename
//! images/<id>.json       what to know of an image without reading its configuration
//! indexes/<digest>.json  what a name stands for beyond one image: platforms, annotations, attestations
//! blobs/sha256/<id>      its configuration, byte for byte
//! layers/<diff id>/      fs/ (overlayfs's form), layer.json, record and replaced/ (see `record`), unsynced (`sound`)
//! kept/<diff id>         a layer that stays without an image
//! pulled/<diff id>       a layer of a pull that isn't done yet
//! turns/<diff id>…       flock: of the pull that gets a layer, or the push that sends it
//! tmp/                   work in progress, renamed into place; see `temp`
//! spare/                 a place to work in where the disk is full
//! ```
//!
//! Several processes use it at once. Order of writing is layers, configuration, image, name, and of removing the other
//! way round, so whatever moment a process is killed at, what can be found is whole.

mod blobs;
mod distribution;
mod files;
mod images;
mod import;
mod indexes;
mod inspect;
mod keep;
mod layers;
mod layout;
mod links;
mod load;
mod names;
mod pulled;
mod remove;
mod save;
mod sound;
mod sweep;
mod temp;
mod turns;

pub use blobs::LayerBlob;
pub(crate) use distribution::{KnownBlob, KnownManifest};
pub use images::Image;
pub(crate) use images::NewImage;
pub use import::ImportOptions;
pub use indexes::Indexed;
pub use inspect::{history_json, inspect_default, inspect_json};
pub(crate) use layers::Unpacked;
pub use layers::{LayerId, LayerInfo, Staging};
pub use load::Loaded;
pub use remove::{Pruned, RemoveOptions, Removed};
pub use save::ToSave;
pub use temp::Hold;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use crate::error::{ImageError, Result};

/// The image store of one directory.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// Opens the store, making it if it isn't there. Cheap: one look at the directory.
    pub fn open(root: &Path) -> Result<Self> {
        let store = Self { root: root.to_owned() };
        if !store.tmp().is_dir() {
            files::make_dirs(&store.root, 0o755)?;
            files::make_dirs(&store.root.join("blobs/sha256"), 0o755)?;
            files::make_dirs(&store.root.join("images"), 0o755)?;
            // They hold set-user-ID programs of any origin, which nobody is to reach by a path of the host.
            files::make_dirs(&store.root.join("layers"), 0o700)?;
            files::make_dirs(&store.tmp(), 0o700)?;
        }
        Ok(store)
    }

    /// The directory it was opened with.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// What is locked while something is removed or added.
    fn lock_file(&self) -> Result<(File, PathBuf)> {
        let path = self.root.join("lock");
        Ok((files::to_lock(&path)?, path))
    }

    /// Whether nobody removes anything this moment; with `wait`, once that is so. Who writes down what an image is used
    /// for, then asks this and looks for the image, keeps it or sees that it is gone: what it is used for is looked
    /// up by who removes, while nobody else may.
    pub fn is_still(&self, wait: bool) -> Result<bool> {
        let (file, path) = self.lock_file()?;
        let locked = match wait {
            true => file.lock_shared().map(|()| true),
            false => match file.try_lock_shared() {
                Ok(()) => Ok(true),
                Err(TryLockError::WouldBlock) => Ok(false),
                Err(TryLockError::Error(e)) => Err(e),
            },
        };
        locked.map_err(|e| ImageError::io("lock", &path, e))
    }

    /// While it is held nothing is removed.
    fn adding(&self) -> Result<File> {
        let (file, path) = self.lock_file()?;
        file.lock_shared().map_err(|e| ImageError::io("lock", &path, e))?;
        Ok(file)
    }

    /// While it is held nobody else adds or removes.
    fn alone(&self) -> Result<File> {
        let (file, path) = self.lock_file()?;
        file.lock().map_err(|e| ImageError::io("lock", &path, e))?;
        Ok(file)
    }
}
