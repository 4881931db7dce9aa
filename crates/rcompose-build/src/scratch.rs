//! Directories for work in progress. Each is locked by whoever works in it, so that what a process leaves that is killed
//! is found and removed by the next one, whatever their ids are.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rcompose_image::{is_there, remove_tree};

use crate::BuildError;

/// A directory that goes with its value.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    _lock: File,
}

impl Scratch {
    /// A new one in a directory, which is made if need be. What nobody has any more there goes.
    pub fn within(directory: &Path) -> io::Result<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        fs::create_dir_all(directory)?;
        sweep(directory)?;
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = directory.join(format!(".{}-{number}", std::process::id()));
            let made = fs::create_dir(&path).and_then(|()| File::open(&path));
            match made {
                // Between its making and its lock it is as one that nobody has.
                Ok(lock) if lock.try_lock().is_ok() && is_there(&path, &lock) => {
                    return Ok(Self { path, _lock: lock });
                }
                Ok(_) => {}
                Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => {
                    fs::create_dir_all(directory)?;
                }
                Err(e) => return Err(e),
            }
        }
    }

    pub(crate) fn new(cache_root: &Path) -> Result<Self, BuildError> {
        let directory = cache_root.join("tmp");
        Self::within(&directory).map_err(|e| BuildError::io("make a directory in", &directory, e))
    }

    /// Where it is. It may be renamed to where it is to stay.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nobody is left to hear of it; the next one removes what stays.
        drop(remove_tree(&self.path));
    }
}

fn sweep(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        // It may have gone a moment ago.
        let Ok(lock) = File::open(entry.path()) else { continue };
        if lock.try_lock().is_ok() && remove_tree(&entry.path()).is_err() {
            // Somebody else is at it, or it is found again.
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_goes_and_what_is_had_stays() {
        let dir = tempfile::tempdir().unwrap();
        let left = dir.path().join(format!(".{}-left", std::process::id()));
        fs::create_dir_all(left.join("deep")).unwrap();
        fs::create_dir(dir.path().join("finished")).unwrap();
        let all: Vec<Scratch> = std::thread::scope(|scope| {
            let many: Vec<_> =
                (0..16).map(|_| scope.spawn(|| Scratch::within(dir.path()).unwrap())).collect();
            many.into_iter().map(|m| m.join().unwrap()).collect()
        });
        assert!(!left.exists());
        assert!(all.iter().all(|s| s.path().is_dir()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 17);
        // One that is renamed stays.
        fs::rename(all[0].path(), dir.path().join("done")).unwrap();
        drop(all);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
