//! Manifests and indexes, as far as a pull needs them (OCI image spec, manifest.md and image-index.md; docker's
//! schema 2 has the same fields).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::attested;
use super::layer::Blob;
use crate::registry::{About, RegistryError};
use crate::store::LayerId;
use crate::{Descriptor, Digest, ImageConfig, Platform};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u32,
    media_type: Option<String>,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// What an index says of an image beyond where it is.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Annotations of the index.
    pub(super) index: BTreeMap<String, String>,
    /// Annotations of the image's entry.
    pub(super) entry: BTreeMap<String, String>,
    /// Manifests of attestations.
    pub(super) attestations: Vec<Digest>,
}

/// What to fetch next.
#[derive(Debug)]
pub(super) enum Parsed {
    /// The manifest of the platform.
    Index(Digest),
    /// The configuration and the layers' blobs, bottom first, with lengths and types.
    Manifest(Digest, Vec<(Digest, u64, String)>),
}

/// What the index says of the image that was chosen.
pub(super) fn said(index: &[u8], chosen: &Digest) -> Said {
    let Ok(document) = serde_json::from_slice::<Document>(index) else { return Said::default() };
    let manifests = document.manifests.unwrap_or_default();
    let entry = manifests.iter().find(|m| m.digest == *chosen).map(|m| m.annotations.clone());
    let attestations = attested::about(&manifests, chosen);
    Said { index: document.annotations, entry: entry.unwrap_or_default(), attestations }
}

/// Annotations of a manifest.
pub(super) fn annotations(manifest: &[u8]) -> BTreeMap<String, String> {
    serde_json::from_slice::<Document>(manifest).map(|d| d.annotations).unwrap_or_default()
}

/// The entry of a list that has this type.
pub(super) fn entry(bytes: &[u8], media_type: &str) -> Option<Digest> {
    let document: Document = serde_json::from_slice(bytes).ok()?;
    document.manifests?.into_iter().find(|m| m.media_type == media_type).map(|m| m.digest)
}

pub(super) fn parse(bytes: &[u8], platform: &Platform, about: &About) -> Result<Parsed, RegistryError> {
    let document: Document = serde_json::from_slice(bytes).map_err(|e| match bytes.trim_ascii_start() {
        [b'<', ..] => about.malformed(
            "its manifest is a web page: a proxy or a page for logins may stand before the registry",
        ),
        _ => about.malformed(format!("its manifest is malformed: {e}")),
    })?;
    match document {
        Document { schema_version: 2, manifests: Some(manifests), .. } => {
            choose(&manifests, platform, about).map(Parsed::Index)
        }
        Document { schema_version: 2, config: Some(config), layers: Some(layers), .. } => {
            Ok(Parsed::Manifest(
                config.digest,
                layers.into_iter().map(|l| (l.digest, l.size, l.media_type)).collect(),
            ))
        }
        Document { schema_version: 1, .. } => {
            let why = "its manifest is of schema 1, obsolete since 2015: push it again with a newer program";
            Err(about.malformed(why))
        }
        Document { media_type: Some(kind), .. } => {
            Err(about.malformed(format!("its manifest describes no image: it is of type `{kind}`")))
        }
        _ => Err(about.malformed("its manifest describes no image")),
    }
}

/// The one that fits best.
fn choose(manifests: &[Descriptor], platform: &Platform, about: &About) -> Result<Digest, RegistryError> {
    let rank = |d: &Descriptor| d.platform.as_ref().and_then(|p| platform.rank(p));
    let best = manifests.iter().filter_map(|d| Some((rank(d)?, d))).min_by_key(|(rank, _)| *rank);
    let only = || manifests.first().filter(|d| manifests.len() == 1 && d.platform.is_none());
    let found = best.map(|(_, d)| d).or_else(only);
    // Attestations stand in an index as `unknown/unknown`.
    let there = manifests.iter().filter_map(|d| d.platform.as_ref()).filter(|p| p.os != "unknown");
    found.map(|d| d.digest).ok_or_else(|| RegistryError::Platform {
        image: about.image.clone(),
        wanted: platform.clone(),
        available: there.map(Platform::to_string).collect(),
    })
}

/// Blobs with the layers that they are of.
pub(super) fn layers(
    blobs: &[(Digest, u64, String)],
    config: &ImageConfig,
    platform: &Platform,
    about: &About,
) -> Result<Vec<Blob>, RegistryError> {
    let diff_ids = &config.rootfs.diff_ids;
    if blobs.len() != diff_ids.len() {
        let why = format!("its manifest has {} layers, its configuration {}", blobs.len(), diff_ids.len());
        return Err(about.malformed(why));
    }
    if !config.os.is_empty() && config.os != platform.os {
        return Err(RegistryError::Platform {
            image: about.image.clone(),
            wanted: platform.clone(),
            available: vec![config.platform().to_string()],
        });
    }
    let blob = |((digest, size, media_type), diff): (&(Digest, u64, String), &Digest)| Blob {
        digest: *digest,
        size: *size,
        media_type: media_type.clone(),
        layer: LayerId(*diff),
    };
    Ok(blobs.iter().zip(diff_ids).map(blob).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(platforms: &[&str]) -> String {
        let entry = |p: &&str| {
            let parts: Vec<&str> = p.split('/').collect();
            let variant = parts.get(2).map(|v| format!(r#","variant":"{v}""#)).unwrap_or_default();
            let digest = Digest::of(p.as_bytes());
            format!(
                r#"{{"digest":"{digest}","size":1,"platform":{{"os":"{}","architecture":"{}"{variant}}}}}"#,
                parts[0], parts[1]
            )
        };
        let entries: Vec<String> = platforms.iter().map(entry).collect();
        format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","))
    }

    #[test]
    fn platforms() {
        let about = About { image: "i".into(), host: "h".into(), logged_in: false, sends: false };
        let there = index(&[
            "linux/amd64/v3",
            "linux/amd64",
            "linux/arm64/v8",
            "linux/arm/v6",
            "linux/arm/v7",
            "unknown/unknown",
        ]);
        for (wanted, want) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/amd64/v2", "linux/amd64"),
            ("linux/arm64", "linux/arm64/v8"),
            ("linux/arm64/v9", "linux/arm64/v8"),
            ("linux/arm", "linux/arm/v7"),
        ] {
            match parse(there.as_bytes(), &wanted.parse().unwrap(), &about).unwrap() {
                Parsed::Index(digest) => assert_eq!(digest, Digest::of(want.as_bytes()), "{wanted}"),
                other => panic!("{other:?}"),
            }
        }
        let error = parse(there.as_bytes(), &"linux/s390x".parse().unwrap(), &about).unwrap_err().to_string();
        let want = "image i is not there for linux/s390x, but for linux/amd64/v3, linux/amd64, linux/arm64/v8, linux/arm/v6, linux/arm/v7";
        assert_eq!(error, want);
        assert!(parse(br#"{"schemaVersion":1}"#, &Platform::host(), &about).is_err());
    }
}
