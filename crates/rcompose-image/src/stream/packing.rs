//! How layers are compressed on their way out.

use std::io::{self, Write};

use flate2::write::GzEncoder;

/// A compression of layers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compression {
    /// None.
    Uncompressed,
    /// gzip (RFC 1952).
    #[default]
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
}

/// How layers are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Packing {
    /// By what.
    pub compression: Compression,
    /// How well: 0 to 9 of gzip, 1 to 22 of Zstandard. Another one is as none.
    pub level: Option<i32>,
    /// Also what is known to be there with another compression.
    pub force: bool,
}

impl Packing {
    /// OCI's type of a layer that is compressed so.
    pub fn media_type(&self) -> &'static str {
        match self.compression {
            Compression::Uncompressed => "application/vnd.oci.image.layer.v1.tar",
            Compression::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Compression::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }

    /// Whether a blob of this type will do.
    pub(crate) fn accepts(&self, media_type: &str) -> bool {
        let is = match media_type.rsplit(['+', '.']).next() {
            Some("gzip") => Compression::Gzip,
            Some("zstd") => Compression::Zstd,
            _ => Compression::Uncompressed,
        };
        !self.force || is == self.compression
    }

    pub(crate) fn packer<W: Write>(&self, to: W) -> io::Result<Packer<W>> {
        Ok(match self.compression {
            Compression::Uncompressed => Packer::Plain(to),
            Compression::Gzip => {
                let level = self.level.and_then(|l| u32::try_from(l).ok()).filter(|l| *l <= 9);
                let level = level.map_or_else(flate2::Compression::default, flate2::Compression::new);
                Packer::Gzip(GzEncoder::new(to, level))
            }
            Compression::Zstd => {
                let level = self.level.filter(|l| (1..=22).contains(l)).unwrap_or(0);
                Packer::Zstd(zstd::stream::write::Encoder::new(to, level)?)
            }
        })
    }
}

/// Compresses what is written to it.
pub(crate) enum Packer<W: Write> {
    Plain(W),
    Gzip(GzEncoder<W>),
    Zstd(zstd::stream::write::Encoder<'static, W>),
}

impl<W: Write> Packer<W> {
    pub(crate) fn get_mut(&mut self) -> &mut W {
        match self {
            Self::Plain(to) => to,
            Self::Gzip(to) => to.get_mut(),
            Self::Zstd(to) => to.get_mut(),
        }
    }

    /// Writes the end.
    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(to) => Ok(to),
            Self::Gzip(to) => to.finish(),
            Self::Zstd(to) => to.finish(),
        }
    }
}

impl<W: Write> Write for Packer<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(to) => to.write(buf),
            Self::Gzip(to) => to.write(buf),
            Self::Zstd(to) => to.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(to) => to.flush(),
            Self::Gzip(to) => to.flush(),
            Self::Zstd(to) => to.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::decompressed;
    use std::io::Read;

    #[test]
    fn what_is_packed_comes_out_again() {
        let text = b"again and again ".repeat(1000);
        for compression in [Compression::Uncompressed, Compression::Gzip, Compression::Zstd] {
            for level in [None, Some(1), Some(9), Some(300)] {
                let packing = Packing { compression, level, force: true };
                let mut packer = packing.packer(Vec::new()).unwrap();
                packer.write_all(&text).unwrap();
                let packed = packer.finish().unwrap();
                assert_eq!(packed.len() < 1000, compression != Compression::Uncompressed);
                let mut out = Vec::new();
                decompressed(packed.as_slice()).unwrap().read_to_end(&mut out).unwrap();
                assert_eq!(out, text);
                assert!(packing.accepts(packing.media_type()));
            }
        }
        let zstd = Packing { compression: Compression::Zstd, ..Packing::default() };
        assert!(zstd.accepts("application/vnd.oci.image.layer.v1.tar+gzip"));
        assert!(
            !Packing { force: true, ..zstd }.accepts("application/vnd.docker.image.rootfs.diff.tar.gzip")
        );
    }
}
