//! Hard links to files of layers below. A layer is unpacked before it is known what lies below it, so such links wait in
//! the layer's `links` until an image has it; then the file is copied under the link's name. It is a file of its own
//! then: overlayfs has no links between layers.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_OMIT, Uid,
    XattrFlags, fchmod, fchown, fgetxattr, flistxattr, fsetxattr, futimens, lgetxattr, openat2, renameat,
    statat,
};
use rustix::io::Errno;

use super::temp::Temp;
use super::{Store, files};
use crate::Digest;
use crate::error::{ImageError, Result};
use crate::extract::Link;

const LINKS: &str = "links";

/// Keeps the links of a layer that is being made in `dir`.
pub(super) fn record(dir: &Path, links: &[Link]) -> Result<()> {
    if links.is_empty() {
        return Ok(());
    }
    let path = dir.join(LINKS);
    std::fs::write(&path, files::to_json(&path, &links)?).map_err(|e| ImageError::io("write", &path, e))
}

impl Store {
    /// Makes the links of an image's layers, whose directories these are, bottom first. The caller holds the store's
    /// lock. Killed in between, it is done anew by whoever adds the image again: until then no image has the layer.
    pub(super) fn make_links(&self, dirs: &[PathBuf], temp: &Temp) -> Result<()> {
        for (n, dir) in dirs.iter().enumerate() {
            let Some(links) = files::read_json::<Vec<Link>>(&dir.join(LINKS))? else { continue };
            for link in links {
                let below = dirs[..n].iter().rev();
                let from = below.map(|d| open_root(&d.join("fs"))).collect::<Result<Vec<_>>>()?;
                let found = find(&from, &link.target).map_err(|e| ImageError::unpack(&link.path, e))?;
                let source = found.ok_or_else(|| {
                    let target = String::from_utf8_lossy(&link.target).into_owned();
                    let why =
                        format!("is a hard link to `{target}`, which the layer doesn't have, nor one below");
                    ImageError::member(&link.path, why)
                })?;
                make_link(dir, &link, source, temp)?;
            }
        }
        Ok(())
    }
}

fn make_link(dir: &Path, link: &Link, mut source: File, temp: &Temp) -> Result<()> {
    let failed = |e: io::Error| ImageError::unpack(&link.path, e);
    let root = open_root(&dir.join("fs"))?;
    let (above, name) = split(&link.path);
    let parent = open_in(&root, above, OFlags::RDONLY | OFlags::DIRECTORY).map_err(|e| failed(e.into()))?;
    match open_in(&parent, name, OFlags::RDONLY | OFlags::NOFOLLOW) {
        Ok(there) => {
            // Made for another image. With other layers below it might be another file.
            let same =
                digest(&mut File::from(there)).map_err(failed)? == digest(&mut source).map_err(failed)?;
            return match same {
                true => Ok(()),
                false => Err(ImageError::member(
                    &link.path,
                    "is a hard link into lower layers, which another image has with other contents",
                )),
            };
        }
        Err(Errno::NOENT) => {}
        Err(e) => return Err(failed(e.into())),
    }
    let staged = temp.path().join("link");
    copy(&mut source, &staged).map_err(failed)?;
    // Making a name changes its directory's time.
    let stat = rustix::fs::fstat(&parent).map_err(|e| failed(e.into()))?;
    renameat(CWD, &staged, &parent, name).map_err(|e| failed(e.into()))?;
    futimens(&parent, &times(stat.st_mtime, stat.st_mtime_nsec as i64)).map_err(|e| failed(e.into()))
}

fn open_root(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|e| ImageError::io("open", path, e))
}

fn open_in(root: impl AsFd, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let path = if path.is_empty() { b"." } else { path };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    openat2(root, path, flags | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty(), resolve)
}

/// The regular file of a name in the layers, top first, as an overlay of them shows it.
fn find(layers: &[OwnedFd], path: &[u8]) -> io::Result<Option<File>> {
    let parts: Vec<&[u8]> = path.split(|b| *b == b'/').collect();
    for root in layers {
        let (mut hidden, mut at, mut there) = (false, Vec::new(), true);
        for part in &parts {
            if !at.is_empty() {
                at.push(b'/');
            }
            at.extend_from_slice(part);
            let stat = match statat(root, at.as_slice(), AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT | Errno::NOTDIR) => {
                    there = false;
                    break;
                }
                stat => stat?,
            };
            let kind = FileType::from_raw_mode(stat.st_mode);
            if kind == FileType::CharacterDevice && stat.st_rdev == 0 {
                return Ok(None);
            }
            if kind == FileType::Directory {
                let mut full = format!("/proc/self/fd/{}/", root.as_raw_fd()).into_bytes();
                full.extend_from_slice(&at);
                let mut value = [0u8; 1];
                hidden |= lgetxattr(full.as_slice(), c"trusted.overlay.opaque", &mut value[..]) == Ok(1)
                    && value == *b"y";
            }
        }
        if there {
            let file = File::from(open_in(root, path, OFlags::RDONLY | OFlags::NOFOLLOW)?);
            return Ok(file.metadata()?.is_file().then_some(file));
        }
        if hidden {
            return Ok(None);
        }
    }
    Ok(None)
}

fn digest(file: &mut File) -> io::Result<Digest> {
    let mut hasher = crate::Hasher::new();
    io::copy(file, &mut hasher)?;
    Ok(hasher.finish())
}

fn times(seconds: i64, nanos: i64) -> Timestamps {
    let unchanged = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    Timestamps { last_access: unchanged, last_modification: Timespec { tv_sec: seconds, tv_nsec: nanos } }
}

/// With owner, attributes, mode and time; chown(2) clears set-user-ID bits and capabilities, so it comes first.
fn copy(source: &mut File, to: &Path) -> io::Result<()> {
    let stat = rustix::fs::fstat(&*source)?;
    let mut file = File::create(to)?;
    io::copy(source, &mut file)?;
    fchown(&file, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    let mut names = vec![0; 65_536];
    let n = match flistxattr(&*source, &mut names[..]) {
        Err(Errno::OPNOTSUPP) => 0,
        n => n?,
    };
    for name in names[..n].split(|b| *b == 0).filter(|n| !n.is_empty() && !n.starts_with(b"trusted.overlay."))
    {
        let mut value = vec![0; 65_536];
        let n = fgetxattr(&*source, name, &mut value[..])?;
        fsetxattr(&file, name, &value[..n], XattrFlags::empty())?;
    }
    fchmod(&file, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    futimens(&file, &times(stat.st_mtime, stat.st_mtime_nsec as i64))?;
    Ok(())
}

/// Parent and last part.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}
