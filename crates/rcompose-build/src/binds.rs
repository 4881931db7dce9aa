//! `RUN --mount=type=bind`: files are shown where they are, not copied. Those of a context belong to root, and some of
//! them aren't part of it: what so differs from the disk lies, made anew, above them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode};

use crate::apply::{Attributes, NewLayer};
use crate::copy::Place;
use crate::mounts::Planned;
use crate::scratch::Scratch;
use crate::select::Pick;
use crate::stage::Stage;
use crate::view::Node;
use crate::{BuildError, StepMount};

type Owner = (u32, u32);

impl Stage<'_> {
    /// The mount, and what must stay until the step is done.
    pub(crate) fn bind(
        &self,
        one: &Planned,
        target: String,
    ) -> Result<(StepMount, Vec<Scratch>), BuildError> {
        let read_only = one.mount.read_only;
        let mut mount = StepMount { target, read_only, ..StepMount::default() };
        let scratch = || Scratch::new(&self.solve.req.cache_root);
        let shown = match one.picks.as_slice() {
            // Paths go to another process as text.
            [pick] if pick.root.parts.iter().chain([&pick.root.real]).any(|p| p.to_str().is_none()) => None,
            [pick] if pick.root.is_dir() && !mounted_into(pick) => Some(pick),
            [file] if file.root.meta.is_file() && read_only && !foreign(&file.root, one.owner) => {
                mount.source = Some(file.root.real.clone());
                return Ok((mount, Vec::new()));
            }
            _ => None,
        };
        let Some(pick) = shown else {
            // Another file system would be missing below an overlay, and a file that is written to can't have one.
            let scratch = scratch()?;
            copied(one, scratch.path())?;
            mount.source = Some(scratch.path().join("mount"));
            return Ok((mount, vec![scratch]));
        };
        let mut held = Vec::new();
        mount.layers = pick.root.parts.clone();
        if let Some(owner) = one.owner {
            let above = scratch()?;
            if differences(pick, owner, above.path())? {
                mount.layers.insert(0, above.path().to_owned());
                held.push(above);
            }
        }
        if !read_only {
            let writes = scratch()?;
            for name in ["upper", "work"] {
                let path = writes.path().join(name);
                fs::create_dir(&path).map_err(|e| BuildError::io("make the directory", &path, e))?;
            }
            let mut layer = NewLayer::new(&writes.path().join("upper"), &[]);
            layer.like(&pick.root, Path::new("/"), one.owner)?;
            layer.finish()?;
            mount.writes = Some(writes.path().to_owned());
            held.push(writes);
        }
        Ok((mount, held))
    }
}

/// Copies what a mount shows to `mount` below a directory.
pub(crate) fn copied(one: &Planned, to: &Path) -> Result<(), BuildError> {
    let mut layer = NewLayer::new(to, &[]);
    for pick in &one.picks {
        let set = Attributes { owner: one.owner, mode: None };
        let place = Place { to: PathBuf::from("/mount"), directory: false, set };
        place.put(&mut layer, pick)?;
        if pick.root.is_dir() {
            layer.like(&pick.root, Path::new("/mount"), one.owner)?;
        }
    }
    layer.finish()
}

fn foreign(node: &Node, owner: Option<Owner>) -> bool {
    owner.is_some_and(|owner| owner != (node.meta.uid(), node.meta.gid()))
}

/// Whether another file system begins somewhere below.
fn mounted_into(pick: &Pick) -> bool {
    let device = |path: &Path| fs::symlink_metadata(path).map(|m| m.dev()).ok();
    let parts: BTreeSet<_> = pick.root.parts.iter().filter_map(|p| device(p)).collect();
    pick.entries.iter().any(|e| e.node.is_dir() && !parts.contains(&e.node.meta.dev()))
}

/// Makes, as a layer in `upper`, what lies above a directory of a context so that only what was picked is seen, and as
/// its owner's; false: nothing.
fn differences(pick: &Pick, owner: Owner, upper: &Path) -> Result<bool, BuildError> {
    let taken: BTreeSet<&Path> = pick.entries.iter().map(|e| e.below.as_path()).collect();
    let mut layer = NewLayer::new(upper, &pick.root.parts);
    let set = Attributes { owner: Some(owner), mode: None };
    let mut any = foreign(&pick.root, Some(owner));
    let root = std::iter::once((Path::new(""), &pick.root));
    for (below, node) in root.chain(pick.entries.iter().map(|e| (e.below.as_path(), &e.node))) {
        let path = Path::new("/").join(below);
        let kind = node.meta.file_type();
        let special = !(kind.is_dir() || kind.is_file() || kind.is_symlink());
        if below != Path::new("") && (special || foreign(node, Some(owner))) {
            any = true;
            layer.make_dir(path.parent().unwrap_or(Path::new("/")), owner, 0o755)?;
            match kind.is_socket() {
                // Whoever listens on the host isn't the build's to talk to.
                true => hide(&mut layer, &path, owner)?,
                false => layer.put(node, &path, &set)?,
            }
        }
        if !node.is_dir() {
            continue;
        }
        let failed = |e: io::Error| BuildError::io("read", &node.real, e);
        for child in fs::read_dir(&node.real).map_err(failed)? {
            let name = child.map_err(failed)?.file_name();
            if !taken.contains(below.join(&name).as_path()) {
                any = true;
                hide(&mut layer, &path.join(&name), owner)?;
            }
        }
    }
    if any {
        layer.like(&pick.root, Path::new("/"), Some(owner))?;
    }
    layer.finish()?;
    Ok(any)
}

/// A whiteout (kernel Documentation/filesystems/overlayfs.rst).
fn hide(layer: &mut NewLayer, path: &Path, owner: Owner) -> Result<(), BuildError> {
    layer.make_dir(path.parent().unwrap_or(Path::new("/")), owner, 0o755)?;
    rustix::fs::mknodat(CWD, layer.real(path), FileType::CharacterDevice, Mode::empty(), 0)
        .map_err(|e| BuildError::io("hide", path, e.into()))
}
