//! What is in an image, as a directory or a tar stream: its layers merged.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use rcompose_image::{Digest, Hasher};
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, mknodat, utimensat};

use crate::BuildError;
use crate::view::{Found, Node, View};

/// Walks the merged tree, parents first. `lowers`: the layers' directories, top first.
pub(crate) fn walk(lowers: &[PathBuf], each: &mut dyn FnMut(&Node) -> io::Result<()>) -> io::Result<()> {
    let view = View::new(lowers.to_vec());
    let Found::Node(root) = view.find(Path::new("/"), true)? else { return Ok(()) };
    let mut open = vec![root];
    while let Some(directory) = open.pop() {
        let children = View::list(&directory)?;
        for child in children.values() {
            each(child)?;
        }
        open.extend(children.into_values().rev().filter(Node::is_dir));
    }
    Ok(())
}

fn relative(node: &Node) -> &Path {
    node.path.strip_prefix("/").unwrap_or(&node.path)
}

/// Copies the merged tree into a directory, over what is there. All belongs to the caller then, as docker's local exporter
/// has it.
pub fn export_directory(lowers: &[PathBuf], to: &Path) -> Result<(), BuildError> {
    fs::create_dir_all(to).map_err(|e| BuildError::io("make the directory", to, e))?;
    let mut links: HashMap<(u64, u64), PathBuf> = HashMap::new();
    let mut directories: Vec<(PathBuf, Timestamps)> = Vec::new();
    walk(lowers, &mut |node| {
        let at = to.join(relative(node));
        place(node, &at, &mut links)
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", at.display())))?;
        let times = times(node);
        if node.is_dir() {
            directories.push((at, times));
        } else {
            utimensat(CWD, &at, &times, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(())
    })
    .map_err(|e| BuildError::io("copy the files to", to, e))?;
    // Last, since what is made in a directory changes its times.
    for (path, times) in directories.iter().rev() {
        utimensat(CWD, path, times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|e| BuildError::io("set the times of", path, e.into()))?;
    }
    Ok(())
}

fn times(node: &Node) -> Timestamps {
    let time = Timespec { tv_sec: node.meta.mtime(), tv_nsec: node.meta.mtime_nsec() };
    Timestamps { last_access: time, last_modification: time }
}

fn place(node: &Node, at: &Path, links: &mut HashMap<(u64, u64), PathBuf>) -> io::Result<()> {
    let kind = node.meta.file_type();
    let there = fs::symlink_metadata(at).ok();
    if node.is_dir() {
        match there {
            Some(t) if t.is_dir() => {}
            Some(_) => fs::remove_file(at).and_then(|()| fs::create_dir(at))?,
            None => fs::create_dir(at)?,
        }
        return fs::set_permissions(at, fs::Permissions::from_mode(node.meta.mode() & 0o7777));
    }
    match there {
        Some(t) if t.is_dir() => fs::remove_dir_all(at)?,
        Some(_) => fs::remove_file(at)?,
        None => {}
    }
    if kind.is_symlink() {
        return symlink(fs::read_link(&node.real)?, at);
    }
    if node.meta.nlink() > 1 {
        if let Some(first) = links.get(&(node.meta.dev(), node.meta.ino())) {
            return fs::hard_link(first, at);
        }
        links.insert((node.meta.dev(), node.meta.ino()), at.to_owned());
    }
    if kind.is_file() {
        fs::copy(&node.real, at)?;
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        lchown(at, Some(uid), Some(gid))?;
        return fs::set_permissions(at, fs::Permissions::from_mode(node.meta.mode() & 0o7777));
    }
    let (kind, device) = if kind.is_fifo() {
        (FileType::Fifo, 0)
    } else if kind.is_block_device() {
        (FileType::BlockDevice, node.meta.rdev())
    } else if kind.is_char_device() {
        (FileType::CharacterDevice, node.meta.rdev())
    } else {
        (FileType::Socket, 0)
    };
    Ok(mknodat(CWD, at, kind, Mode::from_raw_mode(node.meta.mode() & 0o7777), device)?)
}

/// What is written of one image.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// Where it is put.
    pub directory: Option<String>,
    /// Its layers' directories, top first.
    pub lowers: Vec<PathBuf>,
    /// Further files by name, beside the image's.
    pub more: Vec<(String, Vec<u8>)>,
}

/// All regular files of the merged tree by path and digest, as statements name them.
pub fn file_digests(lowers: &[PathBuf]) -> Result<Vec<(String, Digest)>, BuildError> {
    let mut all = Vec::new();
    let read = walk(lowers, &mut |node| {
        if node.meta.is_file() {
            let mut hasher = Hasher::new();
            io::copy(&mut File::open(&node.real)?, &mut hasher)?;
            all.push((relative(node).to_string_lossy().into_owned(), hasher.finish()));
        }
        Ok(())
    });
    read.map_err(|e| BuildError::environment("failed to read the image's files", e))?;
    all.sort();
    Ok(all)
}

/// Writes merged trees as a tar stream.
pub fn export_tar(trees: &[Tree], out: &mut dyn Write) -> Result<(), BuildError> {
    let mut tar = tar::Builder::new(out);
    let written = trees.iter().try_for_each(|tree| write_tree(&mut tar, tree));
    written
        .and_then(|()| tar.into_inner()?.flush())
        .map_err(|e| BuildError::environment("failed to write the tar stream", e))
}

fn write_tree(tar: &mut tar::Builder<&mut dyn Write>, tree: &Tree) -> io::Result<()> {
    let at = tree.directory.as_deref().unwrap_or_default();
    if !at.is_empty() {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(0o755);
        header.set_size(0);
        tar.append_data(&mut header, format!("{at}/"), io::empty())?;
    }
    let at = Path::new(at);
    let mut links: HashMap<(u64, u64), PathBuf> = HashMap::new();
    walk(&tree.lowers, &mut |node| {
        let path = &at.join(relative(node));
        let mut header = tar::Header::new_gnu();
        header.set_metadata(&node.meta);
        let kind = node.meta.file_type();
        if kind.is_symlink() {
            header.set_size(0);
            return tar.append_link(&mut header, path, fs::read_link(&node.real)?);
        }
        if !node.is_dir() && node.meta.nlink() > 1 {
            if let Some(first) = links.get(&(node.meta.dev(), node.meta.ino())) {
                header.set_entry_type(tar::EntryType::Link);
                header.set_size(0);
                return tar.append_link(&mut header, path, first);
            }
            links.insert((node.meta.dev(), node.meta.ino()), path.clone());
        }
        if kind.is_file() {
            return tar.append_data(&mut header, path, File::open(&node.real)?);
        }
        header.set_size(0);
        if kind.is_char_device() || kind.is_block_device() {
            header.set_device_major(rustix::fs::major(node.meta.rdev()))?;
            header.set_device_minor(rustix::fs::minor(node.meta.rdev()))?;
        }
        tar.append_data(&mut header, path, io::empty())
    })?;
    for (name, bytes) in &tree.more {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, at.join(name), bytes.as_slice())?;
    }
    Ok(())
}
