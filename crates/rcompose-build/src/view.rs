//! Layers seen as one tree without a mount (kernel Documentation/filesystems/overlayfs.rst: whiteouts, opaque
//! directories). Symbolic links are resolved inside the tree, never out of it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

/// Directories, top first.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) dirs: Vec<PathBuf>,
}

/// Something in the tree.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Its path in the tree, absolute and without links.
    pub(crate) path: PathBuf,
    /// Where its topmost part is.
    pub(crate) real: PathBuf,
    pub(crate) meta: Box<Metadata>,
    /// The parts of a directory, top first.
    pub(crate) parts: Vec<PathBuf>,
}

impl Node {
    pub(crate) fn is_dir(&self) -> bool {
        self.meta.is_dir()
    }
}

/// What a path leads to.
pub(crate) enum Found {
    Node(Node),
    /// Nothing; the path with the links in its parents resolved.
    Missing(PathBuf),
}

impl View {
    pub(crate) fn new(dirs: Vec<PathBuf>) -> Self {
        Self { dirs }
    }

    fn root(&self) -> io::Result<Option<Node>> {
        let Some(top) = self.dirs.first() else { return Ok(None) };
        Ok(Some(Node {
            path: PathBuf::from("/"),
            real: top.clone(),
            meta: Box::new(fs::metadata(top)?),
            parts: self.dirs.clone(),
        }))
    }

    fn child(parent: &Node, name: &OsStr) -> io::Result<Option<Node>> {
        let mut found: Option<Node> = None;
        for part in &parent.parts {
            let real = part.join(name);
            let meta = match fs::symlink_metadata(&real) {
                Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    continue;
                }
                other => other?,
            };
            let whiteout = meta.file_type().is_char_device() && meta.rdev() == 0;
            let opaque = meta.is_dir() && is_opaque(&real);
            match &mut found {
                _ if whiteout => break,
                Some(_) if !meta.is_dir() => break,
                Some(node) => node.parts.push(real),
                None => {
                    let parts = if meta.is_dir() { vec![real.clone()] } else { Vec::new() };
                    found = Some(Node { path: parent.path.join(name), real, parts, meta: Box::new(meta) });
                }
            }
            if opaque || found.as_ref().is_some_and(|n| !n.is_dir()) {
                break;
            }
        }
        Ok(found)
    }

    /// What is at a path. Links in its parents are followed; a link at its end if asked for.
    pub(crate) fn find(&self, path: &Path, follow: bool) -> io::Result<Found> {
        match self.root()? {
            Some(root) => self.find_below(root, path, follow),
            None => {
                let mut missing = PathBuf::from("/");
                missing.extend(names(path));
                Ok(Found::Missing(missing))
            }
        }
    }

    /// The same with a directory as the root, which no link leaves.
    pub(crate) fn find_below(&self, root: Node, path: &Path, follow: bool) -> io::Result<Found> {
        let mut rest: Vec<OsString> = names(path);
        rest.reverse();
        let mut trail: Vec<Node> = Vec::new();
        let mut missing = root.path.clone();
        let mut links = 0;
        while let Some(name) = rest.pop() {
            if name == ".." {
                trail.pop();
                continue;
            }
            let parent = trail.last().unwrap_or(&root);
            let Some(node) = Self::child(parent, &name)? else {
                missing.clone_from(&parent.path);
                missing.push(name);
                for name in rest.into_iter().rev() {
                    if name == ".." {
                        if missing != root.path {
                            missing.pop();
                        }
                    } else {
                        missing.push(name);
                    }
                }
                return Ok(Found::Missing(missing));
            };
            if node.meta.is_symlink() && (follow || !rest.is_empty()) {
                links += 1;
                if links > 255 {
                    return Err(io::Error::other(format!("too many symbolic links in {}", path.display())));
                }
                let target = fs::read_link(&node.real)?;
                if target.is_absolute() {
                    trail.clear();
                }
                rest.extend(names(&target).into_iter().rev());
                continue;
            }
            if !node.is_dir() && !rest.is_empty() {
                return Err(io::Error::new(
                    io::ErrorKind::NotADirectory,
                    format!("{} is not a directory", node.path.display()),
                ));
            }
            trail.push(node);
        }
        Ok(Found::Node(trail.pop().unwrap_or(root)))
    }

    /// What is in a directory, by name.
    pub(crate) fn list(directory: &Node) -> io::Result<BTreeMap<OsString, Node>> {
        let mut names: Vec<OsString> = Vec::new();
        for part in &directory.parts {
            for entry in fs::read_dir(part)? {
                names.push(entry?.file_name());
            }
        }
        names.sort();
        names.dedup();
        let mut all = BTreeMap::new();
        for name in names {
            if let Some(node) = Self::child(directory, &name)? {
                all.insert(name, node);
            }
        }
        Ok(all)
    }

    /// A small text file; empty if it doesn't exist.
    pub(crate) fn text(&self, path: &str) -> io::Result<String> {
        match self.find(Path::new(path), true) {
            Ok(Found::Node(node)) if node.meta.is_file() => {
                Ok(String::from_utf8_lossy(&fs::read(node.real)?).into_owned())
            }
            Ok(_) => Ok(String::new()),
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => Ok(String::new()),
            Err(e) => Err(e),
        }
    }
}

fn names(path: &Path) -> Vec<OsString> {
    let part = |c: Component<'_>| match c {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().filter_map(part).collect()
}

fn is_opaque(directory: &Path) -> bool {
    let mut value = [0u8; 4];
    matches!(rustix::fs::lgetxattr(directory, "trusted.overlay.opaque", &mut value), Ok(1) if value[0] == b'y')
}
