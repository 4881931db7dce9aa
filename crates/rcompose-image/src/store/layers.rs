//! Layers: from a tar stream or an overlay's upper directory, and back to the stream.

use std::fmt;
use std::fs;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, chmod};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::temp::{Hold, Temp};
use super::{Store, files, sound};
use crate::error::{ImageError, Result};
use crate::layer_tar::{self, Walk};
use crate::stream::{decompressed, with_hash};
use crate::{Digest, Hasher, extract, record};

/// A layer, by its diff id: the digest of its uncompressed tar stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LayerId(pub Digest);

impl fmt::Display for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What is known of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerInfo {
    /// Its diff id.
    pub id: LayerId,
    /// Sum of the lengths of its regular files, bytes.
    pub content: u64,
    /// Length of its tar stream, bytes.
    pub stream: u64,
}

/// A layer being made in an overlay's upper directory. Dropped without [`Store::commit_layer`], nothing stays.
#[derive(Debug)]
pub struct Staging {
    temp: Temp,
}

impl Staging {
    /// Receives the files, in overlayfs's form.
    pub fn upper(&self) -> PathBuf {
        self.temp.path().join("layer/fs")
    }

    /// Overlayfs's work directory, on the same file system.
    pub fn work(&self) -> PathBuf {
        self.temp.path().join("work")
    }
}

/// A layer that is unpacked but in nobody's sight yet.
#[derive(Debug)]
pub(crate) struct Unpacked {
    temp: Temp,
    pub(crate) info: LayerInfo,
}

impl Unpacked {
    /// Where it is until it is placed.
    pub(super) fn dir(&self) -> PathBuf {
        self.temp.path().join("layer")
    }
}

impl Store {
    pub(super) fn place_unpacked(&self, layer: &Unpacked) -> Result<()> {
        // It may have been placed with another image of the same archive.
        if self.sound(&layer.info.id)? {
            return Ok(());
        }
        self.place(&layer.dir(), &layer.info)
    }

    pub(super) fn layer_dir(&self, layer: &LayerId) -> PathBuf {
        self.root.join("layers").join(layer.0.hex())
    }

    /// The unpacked files of a layer, if the store has it whole, as far as can be told.
    pub fn layer_path(&self, layer: &LayerId) -> Option<PathBuf> {
        // Without an answer it is not to be built on; who needs it gets the reason from `layer_paths`.
        self.sound(layer).is_ok_and(|sound| sound).then(|| self.layer_dir(layer).join("fs"))
    }

    /// What is known of a layer, if the store has it.
    pub fn layer_info(&self, layer: &LayerId) -> Result<Option<LayerInfo>> {
        files::read_json(&self.layer_dir(layer).join("layer.json"))
    }

    /// A place for a new layer.
    pub fn new_layer_dir(&self) -> Result<Staging> {
        let staging = Staging { temp: self.temp()? };
        make_fs(&staging.temp.path().join("layer"))?;
        files::make_dirs(&staging.work(), 0o700)?;
        Ok(staging)
    }

    /// Makes the files in the upper directory a layer, without copying them. The overlay must be unmounted. Whoever
    /// prunes may take it at once: [`Store::commit_held`] is for layers that are to stay until an image has them.
    pub fn commit_layer(&self, staging: Staging) -> Result<LayerInfo> {
        self.commit(staging, None)
    }

    /// As [`Store::commit_layer`]; the hold has it before anybody else can see it without.
    pub fn commit_held(&self, staging: Staging, hold: &Hold) -> Result<LayerInfo> {
        self.commit(staging, Some(hold))
    }

    fn commit(&self, staging: Staging, hold: Option<&Hold>) -> Result<LayerInfo> {
        let mut hasher = BufWriter::with_capacity(64 * 1024, Hasher::new());
        let content = layer_tar::write(&staging.upper(), Walk::Adopt, &mut hasher)?;
        let hasher =
            hasher.into_inner().map_err(|e| ImageError::io("hash", staging.upper(), e.into_error()))?;
        let info = LayerInfo { stream: hasher.bytes(), id: LayerId(hasher.finish()), content };
        let _adding = self.adding()?;
        self.place(&staging.temp.path().join("layer"), &info)?;
        if let Some(hold) = hold {
            hold.keep(&info.id)?;
        }
        Ok(info)
    }

    /// Makes a layer of an overlay's upper directory that stays where it is, without what `skip` knows (path, mode and
    /// length). The hold keeps it until an image has it.
    pub fn copy_layer(
        &self,
        upper: &Path,
        skip: &(dyn Fn(&[u8], u32, u64) -> bool + Sync),
        hold: &Hold,
    ) -> Result<LayerInfo> {
        let (reader, writer) = std::io::pipe().map_err(|e| ImageError::io("read", upper, e))?;
        std::thread::scope(|scope| {
            let writing = scope.spawn(move || {
                let mut out = BufWriter::with_capacity(64 * 1024, writer);
                let skip =
                    |path: &[u8], stat: &rustix::fs::Stat| skip(path, stat.st_mode, stat.st_size as u64);
                layer_tar::write_part(upper, &skip, &mut out)?;
                out.flush().map_err(|e| ImageError::io("read", upper, e))
            });
            let unpacked = self.unpack(reader, None);
            // If reading broke off, the archive is short: that is not why.
            let written = writing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let unpacked = match (unpacked, written) {
                (Ok(unpacked), Ok(())) => unpacked,
                (Err(e @ (ImageError::DiskFull { .. } | ImageError::Io { .. })), _) | (_, Err(e)) => {
                    return Err(e);
                }
                (Err(e), Ok(())) => return Err(e),
            };
            self.keep_unpacked(&unpacked, hold)
        })
    }

