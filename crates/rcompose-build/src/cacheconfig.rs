//! Caches elsewhere, in BuildKit's form (cache/remotecache/v1/types/doc.go): layers, and records that tell by which key a
//! step made which. A key of BuildKit is a digest of its own graph's vertices, so neither finds the other's steps; but
//! each reads the other's cache, and takes it for one that knows nothing of the build.
//!
//! Each of our records has one input, a record that stands for this form of keys.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcompose_image::{Descriptor, Digest, Document, ImageConfig, LayerBlob, LayerId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::StepOutcome;

/// The type of a cache's configuration.
pub const CACHE_CONFIG: &str = "application/vnd.buildkit.cacheconfig.v0";

/// What the record stands for that ours have as input. Other keys need another word.
const KEYS: &[u8] = b"dev.rcompose.build-cache.v1";

/// Annotations of a layer.
const DIFF_ID: &str = "containerd.io/uncompressed";
const CREATED: &str = "buildkit/createdat";

/// How the layers of a cache are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheForm {
    /// By a manifest as an image has, which more registries take; else by an index.
    pub image_manifest: bool,
    /// With OCI's types; else docker's.
    pub oci: bool,
}

/// What a cache knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheContents {
    /// Steps; none if another builder has made it.
    pub steps: Vec<StepOutcome>,
    /// Where their layers are.
    pub blobs: Vec<LayerBlob>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Config {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    layers: Vec<Layer>,
    #[serde(default)]
    records: Vec<Record>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Layer {
    blob: Digest,
    /// -1: none.
    #[serde(default)]
    parent: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    digest: Digest,
    #[serde(rename = "layers", default, skip_serializing_if = "Vec::is_empty")]
    results: Vec<Made>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<Vec<Input>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Made {
    layer: usize,
    #[serde(rename = "createdAt", default)]
    created: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Input {
    link: usize,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
}

/// The records of steps whose layer has a number.
fn records(steps: &[&StepOutcome], number: impl Fn(Digest) -> Option<usize>) -> Vec<Record> {
    let mut all = vec![Record { digest: Digest::of(KEYS), results: Vec::new(), inputs: Vec::new() }];
    for step in steps {
        let Some(layer) = step.layer.and_then(&number) else { continue };
        all.push(Record {
            digest: step.key,
            results: vec![Made { layer, created: step.created.clone() }],
            inputs: vec![vec![Input { link: 0 }]],
        });
    }
    all
}

/// Steps of records of ours; `layer` tells a number's diff id.
fn steps(records: &[Record], layer: impl Fn(usize) -> Option<Digest>) -> Vec<StepOutcome> {
    let keys = Digest::of(KEYS);
    let ours = |r: &&Record| match r.inputs.as_slice() {
        [one] => one.iter().any(|i| records.get(i.link).is_some_and(|of| of.digest == keys)),
        _ => false,
    };
    let step = |r: &Record| {
        let made = r.results.first()?;
        Some(StepOutcome { key: r.digest, layer: Some(layer(made.layer)?), created: made.created.clone() })
    };
    records.iter().filter(ours).filter_map(step).collect()
}

/// A cache of steps whose layers are there as `blobs`.
pub fn cache_document(steps: &[&StepOutcome], blobs: &[LayerBlob], form: CacheForm) -> Document {
    let number = |layer: Digest| blobs.iter().position(|b| b.layer.0 == layer);
    let config = Config {
        layers: blobs.iter().map(|b| Layer { blob: b.digest, parent: -1 }).collect(),
        records: records(steps, number),
    };
    let config = json!(config).to_string().into_bytes();
    let created = |layer: Digest| {
        steps.iter().find(|s| s.layer == Some(layer)).map(|s| s.created.clone()).unwrap_or_default()
    };
    let layer = |b: &LayerBlob| {
        json!({
            "mediaType": layer_type(&b.media_type, form.oci),
            "digest": b.digest,
            "size": b.size,
            "annotations": { DIFF_ID: b.layer, CREATED: created(b.layer.0) },
        })
    };
    let layers: Vec<_> = blobs.iter().map(layer).collect();
    let own = json!({ "mediaType": CACHE_CONFIG, "digest": Digest::of(&config), "size": config.len() });
    let media_type = match form {
        CacheForm { image_manifest: true, .. } => "application/vnd.oci.image.manifest.v1+json",
        CacheForm { oci: true, .. } => "application/vnd.oci.image.index.v1+json",
        CacheForm { oci: false, .. } => "application/vnd.docker.distribution.manifest.list.v2+json",
    };
    let manifest = match form.image_manifest {
        true => json!({ "schemaVersion": 2, "mediaType": media_type, "config": own, "layers": layers }),
        false => {
            let all: Vec<_> = layers.into_iter().chain([own]).collect();
            json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": all })
        }
    };
    Document { config, manifest: manifest.to_string().into_bytes(), media_type: media_type.to_owned() }
}

fn layer_type(media_type: &str, oci: bool) -> String {
    let kind = media_type.rsplit(['+', '.']).next().filter(|k| matches!(*k, "gzip" | "zstd"));
    let (base, sign) = match oci {
        true => ("application/vnd.oci.image.layer.v1.tar", '+'),
        false => ("application/vnd.docker.image.rootfs.diff.tar", '.'),
    };
    kind.map_or_else(|| base.to_owned(), |kind| format!("{base}{sign}{kind}"))
}

/// The cache that goes into an image's configuration, of steps with a layer of the image.
pub(crate) fn inline_cache(steps: &[&StepOutcome], image: &ImageConfig) -> String {
    let number = |layer: Digest| image.rootfs.diff_ids.iter().position(|d| *d == layer);
    STANDARD.encode(json!(records(steps, number)).to_string())
}

/// The steps that an image's configuration tells of.
pub fn read_inline(image: &ImageConfig) -> Result<Vec<StepOutcome>, String> {
    let text = image.cache.as_deref().ok_or("it is an image without a build cache in it")?;
    let malformed = |e: &dyn std::fmt::Display| format!("its inline cache is malformed: {e}");
    let bytes = STANDARD.decode(text).map_err(|e| malformed(&e))?;
    let records: Vec<Record> = serde_json::from_slice(&bytes).map_err(|e| malformed(&e))?;
    Ok(steps(&records, |n| image.rootfs.diff_ids.get(n).copied()))
}

/// What a cache, or an image with one, knows.
pub fn read_cache(document: &Document) -> Result<CacheContents, String> {
    let malformed = |e: serde_json::Error| format!("its manifest is malformed: {e}");
    let manifest: Manifest = serde_json::from_slice(&document.manifest).map_err(malformed)?;
    let is_cache = manifest.config.as_ref().is_none_or(|c| c.media_type == CACHE_CONFIG);
    let mut layers = manifest.layers.or(manifest.manifests).unwrap_or_default();
    layers.retain(|l| l.media_type != CACHE_CONFIG);
    let blob = |l: &Descriptor, layer: Digest| LayerBlob {
        layer: LayerId(layer),
        digest: l.digest,
        size: l.size,
        media_type: l.media_type.clone(),
    };
    if !is_cache {
        let image: ImageConfig = serde_json::from_slice(&document.config)
            .map_err(|e| format!("its configuration is malformed: {e}"))?;
        let blobs = layers.iter().zip(&image.rootfs.diff_ids).map(|(l, d)| blob(l, *d)).collect();
        return Ok(CacheContents { steps: read_inline(&image)?, blobs });
    }
    let config: Config = serde_json::from_slice(&document.config)
        .map_err(|e| format!("its configuration is malformed: {e}"))?;
    let diff_id = |l: &Descriptor| l.annotations.get(DIFF_ID)?.parse::<Digest>().ok();
    let blobs: Vec<LayerBlob> = layers.iter().filter_map(|l| Some(blob(l, diff_id(l)?))).collect();
    let layer = |n: usize| {
        let digest = config.layers.get(n)?.blob;
        Some(blobs.iter().find(|b| b.digest == digest)?.layer.0)
    };
    let steps = steps(&config.records, layer);
    Ok(CacheContents { steps, blobs })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(n: u8) -> StepOutcome {
        StepOutcome {
            key: Digest::of(&[n]),
            layer: Some(Digest::of(&[n, n])),
            created: "2026-01-02T03:04:05Z".into(),
        }
    }

    fn blob(n: u8) -> LayerBlob {
        let media_type = "application/vnd.oci.image.layer.v1.tar+zstd".to_owned();
        LayerBlob { layer: LayerId(Digest::of(&[n, n])), digest: Digest::of(&[n, n, n]), size: 7, media_type }
    }

    #[test]
    fn a_cache_in_each_form() {
        let (all, blobs) = ([step(1), step(2)], [blob(2), blob(1)]);
        let all: Vec<&StepOutcome> = all.iter().collect();
        for (image_manifest, oci) in [(true, true), (false, true), (false, false)] {
            let document = cache_document(&all, &blobs, CacheForm { image_manifest, oci });
            let manifest: serde_json::Value = serde_json::from_slice(&document.manifest).unwrap();
            let (list, kind) = if image_manifest { ("layers", "manifest") } else { ("manifests", "") };
            assert!(document.media_type.contains(kind) && manifest["mediaType"] == document.media_type);
            let want = if oci { "oci.image.layer.v1.tar+zstd" } else { "rootfs.diff.tar.zstd" };
            assert!(manifest[list][0]["mediaType"].as_str().unwrap().ends_with(want));
            let read = read_cache(&document).unwrap();
            assert_eq!(read.steps, [step(1), step(2)]);
            assert_eq!(
                read.blobs.iter().map(|b| b.digest).collect::<Vec<_>>(),
                [blobs[0].digest, blobs[1].digest]
            );
        }
    }

    #[test]
    fn a_cache_in_an_image() {
        let mut image = ImageConfig::default();
        image.rootfs.diff_ids = vec![Digest::of(b"base"), Digest::of(&[1, 1])];
        image.cache = Some(inline_cache(&[&step(1), &step(2)], &image));
        assert_eq!(read_inline(&image).unwrap(), [step(1)]);
        let digest = Digest::of(b"x");
        let manifest = json!({
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": 1 },
            "layers": [{ "digest": digest, "size": 1 }, { "digest": Digest::of(b"y"), "size": 2 }],
        });
        let document = Document {
            config: serde_json::to_vec(&image).unwrap(),
            manifest: manifest.to_string().into_bytes(),
            media_type: String::new(),
        };
        let read = read_cache(&document).unwrap();
        assert_eq!((read.steps, read.blobs[1].digest), (vec![step(1)], Digest::of(b"y")));
        image.cache = None;
        assert!(read_inline(&image).unwrap_err().contains("without a build cache"));
    }

    /// As docker buildx 0.37 writes it for a RUN and a COPY.
    #[test]
    fn a_cache_of_buildkit_knows_no_step_of_ours() {
        let digest = |n: u8| Digest::of(&[n]).to_string();
        let config = json!({
            "layers": [{ "blob": digest(0), "parent": 2 }, { "blob": digest(1), "parent": -1 }, { "blob": digest(2), "parent": 1 }],
            "records": [
                { "layers": [{ "layer": 0, "createdAt": "2026-11-21T15:27:47.633538919Z" }], "digest": digest(3), "inputs": [[{ "link": 3 }], [{ "link": 2 }]] },
                { "digest": digest(4) },
                { "digest": digest(5) },
                { "layers": [{ "layer": 2, "createdAt": "2026-11-21T15:27:47.535392634Z" }], "digest": digest(6), "inputs": [[{ "selector": digest(7), "link": 1 }]] },
            ],
        });
        let manifest =
            json!({ "config": { "mediaType": CACHE_CONFIG, "digest": digest(8), "size": 1 }, "layers": [] });
        let document = Document {
            config: config.to_string().into_bytes(),
            manifest: manifest.to_string().into_bytes(),
            media_type: String::new(),
        };
        assert_eq!(read_cache(&document).unwrap(), CacheContents::default());
    }
}
