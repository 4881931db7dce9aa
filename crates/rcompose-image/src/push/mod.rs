//! Images to registries.
//!
//! A layer's blob is not kept: it is made again by compressing the layer's stream, always alike. So before that, every
//! blob that the layer was once pulled from or pushed as is asked for; what the registry has, or can take from another
//! repository of its own, isn't sent. An image that came with a manifest whose blobs are all there keeps that manifest.

mod parts;
mod upload;

pub use parts::{Document, push_parts};

use futures_util::{StreamExt, TryStreamExt};
use serde_json::{Value, json};

use crate::pull::{LayerProgress, LayerState, PullProgress};
use crate::registry::{Manifest, Registry, RegistryError, RegistryOptions, target};
use crate::store::{Image, KnownBlob, KnownManifest, LayerId, Store};
use crate::stream::Packing;
use crate::{Digest, ImageError, Reference};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Layers at once, as docker's `max-concurrent-uploads`.
const PARALLEL: usize = 5;

/// What a registry has now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pushed {
    /// Digest of the manifest.
    pub digest: Digest,
    /// Its length, bytes.
    pub size: u64,
}

/// Sends an image of the store to the registry of `reference`, a name of the image. The name appears there when all of
/// the image is there. Needs a tokio runtime with I/O and time.
pub async fn push(
    store: &Store,
    reference: &Reference,
    options: &RegistryOptions,
    progress: &dyn PullProgress,
) -> Result<Pushed, RegistryError> {
    let image = store.get(reference)?.ok_or_else(|| ImageError::NotFound(reference.to_string()))?;
    let hold = store.hold()?;
    for layer in &image.layers {
        if !hold.layer(layer)? {
            return Err(ImageError::LayerMissing(layer.0).into());
        }
    }
    let registry = Registry::open_for_push(reference, options).await?;
    let repository = format!("{}/{}", reference.domain(), reference.path());
    let came_with = store.known_manifest(&image)?;
    let blobs = layers(store, &registry, &image, &repository, came_with.as_ref(), progress).await?;
    let config = store.config_bytes(&image)?;
    let mut tries = registry.tries();
    while let Err(failed) = upload::small(&registry, image.id, &config).await {
        tries.again(failed).await.map_err(|e| registry.about.error(e))?;
    }
    let manifest = manifest(&image, config.len(), &blobs, came_with);
    let mut tries = registry.tries();
    while let Err(failed) = upload::manifest(&registry, &target(reference), &manifest).await {
        tries.again(failed).await.map_err(|e| registry.about.error(e))?;
    }
    let pushed = Pushed { digest: manifest.digest, size: manifest.bytes.len() as u64 };
    let known = KnownManifest {
        media_type: manifest.media_type,
        text: String::from_utf8_lossy(&manifest.bytes).into_owned(),
    };
    let learnt = image.layers.iter().copied().zip(blobs).collect();
    store.remember(&image.id, Some(known), learnt)?;
    store.name_in_registry(&image.id, reference, pushed.digest)?;
    Ok(pushed)
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
                let blob = upload::layer(store, registry, layer, to, preferred, progress).await?;
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
fn manifest(image: &Image, config: usize, blobs: &[KnownBlob], came_with: Option<KnownManifest>) -> Manifest {
    if let Some(known) = came_with {
        let value: Value = serde_json::from_str(&known.text).unwrap_or_default();
        let same = value["config"]["digest"].as_str() == Some(&image.id.to_string())
            && blobs_of(&known) == blobs.iter().map(|b| b.digest).collect::<Vec<_>>();
        if same {
            let bytes = known.text.into_bytes();
            return Manifest { digest: Digest::of(&bytes), bytes, media_type: known.media_type };
        }
    }
    let layers: Vec<Value> = blobs
        .iter()
        .map(|b| json!({ "mediaType": oci(&b.media_type), "digest": b.digest, "size": b.size }))
        .collect();
    let bytes = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": { "mediaType": CONFIG, "digest": image.id, "size": config },
        "layers": layers,
    })
    .to_string()
    .into_bytes();
    Manifest { digest: Digest::of(&bytes), bytes, media_type: MANIFEST.to_owned() }
}

/// OCI's name of a layer's type.
fn oci(media_type: &str) -> &'static str {
    match media_type {
        t if t.ends_with("zstd") => "application/vnd.oci.image.layer.v1.tar+zstd",
        t if t.ends_with("gzip") => "application/vnd.oci.image.layer.v1.tar+gzip",
        _ => "application/vnd.oci.image.layer.v1.tar",
    }
}
