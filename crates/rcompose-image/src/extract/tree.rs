use std::collections::{BTreeMap, HashMap};
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Timespec, XattrFlags, chmodat, fsetxattr, linkat,
    mkdirat, mknodat, openat, openat2, readlinkat, renameat, statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::member::{Member, clean};
use super::room::Room;
use super::{attributes, split};
use crate::Digest;
use crate::error::{ImageError, Result};
use crate::record::replaced_name;

/// Value of `trusted.overlay.opaque` that hides the directory's counterparts below (kernel, overlayfs.rst).
const OPAQUE: &str = "trusted.overlay.opaque";
const COPY: usize = 64 * 1024;
/// Directories within each other that a later member may replace: each takes an open file.
const MAX_DEPTH: u32 = 256;
/// The most bytes of names that are kept in memory until the end. Archives say in some kilobytes what takes
/// gigabytes.
const MOST_NAMES: usize = 32 << 20;
/// As many links as the kernel follows (path_resolution(7)).
const MAX_LINKS: u32 = 40;

/// A hard link to a file of a layer below.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Link {
    pub(crate) path: Vec<u8>,
    pub(crate) target: Vec<u8>,
}

/// The layer's directory while it is being filled.
pub(super) struct Tree {
    root: OwnedFd,
    replaced: PathBuf,
    /// The parent of the last member: members of one directory usually follow each other.
    parent: Option<(Vec<u8>, Rc<OwnedFd>)>,
    /// How many contents of each path are there.
    displaced: HashMap<Digest, usize>,
    /// Set at the end, because making a file changes its directory's time.
    times: BTreeMap<Vec<u8>, Timespec>,
    /// Bytes of the names in `times`, and in `links`.
    timed: usize,
    linked: usize,
    links: Vec<Link>,
    buffer: Vec<u8>,
    room: Room,
}

impl Tree {
    pub(super) fn open(fs: &Path, replaced: &Path) -> Result<Self> {
        let root = rustix::fs::open(fs, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| ImageError::io("open", fs, e))?;
        let room = Room::of(root.try_clone().map_err(|e| ImageError::io("open", fs, e))?);
        Ok(Self {
            root,
            replaced: replaced.to_owned(),
            displaced: HashMap::new(),
            parent: None,
            times: BTreeMap::new(),
            timed: 0,
            linked: 0,
            links: Vec::new(),
            buffer: vec![0; COPY],
            room,
        })
    }

    /// Attributes of the root directory itself.
    pub(super) fn root(&mut self, member: &Member) -> Result<()> {
        attributes::of_open(&self.root, member).map_err(|e| ImageError::unpack(b"./", e))?;
        self.time(member)
    }

