//! Which layer a step made last time.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rcompose_image::{Digest, Hasher};
use serde::{Deserialize, Serialize};

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
        let bytes = fs::read(self.path(key)).ok()?;
        let record: Record = serde_json::from_slice(&bytes).ok()?;
        (record.version == 1).then_some((record.layer, record.created))
    }

    pub(crate) fn put(&self, key: &Digest, layer: Option<Digest>, created: &str) -> io::Result<()> {
        let record = Record { version: 1, layer, created: created.to_owned() };
        write_atomic(&self.path(key), &serde_json::to_vec(&record)?)
    }
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
