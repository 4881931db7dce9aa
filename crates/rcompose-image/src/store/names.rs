//! Names of images: one small file, so that a reader sees all names of one moment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Store, files};
use crate::error::{ImageError, Result};
use crate::{Digest, Reference};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Name {
    pub(super) image: Digest,
    /// What the registry has under this name: a manifest or an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) manifest: Option<Digest>,
    /// What it stands for beyond its image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) index: Option<Digest>,
    /// The images of other platforms that are in that index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) others: Vec<Digest>,
    /// RFC 3339.
    pub(super) tagged: String,
}

/// Canonical reference → what it means. An index without a name is under `@` and its digest, which is no reference.
pub(super) type Names = BTreeMap<String, Name>;

/// The key of a name. A name with a digest is bound by the digest alone.
pub(super) fn key(reference: &Reference) -> String {
    match reference.digest() {
        Some(digest) => reference.with_digest(digest).canonical(),
        None => reference.canonical(),
    }
}

/// The name that a reference means: itself, or a tag that was pulled with the digest.
pub(super) fn find<'a>(names: &'a Names, reference: &Reference) -> Option<&'a Name> {
    names.get(&key(reference)).or_else(|| {
        let digest = reference.digest()?;
        let same = |k: &str| k.parse::<Reference>().is_ok_and(|r| r.same_repository(reference));
        names.iter().find(|(k, n)| n.manifest == Some(digest) && same(k)).map(|(_, n)| n)
    })
}

impl Store {
    pub(super) fn names(&self) -> Result<Names> {
        Ok(files::read_json(&self.root.join("refs.json"))?.unwrap_or_default())
    }

    /// Changes the names; the caller holds the store's lock, shared or alone.
    pub(super) fn change_names<T>(&self, change: impl FnOnce(&mut Names) -> Result<T>) -> Result<T> {
        let lock_path = self.root.join("refs.lock");
        let lock = files::to_lock(&lock_path)?;
        lock.lock().map_err(|e| ImageError::io("lock", &lock_path, e))?;
        let before = self.names()?;
        let mut names = before.clone();
        let out = change(&mut names)?;
        if names != before {
            let path = self.root.join("refs.json");
            // Alone by the lock, so the staged file's name can be fixed; a leftover is overwritten.
            files::replace(&self.root.join("refs.json.new"), &path, &files::to_json(&path, &names)?)?;
            let dir = std::fs::File::open(&self.root).map_err(|e| ImageError::io("open", &self.root, e))?;
            dir.sync_all().map_err(|e| ImageError::io("write", &self.root, e))?;
            self.forget_indexes(&before, &names)?;
        }
        Ok(out)
    }
}