    pub(super) fn directory(&mut self, member: &Member) -> Result<()> {
        let failed = |e: Errno| ImageError::unpack(&member.path, e);
        let (above, name) = split(&member.path);
        self.room.take_file().map_err(|e| ImageError::unpack(&member.path, e))?;
        let parent = self.directory_fd(above)?;
        if let Err(e) = mkdirat(&*parent, name, Mode::RWXU) {
            let there = statat(&*parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|_| failed(e))?;
            let kind = FileType::from_raw_mode(there.st_mode);
            if kind != FileType::Directory {
                let whiteout = kind == FileType::CharacterDevice && there.st_rdev == 0;
                self.displace(parent.as_fd(), name, &member.path)?;
                mkdirat(&*parent, name, Mode::RWXU).map_err(failed)?;
                // The whiteout hid a directory below; what takes its name must not show it again.
                if whiteout {
                    self.opaque(&member.path)?;
                }
            }
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = openat(&*parent, name, flags, Mode::empty()).map_err(failed)?;
        attributes::of_open(&dir, member).map_err(failed)?;
        self.time(member)
    }

    /// A directory's time is set at the end. Where there are too many of them, those are set now that nothing more is
    /// to come in, if members of a directory follow each other.
    fn time(&mut self, member: &Member) -> Result<()> {
        if self.times.insert(member.path.clone(), member.mtime).is_none() {
            self.timed += member.path.len() + 64;
        }
        if self.timed < MOST_NAMES {
            return Ok(());
        }
        let open = |path: &[u8]| {
            path.is_empty()
                || member.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        };
        let (stay, go) = std::mem::take(&mut self.times).into_iter().partition(|(path, _)| open(path));
        self.times = stay;
        self.timed = self.times.keys().map(|p| p.len() + 64).sum();
        self.set_times(go)
    }

    /// Returns the length of the file.
    pub(super) fn regular(&mut self, member: &Member, content: &mut impl Read) -> Result<u64> {
        let failed = |e: io::Error| ImageError::unpack(&member.path, e);
        let (above, name) = split(&member.path);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file =
            File::from(self.create(above, name, |p, n| openat(p, n, flags, Mode::RUSR | Mode::WUSR))?);
        let length = if let Some(sparse) = &member.sparse {
            sparse.write(content, &mut file, &mut self.buffer, &mut self.room).map_err(failed)?
        } else {
            super::sparse::copy_with_holes(content, &mut file, &mut self.buffer, &mut self.room)
                .map_err(failed)?
        };
        if member.sparse.is_none() && length != member.size {
            return Err(failed(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the archive ends within this member",
            )));
        }
        attributes::of_open_file(&file, member).map_err(|e| failed(e.into()))?;
        Ok(length)
    }

    pub(super) fn symlink(&mut self, member: &Member) -> Result<()> {
        let (above, name) = split(&member.path);
        self.create(above, name, |p, n| symlinkat(member.link.as_slice(), p, n))?;
        self.attributes(member, false)
    }

    pub(super) fn node(&mut self, member: &Member, kind: FileType, device: u64) -> Result<()> {
        let (above, name) = split(&member.path);
        self.create(above, name, |p, n| mknodat(p, n, kind, Mode::RUSR | Mode::WUSR, device))?;
        self.attributes(member, true)
    }

    fn attributes(&mut self, member: &Member, with_mode: bool) -> Result<()> {
        let (above, name) = split(&member.path);
        let parent = self.directory_fd(above)?;
        attributes::of_name(parent.as_fd(), name, member, with_mode)
            .map_err(|e| ImageError::unpack(&member.path, e))
    }

