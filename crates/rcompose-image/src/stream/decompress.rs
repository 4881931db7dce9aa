use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// RFC 8878, 3.1.2: a skippable frame, which zstd's seekable and chunked variants begin with.
const ZSTD_SKIPPABLE: &[u8] = &[0x2a, 0x4d, 0x18];
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];
const BZIP2: &[u8] = b"BZh";

/// Twice what `xz -9` wants; a header may ask for 4 GiB. In KiB.
const XZ_MEMORY: u32 = 130 * 1024;

/// The plain stream inside a plain, gzip, zstd, xz or bzip2 one, told by its first bytes.
pub(crate) fn decompressed<'a, R: Read + Send + 'a>(source: R) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut source = BufReader::with_capacity(64 * 1024, Peeked::new(source)?);
    let start = source.fill_buf()?;
    if start.starts_with(GZIP) {
        Ok(Box::new(MultiGzDecoder::new(source)))
    } else if start.starts_with(ZSTD) || start.get(1..).is_some_and(|s| s.starts_with(ZSTD_SKIPPABLE)) {
        Ok(Box::new(zstd::stream::read::Decoder::with_buffer(source)?))
    } else if start.starts_with(XZ) {
        // Several streams behind each other are one, as with xz itself.
        Ok(Box::new(lzma_rust2::XzReader::new_mem_limit(source, true, XZ_MEMORY)))
    } else if start.starts_with(BZIP2) && start.get(3).is_some_and(u8::is_ascii_digit) && !is_tar(start) {
        Ok(Box::new(bzip2::bufread::MultiBzDecoder::new(source)))
    } else {
        Ok(Box::new(source))
    }
}

/// Whether a block is the header of a ustar or GNU member.
fn is_tar(block: &[u8]) -> bool {
    block.get(257..262) == Some(b"ustar")
}

/// A reader whose first read gives at least one whole tar header, if the stream is that long: a pipe may deliver a
/// magic number in pieces.
struct Peeked<R> {
    head: io::Cursor<Vec<u8>>,
    rest: R,
}

impl<R: Read> Peeked<R> {
    fn new(mut rest: R) -> io::Result<Self> {
        let mut head = Vec::with_capacity(512);
        rest.by_ref().take(512).read_to_end(&mut head)?;
        Ok(Self { head: io::Cursor::new(head), rest })
    }
}

impl<R: Read> Read for Peeked<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.head.read(buf)? {
            0 => self.rest.read(buf),
            n => Ok(n),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn plain(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        decompressed(bytes).unwrap().read_to_end(&mut out).unwrap();
        out
    }

    #[test]
    fn told_by_magic() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"hello").unwrap();
        assert_eq!(plain(&gzip.finish().unwrap()), b"hello");
        assert_eq!(plain(&zstd::encode_all(&b"hello"[..], 1).unwrap()), b"hello");
        assert_eq!(plain(b"hello"), b"hello");
        assert_eq!(plain(b""), b"");
        // `printf hello | xz`, and `| bzip2`.
        let xz = b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4F\x02\0!\x01\x16\0\0\0t/\xe5\xa3\x01\0\x04hello\0\0\0\0\xb17\xb9\xdb\xe5\xda\x1e\x9b\0\x01\x1d\x05\xb8-\x80\xaf\x1f\xb6\xf3}\x01\0\0\0\0\x04YZ";
        assert_eq!(plain(xz), b"hello");
    }
}
