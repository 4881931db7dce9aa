//! Taking over what caches know.

use std::path::Path;

use rcompose_build::{
    BuildEvent, BuildEvents, CACHE_CONFIG, CacheContents, import_steps, read_cache, read_inline,
};
use rcompose_image::{Digest, Document, LayerId, Platform, Store};
use serde_json::Value;

use super::super::fetch::document;
use super::lazy::{Elsewhere, Origin};
use super::{From, Source};
use crate::context::Context;
use crate::failure::Failure;

/// Longest manifest or configuration taken.
const LONGEST: u64 = 8 << 20;

/// Takes over what the caches know. One that can't be had is only told, as docker does.
pub(in crate::pictures) fn read(
    cx: &Context,
    store: &Store,
    caches: &[From],
    platform: Option<&Platform>,
    events: &dyn BuildEvents,
) -> Elsewhere {
    let elsewhere = Elsewhere::default();
    for cache in caches {
        if let Err(failure) = read_one(cx, store, cache, platform, &elsewhere) {
            let message = format!("the cache {} can't be read: {}", cache.text, failure.text());
            events.event(BuildEvent::Warning { message: &message, line: 0 });
        }
    }
    elsewhere
}

fn read_one(
    cx: &Context,
    store: &Store,
    cache: &From,
    platform: Option<&Platform>,
    elsewhere: &Elsewhere,
) -> Result<(), Failure> {
    let found = |contents: CacheContents, origin: &Origin| {
        elsewhere.add(contents.blobs, origin);
        contents.steps
    };
    let steps = match &cache.place {
        Source::Foreign(kind) => {
            return Err(Failure::unsupported(format!("caches of type {kind} aren't supported")));
        }
        Source::Local { directory, digest, tag } => {
            let contents = read_cache(&local(directory, digest.as_deref(), tag)?).map_err(Failure::user)?;
            found(contents, &Origin::Layout(directory.clone()))
        }
        Source::Registry { name, insecure } => {
            // An image that is here tells as much as the one in the registry.
            match store.get(name)?.and_then(|image| read_inline(&image.config).ok()) {
                Some(steps) => steps,
                None => {
                    let host = Platform::host();
                    let platform = platform.unwrap_or(&host);
                    let contents = read_cache(&document(cx, (name, *insecure), platform, CACHE_CONFIG)?)
                        .map_err(Failure::user)?;
                    let origin = Origin::Registry { name: name.clone(), insecure: *insecure };
                    found(contents, &origin)
                }
            }
        }
    };
    if steps.is_empty() {
        return Err(Failure::user("it has no steps of rcompose: another builder made it")
            .hint("docker's builders name steps by digests of their own graph, so each finds only its own"));
    }
    let root = cx.dirs.build_cache();
    let present = |layer: &Digest| store.layer_path(&LayerId(*layer)).is_some();
    import_steps(&root, &steps, &present)
        .map_err(|e| Failure::io(format_args!("write the build cache in {}", root.display()), &e))
}

/// A cache of an OCI layout, with its configuration.
fn local(directory: &Path, digest: Option<&str>, tag: &str) -> Result<Document, Failure> {
    let index: Value = json(&bytes(&directory.join("index.json"))?, "index.json")?;
    let all = index["manifests"].as_array().map(Vec::as_slice).unwrap_or_default();
    let entry = match digest {
        Some(digest) => all.iter().find(|m| m["digest"] == digest),
        None => all.iter().find(|m| m["annotations"]["org.opencontainers.image.ref.name"] == tag),
    };
    let entry = entry.ok_or_else(|| match digest {
        Some(digest) => Failure::user(format!("{} has no {digest}", directory.display())),
        None => Failure::user(format!("{} has no tag {tag}", directory.display())),
    })?;
    let manifest = blob(directory, &entry["digest"])?;
    let inner: Value = json(&manifest, "its manifest")?;
    let listed = inner["manifests"].as_array().map(Vec::as_slice).unwrap_or_default();
    let config = match listed.iter().find(|m| m["mediaType"] == CACHE_CONFIG) {
        Some(config) => config,
        None => &inner["config"],
    };
    Ok(Document {
        config: blob(directory, &config["digest"])?,
        media_type: entry["mediaType"].as_str().unwrap_or_default().to_owned(),
        manifest,
    })
}

fn json(bytes: &[u8], what: &str) -> Result<Value, Failure> {
    serde_json::from_slice(bytes).map_err(|e| Failure::io(format_args!("read {what}"), &e))
}

/// A small blob, checked.
fn blob(directory: &Path, digest: &Value) -> Result<Vec<u8>, Failure> {
    let digest: Digest = digest
        .as_str()
        .unwrap_or_default()
        .parse()
        .map_err(|_| Failure::user(format!("{} is no build cache", directory.display())))?;
    let path = directory.join("blobs/sha256").join(digest.hex());
    let bytes = bytes(&path)?;
    match Digest::of(&bytes) == digest {
        true => Ok(bytes),
        false => Err(Failure::user(format!("{} isn't what its name says", path.display()))),
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |e: std::io::Error| Failure::io(format_args!("read {}", path.display()), &e);
    match std::fs::metadata(path).map_err(failed)?.len() > LONGEST {
        true => Err(Failure::user(format!("{} is longer than 8 MiB", path.display()))),
        false => std::fs::read(path).map_err(failed),
    }
}