    pub(super) fn hard_link(&mut self, member: &Member) -> Result<()> {
        let target = clean(&member.link)?;
        if target == member.path {
            return Err(ImageError::member(&member.path, "is a hard link to itself"));
        }
        let (target_above, target_name) = split(&target);
        let (above, name) = split(&member.path);
        let made = match self.existing(target_above) {
            Ok(from) => self.create(above, name, |p, n| linkat(&from, target_name, p, n, AtFlags::empty())),
            Err(e) => Err(ImageError::unpack(&member.path, e)),
        };
        match made.and_then(|()| self.as_linked(member)) {
            // A layer below may have it, which is known only when the image is.
            Err(ImageError::Unpack { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                self.directory_fd(above)?;
                self.linked += member.path.len() + target.len() + 64;
                if self.linked > MOST_NAMES {
                    let why = "is one of too many hard links into layers below";
                    return Err(ImageError::member(&member.path, why));
                }
                self.links.push(Link { path: member.path.clone(), target });
                Ok(())
            }
            other => other,
        }
    }

    /// A file has the owner, mode and time of the last of its names, as with docker: most archives repeat them.
    fn as_linked(&mut self, member: &Member) -> Result<()> {
        let (above, name) = split(&member.path);
        let parent = self.directory_fd(above)?;
        let there = statat(&*parent, name, AtFlags::SYMLINK_NOFOLLOW);
        let there = there.map_err(|e| ImageError::unpack(&member.path, e))?;
        let is_link = FileType::from_raw_mode(there.st_mode) == FileType::Symlink;
        // chown(2) takes capabilities away, which a link's header need not have again.
        if (there.st_uid, there.st_gid) != (member.uid, member.gid) {
            return self.attributes(member, !is_link);
        }
        let failed = |e: Errno| ImageError::unpack(&member.path, e);
        if !is_link && there.st_mode & 0o7777 != member.mode {
            chmodat(&*parent, name, Mode::from_raw_mode(member.mode), AtFlags::empty()).map_err(failed)?;
        }
        let times = attributes::times(member.mtime);
        utimensat(&*parent, name, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)
    }

    /// `name` in the layers below is gone.
    pub(super) fn whiteout(&mut self, above: &[u8], name: &[u8]) -> Result<()> {
        let path = join(above, name);
        let parent = self.directory_fd(above)?;
        match mknodat(&*parent, name, FileType::CharacterDevice, Mode::empty(), 0) {
            Ok(()) => Ok(()),
            // Whiteouts are about the layers below. What this layer has stays, and shows nothing from below.
            Err(Errno::EXIST) => {
                let there = statat(&*parent, name, AtFlags::SYMLINK_NOFOLLOW);
                match FileType::from_raw_mode(there.map_err(|e| ImageError::unpack(&path, e))?.st_mode) {
                    FileType::Directory => self.opaque(&path),
                    _ => Ok(()),
                }
            }
            Err(e) => Err(ImageError::unpack(&path, e)),
        }
    }

    /// Nothing from the layers below shows in this directory.
    pub(super) fn opaque(&mut self, path: &[u8]) -> Result<()> {
        let failed = |e: Errno| ImageError::unpack(path, e);
        let made = self.directory_fd(path)?;
        // The handle at hand is O_PATH, which takes no attributes.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = openat(&*made, c".", flags, Mode::empty()).map_err(failed)?;
        fsetxattr(&dir, OPAQUE, b"y", XattrFlags::empty()).map_err(failed)
    }

    fn set_times(&mut self, times: BTreeMap<Vec<u8>, Timespec>) -> Result<()> {
        for (path, mtime) in times {
            let (above, name) = split(&path);
            let set = |dir: BorrowedFd<'_>, name: &[u8]| {
                utimensat(dir, name, &attributes::times(mtime), AtFlags::SYMLINK_NOFOLLOW)
            };
            let result = match name {
                b"" => set(self.root.as_fd(), b"."),
                name => set(self.directory_fd(above)?.as_fd(), name),
            };
            result.map_err(|e| ImageError::unpack(&path, e))?;
        }
        Ok(())
    }

    /// Sets the directories' times. Returns the hard links whose targets must be in a layer below.
    pub(super) fn finish(mut self) -> Result<Vec<Link>> {
        let times = std::mem::take(&mut self.times);
        self.set_times(times)?;
        let mut links = std::mem::take(&mut self.links);
        // What a later member put in a link's place stays.
        links.retain(|link| {
            let (above, name) = split(&link.path);
            let there = self.directory_fd(above).map(|dir| statat(&*dir, name, AtFlags::SYMLINK_NOFOLLOW));
            !matches!(there, Ok(Ok(_)))
        });
        Ok(links)
    }

    /// Makes a name by `make`; whatever an earlier member left there goes away.
    fn create<T>(
        &mut self,
        above: &[u8],
        name: &[u8],
        make: impl Fn(&OwnedFd, &[u8]) -> rustix::io::Result<T>,
    ) -> Result<T> {
        self.room.take_file().map_err(|e| ImageError::unpack(&join(above, name), e))?;
        let parent = self.directory_fd(above)?;
        match make(&parent, name) {
            Err(Errno::EXIST) => {
                self.displace(parent.as_fd(), name, &join(above, name))?;
                make(&parent, name)
            }
            other => other,
        }
        .map_err(|e| ImageError::unpack(&join(above, name), e))
    }

