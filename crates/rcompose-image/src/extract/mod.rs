//! From a layer's tar stream to a directory in the form that overlayfs takes.
//!
//! The stream is not trusted: every path is resolved inside the layer's root by `openat2` (`RESOLVE_IN_ROOT`), so
//! that neither `..` nor a link made by an earlier member leads outside.

mod attributes;
mod member;
mod room;
mod sparse;
mod tree;

use std::io::{self, Read};
use std::path::Path;

use crate::error::{ImageError, Result};
use crate::record::{Marker, Recorder};
use crate::stream::{Guard, archive_error};
use member::{Kind, Member};
pub(crate) use tree::Link;
use tree::Tree;

/// What an unpacked stream came to.
#[derive(Debug, Default)]
pub(crate) struct Extracted {
    /// Sum of the lengths of regular files, bytes.
    pub(crate) content: u64,
    /// Hard links whose targets must be in a layer below.
    pub(crate) links: Vec<Link>,
}

/// Unpacks a plain tar stream into the empty directory `fs`, writes how to make the stream again to `record`, and
/// keeps contents that were replaced within the stream in `replaced`. Reads to the stream's end.
pub(crate) fn extract(stream: impl Read, fs: &Path, record: &Path, replaced: &Path) -> Result<Extracted> {
    let guard = Guard::new(stream);
    let records = guard.records();
    let (recorder, marker) = Recorder::new(guard, record)?;
    let read = |e| ImageError::Read { what: "the layer's tar stream".to_owned(), source: archive_error(e) };
    let mut archive = tar::Archive::new(recorder);
    let mut tree = Tree::open(fs, replaced)?;
    let mut done = Extracted::default();
    for entry in archive.entries().map_err(read)? {
        let mut entry = entry.map_err(read)?;
        if let Some(member) = Member::of(&mut entry, &records.borrow())? {
            done.content += put(&mut tree, &member, &mut entry, &marker)?;
        }
    }
    done.links = tree.finish()?;
    // The digest is over everything up to the end, also over what stands behind the end-of-archive blocks.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(read)?;
    marker.finish().map_err(|e| ImageError::io("write", record, e))?;
    Ok(done)
}

fn put<R: Read>(
    tree: &mut Tree,
    member: &Member,
    entry: &mut tar::Entry<'_, R>,
    marker: &Marker,
) -> Result<u64> {
    let (parent, name) = split(&member.path);
    match name {
        b"" if member.kind == Kind::Directory => return tree.root(member).map(|()| 0),
        b"" => return Err(ImageError::member(&member.path, "would replace the root directory")),
        b".wh..wh..opq" => return tree.opaque(parent).map(|()| 0),
        // Bookkeeping of aufs, meaningless elsewhere.
        name if name.starts_with(b".wh..wh.") => return Ok(0),
        _ => {}
    }
    if let Some(hidden) = name.strip_prefix(b".wh.") {
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(ImageError::member(&member.path, "is a whiteout of nothing"));
        }
        return tree.whiteout(parent, hidden).map(|()| 0);
    }
    match &member.kind {
        Kind::Directory => tree.directory(member).map(|()| 0),
        Kind::Regular => {
            if member.sparse.is_none() && !member.old_sparse && member.size > 0 {
                marker
                    .content(entry.raw_file_position(), member.size, &member.path)
                    .map_err(|e| ImageError::unpack(&member.path, e))?;
            }
            tree.regular(member, entry)
        }
        Kind::HardLink => tree.hard_link(member).map(|()| 0),
        Kind::Symlink => tree.symlink(member).map(|()| 0),
        Kind::Node(kind, device) => tree.node(member, *kind, *device).map(|()| 0),
    }
}

/// Parent and last part of a clean path.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}
