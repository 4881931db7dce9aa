//! Which layer a step made last time.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rcompose_image::{Digest, Hasher, Turn, is_there, remove_tree};
use serde::{Deserialize, Serialize};

use crate::StepOutcome;
use crate::digests::write_atomic;

/// `steps/<key>.json` below the cache root.
#[derive(Debug)]
pub(crate) struct StepCache {
    directory: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    version: u32,
    /// `None`: the step changes no files.
    layer: Option<Digest>,
    /// RFC 3339.
    created: String,
}

/// The outcome of a step: its layer if it made one, and when.
pub(crate) type Outcome = (Option<Digest>, String);

impl StepCache {
    pub(crate) fn open(cache_root: &Path) -> io::Result<Self> {
        let directory = cache_root.join("steps");
        fs::create_dir_all(&directory)?;
        Ok(Self { directory })
    }

    fn path(&self, key: &Digest) -> PathBuf {
        self.directory.join(format!("{}.json", key.hex()))
    }

    /// A record that can't be read is as good as none.
    pub(crate) fn get(&self, key: &Digest) -> Option<Outcome> {
        let path = self.path(key);
        let record = read(&path)?;
        if let Ok(file) = fs::File::options().append(true).open(&path) {
            note_use(&file);
        }
        Some((record.layer, record.created))
    }

    /// Changes when the step is done anew, not when its record is read.
    pub(crate) fn version(&self, key: &Digest) -> Option<u64> {
        fs::metadata(self.path(key)).ok().map(|m| m.ino())
    }

    /// Waits while somebody else does this step.
    pub(crate) fn turn(&self, key: &Digest) -> io::Result<Turn> {
        Turn::take(&self.directory.join(format!("{}.lock", key.hex())))
    }

    pub(crate) fn put(&self, key: &Digest, layer: Option<Digest>, created: &str) -> io::Result<()> {
        let record = Record { version: 1, layer, created: created.to_owned() };
        write_atomic(&self.path(key), &serde_json::to_vec(&record)?)
    }
}

/// A file that tells when and how often something was used: a line feed is added each time.
pub(crate) fn open_uses(path: &Path) -> io::Result<fs::File> {
    fs::File::options().append(true).create(true).open(path)
}

/// Best effort: it is for pruning and for who asks. What is used may have been pruned just now, the disk may be full.
pub(crate) fn note_use(mut file: &fs::File) {
    if file.write_all(b"\n").is_err() {
        let now = fs::FileTimes::new().set_modified(SystemTime::now());
        drop(file.set_times(now));
    }
}

fn read(path: &Path) -> Option<Record> {
    parse(&fs::read(path).ok()?)
}

fn parse(bytes: &[u8]) -> Option<Record> {
    let record: Record = serde_json::from_slice(bytes).ok()?;
    (record.version == 1).then_some(record)
}

/// What makes something that builds keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheKind {
    /// A step.
    Step,
    /// The steps that have a cache mount.
    Mount,
    /// An address that ADD has fetched.
    Download,
    /// A repository that is a context, or that ADD has fetched.
    Repository,
}

/// Below the cache root.
pub(crate) const MOUNTS: &str = "mounts";
pub(crate) const DOWNLOADS: &str = "downloads";
pub(crate) const REPOSITORIES: &str = "repositories";
/// How many bytes a directory's files have, in a directory whose files stay as they are.
pub(crate) const SIZE: &str = "size";
/// What begins so is on its way out.
const GOING: &[u8] = b".going-";

/// What is remembered of a step, or kept in a cache mount or of a download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheRecord {
    /// What it is called.
    pub id: String,
    /// The layer it made, if it is a step that made one.
    pub layer: Option<Digest>,
    /// Bytes of what isn't a step's; a layer's are the store's to tell.
    pub bytes: u64,
    /// Where it comes from.
    pub kind: CacheKind,
    /// When it was made, if the file system tells.
    pub created: Option<SystemTime>,
    /// When it was used last.
    pub used: SystemTime,
    /// How often it was used, its making included.
    pub uses: u64,
    path: PathBuf,
}

/// Remembers what steps made elsewhere. What is known here stays, if its layer is `present`.
pub fn import_steps(
    cache_root: &Path,
    steps: &[StepOutcome],
    present: &dyn Fn(&Digest) -> bool,
) -> io::Result<()> {
    let cache = StepCache::open(cache_root)?;
    for step in steps {
        let known = read(&cache.path(&step.key));
        if !known.is_some_and(|k| k.layer.is_none_or(|l| present(&l))) {
            cache.put(&step.key, step.layer, &step.created)?;
        }
    }
    Ok(())
}

/// All that builds have left for the next ones, the longest unused first.
pub fn cache_records(cache_root: &Path) -> io::Result<Vec<CacheRecord>> {
    let mut all = Vec::new();
    for path in list(&cache_root.join("steps"))? {
        let Some(id) = path.file_name().and_then(|n| n.to_str()?.strip_suffix(".json")) else { continue };
        // It may have gone a moment ago.
        let (Ok(bytes), Ok(meta)) = (fs::read(&path), fs::metadata(&path)) else { continue };
        let Some(record) = parse(&bytes) else { continue };
        let uses = 1 + bytes.iter().rev().take_while(|b| **b == b'\n').count() as u64;
        let (id, layer) = (id.to_owned(), record.layer);
        let (created, used) = (meta.created().ok(), meta.modified()?);
        all.push(CacheRecord { id, layer, bytes: 0, kind: CacheKind::Step, created, used, uses, path });
    }
    let directories =
        [(MOUNTS, CacheKind::Mount), (DOWNLOADS, CacheKind::Download), (REPOSITORIES, CacheKind::Repository)];
    for (name, kind) in directories {
        for path in list(&cache_root.join(name))? {
            all.extend(directory_record(path, kind)?);
        }
    }
    all.sort_by(|a, b| a.used.cmp(&b.used).then(a.id.cmp(&b.id)));
    Ok(all)
}

