//! What registries know of images and layers here: which blob a layer was pulled from or pushed as, and the manifest
//! that an image came with. Only hints: without them a push compresses and sends what it could have skipped.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Image, LayerId, Store, files};
use crate::Digest;
use crate::error::{ImageError, Result};

/// So many repositories are remembered of a blob, and so many blobs of a layer.
const MOST: usize = 16;

/// A layer as registries have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownBlob {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) media_type: String,
    /// `host/path`, the latest first.
    pub(crate) repositories: Vec<String>,
}

/// The manifest that an image came with, byte for byte.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct KnownManifest {
    pub(crate) media_type: String,
    pub(crate) text: String,
}

impl KnownBlob {
    pub(crate) fn new(digest: Digest, size: u64, media_type: &str, repository: &str) -> Self {
        Self { digest, size, media_type: media_type.to_owned(), repositories: vec![repository.to_owned()] }
    }

    /// Whether this one tells as much as the other.
    pub(crate) fn tells(&self, other: &Self) -> bool {
        self.digest == other.digest && other.repositories.iter().all(|r| self.repositories.contains(r))
    }
}

impl Store {
    /// The latest first.
    pub(crate) fn known_blobs(&self, layer: &LayerId) -> Result<Vec<KnownBlob>> {
        Ok(match files::read(&self.blobs_path(layer))? {
            // It isn't synchronised: after a power cut it may be empty, and then nothing is known.
            Some(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            None => Vec::new(),
        })
    }

    pub(crate) fn known_manifest(&self, image: &Image) -> Result<Option<KnownManifest>> {
        let bytes = files::read(&self.manifest_path(&image.id))?;
        Ok(bytes.and_then(|b| serde_json::from_slice(&b).ok()))
    }

    /// Length of an image as it travels, bytes: of its layers as a registry has them, else as an archive would, and of its
    /// configuration. `None`: it has been removed meanwhile.
    pub fn content_size(&self, image: &Image) -> Result<Option<u64>> {
        let Some(config) = files::read(&self.config_path(&image.id))? else { return Ok(None) };
        let mut size = config.len() as u64;
        for layer in image.layers.iter().collect::<std::collections::BTreeSet<_>>() {
            size += match self.known_blobs(layer)?.first() {
                Some(blob) => blob.size,
                None => self.layer_info(layer)?.map_or(0, |l| l.stream),
            };
        }
        Ok(Some(size))
    }

    /// Keeps what a pull or a push has learnt.
    pub(crate) fn remember(
        &self,
        image: &Digest,
        manifest: Option<KnownManifest>,
        blobs: Vec<(LayerId, KnownBlob)>,
    ) -> Result<()> {
        let temp = self.temp()?;
        let _adding = self.adding()?;
        for (n, (layer, new)) in blobs.into_iter().enumerate() {
            let before = self.known_blobs(&layer)?;
            let mut known = before.clone();
            add(&mut known, new);
            if known != before {
                let path = self.blobs_path(&layer);
                put(temp.path().join(format!("known{n}")), path.clone(), &files::to_json(&path, &known)?)?;
            }
        }
        if let Some(manifest) = manifest.filter(|_| self.summary_path(image).exists()) {
            let path = self.manifest_path(image);
            put(temp.path().join("manifest"), path.clone(), &files::to_json(&path, &manifest)?)?;
        }
        Ok(())
    }

    /// What a registry has now under a name.
    pub(crate) fn name_in_registry(
        &self,
        images: &[Image],
        name: &crate::Reference,
        manifest: Digest,
    ) -> Result<()> {
        let _adding = self.adding()?;
        self.change_names(|names| {
            let known = names.get_mut(&super::names::key(name));
            if let Some(known) = known.filter(|n| images.iter().any(|i| i.id == n.image)) {
                known.manifest = Some(manifest);
            }
            Ok(())
        })
    }

    fn blobs_path(&self, layer: &LayerId) -> PathBuf {
        self.layer_dir(layer).join("blobs.json")
    }

    pub(super) fn manifest_path(&self, image: &Digest) -> PathBuf {
        self.root.join("images").join(format!("{}.manifest", image.hex()))
    }
}

fn add(known: &mut Vec<KnownBlob>, new: KnownBlob) {
    match known.iter_mut().find(|k| k.digest == new.digest) {
        Some(old) => {
            for repository in new.repositories {
                old.repositories.retain(|r| *r != repository);
                old.repositories.insert(0, repository);
            }
            old.repositories.truncate(MOST);
        }
        None => {
            known.insert(0, new);
            known.truncate(MOST);
        }
    }
}

fn put(staged: PathBuf, path: PathBuf, bytes: &[u8]) -> Result<()> {
    fs::write(&staged, bytes).map_err(|e| ImageError::io("write", &staged, e))?;
    match fs::rename(&staged, &path) {
        // The layer was removed a moment ago.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.map_err(|e| ImageError::io("rename", &staged, e)),
    }
}
