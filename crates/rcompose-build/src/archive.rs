//! Archives that ADD unpacks.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use rcompose_image::Guard;

use crate::BuildError;

/// KiB for unpacking xz: what its highest level needs.
const XZ_MEMORY: u32 = 100 << 10;

/// A tar stream, compressed or not: docker copies any other compressed file as it is.
pub(crate) fn is_archive(path: &Path) -> Result<bool, BuildError> {
    let reader = decoded(path).map_err(|e| BuildError::io("read", path, e))?;
    let mut tar = tar::Archive::new(reader);
    // What can't be unpacked isn't an archive.
    let first = tar.entries().ok().and_then(|mut all| all.next());
    Ok(matches!(first, Some(Ok(_))))
}

/// A file's bytes, its compression undone: gzip, bzip2, xz or zstd, by its first bytes.
pub(crate) fn decoded(path: &Path) -> io::Result<Box<dyn Read>> {
    let mut file = File::open(path)?;
    let mut head = Vec::new();
    file.by_ref().take(6).read_to_end(&mut head)?;
    file.rewind()?;
    let file = BufReader::with_capacity(128 * 1024, file);
    let plain: Box<dyn Read> = match head.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::stream::read::Decoder::with_buffer(file)?),
        [b'B', b'Z', b'h', ..] => Box::new(bzip2::bufread::MultiBzDecoder::new(file)),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => {
            Box::new(lzma_rust2::XzReader::new_mem_limit(file, true, XZ_MEMORY))
        }
        _ => Box::new(file),
    };
    // Headers that want all memory end it.
    Ok(Box::new(Guard::new(plain)))
}