    /// Writes what layers and an upper directory, top first, are together as one tar stream.
    pub fn export(layers: &[PathBuf], out: &mut dyn Write) -> Result<u64> {
        layer_tar::write_merged(layers, out)
    }

    /// Unpacks a plain, gzip or zstd tar stream, aside. `expected` is its diff id.
    pub(crate) fn unpack(&self, source: impl Read + Send, expected: Option<Digest>) -> Result<Unpacked> {
        Self::unpack_in(self.temp()?, source, expected)
    }

    /// As [`Self::unpack`], in a place that is there.
    pub(super) fn unpack_in(
        temp: Temp,
        source: impl Read + Send,
        expected: Option<Digest>,
    ) -> Result<Unpacked> {
        let dir = temp.path().join("layer");
        make_fs(&dir)?;
        let plain =
            decompressed(source).map_err(|e| ImageError::Read { what: "the layer".to_owned(), source: e })?;
        let (result, summed) = with_hash(plain, |reader| {
            extract::extract(reader, &dir.join("fs"), &dir.join("record"), &dir.join("replaced"))
        });
        let extracted = result?;
        if let Some(expected) = expected.filter(|e| *e != summed.digest) {
            return Err(ImageError::Mismatch {
                what: "the layer".to_owned(),
                expected,
                actual: summed.digest,
            });
        }
        super::links::record(&dir, &extracted.links)?;
        let info = LayerInfo { id: LayerId(summed.digest), content: extracted.content, stream: summed.bytes };
        Ok(Unpacked { temp, info })
    }

    /// Moves a finished layer to its place, or leaves it if there is one already. The caller holds the store's lock.
    fn place(&self, dir: &Path, info: &LayerInfo) -> Result<()> {
        let json = dir.join("layer.json");
        fs::write(&json, files::to_json(&json, info)?).map_err(|e| ImageError::io("write", &json, e))?;
        sound::mark(dir)?;
        let to = self.layer_dir(&info.id);
        loop {
            match rustix::fs::rename(dir, &to) {
                Ok(()) => return Ok(()),
                Err(Errno::EXIST | Errno::NOTEMPTY) if self.sound(&info.id)? => return Ok(()),
                Err(Errno::EXIST | Errno::NOTEMPTY) => {
                    // Half lost in a power cut. Another process may be replacing it too.
                    let aside = dir.with_extension("lost");
                    match fs::rename(&to, &aside) {
                        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                            return Err(ImageError::io("remove", &to, e));
                        }
                        _ => {}
                    }
                }
                Err(e) => return Err(ImageError::io("rename", dir, e)),
            }
        }
    }

    /// Writes a layer's tar stream, byte for byte what its diff id is the digest of.
    pub fn write_layer(&self, layer: &LayerId, out: &mut dyn Write) -> Result<()> {
        let dir = self.layer_dir(layer);
        let info = self.layer_info(layer)?.ok_or(ImageError::LayerMissing(layer.0))?;
        let mut checked = Checked { out, hasher: Hasher::new() };
        let mut buffered = BufWriter::with_capacity(64 * 1024, &mut checked);
        let (fs, recorded) = (dir.join("fs"), dir.join("record"));
        match recorded.exists() {
            true => record::replay(&recorded, &fs, &dir.join("replaced"), &mut buffered)?,
            false => drop(layer_tar::write(&fs, Walk::Read, &mut buffered)?),
        }
        buffered.flush().map_err(|e| ImageError::io("write the tar stream of", &fs, e))?;
        drop(buffered);
        let actual = checked.hasher.finish();
        match actual == info.id.0 {
            true => Ok(()),
            false => Err(ImageError::Mismatch { what: format!("layer {layer}"), expected: layer.0, actual }),
        }
    }
}

struct Checked<'a> {
    out: &'a mut dyn Write,
    hasher: Hasher,
}

impl Write for Checked<'_> {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        let n = self.out.write(buf)?;
        self.hasher.update(&buf[..n]);
        Ok(n)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// `fs` is the root directory of a container unless a layer says otherwise: 0755, whatever the umask.
fn make_fs(layer: &Path) -> Result<()> {
    let fs = layer.join("fs");
    files::make_dirs(&fs, 0o755)?;
    chmod(&fs, Mode::from_raw_mode(0o755)).map_err(|e| ImageError::io("change the mode of", &fs, e))
}
