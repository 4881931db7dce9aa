//! Work that several come to at the same time, in this process or another: a step of a build, a layer of a pull. One
//! does it, the others wait and take what it made.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Nobody else does the same meanwhile. Given up when dropped.
#[derive(Debug)]
pub struct Turn {
    path: PathBuf,
    /// Held for its lock.
    _lock: File,
}

impl Turn {
    /// Waits until nobody does what the lock at `path` stands for. The file goes with the turn.
    pub fn take(path: &Path) -> io::Result<Self> {
        loop {
            let lock = File::create(path)?;
            lock.lock()?;
            if is_there(path, &lock) {
                return Ok(Self { path: path.to_owned(), _lock: lock });
            }
        }
    }

    /// The same, unless somebody is at it.
    pub fn try_take(path: &Path) -> io::Result<Option<Self>> {
        loop {
            let lock = File::create(path)?;
            match lock.try_lock() {
                Ok(()) if is_there(path, &lock) => {
                    return Ok(Some(Self { path: path.to_owned(), _lock: lock }));
                }
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(e)) => return Err(e),
            }
        }
    }

    /// Removes the lock of somebody who was killed.
    pub fn clear(path: &Path) -> io::Result<()> {
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
pub fn is_there(path: &Path, lock: &File) -> bool {
    fs::metadata(path).is_ok_and(|m| lock.metadata().is_ok_and(|l| l.ino() == m.ino()))
}

impl Drop for Turn {
    fn drop(&mut self) {
        if fs::remove_file(&self.path).is_err() {
            // An empty file more: the next to do this takes it over.
        }
    }
}
