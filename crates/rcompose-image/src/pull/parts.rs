//! Single layers of a registry, and documents of another kind than an image's that tell of them.

use tokio::sync::mpsc;

use super::NoProgress;
use super::document::{self, Parsed};
use super::layer::{self, Blob, Then};
use crate::push::Document;
use crate::registry::{Registry, RegistryError, RegistryOptions};
use crate::store::{Hold, KnownBlob, LayerBlob, LayerInfo, Store};
use crate::{Platform, Reference};

/// What a name stands for, with its configuration: of an index the entry of type `config`, else the platform's image.
/// Needs a tokio runtime with I/O and time.
pub async fn document(
    reference: &Reference,
    options: &RegistryOptions,
    platform: &Platform,
    config: &str,
) -> Result<Document, RegistryError> {
    let (registry, mut manifest) = Registry::open(reference, options).await?;
    let about = &registry.about;
    let digest = match document::entry(&manifest.bytes, config) {
        Some(digest) => digest,
        None => {
            if let Parsed::Index(chosen) = document::parse(&manifest.bytes, platform, about)? {
                manifest = registry.manifest(&chosen.to_string()).await?;
            }
            match document::parse(&manifest.bytes, platform, about)? {
                Parsed::Manifest(config, _) => config,
                Parsed::Index(_) => return Err(about.malformed("its index leads to another index")),
            }
        }
    };
    let config: Vec<u8> = registry.blob(digest).await?;
    Ok(Document { config, manifest: manifest.bytes, media_type: manifest.media_type })
}

/// Gets one layer; the hold keeps it. Needs a tokio runtime with I/O and time.
pub async fn pull_layer(
    store: &Store,
    reference: &Reference,
    options: &RegistryOptions,
    blob: &LayerBlob,
    hold: &Hold,
) -> Result<LayerInfo, RegistryError> {
    let registry = Registry::open_repository(reference, options).await?;
    let wanted =
        Blob { digest: blob.digest, size: blob.size, media_type: blob.media_type.clone(), layer: blob.layer };
    let keep = (store.clone(), hold.clone());
    let then: Then<LayerInfo> = Box::new(move |unpacked| keep.0.keep_unpacked(&unpacked, &keep.1));
    let (running, mut all_done) = mpsc::channel(1);
    let fetched = layer::fetch(&registry, store, &wanted, &NoProgress, running, then).await;
    // The unpacking thread clears up before we say that it failed.
    let _ = all_done.recv().await;
    let info = fetched?;
    let repository = format!("{}/{}", reference.domain(), reference.path());
    let known = KnownBlob::new(blob.digest, blob.size, &blob.media_type, &repository);
    store.remember(&blob.digest, None, vec![(blob.layer, known)])?;
    Ok(info)
}
