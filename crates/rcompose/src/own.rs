//! The user's own files. They have the rights that the user's umask(2) leaves; what is made for containers has those that it
//! has with docker's engine, whoever calls.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::Mode;

/// Of the user.
static UMASK: OnceLock<u32> = OnceLock::new();

/// The umask of docker's engine, and of all that it does.
const ENGINES: u32 = 0o022;

/// Takes the engine's umask for the whole process, and keeps the user's in mind. Before there is another thread.
pub(crate) fn take_umask() {
    let users = rustix::process::umask(Mode::from_raw_mode(ENGINES)).as_raw_mode();
    UMASK.get_or_init(|| users);
}

/// What the user's umask leaves of a mode.
fn left(mode: u32) -> u32 {
    mode & !UMASK.get().copied().unwrap_or(ENGINES)
}

/// Gives what has just been made what the engine's umask has taken of a mode and the user's leaves. Nothing else changes: a
/// directory below one with the set-group-ID bit has that bit, too.
fn widen(made: &File, mode: u32) -> io::Result<()> {
    let more = left(mode) & ENGINES;
    if more == 0 {
        return Ok(());
    }
    let now = made.metadata()?.permissions().mode() & 0o7777;
    match made.set_permissions(Permissions::from_mode(now | more)) {
        // Modes are the mount's there, as on FAT.
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}

/// As [`File::create`].
pub(crate) fn create(path: &Path) -> io::Result<File> {
    match File::options().write(true).create_new(true).mode(left(0o666)).open(path) {
        Ok(file) => widen(&file, 0o666).map(|()| file),
        // It may be a link to where there is nothing yet.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            File::options().write(true).create(true).truncate(true).mode(left(0o666)).open(path)
        }
        Err(e) => Err(e),
    }
}

/// As [`fs::write`].
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    create(path)?.write_all(bytes)
}

/// As [`fs::create_dir_all`].
pub(crate) fn make_dirs(path: &Path) -> io::Result<()> {
    let missing = path.ancestors().take_while(|p| !p.as_os_str().is_empty() && !p.exists());
    for path in missing.collect::<Vec<_>>().into_iter().rev() {
        match DirBuilder::new().mode(left(0o777)).create(path) {
            Ok(()) => widen(&File::open(path)?, 0o777)?,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            Err(e) => return Err(e),
        }
    }
    match path.is_dir() {
        true => Ok(()),
        // A file is in its place.
        false => fs::create_dir_all(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_and_files() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        make_dirs(&deep).unwrap();
        make_dirs(&deep).unwrap();
        write(&deep.join("file"), b"long").unwrap();
        write(&deep.join("file"), b"x").unwrap();
        assert_eq!(fs::read(deep.join("file")).unwrap(), b"x");
        make_dirs(&deep.join("file")).unwrap_err();
        make_dirs(&deep.join("file/below")).unwrap_err();
    }

    /// What is made in a group's directory is the group's, all the way down.
    #[test]
    fn a_directory_of_a_group() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o2775)).unwrap();
        make_dirs(&dir.path().join("a/b")).unwrap();
        for name in ["a", "a/b"] {
            let mode = fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o2000, 0o2000, "{name}: {mode:o}");
        }
    }
}
