//! Layers as blobs of a directory (OCI image spec, image-layout.md), and blobs as layers.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::{Hold, KnownBlob, LayerId, LayerInfo, Store};
use crate::error::{ImageError, Result};
use crate::stream::Packing;
use crate::{Digest, Hasher};

/// A layer as it is in a registry or a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerBlob {
    /// Its diff id.
    pub layer: LayerId,
    /// Digest of the blob.
    pub digest: Digest,
    /// Its length, bytes.
    pub size: u64,
    /// Its type.
    pub media_type: String,
}

impl Store {
    /// Puts a layer into `directory/blobs/sha256`, unless it is there.
    pub fn export_blob(&self, layer: &LayerId, packing: &Packing, directory: &Path) -> Result<LayerBlob> {
        let blobs = directory.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(|e| ImageError::io("make", &blobs, e))?;
        let found = |blob: &KnownBlob| {
            let path = blobs.join(blob.digest.hex());
            packing.accepts(&blob.media_type) && fs::metadata(path).is_ok_and(|m| m.len() == blob.size)
        };
        if let Some(known) = self.known_blobs(layer)?.into_iter().find(found) {
            let KnownBlob { digest, size, media_type, .. } = known;
            return Ok(LayerBlob { layer: *layer, digest, size, media_type });
        }
        let beside = blobs.join(format!(".{}.{}", layer.0.hex(), std::process::id()));
        let (digest, size) = self.pack(layer, packing, &beside).inspect_err(|_| {
            // The error that matters is the first.
            drop(fs::remove_file(&beside));
        })?;
        let path = blobs.join(digest.hex());
        fs::rename(&beside, &path).map_err(|e| ImageError::io("write", &path, e))?;
        let media_type = packing.media_type();
        let mut known = KnownBlob::new(digest, size, media_type, "");
        known.repositories.clear();
        self.remember(&digest, None, vec![(*layer, known)])?;
        Ok(LayerBlob { layer: *layer, digest, size, media_type: media_type.to_owned() })
    }

    fn pack(&self, layer: &LayerId, packing: &Packing, path: &PathBuf) -> Result<(Digest, u64)> {
        let failed = |e| ImageError::io("write", path, e);
        let out = Summed { out: BufWriter::new(File::create(path).map_err(failed)?), hasher: Hasher::new() };
        let mut packer = packing.packer(out).map_err(failed)?;
        self.write_layer(layer, &mut packer)?;
        let mut out = packer.finish().map_err(failed)?;
        out.flush().map_err(failed)?;
        let size = out.hasher.bytes();
        Ok((out.hasher.finish(), size))
    }

    /// Unpacks a blob of a layer, whose diff id must be `layer`; the hold keeps it.
    pub fn add_layer(&self, source: impl Read + Send, layer: &LayerId, hold: &Hold) -> Result<LayerInfo> {
        let unpacked = self.unpack(source, Some(layer.0))?;
        self.keep_unpacked(&unpacked, hold)
    }

    pub(crate) fn keep_unpacked(&self, unpacked: &super::Unpacked, hold: &Hold) -> Result<LayerInfo> {
        let _adding = self.adding()?;
        self.place_unpacked(unpacked)?;
        hold.keep(&unpacked.info.id)?;
        Ok(unpacked.info)
    }
}

struct Summed<W> {
    out: W,
    hasher: Hasher,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.out.write(buf)?;
        self.hasher.update(&buf[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
