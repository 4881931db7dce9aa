//! Writing what a build's steps made.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rcompose_build::{BuildEvent, BuildEvents, Built, StepOutcome, cache_document};
use rcompose_image::{Digest, LayerBlob, LayerId, Store};
use serde_json::{Value, json};

use super::super::fetch::push_parts;
use super::{Target, To};
use crate::context::Context;
use crate::failure::Failure;
use crate::own;

/// Writes what a build's steps made.
pub(in crate::pictures) fn write(
    cx: &Context,
    store: &Store,
    caches: &[To],
    built: &Built,
    events: &dyn BuildEvents,
) -> Result<(), Failure> {
    for cache in caches.iter().filter(|c| c.place != Target::Inline) {
        // Outside of GitHub's own machines docker leaves its cache out, too.
        let lenient = cache.lenient || cache.place == Target::Foreign("gha");
        match write_one(cx, store, cache, built) {
            Err(failure) if lenient => {
                let message = format!("the cache {} can't be written: {}", cache.text, failure.text());
                events.event(BuildEvent::Warning { message: &message, line: 0 });
            }
            other => other.map_err(|f| f.context(format!("failed to write the cache {}", cache.text)))?,
        }
    }
    Ok(())
}

fn write_one(cx: &Context, store: &Store, cache: &To, built: &Built) -> Result<(), Failure> {
    let own = &built.config.rootfs.diff_ids;
    let wanted = |s: &&StepOutcome| s.layer.is_some_and(|l| cache.all || own.contains(&l));
    let steps: Vec<&StepOutcome> = built.steps.iter().filter(wanted).collect();
    let distinct: BTreeSet<LayerId> = steps.iter().filter_map(|s| s.layer).map(LayerId).collect();
    let layers: Vec<LayerId> = distinct.into_iter().collect();
    if layers.is_empty() {
        // There is nothing that could be found again.
        return Ok(());
    }
    let document = |blobs: &[LayerBlob]| cache_document(&steps, blobs, cache.form);
    match &cache.place {
        Target::Inline => Ok(()),
        Target::Foreign(kind) => Err(Failure::unsupported(format!("caches of type {kind} aren't supported"))
            .hint("write type=registry,ref=IMAGE or type=local,dest=DIRECTORY")),
        Target::Registry { name, insecure } => {
            push_parts(cx, store, (name, *insecure), (&layers, &cache.packing), document)
        }
        Target::Local { directory, tag, reset } => {
            let blobs_at = directory.join("blobs/sha256");
            own::make_dirs(&blobs_at)
                .map_err(|e| Failure::io(format_args!("make {}", blobs_at.display()), &e))?;
            let blobs = layers.iter().map(|layer| store.export_blob(layer, &cache.packing, directory));
            let document = document(&blobs.collect::<Result<Vec<_>, _>>()?);
            put(directory, &Digest::of(&document.config), &document.config)?;
            let digest = Digest::of(&document.manifest);
            put(directory, &digest, &document.manifest)?;
            let entry = json!({
                "mediaType": document.media_type,
                "digest": digest,
                "size": document.manifest.len(),
                "annotations": { "org.opencontainers.image.ref.name": tag },
            });
            let index = name(directory, tag, entry)?;
            if *reset { forget_others(directory, &index) } else { Ok(()) }
        }
    }
}

fn put(directory: &Path, digest: &Digest, bytes: &[u8]) -> Result<(), Failure> {
    replace(&directory.join("blobs/sha256").join(digest.hex()), bytes)
}

/// Written beside, then renamed.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::io(format_args!("write {}", path.display()), &e);
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let beside = path.with_file_name(format!(".{file}.{}", std::process::id()));
    fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path)).map_err(failed)
}

/// Gives the tag to a manifest; the layout's index then.
fn name(directory: &Path, tag: &str, entry: Value) -> Result<Value, Failure> {
    let path = directory.join("index.json");
    let failed = |e: std::io::Error| Failure::io(format_args!("write {}", path.display()), &e);
    // Two builds may write at once.
    let lock = fs::File::open(directory).map_err(failed)?;
    lock.lock().map_err(failed)?;
    let before: Option<Value> = fs::read(&path).ok().and_then(|b| serde_json::from_slice(&b).ok());
    let mut manifests: Vec<Value> =
        before.and_then(|index| Some(index["manifests"].as_array()?.clone())).unwrap_or_default();
    manifests.retain(|m| m["annotations"]["org.opencontainers.image.ref.name"] != tag);
    manifests.push(entry);
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests,
    });
    replace(&directory.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    replace(&path, index.to_string().as_bytes())?;
    Ok(index)
}

/// Removes the blobs that no manifest of the index leads to.
fn forget_others(directory: &Path, index: &Value) -> Result<(), Failure> {
    let blobs = directory.join("blobs/sha256");
    let mut wanted: BTreeSet<String> = BTreeSet::new();
    let mut open = vec![index.clone()];
    while let Some(document) = open.pop() {
        let lists = ["manifests", "layers"].iter().filter_map(|k| document[*k].as_array()).flatten();
        for entry in lists.chain([&document["config"]]) {
            let Some(digest) = entry["digest"].as_str().and_then(|d| d.parse::<Digest>().ok()) else {
                continue;
            };
            let kind = entry["mediaType"].as_str().unwrap_or_default();
            let leads_on = kind.contains("manifest") || kind.contains("index");
            if wanted.insert(digest.hex())
                && leads_on
                && let Ok(bytes) = fs::read(blobs.join(digest.hex()))
                && let Ok(inner) = serde_json::from_slice(&bytes)
            {
                open.push(inner);
            }
        }
    }
    let failed = |e: std::io::Error| Failure::io(format_args!("clear up {}", blobs.display()), &e);
    for entry in fs::read_dir(&blobs).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !wanted.contains(&*entry.file_name().to_string_lossy()) {
            fs::remove_file(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}
