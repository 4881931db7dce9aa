//! From a directory in overlayfs's form to a tar stream: the way back from [`crate::extract`].
//!
//! The stream is a function of the directory alone: names in byte order, no access times, no user names.

mod merged;

pub(crate) use merged::write_merged;

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT, futimens, lgetxattr,
    llistxattr, lremovexattr, major, minor, openat, readlinkat, statat, unlinkat,
};
use rustix::io::Errno;

use crate::error::{ImageError, Result};

const OVERLAY: &[u8] = b"trusted.overlay.";
const OPAQUE: &[u8] = b"trusted.overlay.opaque";
const BLOCK: usize = 512;

/// Whether the directory may be changed on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Walk {
    /// An overlay's upper directory becomes a layer: remove what is true only under its present mount (overlayfs's
    /// `origin`, `impure`, …) and sockets, which a layer can't have.
    Adopt,
    /// Only read.
    Read,
    /// Only read, and nothing is said of what lies below: whiteouts and opaque directories are not written.
    Merged,
}

/// Writes the directory of an overlay that may be in use, without what `skip` knows; returns the sum of file lengths.
pub(crate) fn write_part(fs: &Path, skip: &dyn Fn(&[u8], &Stat) -> bool, out: &mut dyn Write) -> Result<u64> {
    let root = open_root(fs)?;
    let mut writer = Writer { out, walk: Walk::Read, linked: HashMap::new(), content: 0, skip };
    writer.whole(root, fs)
}

fn open_root(fs: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(fs, flags, Mode::empty()).map_err(|e| ImageError::io("open", fs, e))
}

/// How overlayfs says that there is nothing (kernel, overlayfs.rst).
fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Writes the layer in `fs` as a tar stream; returns the sum of file lengths.
pub(crate) fn write(fs: &Path, walk: Walk, out: &mut dyn Write) -> Result<u64> {
    let root = open_root(fs)?;
    let mut writer = Writer { out, walk, linked: HashMap::new(), content: 0, skip: &|_, _| false };
    writer.whole(root, fs)
}

struct Writer<'a> {
    out: &'a mut dyn Write,
    walk: Walk,
    /// First path of a file that has several.
    linked: HashMap<(u64, u64), Vec<u8>>,
    content: u64,
    /// What is not for the stream.
    skip: &'a dyn Fn(&[u8], &Stat) -> bool,
}

