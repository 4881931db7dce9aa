//! Making files in a new layer: what COPY, ADD and WORKDIR do.

use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

use crate::BuildError;
use crate::chmod::Chmod;
use crate::view::{Found, Node, View};

/// A layer being filled above others.
pub(crate) struct NewLayer {
    upper: PathBuf,
    /// The new layer and what is below.
    pub(crate) view: View,
    /// Directories whose times are set when all is in them.
    pub(crate) times: Vec<(PathBuf, Timestamps)>,
    /// Files with several names, by device and inode: where the first of them went.
    pub(crate) links: HashMap<(u64, u64), PathBuf>,
}

/// What a copied thing gets.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attributes {
    pub(crate) owner: Option<(u32, u32)>,
    pub(crate) mode: Option<Chmod>,
}

impl NewLayer {
    pub(crate) fn new(upper: &Path, below: &[PathBuf]) -> Self {
        let dirs = std::iter::once(upper.to_owned()).chain(below.iter().cloned()).collect();
        Self { upper: upper.to_owned(), view: View::new(dirs), times: Vec::new(), links: HashMap::new() }
    }

    pub(crate) fn real(&self, path: &Path) -> PathBuf {
        self.upper.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The path with all links in it resolved, whether it exists or not.
    pub(crate) fn resolve(&self, path: &Path) -> Result<PathBuf, BuildError> {
        match self.view.find(path, true) {
            Ok(Found::Node(node)) => Ok(node.path),
            Ok(Found::Missing(path)) => Ok(path),
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => Err(not_a_directory(path)),
            Err(e) => Err(BuildError::io("look up", path, e)),
        }
    }

    /// Makes a directory and those above it, unless they are there. `path` is resolved.
    pub(crate) fn make_dir(&mut self, path: &Path, owner: (u32, u32), mode: u32) -> Result<(), BuildError> {
        let mut prefix = PathBuf::from("/");
        for name in path.strip_prefix("/").unwrap_or(path) {
            prefix.push(name);
            let real = self.real(&prefix);
            if fs::symlink_metadata(&real).is_ok_and(|m| m.is_dir()) {
                continue;
            }
            let failed = |e| BuildError::io("make the directory", &prefix, e);
            let below = match self.view.find(&prefix, false).map_err(failed)? {
                Found::Node(node) if node.is_dir() => Some(node),
                Found::Node(_) => return Err(not_a_directory(&prefix)),
                Found::Missing(_) => None,
            };
            fs::create_dir(&real).map_err(failed)?;
            match below {
                Some(node) => {
                    self.attributes(&node, &real, &Attributes::default()).map_err(failed)?;
                }
                None => {
                    lchown(&real, Some(owner.0), Some(owner.1)).map_err(failed)?;
                    fs::set_permissions(&real, Permissions::from_mode(mode)).map_err(failed)?;
                }
            }
        }
        Ok(())
    }

    /// The destination of a directory keeps its attributes; only its times become the source's.
    pub(crate) fn put_root(&mut self, node: &Node, path: &Path) -> Result<(), BuildError> {
        match self.view.find(path, false).map_err(|e| BuildError::io("look up", path, e))? {
            Found::Node(there) if there.is_dir() => {
                self.make_dir(path, (0, 0), 0o755)?;
                self.times.push((self.real(path), times(node)));
                Ok(())
            }
            _ => Err(not_a_directory(path)),
        }
    }

    /// Gives a directory another one's attributes.
    pub(crate) fn like(
        &mut self,
        node: &Node,
        path: &Path,
        owner: Option<(u32, u32)>,
    ) -> Result<(), BuildError> {
        let real = self.real(path);
        self.attributes(node, &real, &Attributes { owner, mode: None })
            .map_err(|e| BuildError::io("write", path, e))
    }

    /// Copies one thing. `path` is its place with the links in its parents resolved; its parent exists here.
    pub(crate) fn put(&mut self, node: &Node, path: &Path, set: &Attributes) -> Result<(), BuildError> {
        let failed = |e| BuildError::io("write", path, e);
        let there = match self.view.find(path, false).map_err(failed)? {
            Found::Node(there) => Some(there),
            Found::Missing(_) => None,
        };
        let real = self.real(path);
        if node.is_dir() {
            if there.as_ref().is_some_and(|t| !t.is_dir()) {
                return Err(not_a_directory(path));
            }
            self.make_dir(path, (0, 0), 0o755)?;
            return self.attributes(node, &real, set).map_err(failed);
        }
        if node.meta.nlink() > 1 {
            let first =
                self.links.entry((node.meta.dev(), node.meta.ino())).or_insert_with(|| real.clone()).clone();
            if first != real {
                self.clear(there.as_ref(), path)?;
                return fs::hard_link(first, &real).map_err(failed);
            }
        }
        self.clear(there.as_ref(), path)?;
        let kind = node.meta.file_type();
        if kind.is_file() {
            fs::copy(&node.real, &real).map_err(failed)?;
        } else if kind.is_symlink() {
            fs::read_link(&node.real).and_then(|t| symlink(t, &real)).map_err(failed)?;
        } else if kind.is_socket() {
            // A layer can't have one (docker leaves it out too).
            return Ok(());
        } else {
            let kind = FileType::from_raw_mode(node.meta.mode());
            let mode = Mode::from_raw_mode(node.meta.mode() & 0o7777);
            rustix::fs::mknodat(CWD, &real, kind, mode, node.meta.rdev()).map_err(|e| failed(e.into()))?;
        }
        self.attributes(node, &real, set).map_err(failed)
    }

    /// Writes a file given in the Dockerfile, or unpacked from elsewhere.
    pub(crate) fn write(&mut self, path: &Path, bytes: &[u8], set: &Attributes) -> Result<(), BuildError> {
        let failed = |e| BuildError::io("write", path, e);
        let there = match self.view.find(path, false).map_err(failed)? {
            Found::Node(there) => Some(there),
            Found::Missing(_) => None,
        };
        self.clear(there.as_ref(), path)?;
        let real = self.real(path);
        let (uid, gid) = set.owner.unwrap_or((0, 0));
        let mode = set.mode.as_ref().map_or(0o644, |m| m.apply(0o644, false));
        fs::write(&real, bytes)
            .and_then(|()| lchown(&real, Some(uid), Some(gid)))
            .and_then(|()| fs::set_permissions(&real, Permissions::from_mode(mode)))
            .map_err(failed)
    }

    pub(crate) fn clear(&self, there: Option<&Node>, path: &Path) -> Result<(), BuildError> {
        if there.is_some_and(Node::is_dir) {
            return Err(BuildError::input(format!(
                "a file can't be copied to {}: it is a directory",
                path.display()
            ))
            .help("end the destination with `/` to copy into the directory"));
        }
        match fs::remove_file(self.real(path)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(BuildError::io("replace", path, e)),
            _ => Ok(()),
        }
    }

    fn attributes(&mut self, from: &Node, real: &Path, set: &Attributes) -> io::Result<()> {
        let meta = &from.meta;
        let (uid, gid) = set.owner.unwrap_or((meta.uid(), meta.gid()));
        lchown(real, Some(uid), Some(gid))?;
        if !meta.is_symlink() {
            let mode = set.mode.as_ref().map_or(meta.mode(), |m| m.apply(meta.mode(), meta.is_dir()));
            fs::set_permissions(real, Permissions::from_mode(mode & 0o7777))?;
            copy_xattrs(&from.real, real)?;
        }
        let times = times(from);
        if meta.is_dir() {
            self.times.push((real.to_owned(), times));
            return Ok(());
        }
        Ok(rustix::fs::utimensat(CWD, real, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// All is in it.
    pub(crate) fn finish(self) -> Result<(), BuildError> {
        for (path, times) in self.times {
            rustix::fs::utimensat(CWD, &path, &times, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|e| BuildError::io("set the times of", &path, e.into()))?;
        }
        Ok(())
    }
}

fn times(node: &Node) -> Timestamps {
    let time = Timespec { tv_sec: node.meta.mtime(), tv_nsec: node.meta.mtime_nsec() };
    Timestamps { last_access: time, last_modification: time }
}

/// All but overlayfs's own.
fn copy_xattrs(from: &Path, to: &Path) -> io::Result<()> {
    let mut names = vec![0u8; 64 * 1024];
    let length = match rustix::fs::llistxattr(from, &mut names) {
        Err(rustix::io::Errno::NOTSUP) => return Ok(()),
        other => other?,
    };
    for name in names[..length].split(|b| *b == 0).filter(|n| !n.is_empty()) {
        if name.starts_with(b"trusted.overlay.") || name == b"security.selinux" {
            continue;
        }
        let mut value = vec![0u8; 64 * 1024];
        let n = rustix::fs::lgetxattr(from, name, &mut value)?;
        rustix::fs::lsetxattr(to, name, &value[..n], XattrFlags::empty())?;
    }
    Ok(())
}

fn not_a_directory(path: &Path) -> BuildError {
    BuildError::input(format!("{} is not a directory", path.display()))
        .help("choose another destination, or remove it by RUN before")
}
