//! Archives that ADD unpacks.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::BuildError;

/// A directory that goes with its value.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(cache_root: &Path) -> Result<Self, BuildError> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = cache_root.join("tmp").join(format!("{}-{number}", std::process::id()));
        fs::create_dir_all(&path).map_err(|e| BuildError::io("make the directory", &path, e))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nobody is left to hear of it; what stays is only scratch.
        drop(fs::remove_dir_all(&self.0));
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

/// A tar stream, compressed or not: docker copies any other compressed file as it is.
pub(crate) fn is_archive(path: &Path) -> Result<bool, BuildError> {
    let failed = |e| BuildError::io("read", path, e);
    let mut head = Vec::new();
    File::open(path).map_err(failed)?.take(512).read_to_end(&mut head).map_err(failed)?;
    let mut inner = Vec::new();
    let file = File::open(path).map_err(failed)?;
    // What can't be unpacked isn't an archive.
    let read = match kind(&head) {
        None => return Ok(false),
        Some(Packing::Plain) => return Ok(true),
        Some(Packing::Gzip) => flate2::read::MultiGzDecoder::new(file).take(512).read_to_end(&mut inner),
        Some(Packing::Zstd) => {
            zstd::stream::read::Decoder::new(file).and_then(|d| d.take(512).read_to_end(&mut inner))
        }
    };
    Ok(read.is_ok() && kind(&inner) == Some(Packing::Plain))
}

/// What the first 512 bytes say.
fn kind(head: &[u8]) -> Option<Packing> {
    if head.starts_with(&[0x1f, 0x8b]) {
        Some(Packing::Gzip)
    } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Some(Packing::Zstd)
    } else if head.get(257..262) == Some(b"ustar") {
        Some(Packing::Plain)
    } else {
        None
    }
}

/// Unpacks a tar archive, compressed or not, into a directory. Members that would leave it are refused by the tar crate.
pub fn unpack(archive: &Path, to: &Path) -> Result<(), BuildError> {
    let failed = |e| BuildError::io("unpack", archive, e);
    let mut file = BufReader::new(File::open(archive).map_err(failed)?);
    let mut head = Vec::new();
    file.by_ref().take(512).read_to_end(&mut head).map_err(failed)?;
    let packing = kind(&head);
    let whole = std::io::Cursor::new(head).chain(file);
    let reader: Box<dyn Read> = match packing {
        Some(Packing::Gzip) => Box::new(flate2::read::MultiGzDecoder::new(whole)),
        Some(Packing::Zstd) => Box::new(zstd::stream::read::Decoder::new(whole).map_err(failed)?),
        _ => Box::new(whole),
    };
    let mut tar = tar::Archive::new(reader);
    tar.set_preserve_permissions(true);
    tar.set_preserve_ownerships(true);
    tar.set_unpack_xattrs(true);
    tar.unpack(to).map_err(failed)
}
