//! Builds at the same time that come to the same step: one does it, the others wait and take what it made.

use std::fs::{self, File, TryLockError};
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
            if is_there(&path, &lock) {
                return Ok(Self { path, _lock: lock });
            }
        }
    }

    /// Removes the lock of somebody who was killed.
    pub(crate) fn clear(path: &Path) -> io::Result<()> {
        let lock = match File::open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        match lock.try_lock() {
            // Now it is ours, and goes with us.
            Ok(()) if is_there(path, &lock) => drop(Self { path: path.to_owned(), _lock: lock }),
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(e)) => return Err(e),
        }
        Ok(())
    }
}

/// Whoever had a lock before has removed the file: the lock of one that is gone is nobody's.
pub(crate) fn is_there(path: &Path, lock: &File) -> bool {
    fs::metadata(path).is_ok_and(|m| lock.metadata().is_ok_and(|l| l.ino() == m.ino()))
}

impl Drop for Turn {
    fn drop(&mut self) {
        if fs::remove_file(&self.path).is_err() {
            // An empty file more: the next to do this step takes it over.
        }
    }
}