    /// Removes what is at a name. Contents of files are kept aside: the record of the stream speaks of them.
    fn displace(&mut self, parent: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<()> {
        self.parent = None;
        // The byte behind a slash.
        let below = [path, b"/"].concat()..[path, b"0"].concat();
        let gone: Vec<Vec<u8>> = self.times.range(below).map(|(p, _)| p.clone()).collect();
        for p in gone.iter().map(Vec::as_slice).chain([path]) {
            if self.times.remove(p).is_some() {
                self.timed -= p.len() + 64;
            }
        }
        self.displace_in(parent, name, path, 0).map_err(|e| ImageError::unpack(path, e))
    }

    fn displace_in(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        depth: u32,
    ) -> io::Result<()> {
        if depth > MAX_DEPTH {
            return Err(io::Error::other("it would replace a directory that is too deep"));
        }
        let there = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(there.st_mode) {
            FileType::Directory => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let dir = openat(parent, name, flags, Mode::empty())?;
                let names: Vec<_> = Dir::read_from(&dir)?
                    .map(|entry| entry.map(|e| e.file_name().to_owned()))
                    .collect::<Result<_, _>>()?;
                for inner in names.iter().map(|n| CStr::to_bytes(n)).filter(|n| !matches!(*n, b"." | b"..")) {
                    self.displace_in(dir.as_fd(), inner, &join(path, inner), depth + 1)?;
                }
                Ok(unlinkat(parent, name, AtFlags::REMOVEDIR)?)
            }
            FileType::RegularFile => {
                match std::fs::create_dir(&self.replaced) {
                    Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                    _ => {}
                }
                let n = self.displaced.entry(Digest::of(path)).or_default();
                *n += 1;
                let to = self.replaced.join(replaced_name(path, *n - 1));
                Ok(renameat(parent, name, rustix::fs::CWD, to)?)
            }
            _ => Ok(unlinkat(parent, name, AtFlags::empty())?),
        }
    }

    fn existing(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat2(&self.root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
    }

    /// A directory of the layer, made if it isn't there.
    fn directory_fd(&mut self, path: &[u8]) -> Result<Rc<OwnedFd>> {
        if let Some((cached, fd)) = &self.parent
            && cached == path
        {
            return Ok(fd.clone());
        }
        let fd = Rc::new(self.made(path, MAX_LINKS)?);
        self.parent = Some((path.to_vec(), fd.clone()));
        Ok(fd)
    }

    fn made(&self, path: &[u8], links_left: u32) -> Result<OwnedFd> {
        let failed = |e: Errno| match e {
            Errno::NOTDIR => {
                ImageError::member(path, "is not a directory, yet a later member is inside of it")
            }
            e => ImageError::unpack(path, e),
        };
        // How much of it is there.
        let mut end = path.len();
        let mut dir = loop {
            match self.existing(&path[..end]) {
                Err(Errno::NOENT) if end > 0 => {
                    end = path[..end].iter().rposition(|b| *b == b'/').unwrap_or_default();
                }
                there => break there.map_err(failed)?,
            }
        };
        while end < path.len() {
            let above = &path[..end];
            let start = if end == 0 { 0 } else { end + 1 };
            end = path[start..].iter().position(|b| *b == b'/').map_or(path.len(), |n| start + n);
            let name = &path[start..end];
            dir = match mkdirat(&dir, name, Mode::from_raw_mode(0o755)) {
                Ok(()) => {
                    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    openat(&dir, name, flags, Mode::empty()).map_err(failed)?
                }
                Err(Errno::EXIST) if links_left > 0 => {
                    // A link whose target isn't there yet.
                    let target = readlinkat(&dir, name, Vec::new()).map_err(failed)?;
                    let target = match target.to_bytes() {
                        absolute if absolute.starts_with(b"/") => absolute.to_vec(),
                        relative => join(above, relative),
                    };
                    self.made(&clean(&target)?, links_left - 1)?
                }
                Err(e) => return Err(failed(e)),
            };
        }
        Ok(dir)
    }
}

fn join(above: &[u8], name: &[u8]) -> Vec<u8> {
    match above {
        b"" => name.to_vec(),
        above => [above, b"/", name].concat(),
    }
}
