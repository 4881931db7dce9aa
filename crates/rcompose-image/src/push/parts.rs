//! Layers in a registry with a document of another kind than an image's.

use futures_util::{StreamExt, TryStreamExt};

use super::{PARALLEL, Pushed, upload};
use crate::pull::NoProgress;
use crate::registry::{Manifest, Registry, RegistryError, RegistryOptions, target};
use crate::store::{LayerBlob, LayerId, Store};
use crate::stream::Packing;
use crate::{Digest, ImageError, Reference};

/// What tells of layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its configuration, a blob.
    pub config: Vec<u8>,
    /// The manifest or index.
    pub manifest: Vec<u8>,
    /// The manifest's type.
    pub media_type: String,
}

/// Sends layers of the store to the repository of `reference`, and the document that `tell` makes of them. The name
/// appears there when all is there. Needs a tokio runtime with I/O and time.
pub async fn push_parts(
    store: &Store,
    reference: &Reference,
    options: &RegistryOptions,
    (layers, packing): (&[LayerId], &Packing),
    tell: impl FnOnce(&[LayerBlob]) -> Document,
) -> Result<Pushed, RegistryError> {
    let hold = store.hold()?;
    for layer in layers {
        if !hold.layer(layer)? {
            return Err(ImageError::LayerMissing(layer.0).into());
        }
    }
    let registry = Registry::open_for_push(reference, options).await?;
    let repository = format!("{}/{}", reference.domain(), reference.path());
    let sent: Vec<_> = futures_util::stream::iter(layers.iter().copied())
        .map(|layer| {
            let (registry, to) = (&registry, (repository.as_str(), packing));
            async move {
                let blob = upload::layer(store, registry, layer, to, &[], &NoProgress).await?;
                Ok::<_, RegistryError>((layer, blob))
            }
        })
        .buffered(PARALLEL)
        .try_collect()
        .await?;
    let blob = |(layer, blob): &(LayerId, crate::store::KnownBlob)| LayerBlob {
        layer: *layer,
        digest: blob.digest,
        size: blob.size,
        media_type: blob.media_type.clone(),
    };
    let document = tell(&sent.iter().map(blob).collect::<Vec<_>>());
    let config = Digest::of(&document.config);
    let mut tries = registry.tries();
    while let Err(failed) = upload::small(&registry, config, &document.config).await {
        tries.again(failed).await.map_err(|e| registry.about.error(e))?;
    }
    let digest = Digest::of(&document.manifest);
    let manifest = Manifest { bytes: document.manifest, digest, media_type: document.media_type };
    let mut tries = registry.tries();
    while let Err(failed) = upload::manifest(&registry, &target(reference), &manifest).await {
        tries.again(failed).await.map_err(|e| registry.about.error(e))?;
    }
    store.remember(&digest, None, sent)?;
    let Manifest { bytes, media_type, .. } = manifest;
    Ok(Pushed { digest, media_type, size: bytes.len() as u64 })
}