/// Of a directory that is kept; `None`: it is work in progress.
fn directory_record(path: PathBuf, kind: CacheKind) -> io::Result<Option<CacheRecord>> {
    let Some(id) = path.file_name().and_then(|n| n.to_str()).filter(|n| !n.starts_with('.')) else {
        return Ok(None);
    };
    // Each use is noted in a lock.
    let locks = list(&path)?.into_iter().filter(|p| p.extension().is_some_and(|e| e == "lock"));
    let locks: Vec<fs::Metadata> = locks.filter_map(|p| fs::metadata(p).ok()).collect();
    let used = locks.iter().filter_map(|m| m.modified().ok()).max();
    let used = used.unwrap_or(SystemTime::UNIX_EPOCH);
    let uses = locks.iter().map(fs::Metadata::len).sum();
    let id = id.to_owned();
    let created = fs::metadata(&path).and_then(|m| m.created()).ok();
    let known = fs::read_to_string(path.join(SIZE)).ok().and_then(|t| t.parse().ok());
    let bytes = match known {
        Some(bytes) => bytes,
        None => size(&path)?.saturating_sub(uses),
    };
    Ok(Some(CacheRecord { id, layer: None, bytes, kind, created, used, uses, path }))
}

/// Removes what builds that were killed have left of the steps that they were doing, and what is remembered of the files
/// of contexts that nobody builds any more.
pub fn clear_steps(cache_root: &Path) -> io::Result<()> {
    crate::digests::clear(cache_root)?;
    list(&cache_root.join("steps"))?.iter().try_for_each(|path| match path.extension() {
        Some(e) if e == "lock" => Turn::clear(path),
        _ => Ok(()),
    })
}

/// Forgets one. False: a build is at work with it.
pub fn forget_record(record: &CacheRecord) -> io::Result<bool> {
    let gone = |r: io::Result<()>| match r {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(true),
        other => other.map(|()| true),
    };
    match record.path.is_dir() {
        true => forget_directory(&record.path, list(&record.path)?),
        false => gone(fs::remove_file(&record.path)),
    }
}

/// Removes a directory in which this was found.
fn forget_directory(directory: &Path, found: Vec<PathBuf>) -> io::Result<bool> {
    let (locks, rest): (Vec<PathBuf>, Vec<PathBuf>) =
        found.into_iter().partition(|p| p.extension().is_some_and(|e| e == "lock"));
    let mut held = Vec::new();
    for path in &locks {
        let lock = match fs::File::open(path) {
            // Somebody else was faster.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other?,
        };
        if lock.try_lock().is_err() || !is_there(path, &lock) {
            return Ok(false);
        }
        held.push(lock);
    }
    // What has come since belongs to a build, which may have ended: without its lock the next pruning would take it from
    // under the one after.
    if list(directory)?.iter().any(|p| !locks.contains(p) && !rest.contains(p)) {
        return Ok(false);
    }
    // What was there goes at once, nobody sees a part of it; and the locks at last: those who wait for one see that it is gone.
    let is_going = |p: &PathBuf| p.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(GOING));
    let (left, rest): (Vec<PathBuf>, Vec<PathBuf>) = rest.into_iter().partition(is_going);
    left.iter().try_for_each(|path| remove(path))?;
    let mut going = Vec::new();
    for path in rest {
        let mut name = OsStr::from_bytes(GOING).to_owned();
        name.push(path.file_name().unwrap_or_default());
        let aside = directory.join(name);
        fs::rename(&path, &aside)?;
        going.push(aside);
    }
    going.iter().try_for_each(|path| remove(path))?;
    locks.iter().try_for_each(fs::remove_file)?;
    match fs::remove_dir(directory) {
        Err(e) if matches!(e.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound) => Ok(true),
        other => other.map(|()| true),
    }
}

/// A file, or a directory with all that is in it.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path)?.is_dir() {
        true => remove_tree(path),
        false => fs::remove_file(path),
    }
}

fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(directory) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed?.map(|e| Ok(e?.path())).collect(),
    }
}

pub(crate) fn size(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for path in list(&directory)? {
            match fs::symlink_metadata(&path) {
                Ok(meta) if meta.is_dir() => open.push(path),
                Ok(meta) => bytes += meta.len(),
                // A build is at work with it.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(bytes)
}

/// A key of unambiguous parts.
pub(crate) struct Key(Hasher);

impl Key {
    pub(crate) fn new(kind: &str, layers: &[Digest]) -> Self {
        let mut key = Self(Hasher::new());
        key.part(kind);
        for layer in layers {
            key.part(layer.hex());
        }
        key.part("");
        key
    }

    pub(crate) fn part(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Digest {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A build that fetched something between the look and the lock keeps it, and its lock.
    #[test]
    fn what_has_come_since_stays_with_its_lock() {
        let dir = tempfile::tempdir().unwrap();
        let kept = dir.path().join("kept");
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("0.lock"), "\n").unwrap();
        let found = list(&kept).unwrap();
        fs::create_dir(kept.join("commit")).unwrap();
        assert!(!forget_directory(&kept, found).unwrap());
        assert!(kept.join("0.lock").exists() && kept.join("commit").exists());
        assert!(forget_directory(&kept, list(&kept).unwrap()).unwrap());
        assert!(!kept.exists());
    }
}
