//! How to write a layer's tar stream again, byte for byte, from its unpacked files.
//!
//! An image is addressed by the digest of its layers' tar streams, and a tar stream can't be told from files alone:
//! order, padding and header dialects differ. So while a layer is unpacked everything but file contents is kept
//! aside (the idea of docker's tar-split), and the stream is put together from both when somebody wants it. That
//! halves what an image takes on disk and what an import writes.
//!
//! Format: a zstd stream of segments. `0`, u32 length, bytes; or `1`, u64 length, u32 length of path, path: the
//! content of that file. Numbers are little-endian.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use crate::Digest;
use crate::error::{ImageError, Result};

const LITERAL: u8 = 0;
const CONTENT: u8 = 1;
/// Literal bytes are written in segments of at most about this length.
const FLUSH: usize = 128 * 1024;

type Encoder = zstd::stream::write::Encoder<'static, BufWriter<File>>;

struct State {
    out: Encoder,
    literal: Vec<u8>,
    at: u64,
    content: Range<u64>,
}

impl State {
    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        let range = self.at..self.at + bytes.len() as u64;
        self.at = range.end;
        // Before, within and behind the content that is being passed over.
        let from = self.content.start.clamp(range.start, range.end) - range.start;
        let to = self.content.end.clamp(range.start, range.end) - range.start;
        self.literal.extend_from_slice(&bytes[..from as usize]);
        self.literal.extend_from_slice(&bytes[(to.max(from)) as usize..]);
        if self.literal.len() >= FLUSH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        for part in self.literal.chunks(u32::MAX as usize) {
            self.out.write_all(&[LITERAL])?;
            self.out.write_all(&(part.len() as u32).to_le_bytes())?;
            self.out.write_all(part)?;
        }
        self.literal.clear();
        Ok(())
    }
}

/// A reader that records what passes through it.
pub(crate) struct Recorder<R> {
    inner: R,
    state: Rc<RefCell<State>>,
}

/// Tells a [`Recorder`] which parts are file contents.
#[derive(Clone)]
pub(crate) struct Marker(Rc<RefCell<State>>);

impl<R: Read> Recorder<R> {
    pub(crate) fn new(inner: R, record: &Path) -> Result<(Self, Marker)> {
        let file = File::create_new(record).map_err(|e| ImageError::io("create", record, e))?;
        let out = Encoder::new(BufWriter::new(file), 1).map_err(|e| ImageError::io("write", record, e))?;
        let state = Rc::new(RefCell::new(State { out, literal: Vec::new(), at: 0, content: 0..0 }));
        Ok((Self { inner, state: state.clone() }, Marker(state)))
    }
}

impl<R: Read> Read for Recorder<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.state.borrow_mut().take(&buf[..n])?;
        Ok(n)
    }
}

impl Marker {
    /// The stream from `start` on, not read yet, is the content of `path` in the layer.
    pub(crate) fn content(&self, start: u64, length: u64, path: &[u8]) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.flush()?;
        state.content = start..start + length;
        state.out.write_all(&[CONTENT])?;
        state.out.write_all(&length.to_le_bytes())?;
        state.out.write_all(&(path.len() as u32).to_le_bytes())?;
        state.out.write_all(path)
    }

    /// The stream has ended.
    pub(crate) fn finish(self) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.flush()?;
        state.out.do_finish()?;
        state.out.get_mut().flush()
    }
}

/// Where the content of a file goes that a later member of the same archive replaces: the n-th of that path.
pub(crate) fn replaced_name(path: &[u8], n: usize) -> String {
    format!("{}.{n}", Digest::of(path).short())
}

/// Writes the tar stream of a recorded layer.
pub(crate) fn replay(record: &Path, fs: &Path, replaced: &Path, out: &mut dyn Write) -> Result<()> {
    let broken = |e: io::Error| ImageError::io("read", record, e);
    let file = File::open(record).map_err(broken)?;
    let mut segments = BufReader::new(zstd::stream::read::Decoder::new(file).map_err(broken)?);
    let root = rustix::fs::open(fs, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| ImageError::io("open", fs, e))?;
    let mut seen: HashMap<Vec<u8>, usize> = HashMap::new();
    let any_replaced = replaced.exists();
    loop {
        let mut kind = [0];
        if segments.read(&mut kind).map_err(broken)? == 0 {
            return Ok(());
        }
        match kind[0] {
            LITERAL => {
                let length = u64::from(u32_le(&mut segments).map_err(broken)?);
                exactly(&mut segments, length, out, record)?;
            }
            CONTENT => {
                let mut length = [0; 8];
                segments.read_exact(&mut length).map_err(broken)?;
                let mut path = vec![0; u32_le(&mut segments).map_err(broken)? as usize];
                segments.read_exact(&mut path).map_err(broken)?;
                let old = match any_replaced {
                    true => {
                        let n = seen.entry(path.clone()).or_default();
                        *n += 1;
                        Some(replaced.join(replaced_name(&path, *n - 1))).filter(|p| p.exists())
                    }
                    false => None,
                };
                let mut content = open_content(&root, &path, old)?;
                exactly(
                    &mut content,
                    u64::from_le_bytes(length),
                    out,
                    Path::new(&*String::from_utf8_lossy(&path)),
                )?;
            }
            other => {
                return Err(ImageError::malformed(
                    record.display().to_string(),
                    format!("segment kind {other}"),
                ));
            }
        }
    }
}

fn open_content(root: &OwnedFd, path: &[u8], old: Option<PathBuf>) -> Result<File> {
    if let Some(old) = old {
        return File::open(&old).map_err(|e| ImageError::io("open", old, e));
    }
    openat2(
        root,
        path,
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    )
    .map(File::from)
    .map_err(|e| ImageError::io("open", Path::new(&*String::from_utf8_lossy(path)), e))
}

fn u32_le(r: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    r.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn exactly(from: &mut impl Read, length: u64, out: &mut dyn Write, what: &Path) -> Result<()> {
    let copied = io::copy(&mut from.take(length), out).map_err(|e| ImageError::io("copy", what, e))?;
    match copied == length {
        true => Ok(()),
        false => Err(ImageError::malformed(
            what.display().to_string(),
            "the file in the store is shorter than it was",
        )),
    }
}
