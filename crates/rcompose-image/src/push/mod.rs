//! Images to registries.
//!
//! A layer's blob is not kept: it is made again by compressing the layer's stream, always alike. So before that, every
//! blob that the layer was once pulled from or pushed as is asked for; what the registry has, or can take from another
//! repository of its own, isn't sent. An image that came with a manifest whose blobs are all there keeps that manifest.

mod parts;
mod upload;

pub use parts::{Document, push_parts};

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt};
use serde_json::Value;

use crate::index::{self, Blob, Documents};
use crate::pull::{LayerProgress, LayerState, PullProgress};
use crate::registry::{Manifest, Registry, RegistryError, RegistryOptions, target};
use crate::store::{Image, KnownBlob, KnownManifest, LayerId, Store};
use crate::stream::Packing;
use crate::{Digest, ImageError, Member, Platform, Reference};

/// Layers at once, as docker's `max-concurrent-uploads`.
const PARALLEL: usize = 5;

/// What a registry has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Digest of the manifest or index.
    pub digest: Digest,
    /// Its type.
    pub media_type: String,
    /// Its length, bytes.
    pub size: u64,
}

/// Sends what a name stands for to the name's registry: an index with all its images and what is attested of them, or
/// only the image of one platform. The name appears there when all of it is there. Needs a tokio runtime with I/O and
/// time.
pub async fn push(
    store: &Store,
    reference: &Reference,
    platform: Option<&Platform>,
    options: &RegistryOptions,
    progress: &dyn PullProgress,
) -> Result<Pushed, RegistryError> {
    let text = reference.to_string();
    let index = store.find_index(&text)?.filter(|_| platform.is_none());
    let mut images = store.find_all(&text)?;
    match &index {
        // In the index's order.
        Some(index) => {
            let find = |m: &Member| images.iter().find(|i| i.id == m.image).cloned();
            images = index.members.iter().filter_map(find).collect();
        }
        None => {
            images.retain(|i| platform.is_none_or(|p| p.accepts(&i.config.platform())));
            images.truncate(1);
        }
    }
    if images.is_empty() {
        return Err(ImageError::NotFound(text).into());
    }
    let hold = store.hold()?;
    for image in &images {
        hold.image(&image.id, &image.layers)?;
    }
    let registry = Registry::open_for_push(reference, options).await?;
    let mut manifests = Vec::new();
    for (n, image) in images.iter().enumerate() {
        let annotations = index.as_ref().and_then(|i| i.members.get(n)).map(|m| &m.annotations);
        let annotations = annotations.filter(|a| !a.is_empty());
        manifests.push(send_image(store, &registry, (reference, image), annotations, progress).await?);
    }
    let documents = match &index {
        Some(index) => index.documents(manifests),
        None => Documents::of(manifests.remove(0)),
    };
    for (digest, bytes) in &documents.blobs {
        let mut tries = registry.tries();
        while let Err(failed) = upload::small(&registry, *digest, bytes).await {
            tries.again(failed).await.map_err(|e| registry.about.error(e))?;
        }
    }
    let below = documents.manifests.iter().map(|m| (m.digest.to_string(), m));
    for (to, document) in below.chain([(target(reference), &documents.root)]) {
        let mut tries = registry.tries();
        while let Err(failed) = upload::manifest(&registry, &to, document).await {
            tries.again(failed).await.map_err(|e| registry.about.error(e))?;
        }
    }
    let Manifest { digest, bytes, media_type } = documents.root;
    let whole = platform.is_none() || store.find_index(&reference.to_string())?.is_none();
    if whole {
        store.name_in_registry(&images, reference, digest)?;
    }
    Ok(Pushed { digest, size: bytes.len() as u64, media_type })
}

/// Sends an image but its manifest, which comes back.
async fn send_image(
    store: &Store,
    registry: &Registry,
    (reference, image): (&Reference, &Image),
    annotations: Option<&BTreeMap<String, String>>,
    progress: &dyn PullProgress,
) -> Result<Manifest, RegistryError> {
    let repository = format!("{}/{}", reference.domain(), reference.path());
    let came_with = store.known_manifest(image)?;
    // Now: somebody may remove the image while its layers, which are held, are on their way.
    let config = store.config_bytes(image)?;
    let blobs = layers(store, registry, image, &repository, came_with.as_ref(), progress).await?;
    let mut tries = registry.tries();
    while let Err(failed) = upload::small(registry, image.id, &config).await {
        tries.again(failed).await.map_err(|e| registry.about.error(e))?;
    }
    let learnt: Vec<(LayerId, KnownBlob)> = image.layers.iter().copied().zip(blobs.iter().cloned()).collect();
    let manifest = manifest(image, config.len(), (&blobs, annotations), came_with);
    if annotations.is_some() {
        store.remember(&image.id, None, learnt)?;
        return Ok(manifest);
    }
    let known = KnownManifest {
        media_type: manifest.media_type.clone(),
        text: String::from_utf8_lossy(&manifest.bytes).into_owned(),
    };
    store.remember(&image.id, Some(known), learnt)?;
    Ok(manifest)
}

