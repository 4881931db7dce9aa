use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::bounds::{MAX_FILE, too_large};
use crate::remote::{FetchError, Remote};

/// The only way by which the loader reads anything.
pub trait Sources {
    /// A file's bytes.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Whether there is a regular file (or a link to one).
    fn is_file(&self, path: &Path) -> bool;
    /// Whether there is a directory (or a link to one).
    fn is_dir(&self, path: &Path) -> bool;
    /// Brings a remote project here, unless it is here already, and tells where its Compose file lies. Other files of
    /// the project lie beside it.
    ///
    /// # Errors
    /// Why it isn't to be had.
    fn fetch(&self, remote: &Remote) -> Result<PathBuf, FetchError> {
        let _ = remote;
        Err(FetchError::new("remote Compose files can't be fetched here"))
    }
}

/// The file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct FsSources;

impl Sources for FsSources {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        // Never more than is taken: the path may be a device, or a pipe without end.
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE { Err(too_large()) } else { Ok(bytes) }
    }
    fn is_file(&self, path: &Path) -> bool {
        path.metadata().is_ok_and(|m| !m.is_dir())
    }
    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }
}

/// Files in memory, for tests and for text that came from elsewhere.
#[derive(Debug, Clone, Default)]
pub struct MemorySources {
    /// Content by absolute path.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
}

impl MemorySources {
    /// Adds a file.
    pub fn with(mut self, path: impl Into<PathBuf>, text: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }
}

impl Sources for MemorySources {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.files.get(path) {
            Some(bytes) => Ok(bytes.clone()),
            None if self.is_dir(path) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
    fn is_file(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }
    fn is_dir(&self, path: &Path) -> bool {
        self.files.keys().any(|f| f != path && f.starts_with(path))
    }
}

/// Why a file can't be read, in plain words, and what to do if that isn't clear from them.
pub(crate) fn unreadable(e: &io::Error) -> (String, Option<&'static str>) {
    match e.kind() {
        io::ErrorKind::NotFound => ("no such file".to_owned(), None),
        io::ErrorKind::IsADirectory => ("it is a directory".to_owned(), None),
        io::ErrorKind::PermissionDenied => {
            ("permission denied".to_owned(), Some("let this user read it, or run the command as one who may"))
        }
        _ => (e.to_string(), None),
    }
}

/// Joins and removes `.` and `..` by text, as Go's `filepath.Join` does: symbolic links aren't followed.
pub fn join_clean(base: &Path, path: &Path) -> PathBuf {
    use std::path::Component;
    let mut out = PathBuf::new();
    for part in base.join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                if !out.pop() && !out.has_root() {
                    out.push("..");
                }
            }
            other => out.push(other),
        }
    }
    out
}
