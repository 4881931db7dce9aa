//! Removing a directory with all that is in it, however deep it goes: nobody bounds that, neither in an archive nor in
//! a container, and one open file for each level would soon be one too many.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, openat, renameat_with, unlinkat};
use rustix::io::Errno;

/// What lies deeper is moved up.
const DEEPEST: u32 = 32;

/// Removes a directory; an error of kind `NotFound` if there is none.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let top = rustix::fs::open(path, flags(), Mode::empty())?;
    let mut moved = 0;
    loop {
        let before = moved;
        clear(&top, &top, 0, &mut moved)?;
        if moved == before {
            return std::fs::remove_dir(path);
        }
    }
}

fn flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

/// Empties a directory; directories below the deepest level are in `top` afterwards.
fn clear(dir: &OwnedFd, top: &OwnedFd, depth: u32, moved: &mut u64) -> io::Result<()> {
    let entries: Vec<(CString, FileType)> = Dir::read_from(dir)?
        .map(|e| e.map(|e| (e.file_name().to_owned(), e.file_type())))
        .collect::<Result<_, _>>()?;
    for (name, kind) in entries.iter().filter(|(n, _)| !matches!(n.to_bytes(), b"." | b"..")) {
        let is_directory = match kind {
            FileType::Directory => true,
            _ => match unlinkat(dir, name, AtFlags::empty()) {
                Err(Errno::ISDIR) => true,
                // Somebody else removes it, too.
                Err(Errno::NOENT) => false,
                other => other.map(|()| false)?,
            },
        };
        if !is_directory {
            continue;
        }
        if depth == DEEPEST {
            move_up(dir, name, top, moved)?;
            continue;
        }
        match openat(dir, name, flags(), Mode::empty()) {
            Err(Errno::NOENT) => continue,
            child => clear(&child?, top, depth + 1, moved)?,
        }
        match unlinkat(dir, name, AtFlags::REMOVEDIR) {
            Err(Errno::NOENT) => {}
            other => other?,
        }
    }
    Ok(())
}

fn move_up(dir: &OwnedFd, name: &CString, top: &OwnedFd, moved: &mut u64) -> io::Result<()> {
    loop {
        *moved += 1;
        match renameat_with(dir, name, top, format!("deep-{moved}"), RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            Err(Errno::NOENT) => return Ok(()),
            other => return Ok(other?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_deep() {
        let room = tempfile::tempdir().unwrap();
        let top = room.path().join("top");
        std::fs::create_dir_all(top.join("deep-1/deep-2")).unwrap();
        std::os::unix::fs::symlink(room.path(), top.join("link")).unwrap();
        let mut at = rustix::fs::open(&top, flags(), Mode::empty()).unwrap();
        for n in 0..30_000 {
            rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
            if n % 100 == 0 {
                rustix::fs::symlinkat("target", &at, "file").unwrap();
            }
            at = openat(&at, "d", flags(), Mode::empty()).unwrap();
        }
        remove_tree(&top).unwrap();
        assert_eq!(remove_tree(&top).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(room.path().is_dir());
    }
}