/// Sees to it that the registry has every layer; returns what it has them as.
async fn layers(
    store: &Store,
    registry: &Registry,
    image: &Image,
    repository: &str,
    came_with: Option<&KnownManifest>,
    progress: &dyn PullProgress,
) -> Result<Vec<KnownBlob>, RegistryError> {
    let mut distinct: Vec<LayerId> = Vec::new();
    for layer in &image.layers {
        if !distinct.contains(layer) {
            distinct.push(*layer);
            progress.layer(&LayerProgress {
                blob: layer.0,
                layer: *layer,
                bytes: 0,
                total: 0,
                state: LayerState::Waiting,
            });
        }
    }
    let preferred: Vec<Digest> = came_with.map(blobs_of).unwrap_or_default();
    let done: Vec<(LayerId, KnownBlob)> = futures_util::stream::iter(distinct)
        .map(|layer| {
            let preferred = &preferred;
            async move {
                let to = (repository, &Packing::default());
                // Another push of the same layer may be faster: then the registry has it in a repository of its own.
                let host = repository.split('/').next().unwrap_or_default();
                let _turn = store.turn(store.turn_to_push(&layer, host)).await?;
                let blob = upload::layer(store, registry, layer, to, preferred, progress).await?;
                if !store.known_blobs(&layer)?.iter().any(|known| known.tells(&blob)) {
                    store.remember(&image.id, None, vec![(layer, blob.clone())])?;
                }
                Ok::<_, RegistryError>((layer, blob))
            }
        })
        .buffer_unordered(PARALLEL)
        .try_collect()
        .await?;
    let find = |layer: &LayerId| {
        let found = done.iter().find(|(l, _)| l == layer).map(|(_, b)| b.clone());
        found.ok_or_else(|| RegistryError::Store(ImageError::LayerMissing(layer.0)))
    };
    image.layers.iter().map(find).collect()
}

fn blobs_of(manifest: &KnownManifest) -> Vec<Digest> {
    let value: Value = serde_json::from_str(&manifest.text).unwrap_or_default();
    let layers = value["layers"].as_array().into_iter().flatten();
    layers.filter_map(|l| l["digest"].as_str()?.parse().ok()).collect()
}

/// The manifest that the image came with, if it is of these blobs, else a new one.
fn manifest(
    image: &Image,
    config: usize,
    (blobs, annotations): (&[KnownBlob], Option<&BTreeMap<String, String>>),
    came_with: Option<KnownManifest>,
) -> Manifest {
    if let Some(known) = came_with {
        let value: Value = serde_json::from_str(&known.text).unwrap_or_default();
        let same = value["config"]["digest"].as_str() == Some(&image.id.to_string())
            && blobs_of(&known) == blobs.iter().map(|b| b.digest).collect::<Vec<_>>()
            && annotations.is_none_or(|a| value["annotations"] == serde_json::json!(a));
        if same {
            let bytes = known.text.into_bytes();
            return Manifest { digest: Digest::of(&bytes), bytes, media_type: known.media_type };
        }
    }
    new_manifest((image.id, config), blobs, annotations.unwrap_or(&BTreeMap::new()))
}

fn new_manifest(
    config: (Digest, usize),
    blobs: &[KnownBlob],
    annotations: &BTreeMap<String, String>,
) -> Manifest {
    let layer =
        |b: &KnownBlob| Blob { media_type: oci(&b.media_type).to_owned(), digest: b.digest, size: b.size };
    index::manifest(config, &blobs.iter().map(layer).collect::<Vec<_>>(), annotations)
}

/// OCI's name of a layer's type.
fn oci(media_type: &str) -> &'static str {
    match media_type {
        t if t.ends_with("zstd") => "application/vnd.oci.image.layer.v1.tar+zstd",
        t if t.ends_with("gzip") => "application/vnd.oci.image.layer.v1.tar+gzip",
        _ => "application/vnd.oci.image.layer.v1.tar",
    }
}
