//! What an OCI layout says: images, and indexes of several with what is attested of them (OCI image spec,
//! image-layout.md).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::load::{Found, Members, blob};
use crate::error::{ImageError, Result};
use crate::index::Statement;
use crate::{Attestation, Descriptor, Digest, ImageConfig, Index, Member, Platform, Reference};

#[derive(Debug, Deserialize)]
struct Document {
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// The images of `index.json`. Without a platform, of several that stand there by themselves this machine's is meant.
pub(super) fn oci_images(members: &Members, index: &[u8], platform: Option<&Platform>) -> Result<Vec<Found>> {
    let document = read::<Document>(index, "index.json")?;
    let mut found: Vec<(Digest, Found)> = Vec::new();
    let host = Platform::host();
    let meant = platform.unwrap_or(&host);
    for entry in document.manifests.unwrap_or_default() {
        if entry.platform.as_ref().is_some_and(|p| !meant.accepts(p)) || entry.is_attestation() {
            continue;
        }
        let names: Vec<Reference> = name(&entry).into_iter().collect();
        if let Some((_, known)) = found.iter_mut().find(|(d, _)| *d == entry.digest) {
            known.refs.extend(names);
            continue;
        }
        let path = blob(&entry.digest);
        let bytes = members.need(&path)?;
        match read::<Document>(bytes, &path)?.manifests {
            None => found.push((entry.digest, image(bytes, &path, names)?.0)),
            Some(_) => {
                let mut all = Vec::new();
                flatten(members, &entry, 0, &mut all)?;
                found.push((entry.digest, several(members, &entry, &all, platform, names)?));
            }
        }
    }
    Ok(found.into_iter().map(|(_, f)| f).collect())
}

/// What an index leads to, indexes below it included.
fn flatten(members: &Members, entry: &Descriptor, depth: usize, out: &mut Vec<Descriptor>) -> Result<()> {
    let path = blob(&entry.digest);
    // What an archive leaves out of an index isn't missed.
    let Some(bytes) = members.json(&path) else { return Ok(()) };
    match read::<Document>(bytes, &path)?.manifests {
        Some(below) if depth < 4 => {
            below.iter().try_for_each(|entry| flatten(members, entry, depth + 1, out))
        }
        Some(_) => Err(ImageError::malformed(format!("`{path}`"), "indexes lead to each other too deeply")),
        None => {
            out.push(entry.clone());
            Ok(())
        }
    }
}

/// The images of an index as one.
fn several(
    members: &Members,
    root: &Descriptor,
    all: &[Descriptor],
    platform: Option<&Platform>,
    refs: Vec<Reference>,
) -> Result<Found> {
    let path = blob(&root.digest);
    let document = read::<Document>(members.need(&path)?, &path)?;
    let mut index = Index { annotations: document.annotations, ..Index::default() };
    index.descriptor_annotations =
        root.annotations.clone().into_iter().filter(|(k, _)| !NAMES.contains(&k.as_str())).collect();
    let (mut images, mut there) = (Vec::new(), Vec::new());
    for entry in all.iter().filter(|d| !d.is_attestation()) {
        let path = blob(&entry.digest);
        let (found, annotations) = image(members.need(&path)?, &path, Vec::new())?;
        if !members.has(&found) {
            continue;
        }
        let config: ImageConfig = read(members.need(&found.config)?, &found.config)?;
        let is = entry.platform.clone().unwrap_or_else(|| config.platform());
        there.push(is.to_string());
        if platform.is_some_and(|p| !p.accepts(&is)) {
            continue;
        }
        let mut member = Member::new(is, Digest::of(members.need(&found.config)?));
        member.annotations = annotations;
        member.descriptor_annotations = entry.annotations.clone();
        for (attestation, named) in attestations(members, all, &entry.digest)? {
            member.attestations.push(attestation);
            if named && index.subjects.is_empty() {
                index.subjects.clone_from(&refs);
            }
        }
        index.members.push(member);
        images.push(found);
    }
    if images.is_empty() {
        let what = platform.map_or("a platform".to_owned(), Platform::to_string);
        let why = match there.is_empty() {
            true => "it has none of the images of its index".to_owned(),
            false => format!("it has no image for {what}, but for {}", there.join(", ")),
        };
        return Err(ImageError::malformed("the archive", why));
    }
    let first = images.remove(0);
    Ok(Found { refs, index: Some((index, images)), ..first })
}

/// What is attested of a manifest, and whether by a name.
fn attestations(members: &Members, all: &[Descriptor], about: &Digest) -> Result<Vec<(Attestation, bool)>> {
    let about = about.to_string();
    let mut out = Vec::new();
    for entry in all.iter().filter(|d| d.is_attestation() && d.attested() == Some(&about)) {
        let path = blob(&entry.digest);
        let manifest: Manifest = read(members.need(&path)?, &path)?;
        for layer in &manifest.layers {
            let path = blob(&layer.digest);
            let statement: Statement = read(members.need(&path)?, &path)?;
            let named = !statement.subject.is_empty();
            let Statement { predicate_type, predicate, .. } = statement;
            out.push((Attestation { predicate_type, predicate }, named));
        }
    }
    Ok(out)
}

/// An image, and its manifest's annotations.
fn image(bytes: &[u8], path: &str, refs: Vec<Reference>) -> Result<(Found, BTreeMap<String, String>)> {
    let manifest: Manifest = read(bytes, path)?;
    let layers = manifest.layers.iter().map(|l| blob(&l.digest)).collect();
    let config = blob(&manifest.config.digest);
    Ok((Found { config, layers, refs, index: None }, manifest.annotations))
}

fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8], path: &str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| ImageError::json(format!("`{path}`"), e))
}

const NAMES: [&str; 2] = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];

/// containerd's annotation is a whole name; the specification's may be one, or only a tag, which names nothing.
fn name(entry: &Descriptor) -> Option<Reference> {
    let annotation = |key: &str| entry.annotations.get(key);
    let whole = annotation(NAMES[0]);
    let short = annotation(NAMES[1]).filter(|n| n.contains([':', '/']));
    whole.or(short)?.parse().ok()
}
