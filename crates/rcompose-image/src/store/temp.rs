//! Work in progress. Each operation has a directory of its own in `tmp`, whose `owner` file it keeps locked; a
//! directory whose lock can be had belongs to nobody any more and is removed by whoever starts the next operation.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::{LayerId, Store, files};
use crate::error::{ImageError, Result};
use crate::{Digest, remove_tree};

/// With more directories than this, those without an owner are looked for once in a while only: each look takes locks.
const FEW: usize = 16;
const WHILE: Duration = Duration::from_secs(1);

/// Bytes that can be freed on a full disk: more than all names of images take.
const ROOM: usize = 64 * 1024;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A directory that goes away when dropped.
#[derive(Debug)]
pub(super) struct Temp {
    path: PathBuf,
    /// None: it is in another one, which has an owner.
    _owner: Option<File>,
}

impl Temp {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        // What can't be removed now is removed by the next operation, which finds it without an owner.
        let _ = remove_tree(&self.path);
    }
}

/// Keeps layers in the store that no image has yet, until it and its clones are dropped.
#[derive(Debug, Clone)]
pub struct Hold {
    temp: Arc<Temp>,
    store: Store,
}

impl Hold {
    /// Keeps a layer; `false` if the store doesn't have it.
    pub fn layer(&self, layer: &LayerId) -> Result<bool> {
        let _adding = self.store.adding()?;
        if !self.store.sound(layer)? {
            return Ok(false);
        }
        self.keep(layer)?;
        Ok(true)
    }

    /// Keeps the layers of an image that was there a moment ago; [`ImageError::NotFound`] if it has been removed since.
    pub fn image(&self, image: &Digest, layers: &[LayerId]) -> Result<()> {
        for layer in layers {
            if !self.layer(layer)? {
                return Err(match self.store.summary_path(image).exists() {
                    true => ImageError::LayerMissing(layer.0),
                    // Somebody has removed it meanwhile.
                    false => ImageError::NotFound(image.to_string()),
                });
            }
        }
        Ok(())
    }

    /// A directory that goes away with this guard at the latest. It keeps no file open, so there may be thousands.
    pub(super) fn within(&self) -> Result<Temp> {
        let path = self.temp.path().join(NEXT.fetch_add(1, Ordering::Relaxed).to_string());
        files::make_dirs(&path, 0o700)?;
        Ok(Temp { path, _owner: None })
    }

    /// Keeps a layer that is there. The caller holds the store's lock.
    pub(super) fn keep(&self, layer: &LayerId) -> Result<()> {
        let path = self.temp.path().join("holds").join(layer.0.hex());
        File::create(&path).map(drop).map_err(|e| ImageError::io("create", &path, e))
    }
}

impl Store {
    /// A guard for layers that are about to become part of an image.
    pub fn hold(&self) -> Result<Hold> {
        let temp = self.temp()?;
        files::make_dirs(&temp.path().join("holds"), 0o700)?;
        Ok(Hold { temp: Arc::new(temp), store: self.clone() })
    }

