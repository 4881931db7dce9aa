//! Small files that other processes read: written beside, then renamed into place.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::StateError;

/// Writes a JSON file so that a reader sees the old one or the new one, never a part.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), StateError> {
    let bytes = serde_json::to_vec(value).map_err(|e| StateError::encode(path, e))?;
    write_atomic(path, &bytes, 0o600)
}

/// Writes a file so that a reader sees the old one or the new one.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> Result<(), StateError> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", std::process::id()));
    let tmp = path.with_file_name(name);
    let write = || -> io::Result<()> {
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&tmp)?;
        file.write_all(bytes)?;
        drop(file);
        replace(&tmp, path)
    };
    write().map_err(|e| {
        // The error that matters is the first one; a left-over .tmp is overwritten by the next try.
        drop(fs::remove_file(&tmp));
        StateError::write(path, e)
    })
}

/// Puts a new file in an old one's place, in one moment.
///
/// Exchanged and then removed, the old file costs nothing when it has never come to the disk, and the new one isn't sent
/// there at once: a rename over a file makes ext4 do both (auto_da_alloc in ext4(5)), for records that live for
/// milliseconds. The price is that a power cut may leave an empty file: nothing of the project runs any more then, and
/// [`read_json`] takes it for none.
fn replace(new: &Path, path: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, new, CWD, path, RenameFlags::EXCHANGE) {
        Ok(()) => fs::remove_file(new),
        // Nothing there yet, or a file system that can't.
        Err(Errno::NOENT | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => fs::rename(new, path),
        Err(e) => Err(e.into()),
    }
}

/// Reads a JSON file; `None` when there is none, or one that a power cut has emptied.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StateError> {
    match fs::read(path) {
        Ok(bytes) if bytes.is_empty() => Ok(None),
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| StateError::decode(path, e)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(StateError::read(path, e)),
    }
}

/// Removes a file; none there is fine.
pub(crate) fn remove_file(path: &Path) -> Result<(), StateError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StateError::write(path, e)),
        _ => Ok(()),
    }
}

/// Removes a directory with all that is in it; none there is fine.
pub(crate) fn remove_tree(path: &Path) -> Result<(), StateError> {
    match rcompose_image::remove_tree(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StateError::write(path, e)),
        _ => Ok(()),
    }
}

/// Makes a directory and those above it, also while somebody else removes them (the supervisor of a project of which
/// nothing is left).
pub(crate) fn make_dir(path: &Path) -> Result<(), StateError> {
    rcompose_image::make_directory(path).map_err(|e| StateError::write(path, e))
}

/// Makes a directory into which root alone sees: files of containers below it belong to anybody and may be setuid.
pub fn make_room(path: &Path) -> Result<(), StateError> {
    let failed = |e| StateError::write(path, e);
    make_dir(path)?;
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaced_files_are_whole_and_leave_nothing_beside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        for n in [1, 22, 3] {
            write_json(&path, &n).unwrap();
            assert_eq!(read_json::<i32>(&path).unwrap(), Some(n));
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        }
        fs::write(&path, "").unwrap();
        assert_eq!(read_json::<i32>(&path).unwrap(), None);
        fs::write(&path, "{").unwrap();
        assert!(read_json::<i32>(&path).is_err());
    }
}
