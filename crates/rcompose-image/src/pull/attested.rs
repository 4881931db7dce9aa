//! What an index says of an image: annotations, and attestations in manifests of their own.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::document::Said;
use crate::index::{STATEMENT, Statement};
use crate::registry::{Registry, RegistryError};
use crate::{Attestation, Descriptor, Digest, Reference, image_purl};

/// Lists of packages are long. What doesn't fit into this together with those before it is left out.
const LONGEST: u64 = 64 << 20;

#[derive(Debug, Deserialize)]
struct Manifest {
    layers: Vec<Descriptor>,
}

/// What goes with an image under a name.
#[derive(Debug, Default)]
pub(crate) struct Attested {
    /// Annotations of the index.
    pub(crate) index: BTreeMap<String, String>,
    /// Annotations of the image's entry in it.
    pub(crate) entry: BTreeMap<String, String>,
    /// Annotations of the image's manifest.
    pub(crate) manifest: BTreeMap<String, String>,
    pub(crate) attestations: Vec<Attestation>,
    /// The names that the attestations give the image.
    pub(crate) subjects: Vec<Reference>,
}

/// Fetches what is attested of an image. What the registry doesn't have of it or won't give, or can't be read, is left
/// out: the image is of use without it.
pub(super) async fn fetch(registry: &Registry, said: Said) -> Result<Attested, RegistryError> {
    let Said { index, entry, attestations } = said;
    let mut out = Attested { index, entry, ..Attested::default() };
    let mut room = LONGEST;
    for digest in attestations {
        let Some(manifest) = there(registry.manifest(&digest.to_string()).await)? else { continue };
        let Ok(manifest) = serde_json::from_slice::<Manifest>(&manifest.bytes) else { continue };
        for layer in manifest.layers.iter().filter(|l| l.media_type == STATEMENT) {
            // No more than it says, which is what there is room for.
            let Some(left) = room.checked_sub(layer.size) else { continue };
            let fetched = registry.document(layer.digest, "an attestation", layer.size).await;
            let Some(bytes) = there(fetched)? else { continue };
            room = left;
            let Ok(statement) = serde_json::from_slice::<Statement>(&bytes) else { continue };
            for subject in statement.subject.iter().filter_map(subject) {
                if !out.subjects.contains(&subject) {
                    out.subjects.push(subject);
                }
            }
            let Statement { predicate_type, predicate, .. } = statement;
            out.attestations.push(Attestation { predicate_type, predicate });
        }
    }
    Ok(out)
}

fn there<T>(fetched: Result<T, RegistryError>) -> Result<Option<T>, RegistryError> {
    match fetched {
        Err(
            RegistryError::NotFound { .. }
            | RegistryError::Unauthorized { .. }
            | RegistryError::Refused { .. }
            | RegistryError::Failing { .. }
            | RegistryError::Malformed { .. }
            | RegistryError::Mismatch { .. },
        ) => Ok(None),
        other => other.map(Some),
    }
}

/// The name in a package URL; none if it says more than ours would.
fn subject(subject: &Value) -> Option<Reference> {
    let purl = subject["name"].as_str()?;
    let (name, rest) = purl.strip_prefix("pkg:docker/")?.split_once('@')?;
    let (tag, platform) = rest.split_once("?platform=").unwrap_or((rest, ""));
    let plain = |text: &str| text.replace("%3A", ":").replace("%2F", "/");
    let reference: Reference = format!("{}:{tag}", plain(name)).parse().ok()?;
    let platform = plain(platform).parse().ok();
    (image_purl(&reference, platform.as_ref()) == purl).then_some(reference)
}

/// Digests of attestation manifests of an image's manifest.
pub(super) fn about(manifests: &[Descriptor], image: &Digest) -> Vec<Digest> {
    let image = image.to_string();
    manifests
        .iter()
        .filter(|d| d.is_attestation() && d.attested() == Some(&image))
        .map(|d| d.digest)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects() {
        for name in ["alpine", "alpine:3", "127.0.0.1:5000/a/b:v1", "a/b:1.2-3"] {
            let reference: Reference = name.parse().unwrap();
            let platform = "linux/amd64".parse().unwrap();
            for purl in [image_purl(&reference, None), image_purl(&reference, Some(&platform))] {
                let found = subject(&serde_json::json!({ "name": purl })).unwrap();
                assert_eq!(found.canonical(), reference.canonical());
            }
        }
        for other in ["pkg:docker/a?digest=x", "pkg:oci/a@1", "_", "pkg:docker/a@1?x=y"] {
            assert_eq!(subject(&serde_json::json!({ "name": other })), None, "{other}");
        }
    }
}