    pub(super) fn temp(&self) -> Result<Temp> {
        let tmp = self.tmp();
        let guard = self.guard()?;
        let stale = ownerless(&tmp, &guard)?;
        let path = tmp.join(format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        // A directory of an earlier process with our id.
        let path = if path.exists() { unused(&path) } else { path };
        files::make_dirs(&path, 0o700)?;
        let owner_path = path.join("owner");
        let owner = File::create(&owner_path).map_err(|e| ImageError::io("create", &owner_path, e))?;
        owner.lock().map_err(|e| ImageError::io("lock", &owner_path, e))?;
        drop(guard);
        let temp = Temp { path, _owner: Some(owner) };
        self.clear_up(&stale, &self.old_pulled()?, &temp)?;
        self.make_spare(&temp);
        Ok(temp)
    }

    /// As [`Self::temp`], for operations that make room: on a full disk it is the spare one, and there is some room.
    pub(super) fn temp_or_spare(&self) -> Result<Temp> {
        let full = match self.temp() {
            Err(e @ ImageError::DiskFull { .. }) => e,
            other => return other,
        };
        let path =
            self.tmp().join(format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        let _guard = self.guard()?;
        let taken = fs::rename(self.spare(), &path).and_then(|()| {
            let owner = File::open(path.join("owner"))?;
            owner.lock()?;
            fs::remove_file(path.join("room"))?;
            Ok(owner)
        });
        taken.map(|owner| Temp { path, _owner: Some(owner) }).map_err(|_| full)
    }

    /// A directory without a locked owner is somebody's only while this lock is held.
    fn guard(&self) -> Result<File> {
        let path = self.tmp().join("guard");
        let guard = files::to_lock(&path)?;
        guard.lock().map_err(|e| ImageError::io("lock", &path, e))?;
        Ok(guard)
    }

    fn spare(&self) -> PathBuf {
        self.root.join("spare")
    }

    /// Best effort: it is for a bad day.
    fn make_spare(&self, temp: &Temp) {
        if self.spare().exists() {
            return;
        }
        let new = temp.path.join("spare");
        let made = fs::create_dir(&new)
            .and_then(|()| File::create(new.join("owner")))
            // A hole would be no room.
            .and_then(|_| fs::write(new.join("room"), vec![1; ROOM]));
        if made.is_ok() {
            // Another process may have been faster.
            drop(fs::rename(&new, self.spare()));
        }
    }

    /// Layers that somebody holds who lives.
    pub(super) fn held(&self) -> Result<Vec<LayerId>> {
        let mut out = Vec::new();
        for dir in entries(&self.tmp())? {
            let holds = dir.join("holds");
            if !holds.is_dir() || is_free(&dir) {
                continue;
            }
            let names = entries(&holds)?;
            let hex = names.iter().filter_map(|p| p.file_name().and_then(|n| n.to_str()));
            out.extend(hex.filter_map(|h| Digest::from_hex(h).ok()).map(LayerId));
        }
        Ok(out)
    }
}

fn unused(path: &Path) -> PathBuf {
    let mut n = 0u64;
    loop {
        let mut name = path.as_os_str().to_owned();
        name.push(format!("-{n}"));
        if !Path::new(&name).exists() {
            return name.into();
        }
        n += 1;
    }
}

pub(super) fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let listed = match fs::read_dir(dir) {
        // Its owner has just finished.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(|e| ImageError::io("read", dir, e))?,
    };
    listed.map(|e| e.map(|e| e.path()).map_err(|e| ImageError::io("read", dir, e))).collect()
}

/// What nobody has any more. The guard's time says when it was looked for.
fn ownerless(tmp: &Path, guard: &File) -> Result<Vec<PathBuf>> {
    let looked = guard.metadata().and_then(|m| m.modified()).ok().and_then(|t| t.elapsed().ok());
    let recently = looked.is_some_and(|before| before < WHILE);
    // Most file systems count the directories in a directory, and its two own names.
    let counted = fs::metadata(tmp).is_ok_and(|m| m.nlink() > FEW as u64 + 2);
    if recently && counted {
        return Ok(Vec::new());
    }
    let all = entries(tmp)?;
    if recently && all.len() > FEW {
        return Ok(Vec::new());
    }
    if guard.set_modified(SystemTime::now()).is_err() {
        // The next operation looks again.
    }
    Ok(all.into_iter().filter(|p| p.is_dir() && is_free(p)).collect())
}

fn is_free(dir: &Path) -> bool {
    match File::open(dir.join("owner")) {
        Ok(owner) => owner.try_lock().is_ok(),
        // Removal goes on without the owner file, or creation never came that far.
        Err(e) if e.kind() == io::ErrorKind::NotFound => true,
        // Who can't look, as for want of descriptors, takes nothing away from anybody.
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Many operations at once don't each look through what all others have.
    #[test]
    fn what_nobody_has_is_looked_for_once_in_a_while() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let left = store.tmp().join("1-1");
        let leave = || {
            fs::create_dir_all(&left).unwrap();
            drop(store.temp().unwrap());
            left.exists()
        };
        assert!(!leave(), "of few, at once");
        let held: Vec<Hold> = (0..2 * FEW).map(|_| store.hold().unwrap()).collect();
        let guard = store.guard().unwrap();
        guard.set_modified(SystemTime::now()).unwrap();
        drop(guard);
        assert!(leave(), "of many, not so soon");
        let guard = store.guard().unwrap();
        guard.set_modified(SystemTime::now() - 2 * WHILE).unwrap();
        drop(guard);
        assert!(!leave());
        assert!(held.iter().all(|h| h.temp.path().exists()));
    }

    /// A process without a descriptor left would remove what others are at.
    #[test]
    fn what_can_t_be_looked_at_is_somebody_s() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let other = store.tmp().join("1-1");
        fs::create_dir(&other).unwrap();
        std::os::unix::fs::symlink("owner", other.join("owner")).unwrap();
        drop(store.temp().unwrap());
        assert!(other.exists());
        fs::remove_file(other.join("owner")).unwrap();
        drop(store.temp().unwrap());
        assert!(!other.exists());
    }

    #[test]
    fn a_hold_has_room_for_thousands() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let hold = store.hold().unwrap();
        let all: Vec<Temp> = (0..3).map(|_| hold.within().unwrap()).collect();
        // Who begins something else doesn't take them for left over.
        drop(store.temp().unwrap());
        assert!(all.iter().all(|t| t._owner.is_none() && t.path().is_dir()));
        drop(hold);
        assert!(all.iter().all(|t| !t.path().exists()));
    }
}
