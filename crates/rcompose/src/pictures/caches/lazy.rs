//! Layers of caches elsewhere: they are fetched when a step is taken from there, not before.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rcompose_image::{Digest, Hold, LayerBlob, Reference, Store};

use super::super::fetch::pull_layer;
use crate::context::Context;
use crate::failure::Failure;

/// Where the layers of caches are, by diff id.
#[derive(Default)]
pub(in crate::pictures) struct Elsewhere(Mutex<BTreeMap<Digest, (LayerBlob, Origin)>>);

/// Who has a blob.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    Registry {
        name: Reference,
        insecure: bool,
    },
    /// A directory with an OCI layout.
    Layout(PathBuf),
}

impl Elsewhere {
    pub(super) fn add(&self, blobs: Vec<LayerBlob>, origin: &Origin) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for blob in blobs {
            all.entry(blob.layer.0).or_insert_with(|| (blob, origin.clone()));
        }
    }

    /// Gets a layer if a cache has it. One that can't be had is asked for once.
    pub(in crate::pictures) fn get(
        &self,
        cx: &Context,
        store: &Store,
        hold: &Hold,
        layer: &Digest,
    ) -> Result<bool, Failure> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(layer);
        let Some((blob, origin)) = found else { return Ok(false) };
        match &origin {
            Origin::Registry { name, insecure } => pull_layer(cx, store, (name, *insecure), &blob, hold)?,
            Origin::Layout(directory) => {
                let path = directory.join("blobs/sha256").join(blob.digest.hex());
                let file = std::fs::File::open(&path)
                    .map_err(|e| Failure::io(format_args!("read {}", path.display()), &e))?;
                store.add_layer(file, &blob.layer, hold)?;
            }
        }
        // For the next build, as if it had been made here.
        store.keep(&blob.layer)?;
        Ok(true)
    }
}
