//! Digests of files, remembered by what the kernel says about them, so that only changed files are read.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

impl Identity {
    fn of(meta: &Metadata) -> Self {
        let time = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Self {
            dev: meta.dev(),
            ino: meta.ino(),
            size: meta.size(),
            mtime: time(meta.mtime(), meta.mtime_nsec()),
            ctime: time(meta.ctime(), meta.ctime_nsec()),
        }
    }
}

/// The memory of a context's files, shared by the stages' threads.
#[derive(Debug)]
pub(crate) struct Digests {
    file: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// It was looked for in the file.
    read: bool,
    digests: HashMap<Identity, Entry>,
    grown: bool,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    digest: Digest,
    /// This build asked for it.
    used: bool,
}

/// A file changed less than this before it was read might change again within the clock's tick.
const SETTLED_NS: i128 = 100_000_000;
/// Files that no build asks for any more, beside as many as it asks for: another target may want them.
const SPARE: usize = 1_000;
/// Bytes of an entry in the file: [`Identity`]'s fields in their order, little-endian, and the digest.
const ENTRY: usize = 8 + 8 + 8 + 16 + 16 + 32;
/// Contexts in which nothing new was found for so long are forgotten.
const OLD: Duration = Duration::from_secs(30 * 24 * 3600);

impl Digests {
    /// What is known of the files of a context. An unreadable memory is an empty one.
    pub(crate) fn open(cache_root: &Path, context: &Path) -> Self {
        let name = Digest::of(context.as_os_str().as_encoded_bytes()).hex();
        Self { file: cache_root.join("files").join(name), known: Mutex::default() }
    }

    /// The digest of a regular file's contents.
    pub(crate) fn of(&self, path: &Path, meta: &Metadata) -> io::Result<Digest> {
        let identity = Identity::of(meta);
        let mut known = self.lock();
        if !std::mem::replace(&mut known.read, true) {
            known.digests = fs::read(&self.file).map(|bytes| entries(&bytes)).unwrap_or_default();
        }
        if let Some(entry) = known.digests.get_mut(&identity) {
            entry.used = true;
            return Ok(entry.digest);
        }
        drop(known);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i128);
        let digest = read(path)?;
        if identity.ctime + SETTLED_NS < now {
            let mut known = self.lock();
            known.digests.insert(identity, Entry { digest, used: true });
            known.grown = true;
        }
        Ok(digest)
    }

    /// Writes the memory if it has grown, without most of what is out of use.
    pub(crate) fn save(&self) -> io::Result<()> {
        let known = self.lock();
        if !known.grown {
            return Ok(());
        }
        let used = known.digests.values().filter(|e| e.used).count();
        let mut spare = used + SPARE;
        let mut bytes = Vec::with_capacity(known.digests.len() * ENTRY);
        for (i, entry) in &known.digests {
            if !entry.used {
                match spare.checked_sub(1) {
                    Some(left) => spare = left,
                    None => continue,
                }
            }
            [i.dev, i.ino, i.size].iter().for_each(|n| bytes.extend(n.to_le_bytes()));
            [i.mtime, i.ctime].iter().for_each(|n| bytes.extend(n.to_le_bytes()));
            bytes.extend(entry.digest.as_bytes());
        }
        self.file.parent().map_or(Ok(()), fs::create_dir_all)?;
        write_atomic(&self.file, &bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entries(bytes: &[u8]) -> HashMap<Identity, Entry> {
    // A file of another length isn't one of ours: what is in it matches no file.
    bytes.chunks_exact(ENTRY).filter_map(entry).collect()
}

fn entry(bytes: &[u8]) -> Option<(Identity, Entry)> {
    let short = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let long = |at: usize| Some(i128::from_le_bytes(bytes.get(at..at + 16)?.try_into().ok()?));
    let identity =
        Identity { dev: short(0)?, ino: short(8)?, size: short(16)?, mtime: long(24)?, ctime: long(40)? };
    let digest = Digest::from(<[u8; 32]>::try_from(bytes.get(56..)?).ok()?);
    Some((identity, Entry { digest, used: false }))
}

/// Forgets contexts in which nothing new was found for a month, and what builds that were killed were writing.
pub(crate) fn clear(cache_root: &Path) -> io::Result<()> {
    let listed = match fs::read_dir(cache_root.join("files")) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for file in listed {
        let file = file?;
        let changed = file.metadata().and_then(|m| m.modified());
        if changed.is_ok_and(|t| t.elapsed().is_ok_and(|age| age > OLD)) {
            match fs::remove_file(file.path()) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_apart_and_what_is_out_of_use_goes() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("f");
        fs::write(&file, "text").unwrap();
        let meta = fs::metadata(&file).unwrap();
        let open = |context: &str| Digests::open(temp.path(), Path::new(context));
        // As if it had been written long ago.
        let identity = Identity::of(&meta);
        let remembered = Digest::of(b"remembered");
        let first = open("/a");
        {
            let mut known = first.lock();
            known.grown = true;
            known.digests.insert(identity, Entry { digest: remembered, used: true });
            for size in 0..5 * SPARE as u64 {
                let other = Identity { ino: 0, size, mtime: -1, ..identity };
                known.digests.insert(other, Entry { digest: Digest::of(b""), used: false });
            }
        }
        first.save().unwrap();
        assert_eq!(open("/a").of(&file, &meta).unwrap(), remembered);
        assert_eq!(open("/b").of(&file, &meta).unwrap(), Digest::of(b"text"));
        let kept = entries(&fs::read(&first.file).unwrap());
        assert_eq!((kept.len(), kept[&identity].digest), (1 + 1 + SPARE, remembered));
        clear(temp.path()).unwrap();
        assert!(first.file.exists());
        assert!(entries(b"something else").is_empty());
    }
}
