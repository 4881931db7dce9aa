//! The user's own files. They have the rights that the user's umask(2) leaves; what is made for containers has those that it
//! has with docker's engine, whoever calls.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
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

/// As [`File::create`].
pub(crate) fn create(path: &Path) -> io::Result<File> {
    match File::options().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => {
            file.set_permissions(Permissions::from_mode(left(0o666)))?;
            Ok(file)
        }
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => File::create(path),
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
        match DirBuilder::new().create(path) {
            Ok(()) => fs::set_permissions(path, Permissions::from_mode(left(0o777)))?,
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
}
