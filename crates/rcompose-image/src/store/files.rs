//! Small files that are either whole or not there.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{ImageError, Result};

pub(super) fn make_dirs(path: &Path, mode: u32) -> Result<()> {
    DirBuilder::new().recursive(true).mode(mode).create(path).map_err(|e| ImageError::io("create", path, e))
}

/// A file whose lock is to be taken. Whoever can read it can have the lock, for ever: only its owner can.
pub(super) fn to_lock(path: &Path) -> Result<File> {
    let open = || -> io::Result<File> {
        let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(path)?;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        Ok(file)
    };
    open().map_err(|e| ImageError::io("open", path, e))
}

/// `None` if there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(ImageError::io("read", path, e)),
    }
}

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|e| ImageError::json(path.display().to_string(), e))
}

pub(super) fn to_json<T: Serialize>(path: &Path, value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| ImageError::json(path.display().to_string(), e))
}

/// Writes `staged` and renames it to `path`, safe against power loss: the file before the rename, the rename with the
/// next synchronisation of the directory.
pub(super) fn replace(staged: &Path, path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create(staged).map_err(|e| ImageError::io("create", staged, e))?;
    file.write_all(bytes).map_err(|e| ImageError::io("write", staged, e))?;
    file.sync_data().map_err(|e| ImageError::io("write", staged, e))?;
    fs::rename(staged, path).map_err(|e| ImageError::io("rename", staged, e))
}

pub(super) fn remove(path: &Path) -> Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(ImageError::io("remove", path, e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another user would keep all others waiting.
    #[test]
    fn nobody_else_can_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        drop(to_lock(&path).unwrap());
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        drop(to_lock(&path).unwrap());
        assert_eq!(mode(), 0o600);
    }
}
