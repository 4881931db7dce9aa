//! Digests of files, remembered by what the kernel says about them, so that only changed files are read.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use rcompose_image::{Digest, Hasher};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Identity {
    dev: u64,
    ino: u64,
    size: u64,
    /// Nanoseconds.
    mtime: i128,
    /// Nanoseconds.
    ctime: i128,
}

/// The memory, shared by the stages' threads.
#[derive(Debug)]
pub(crate) struct Digests {
    file: PathBuf,
    known: Mutex<(HashMap<Identity, Digest>, bool)>,
}

/// A file changed less than this before it was read might change again within the clock's tick.
const SETTLED_NS: i128 = 100_000_000;

impl Digests {
    /// An unreadable memory is an empty one.
    pub(crate) fn open(cache_root: &Path) -> Self {
        let file = cache_root.join("digests");
        let text = fs::read_to_string(&file).unwrap_or_default();
        let known = text.lines().filter_map(line).collect();
        Self { file, known: Mutex::new((known, false)) }
    }

    /// The digest of a regular file's contents.
    pub(crate) fn of(&self, path: &Path, meta: &Metadata) -> io::Result<Digest> {
        let identity = Identity {
            dev: meta.dev(),
            ino: meta.ino(),
            size: meta.size(),
            mtime: i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()),
            ctime: i128::from(meta.ctime()) * 1_000_000_000 + i128::from(meta.ctime_nsec()),
        };
        if let Some(digest) = self.lock().0.get(&identity) {
            return Ok(*digest);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i128);
        let digest = read(path)?;
        if identity.ctime + SETTLED_NS < now {
            let mut known = self.lock();
            known.0.insert(identity, digest);
            known.1 = true;
        }
        Ok(digest)
    }

    /// Writes the memory if it has grown.
    pub(crate) fn save(&self) -> io::Result<()> {
        let known = self.lock();
        if !known.1 {
            return Ok(());
        }
        let mut text = Vec::with_capacity(known.0.len() * 128);
        for (i, digest) in &known.0 {
            writeln!(text, "{} {} {} {} {} {}", i.dev, i.ino, i.size, i.mtime, i.ctime, digest.hex())?;
        }
        write_atomic(&self.file, &text)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (HashMap<Identity, Digest>, bool)> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line(line: &str) -> Option<(Identity, Digest)> {
    let mut words = line.split(' ');
    let identity = Identity {
        dev: words.next()?.parse().ok()?,
        ino: words.next()?.parse().ok()?,
        size: words.next()?.parse().ok()?,
        mtime: words.next()?.parse().ok()?,
        ctime: words.next()?.parse().ok()?,
    };
    Some((identity, Digest::from_hex(words.next()?).ok()?))
}

fn read(path: &Path) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            n => hasher.update(&buffer[..n]),
        }
    }
}

/// Written beside, then renamed: never seen half.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension(format!("tmp{}-{:?}", std::process::id(), std::thread::current().id()));
    fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path)).inspect_err(|_| {
        // The error that matters is the first; a left-over is overwritten by the next writer.
        drop(fs::remove_file(&beside));
    })
}
