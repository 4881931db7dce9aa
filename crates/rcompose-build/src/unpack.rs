//! ADD of an archive: its members as docker's untar puts them, in a root of their own (moby/go-archive, chrootarchive).

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Component, Path, PathBuf};

use rcompose_image::archive_error;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};
use tar::EntryType;

use crate::BuildError;
use crate::apply::NewLayer;
use crate::archive::decoded;
use crate::view::{Found, Node};

/// Members at most.
const MEMBERS: usize = 10_000_000;

/// Unpacks an archive, compressed or not, into a directory that nothing in it leaves.
pub fn unpack(archive: &Path, to: &Path) -> Result<(), BuildError> {
    let mut layer = NewLayer::new(to, &[]);
    layer.unpack(archive, Path::new("/"), None)?;
    layer.finish()
}

type Member<'a> = tar::Entry<'a, Box<dyn Read>>;

impl NewLayer {
    /// Unpacks into a directory. Members never get out of it, whatever their names and links say; owners are the
    /// archive's unless one is given.
    pub(crate) fn unpack(
        &mut self,
        archive: &Path,
        to: &Path,
        owner: Option<(u32, u32)>,
    ) -> Result<(), BuildError> {
        let at: PathBuf = archive.components().collect();
        let failed = |e| BuildError::io("unpack", &at, archive_error(e));
        let to = self.resolve(to)?;
        self.make_dir(&to, owner.unwrap_or((0, 0)), 0o755)?;
        let mut tar = tar::Archive::new(decoded(archive).map_err(failed)?);
        for (number, member) in tar.entries().map_err(failed)?.enumerate() {
            if number > MEMBERS {
                return Err(BuildError::input(format!("{} has too many members", at.display())));
            }
            let mut member = member.map_err(failed)?;
            self.member(&mut member, &to, owner).map_err(|e| {
                let name = member.path().map(|p| p.display().to_string()).unwrap_or_default();
                let e = archive_error(e);
                let error = BuildError::input(format!("failed to unpack `{name}` of {}: {e}", at.display()));
                match e.kind() {
                    io::ErrorKind::UnexpectedEof => error.help("fetch or make the archive again"),
                    _ => error.help("docker takes tar archives, also compressed by gzip, bzip2, xz or zstd"),
                }
            })?;
        }
        Ok(())
    }

    /// A path below `root`, absolute links in it being below `root` too.
    fn inside(&self, root: &Path, path: &Path, follow: bool) -> io::Result<Found> {
        let Found::Node(root) = self.view.find(root, false)? else {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        };
        self.view.find_below(root, path, follow)
    }

