//! Work in progress. Each operation has a directory of its own in `tmp`, whose `owner` file it keeps locked; a
//! directory whose lock can be had belongs to nobody any more and is removed by whoever starts the next operation.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{LayerId, Store, files};
use crate::Digest;
use crate::error::{ImageError, Result};

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A directory that goes away when dropped.
#[derive(Debug)]
pub(super) struct Temp {
    path: PathBuf,
    _owner: File,
}

impl Temp {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        // What can't be removed now is removed by the next operation, which finds it without an owner.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Keeps layers in the store that no image has yet, until dropped.
#[derive(Debug)]
pub struct Hold {
    temp: Temp,
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
        Ok(Hold { temp, store: self.clone() })
    }

    pub(super) fn temp(&self) -> Result<Temp> {
        let tmp = self.tmp();
        let guard_path = tmp.join("guard");
        let guard = File::options().create(true).truncate(false).write(true).open(&guard_path);
        let guard = guard.map_err(|e| ImageError::io("open", &guard_path, e))?;
        // A directory without a locked owner is somebody's only while this lock is held.
        guard.lock().map_err(|e| ImageError::io("lock", &guard_path, e))?;
        let stale = ownerless(&tmp)?;
        let path = tmp.join(format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        // A directory of an earlier process with our id.
        let path = if path.exists() { unused(&path) } else { path };
        files::make_dirs(&path, 0o700)?;
        let owner_path = path.join("owner");
        let owner = File::create(&owner_path).map_err(|e| ImageError::io("create", &owner_path, e))?;
        owner.lock().map_err(|e| ImageError::io("lock", &owner_path, e))?;
        drop(guard);
        for dir in stale {
            // Another process may be at it too, and what stays is found again by the next operation.
            let _ = fs::remove_dir_all(&dir);
        }
        Ok(Temp { path, _owner: owner })
    }

    /// Layers that somebody holds.
    pub(super) fn held(&self) -> Result<Vec<LayerId>> {
        let mut out = Vec::new();
        for dir in entries(&self.tmp())? {
            let holds = dir.join("holds");
            if !holds.is_dir() {
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

fn ownerless(tmp: &Path) -> Result<Vec<PathBuf>> {
    let mut out = Vec::new();
    for dir in entries(tmp)?.into_iter().filter(|p| p.is_dir()) {
        let free = match File::open(dir.join("owner")) {
            Ok(owner) => owner.try_lock().is_ok(),
            // Removal goes on without the owner file, or creation never came that far.
            Err(_) => true,
        };
        if free {
            out.push(dir);
        }
    }
    Ok(out)
}