impl Writer<'_> {
    fn whole(&mut self, root: OwnedFd, fs: &Path) -> Result<u64> {
        self.root(&root).map_err(|e| ImageError::io("read", fs, e))?;
        self.directory(root, Vec::new())?;
        self.end()?;
        Ok(self.content)
    }

    fn end(&mut self) -> Result<()> {
        self.out.write_all(&[0; 2 * BLOCK]).map_err(|e| ImageError::io("write", "the tar stream", e))
    }

    /// The root has an entry only if it is not like every new layer's.
    fn root(&mut self, root: &OwnedFd) -> io::Result<()> {
        let stat = rustix::fs::fstat(root)?;
        let (xattrs, opaque) = self.xattrs(root.as_fd(), c".")?;
        if (stat.st_mode & 0o7777, stat.st_uid, stat.st_gid) != (0o755, 0, 0) || !xattrs.is_empty() {
            self.header(b'5', b"./", b"", &stat, 0, &xattrs)?;
        }
        if opaque && self.walk != Walk::Merged { self.marker(b".wh..wh..opq") } else { Ok(()) }
    }

    fn directory(&mut self, dir: OwnedFd, path: Vec<u8>) -> Result<()> {
        let failed = |e: io::Error| ImageError::io("read", Path::new(&*String::from_utf8_lossy(&path)), e);
        let mut names: Vec<CString> = Dir::read_from(&dir)
            .map_err(|e| failed(e.into()))?
            .map(|entry| entry.map(|e| e.file_name().to_owned()))
            .collect::<std::result::Result<_, _>>()
            .map_err(|e| failed(e.into()))?;
        names.retain(|n| !matches!(n.to_bytes(), b"." | b".."));
        names.sort();
        for name in names {
            let inner = join(&path, name.to_bytes());
            let failed =
                |e: io::Error| ImageError::io("read", Path::new(&*String::from_utf8_lossy(&inner)), e);
            if name.to_bytes().starts_with(b".wh.") {
                return Err(ImageError::member(&inner, "has a name that layers use for removed files"));
            }
            if self.entry(&dir, &name, &inner).map_err(failed)? {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let child = openat(&dir, &name, flags, Mode::empty()).map_err(|e| failed(e.into()))?;
                self.directory(child, inner)?;
            }
        }
        Ok(())
    }

    /// Returns whether it is a directory.
    fn entry(&mut self, dir: &OwnedFd, name: &CStr, path: &[u8]) -> io::Result<bool> {
        let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if (self.skip)(path, &stat) {
            return Ok(false);
        }
        if is_whiteout(&stat) {
            let above = &path[..path.len() - name.to_bytes().len()];
            self.marker(&[above, b".wh.", name.to_bytes()].concat())?;
            return Ok(false);
        }
        if kind == FileType::Socket {
            if self.walk == Walk::Adopt {
                // The directory's time is in the stream already.
                let time = rustix::fs::fstat(dir)?;
                unlinkat(dir, name, AtFlags::empty())?;
                let unchanged = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
                let last_modification =
                    Timespec { tv_sec: time.st_mtime, tv_nsec: time.st_mtime_nsec as i64 };
                futimens(dir, &Timestamps { last_access: unchanged, last_modification })?;
            }
            return Ok(false);
        }
        let (xattrs, opaque) = self.xattrs(dir.as_fd(), name)?;
        if kind == FileType::Directory {
            self.header(b'5', &[path, b"/"].concat(), b"", &stat, 0, &xattrs)?;
            if opaque && self.walk != Walk::Merged {
                self.marker(&[path, b"/.wh..wh..opq"].concat())?;
            }
            return Ok(true);
        }
        if stat.st_nlink > 1 {
            match self.linked.get(&(stat.st_dev, stat.st_ino)) {
                Some(first) => {
                    let first = first.clone();
                    self.header(b'1', path, &first, &stat, 0, &xattrs)?;
                    return Ok(false);
                }
                None => drop(self.linked.insert((stat.st_dev, stat.st_ino), path.to_vec())),
            }
        }
        match kind {
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = File::from(openat(dir, name, flags, Mode::empty())?);
                let size = stat.st_size as u64;
                self.header(b'0', path, b"", &stat, size, &xattrs)?;
                self.content(file, size)?;
            }
            FileType::Symlink => {
                let target = readlinkat(dir, name, Vec::new())?;
                self.header(b'2', path, target.to_bytes(), &stat, 0, &xattrs)?;
            }
            FileType::CharacterDevice => self.header(b'3', path, b"", &stat, 0, &xattrs)?,
            FileType::BlockDevice => self.header(b'4', path, b"", &stat, 0, &xattrs)?,
            FileType::Fifo => self.header(b'6', path, b"", &stat, 0, &xattrs)?,
            other => return Err(io::Error::other(format!("a layer can't have a file of type {other:?}"))),
        }
        Ok(false)
    }

    fn content(&mut self, file: File, size: u64) -> io::Result<()> {
        if io::copy(&mut io::Read::take(file, size), self.out)? != size {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file shrank while it was read"));
        }
        self.content += size;
        self.pad(size)
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let over = (size % BLOCK as u64) as usize;
        if over == 0 { Ok(()) } else { self.out.write_all(&[0; BLOCK][over..]) }
    }

    /// Attributes that belong into the stream, sorted, and whether the directory is opaque.
    fn xattrs(&self, dir: BorrowedFd<'_>, name: &CStr) -> io::Result<(Vec<Xattr>, bool)> {
        let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
        path.extend_from_slice(name.to_bytes());
        let path = CString::new(path)?;
        let mut small = [0u8; 1024];
        let names = match llistxattr(&path, &mut small[..]) {
            Ok(0) | Err(Errno::OPNOTSUPP) => return Ok((Vec::new(), false)),
            Ok(n) => small[..n].to_vec(),
            Err(Errno::RANGE) => {
                // The most that the kernel lists (xattr(7), XATTR_LIST_MAX).
                let mut large = vec![0; 65_536];
                let n = llistxattr(&path, &mut large[..])?;
                large.truncate(n);
                large
            }
            Err(e) => return Err(e.into()),
        };
        let (mut out, mut opaque) = (Vec::new(), false);
        for key in names.split(|b| *b == 0).filter(|k| !k.is_empty()) {
            let key = CString::new(key)?;
            let mut value = vec![0; 65_536];
            let n = lgetxattr(&path, &key, &mut value[..])?;
            value.truncate(n);
            if !key.to_bytes().starts_with(OVERLAY) {
                if travels(key.to_bytes()) {
                    out.push((key.into_bytes(), value));
                }
            } else if key.to_bytes() == OPAQUE && value == b"y" {
                opaque = true;
            } else if matches!(key.to_bytes(), b"trusted.overlay.redirect" | b"trusted.overlay.metacopy") {
                let text = "its content is elsewhere: the overlay was mounted with redirect_dir or metacopy";
                return Err(io::Error::other(text));
            } else if self.walk == Walk::Adopt {
                lremovexattr(&path, &key)?;
            }
        }
        out.sort();
        Ok((out, opaque))
    }

    /// An empty file that means something, with fixed attributes.
    fn marker(&mut self, path: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o600);
        header.set_entry_type(tar::EntryType::Regular);
        for set in [tar::Header::set_uid, tar::Header::set_gid, tar::Header::set_mtime, tar::Header::set_size]
        {
            set(&mut header, 0);
        }
        let mut pax = Vec::new();
        name_field(&mut header.as_old_mut().name, path, "path", &mut pax);
        self.emit(header, &pax)
    }

    fn header(
        &mut self,
        kind: u8,
        path: &[u8],
        link: &[u8],
        stat: &Stat,
        size: u64,
        xattrs: &[Xattr],
    ) -> io::Result<()> {
        let mut pax = Vec::new();
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_mode(stat.st_mode & 0o7777);
        let number = |n: u64, most: u64, key: &str, pax: &mut Vec<u8>| {
            if n > most {
                record(pax, key.as_bytes(), n.to_string().as_bytes());
                return 0;
            }
            n
        };
        header.set_uid(number(stat.st_uid.into(), 0o7_777_777, "uid", &mut pax));
        header.set_gid(number(stat.st_gid.into(), 0o7_777_777, "gid", &mut pax));
        header.set_size(number(size, 0o77_777_777_777, "size", &mut pax));
        let (seconds, nanos) = (stat.st_mtime, stat.st_mtime_nsec);
        match u64::try_from(seconds) {
            Ok(s) if nanos == 0 && s <= 0o77_777_777_777 => header.set_mtime(s),
            _ => {
                record(&mut pax, b"mtime", pax_time(seconds, nanos).as_bytes());
                header.set_mtime(seconds.clamp(0, 0o77_777_777_777) as u64);
            }
        }
        if matches!(kind, b'3' | b'4') {
            header.set_device_major(major(stat.st_rdev))?;
            header.set_device_minor(minor(stat.st_rdev))?;
        }
        name_field(&mut header.as_old_mut().name, path, "path", &mut pax);
        name_field(&mut header.as_old_mut().linkname, link, "linkpath", &mut pax);
        for (key, value) in xattrs {
            record(&mut pax, &[b"SCHILY.xattr.", key.as_slice()].concat(), value);
        }
        self.emit(header, &pax)
    }

    fn emit(&mut self, mut header: tar::Header, pax: &[u8]) -> io::Result<()> {
        if !pax.is_empty() {
            let mut extended = tar::Header::new_ustar();
            extended.set_entry_type(tar::EntryType::XHeader);
            extended.set_mode(0o644);
            extended.set_uid(0);
            extended.set_gid(0);
            extended.set_mtime(0);
            extended.set_size(pax.len() as u64);
            extended.as_old_mut().name[..9].copy_from_slice(b"PaxHeader");
            extended.set_cksum();
            self.out.write_all(extended.as_bytes())?;
            self.out.write_all(pax)?;
            self.pad(pax.len() as u64)?;
        }
        header.set_cksum();
        self.out.write_all(header.as_bytes())
    }
}

