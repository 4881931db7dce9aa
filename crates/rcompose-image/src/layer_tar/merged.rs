//! Several layers as one tree: what a container sees, without mounting it.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::ffi::CString;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};

use super::{Walk, Writer, is_whiteout, join, open_root};
use crate::error::{ImageError, Result};

/// Writes what the directories, top first, are together; returns the sum of file lengths.
pub(crate) fn write_merged(layers: &[PathBuf], out: &mut dyn Write) -> Result<u64> {
    let roots = layers.iter().map(|l| open_root(l)).collect::<Result<Vec<_>>>()?;
    let mut writer =
        Writer { out, walk: Walk::Merged, linked: HashMap::new(), content: 0, skip: &|_, _| false };
    if let (Some(root), Some(path)) = (roots.first(), layers.first()) {
        writer.root(root).map_err(|e| ImageError::io("read", path, e))?;
    }
    writer.merged(&roots, Vec::new())?;
    writer.end()?;
    Ok(writer.content)
}

impl Writer<'_> {
    fn merged(&mut self, dirs: &[OwnedFd], path: Vec<u8>) -> Result<()> {
        let failed = |e: io::Error| ImageError::io("read", Path::new(&*String::from_utf8_lossy(&path)), e);
        // The topmost that has a name decides what it is.
        let mut names: BTreeMap<CString, usize> = BTreeMap::new();
        for (depth, dir) in dirs.iter().enumerate() {
            for entry in Dir::read_from(dir).map_err(|e| failed(e.into()))? {
                let name = entry.map_err(|e| failed(e.into()))?.file_name().to_owned();
                if !matches!(name.to_bytes(), b"." | b"..") {
                    names.entry(name).or_insert(depth);
                }
            }
        }
        for (name, top) in names {
            let inner = join(&path, name.to_bytes());
            let failed =
                |e: io::Error| ImageError::io("read", Path::new(&*String::from_utf8_lossy(&inner)), e);
            let stat = match statat(&dirs[top], &name, AtFlags::SYMLINK_NOFOLLOW) {
                // Of a container that runs: gone since its name was read.
                Err(rustix::io::Errno::NOENT) => continue,
                stat => stat.map_err(|e| failed(e.into()))?,
            };
            if is_whiteout(&stat) || !self.entry(&dirs[top], &name, &inner).map_err(failed)? {
                continue;
            }
            let mut same = Vec::new();
            for dir in &dirs[top..] {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let is_dir = statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW)
                    .map(|s| FileType::from_raw_mode(s.st_mode) == FileType::Directory);
                match is_dir {
                    Ok(true) => {}
                    // Nothing of it here, but perhaps further down.
                    Err(rustix::io::Errno::NOENT) => continue,
                    // A file or a whiteout: what is below it is hidden.
                    Ok(false) => break,
                    Err(e) => return Err(failed(e.into())),
                }
                let (_, opaque) = self.xattrs(dir.as_fd(), &name).map_err(failed)?;
                same.push(openat(dir, &name, flags, Mode::empty()).map_err(|e| failed(e.into()))?);
                if opaque {
                    break;
                }
            }
            self.merged(&same, inner)?;
        }
        Ok(())
    }
}
