use std::io::{self, Read};

use rustix::fs::{FileType, Timespec, makedev};
use tar::EntryType;

use super::sparse::PaxSparse;
use crate::error::{ImageError, Result};

/// One member of a tar stream, checked.
#[derive(Debug)]
pub(super) struct Member {
    /// Relative, without `.`, `..` and double slashes. Empty is the root.
    pub(super) path: Vec<u8>,
    /// Target of a link, as it stands there.
    pub(super) link: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Timespec,
    pub(super) xattrs: Vec<(String, Vec<u8>)>,
    /// Length of the content as read from the entry.
    pub(super) size: u64,
    /// A sparse file in PAX form: the entry's content begins with or is described by a map.
    pub(super) sparse: Option<PaxSparse>,
    /// A sparse file in GNU's old form: the entry reads as the expanded content.
    pub(super) old_sparse: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Regular,
    Directory,
    HardLink,
    Symlink,
    Node(FileType, u64),
}

impl Member {
    /// `None` is a member that stands for no file.
    pub(super) fn of<R: Read>(entry: &mut tar::Entry<'_, R>, records: &[u8]) -> Result<Option<Self>> {
        let pax = |key: &[u8]| {
            crate::stream::pax(records).flatten().filter(|(k, _)| *k == key).map(|(_, v)| v).last()
        };
        let mut raw = match pax(b"path") {
            Some(path) => path.to_vec(),
            None => entry.path_bytes().into_owned(),
        };
        let unreadable = |raw: &[u8]| {
            let raw = raw.to_vec();
            move |e| ImageError::unpack(&raw, e)
        };
        let header = entry.header();
        let kind = match header.entry_type() {
            // Before POSIX a directory was a regular file with a slash at the end.
            EntryType::Regular | EntryType::Continuous if raw.ends_with(b"/") => Kind::Directory,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::Regular,
            EntryType::Directory => Kind::Directory,
            EntryType::Link => Kind::HardLink,
            EntryType::Symlink => Kind::Symlink,
            EntryType::Fifo => Kind::Node(FileType::Fifo, 0),
            kind @ (EntryType::Char | EntryType::Block) => {
                let number = |n: Result<Option<u32>, _>| n.map(Option::unwrap_or_default);
                let major = number(header.device_major()).map_err(unreadable(&raw))?;
                let minor = number(header.device_minor()).map_err(unreadable(&raw))?;
                let kind =
                    if kind == EntryType::Char { FileType::CharacterDevice } else { FileType::BlockDevice };
                Kind::Node(kind, makedev(major, minor))
            }
            EntryType::XGlobalHeader => return Ok(None),
            other => {
                let why = format!("has the unknown type `{}`", char::from(other.as_byte()));
                return Err(ImageError::member(&raw, why));
            }
        };
        let id = |n: u64| {
            u32::try_from(n).map_err(|_| ImageError::member(&raw, format!("has the impossible owner {n}")))
        };
        let number = |key| pax(key).and_then(|v| std::str::from_utf8(v).ok()?.parse().ok());
        let old = header.as_old();
        let uid = number(b"uid").map_or_else(|| or_blank(&old.uid, header.uid()), Ok);
        let uid = id(uid.map_err(unreadable(&raw))?)?;
        let gid = number(b"gid").map_or_else(|| or_blank(&old.gid, header.gid()), Ok);
        let gid = id(gid.map_err(unreadable(&raw))?)?;
        let mode = or_blank(&old.mode, header.mode()).map_err(unreadable(&raw))? & 0o7777;
        let seconds = or_blank(&old.mtime, header.mtime()).map_err(unreadable(&raw))?;
        // A time before 1970 is a negative base-256 number, which reads as a huge one.
        let mut mtime = Timespec { tv_sec: seconds as i64, tv_nsec: 0 };
        let (size, old_sparse) = (entry.size(), header.entry_type() == EntryType::GNUSparse);
        let link = match pax(b"linkpath") {
            Some(link) => link.to_vec(),
            None => entry.link_name_bytes().map(|l| l.into_owned()).unwrap_or_default(),
        };
        let mut xattrs = Vec::new();
        let mut sparse = PaxSparse::default();
        for record in crate::stream::pax(records) {
            let (key, value) =
                record.ok_or_else(|| ImageError::member(&raw, "has a malformed extended header"))?;
            if key == b"mtime" {
                mtime = time(value).ok_or_else(|| ImageError::member(&raw, "has a malformed time"))?;
            } else if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                let name = String::from_utf8_lossy(name).into_owned();
                // What overlayfs keeps for itself is not for an image to say.
                if !name.starts_with("trusted.overlay.") && !name.starts_with("user.overlay.") {
                    xattrs.push((name, value.to_vec()));
                }
            } else if let Some(name) = key.strip_prefix(b"GNU.sparse.") {
                sparse
                    .take(name, value)
                    .ok_or_else(|| ImageError::member(&raw, "has a malformed sparse map"))?;
            }
        }
        if let Some(name) = sparse.name.take() {
            raw = name;
        }
        let sparse = (sparse.real_size.is_some() && kind == Kind::Regular).then_some(sparse);
        Ok(Some(Self {
            path: clean(&raw)?,
            link,
            kind,
            mode,
            uid,
            gid,
            mtime,
            xattrs,
            size,
            sparse,
            old_sparse,
        }))
    }
}

/// A number that isn't written is zero, as other readers have it.
fn or_blank<T: Default>(field: &[u8], read: io::Result<T>) -> io::Result<T> {
    match read {
        Err(_) if field.iter().all(|b| matches!(b, 0 | b' ')) => Ok(T::default()),
        read => read,
    }
}

/// Makes a path relative to the layer's root; refuses one that leads out of it.
pub(super) fn clean(raw: &[u8]) -> Result<Vec<u8>> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in raw.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.pop().is_none() => return Err(ImageError::member(raw, "leads out of the layer")),
            b".." => {}
            part => parts.push(part),
        }
    }
    Ok(parts.join(&b'/'))
}

/// `seconds[.fraction]`, possibly negative (pax(1), extended header keywords).
fn time(value: &[u8]) -> Option<Timespec> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let negative = whole.starts_with('-');
    let whole: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanos: i64 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Some(match negative && nanos > 0 {
        true => Timespec { tv_sec: whole - 1, tv_nsec: 1_000_000_000 - nanos },
        false => Timespec { tv_sec: whole, tv_nsec: nanos },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, want) in [
            ("12", Some((12, 0))),
            ("12.5", Some((12, 500_000_000))),
            ("12.1234567899", Some((12, 123_456_789))),
            ("-1.25", Some((-2, 750_000_000))),
            ("-0.5", Some((-1, 500_000_000))),
            ("1.x", None),
            ("", None),
        ] {
            assert_eq!(time(text.as_bytes()).map(|t| (t.tv_sec, t.tv_nsec)), want, "{text}");
        }
    }

    #[test]
    fn paths() {
        assert_eq!(clean(b"./a//b/./c/../d/").unwrap(), b"a/b/d");
        assert_eq!(clean(b"/abs").unwrap(), b"abs");
        assert_eq!(clean(b"./").unwrap(), b"");
        assert!(clean(b"../x").is_err() && clean(b"a/../../x").is_err());
    }
}
