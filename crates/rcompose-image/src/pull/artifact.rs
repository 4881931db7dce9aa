//! Things in a registry that are no images: a manifest with a type of its own, and small blobs (OCI image spec,
//! manifest.md, "Guidelines for Artifact Usage").

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::registry::{Registry, RegistryError, RegistryOptions};
use crate::{Descriptor, Digest, Reference};

/// Longest list of blobs taken: each is one request.
const MOST: usize = 256;

/// A blob of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactBlob {
    /// What it is.
    pub media_type: String,
    /// What the manifest says of it.
    pub annotations: BTreeMap<String, String>,
    /// The whole content.
    pub bytes: Vec<u8>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    manifests: Option<Vec<Descriptor>>,
    layers: Option<Vec<Descriptor>>,
}

/// The digest that a reference has in its registry now. Needs a tokio runtime with I/O and time.
pub async fn digest(reference: &Reference, options: &RegistryOptions) -> Result<Digest, RegistryError> {
    Ok(Registry::open(reference, options).await?.1.digest)
}

#[derive(Debug, Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

/// All tags of a reference's repository. Needs a tokio runtime with I/O and time.
pub async fn tags(reference: &Reference, options: &RegistryOptions) -> Result<Vec<String>, RegistryError> {
    let registry = Registry::open_repository(reference, options).await?;
    let mut all = Vec::new();
    let mut page = registry.url("tags/list");
    for _ in 0..MOST {
        let (bytes, next) = registry.page(&page).await?;
        let tags: Tags = serde_json::from_slice(&bytes)
            .map_err(|e| registry.about.malformed(format!("its list of tags is malformed: {e}")))?;
        all.extend(tags.tags.unwrap_or_default());
        match next {
            Some(next) => page = next,
            None => break,
        }
    }
    Ok(all)
}

/// The blobs of an artifact of type `wanted`; of an index, the first manifest of that type. Older artifacts say the
/// type only by their configuration's media type, `config`.
pub async fn artifact(
    reference: &Reference,
    options: &RegistryOptions,
    wanted: &str,
    config: &str,
) -> Result<Vec<ArtifactBlob>, RegistryError> {
    let (registry, first) = Registry::open(reference, options).await?;
    let read = |bytes: &[u8]| -> Result<Document, RegistryError> {
        serde_json::from_slice(bytes)
            .map_err(|e| registry.about.malformed(format!("its manifest is malformed: {e}")))
    };
    let mut document = read(&first.bytes)?;
    if let Some(manifests) = &document.manifests {
        let found = manifests.iter().find(|m| m.artifact_type.as_deref() == Some(wanted));
        let digest =
            found.map(|m| m.digest).ok_or_else(|| registry.about.malformed(format!("it has no {wanted}")))?;
        document = read(&registry.manifest(&digest.to_string()).await?.bytes)?;
    }
    let is_wanted = match &document.artifact_type {
        Some(kind) => kind == wanted,
        None => document.config.as_ref().is_some_and(|c| c.media_type == config),
    };
    if !is_wanted {
        let is = document.artifact_type.unwrap_or_else(|| "an image".into());
        return Err(registry.about.malformed(format!("it is no {wanted}, but {is}")));
    }
    let layers = document.layers.unwrap_or_default();
    if layers.len() > MOST {
        return Err(registry.about.malformed(format!("it has more than {MOST} parts")));
    }
    let mut out = Vec::with_capacity(layers.len());
    for layer in layers {
        let bytes = registry.blob(layer.digest).await?;
        out.push(ArtifactBlob { media_type: layer.media_type, annotations: layer.annotations, bytes });
    }
    Ok(out)
}
