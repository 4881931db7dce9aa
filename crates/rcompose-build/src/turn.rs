//! Builds at the same time that come to the same step: one does it, the others wait and take what it made.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Nobody else does the step meanwhile, in this process or another. Given up when dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    path: PathBuf,
    /// Held for its lock.
    _lock: File,
}

impl Turn {
    /// Waits until nobody does the step of this name.
    pub(crate) fn take(directory: &Path, name: &str) -> io::Result<Self> {
        let path = directory.join(format!("{name}.lock"));
        loop {
            let lock = File::create(&path)?;
            lock.lock()?;
            // Whoever had it before has removed the file: the lock of one that is gone is nobody's.
            if fs::metadata(&path).is_ok_and(|m| lock.metadata().is_ok_and(|l| l.ino() == m.ino())) {
                return Ok(Self { path, _lock: lock });
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if fs::remove_file(&self.path).is_err() {
            // An empty file more: the next to do this step takes it over.
        }
    }
}