    fn member(&mut self, member: &mut Member<'_>, to: &Path, owner: Option<(u32, u32)>) -> io::Result<()> {
        let other = |e: BuildError| io::Error::other(e.to_string());
        let kind = member.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader | EntryType::XHeader) {
            return Ok(());
        }
        let name = normal(&member.path()?);
        // `./`: the directory that it is unpacked into keeps its own mode, owner and time.
        if name.as_os_str().is_empty() && kind.is_dir() {
            return Ok(());
        }
        let header = member.header();
        let old = header.as_old();
        let mode = u32::try_from(filled(&old.mode, || header.mode().map(u64::from))?).unwrap_or(0) & 0o7777;
        let id = |n: u64| u32::try_from(n).map_err(|_| io::Error::other("an owner beyond 32 bits"));
        let owner = match owner {
            Some(owner) => owner,
            None => (id(filled(&old.uid, || header.uid())?)?, id(filled(&old.gid, || header.gid())?)?),
        };
        let parent = match self.inside(to, name.parent().unwrap_or(Path::new("")), true)? {
            Found::Node(node) => node.path,
            Found::Missing(path) => path,
        };
        // Directories that the archive doesn't name.
        self.make_dir(&parent, (0, 0), 0o755).map_err(other)?;
        let path = match name.file_name() {
            Some(last) => parent.join(last),
            None => return Err(io::Error::other("it has no name")),
        };
        let there = match self.view.find(&path, false)? {
            Found::Node(node) => Some(node),
            Found::Missing(_) => None,
        };
        let real = self.real(&path);
        if kind.is_dir() {
            if there.as_ref().is_some_and(|t| !t.is_dir()) {
                self.gone(&real)?;
                fs::create_dir(&real)?;
            }
            self.make_dir(&path, owner, mode).map_err(other)?;
        } else {
            self.replace(member, &real, to, there.as_ref())?;
        }
        self.finish_member(member, &real, owner, mode)
    }

    fn replace(
        &mut self,
        member: &mut Member<'_>,
        real: &Path,
        to: &Path,
        there: Option<&Node>,
    ) -> io::Result<()> {
        if there.is_some() {
            self.gone(real)?;
        }
        let kind = member.header().entry_type();
        match kind {
            EntryType::Symlink => {
                symlink(member.link_name()?.ok_or_else(|| io::Error::other("a link to nothing"))?, real)
            }
            EntryType::Link => {
                let target = member.link_name()?.ok_or_else(|| io::Error::other("a link to nothing"))?;
                let Found::Node(node) = self.inside(to, &normal(&target), false)? else {
                    return Err(io::Error::other("a hard link to a file that isn't there"));
                };
                if node.is_dir() {
                    return Err(io::Error::other("a hard link to a directory"));
                }
                self.up(&node)?;
                fs::hard_link(self.real(&node.path), real)
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                let header = member.header();
                let number = |n: io::Result<Option<u32>>| n.ok().flatten().unwrap_or(0);
                let device =
                    rustix::fs::makedev(number(header.device_major()), number(header.device_minor()));
                let file_type = match kind {
                    EntryType::Char => FileType::CharacterDevice,
                    EntryType::Block => FileType::BlockDevice,
                    _ => FileType::Fifo,
                };
                if kind == EntryType::Char && device == 0 {
                    return Err(io::Error::other("a device that overlayfs takes for a removed file"));
                }
                Ok(rustix::fs::mknodat(CWD, real, file_type, Mode::from_raw_mode(0o600), device)?)
            }
            _ => {
                let mut file = fs::File::create_new(real)?;
                io::copy(member, &mut file).map(drop)
            }
        }
    }

    /// What the new layer has at a path makes room.
    fn gone(&self, real: &Path) -> io::Result<()> {
        match fs::symlink_metadata(real) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
            Ok(meta) if meta.is_dir() => fs::remove_dir_all(real),
            Ok(_) => fs::remove_file(real),
        }
    }

    /// A file of a layer below into the new one.
    fn up(&mut self, node: &Node) -> io::Result<()> {
        let real = self.real(&node.path);
        if real == node.real {
            return Ok(());
        }
        let other = |e: BuildError| io::Error::other(e.to_string());
        self.make_dir(node.path.parent().unwrap_or(Path::new("/")), (0, 0), 0o755).map_err(other)?;
        self.put(node, &node.path.clone(), &crate::apply::Attributes::default()).map_err(other)
    }

    fn finish_member(
        &mut self,
        member: &mut Member<'_>,
        real: &Path,
        (uid, gid): (u32, u32),
        mode: u32,
    ) -> io::Result<()> {
        let kind = member.header().entry_type();
        if kind == EntryType::Link {
            return Ok(());
        }
        lchown(real, Some(uid), Some(gid))?;
        if kind != EntryType::Symlink {
            fs::set_permissions(real, Permissions::from_mode(mode))?;
            for (name, value) in xattrs(member)? {
                match rustix::fs::lsetxattr(real, &*name, &value, XattrFlags::empty()) {
                    // As docker does: what this file system can't keep is left out.
                    Ok(()) | Err(rustix::io::Errno::NOTSUP | rustix::io::Errno::PERM) => {}
                    Err(e) => return Err(e.into()),
                }
            }
        }
        let header = member.header();
        let seconds = filled(&header.as_old().mtime, || header.mtime())?;
        let time = Timespec { tv_sec: i64::try_from(seconds).unwrap_or(0), tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        if kind.is_dir() {
            self.times.push((real.to_owned(), times));
            return Ok(());
        }
        Ok(rustix::fs::utimensat(CWD, real, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }
}

/// A number of a header; one that is left blank is 0.
fn filled(field: &[u8], read: impl FnOnce() -> io::Result<u64>) -> io::Result<u64> {
    if field.iter().all(|b| matches!(b, 0 | b' ')) { Ok(0) } else { read() }
}

fn xattrs(member: &mut Member<'_>) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut all = BTreeMap::new();
    for pair in member.pax_extensions()?.into_iter().flatten() {
        let pair = pair?;
        let name = pair.key().map_err(io::Error::other)?.strip_prefix("SCHILY.xattr.");
        if let Some(name) = name.filter(|n| !n.starts_with("trusted.overlay.")) {
            all.insert(name.to_owned(), pair.value_bytes().to_owned());
        }
    }
    Ok(all)
}

/// Without a root, `.` and `..`: `../x` is `x`.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) if !name.as_bytes().is_empty() => out.push(name),
            Component::ParentDir => drop(out.pop()),
            _ => {}
        }
    }
    out
}