type Xattr = (Vec<u8>, Vec<u8>);

/// Labels of security modules (`security.selinux`, `security.ima`) are this machine's; capabilities are the file's.
fn travels(name: &[u8]) -> bool {
    !name.starts_with(b"security.") || name == b"security.capability"
}

/// Puts a name into its field, or as much as fits, and all of it into an extended header.
fn name_field(field: &mut [u8; 100], name: &[u8], key: &str, pax: &mut Vec<u8>) {
    let n = name.len().min(field.len());
    field[..n].copy_from_slice(&name[..n]);
    if n < name.len() {
        record(pax, key.as_bytes(), name);
    }
}

/// `length key=value\n`, where the length counts itself (pax(1)).
fn record(pax: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    pax.extend_from_slice(format!("{length} ").as_bytes());
    pax.extend_from_slice(key);
    pax.push(b'=');
    pax.extend_from_slice(value);
    pax.push(b'\n');
}

fn pax_time(seconds: i64, nanos: u64) -> String {
    // Only zeros of the fraction are trimmed.
    if nanos == 0 {
        return seconds.to_string();
    }
    let text = match seconds < 0 && nanos > 0 {
        true if seconds == -1 => format!("-0.{:09}", 1_000_000_000 - nanos),
        true => format!("{}.{:09}", seconds + 1, 1_000_000_000 - nanos),
        false => format!("{seconds}.{nanos:09}"),
    };
    text.trim_end_matches('0').to_owned()
}

fn join(above: &[u8], name: &[u8]) -> Vec<u8> {
    match above {
        b"" => name.to_vec(),
        above => [above, b"/", name].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_counts_itself() {
        for length in 0..1200 {
            let mut pax = Vec::new();
            record(&mut pax, b"k", &vec![b'v'; length]);
            let text = String::from_utf8(pax).unwrap();
            assert_eq!(text.split(' ').next().unwrap().parse(), Ok(text.len()));
        }
    }

    #[test]
    fn times() {
        assert_eq!(pax_time(5, 0), "5");
        assert_eq!(pax_time(10, 500_000_000), "10.5");
        assert_eq!(pax_time(-2, 750_000_000), "-1.25");
        assert_eq!(pax_time(-1, 500_000_000), "-0.5");
    }
}
