//! Directories of the build cache with what was fetched. Who uses one has a lock in it; nothing stays of one in which nothing
//! came to its end.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rcompose_image::{is_there, make_directory};

use crate::cache::{REPOSITORIES, SIZE, note_use, open_uses, remove, size};
use crate::digests::write_atomic;

/// In the directory: the lock, whose length tells how often it was used.
const LOCK: &str = "0.lock";

/// A directory that is in use while this lives.
#[derive(Debug)]
pub struct Kept {
    path: PathBuf,
    lock: File,
    /// What is in it once something was fetched.
    whole: &'static str,
}

impl Kept {
    /// Opens one, which is made if need be. `idle` clears it up if nobody else uses it.
    pub(crate) fn open(
        path: PathBuf,
        whole: &'static str,
        idle: impl Fn(&Path) -> io::Result<()>,
    ) -> io::Result<Self> {
        loop {
            make_directory(&path)?;
            let lock = match open_uses(&path.join(LOCK)) {
                // Whoever fetched nothing has just removed the directory.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            if lock.try_lock().is_ok() {
                idle(&path)?;
            }
            lock.lock_shared()?;
            // It may have been pruned before it was locked.
            if is_there(&path.join(LOCK), &lock) {
                note_use(&lock);
                return Ok(Self { path, lock, whole });
            }
        }
    }

    /// For a repository's files, below the cache root. Who fetches them puts them beside, tells how many bytes they are, and
    /// then moves all of it to the entry `whole` at once.
    pub fn repository(cache_root: &Path, name: &str, whole: &'static str) -> io::Result<Self> {
        Self::open(cache_root.join(REPOSITORIES).join(name), whole, |_| Ok(()))
    }

    /// Remembers how many bytes the files below `tree` have, which stay as they are: nobody counts them again.
    pub fn note_size(&self, tree: &Path) -> io::Result<()> {
        write_atomic(&self.path.join(SIZE), size(tree)?.to_string().as_bytes())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Kept {
    /// Nothing stays of what could not be fetched, unless somebody else is at it.
    fn drop(&mut self) {
        let nothing = || -> io::Result<()> {
            let name = self.path.join(LOCK);
            if self.path.join(self.whole).exists() || self.lock.try_lock().is_err() {
                return Ok(());
            }
            if is_there(&name, &self.lock) && !self.path.join(self.whole).exists() {
                for entry in fs::read_dir(&self.path)? {
                    let entry = entry?;
                    if entry.file_name() != LOCK {
                        remove(&entry.path())?;
                    }
                }
                // Those who wait for the lock see that it is gone, and make another one.
                fs::remove_file(&name)?;
                fs::remove_dir(&self.path)?;
            }
            Ok(())
        };
        if nothing().is_err() {
            // Who fetches it next takes over what has stayed.
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stays_of_what_did_not_come_to_its_end() {
        let cache = tempfile::tempdir().unwrap();
        let open = || Kept::repository(cache.path(), "name", "commit").unwrap();
        let (one, other) = (open(), open());
        fs::create_dir(one.path().join("part")).unwrap();
        one.note_size(one.path()).unwrap();
        let path = one.path().to_owned();
        drop(one);
        assert!(path.join("part").exists(), "somebody is at it");
        drop(other);
        assert!(!path.exists());
        let whole = open();
        fs::create_dir(path.join("commit")).unwrap();
        drop(whole);
        assert!(path.join("commit").exists());
    }
}
