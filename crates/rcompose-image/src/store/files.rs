//! Small files that are either whole or not there.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{ImageError, Result};

pub(super) fn make_dirs(path: &Path, mode: u32) -> Result<()> {
    DirBuilder::new().recursive(true).mode(mode).create(path).map_err(|e| ImageError::io("create", path, e))
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
