//! Manifests, attestation manifests and indexes as bytes, with the members and their order that BuildKit gives them
//! (BuildKit, exporter/containerimage/writer.go).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Attestation, Index, Member, image_purl};
use crate::registry::Manifest;
use crate::{Digest, Platform};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The type of a statement.
pub(crate) const STATEMENT: &str = "application/vnd.in-toto+json";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const ARTIFACT: &str = "application/vnd.docker.attestation.manifest.v1+json";
/// What a manifest in an index is, if it is no image.
pub(crate) const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
pub(crate) const ATTESTATION: &str = "attestation-manifest";
/// The manifest that it is about.
pub(crate) const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";
/// The annotation of a statement's descriptor that tells what kind of statement it is.
pub const ATTESTATION_TYPE: &str = "in-toto.io/predicate-type";

/// A layer as a manifest points to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blob {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// All of an index.
pub(crate) struct Documents {
    /// What a name leads to: an index or a manifest.
    pub(crate) root: Manifest,
    /// What the root leads to; empty if it is a manifest itself.
    pub(crate) manifests: Vec<Manifest>,
    /// Statements, and configurations that no image has.
    pub(crate) blobs: Vec<(Digest, Vec<u8>)>,
}

impl Documents {
    /// Of an image alone.
    pub(crate) fn of(manifest: Manifest) -> Self {
        Self { root: manifest, manifests: Vec::new(), blobs: Vec::new() }
    }
}

/// As Go's `json.MarshalIndent` with two spaces.
fn pretty(value: &Value) -> Vec<u8> {
    format!("{value:#}").into_bytes()
}

fn document(value: &Value, media_type: &str) -> Manifest {
    let bytes = pretty(value);
    Manifest { digest: Digest::of(&bytes), bytes, media_type: media_type.to_owned() }
}

fn annotated(value: &mut Value, annotations: &BTreeMap<String, String>) {
    if !annotations.is_empty() {
        value["annotations"] = json!(annotations);
    }
}

/// An image's manifest.
pub(crate) fn manifest(
    config: (Digest, usize),
    layers: &[Blob],
    annotations: &BTreeMap<String, String>,
) -> Manifest {
    let layer = |b: &Blob| json!({ "mediaType": b.media_type, "digest": b.digest, "size": b.size });
    let mut value = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": { "mediaType": CONFIG, "digest": config.0, "size": config.1 },
        "layers": layers.iter().map(layer).collect::<Vec<_>>(),
    });
    annotated(&mut value, annotations);
    document(&value, MANIFEST)
}

/// What is read of an in-toto statement.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Statement {
    pub(crate) predicate_type: String,
    #[serde(default)]
    pub(crate) subject: Vec<Value>,
    pub(crate) predicate: Value,
}

/// An in-toto statement: what is said, and of what by name and digest.
pub fn statement(attestation: &Attestation, subjects: &[(String, Digest)]) -> Value {
    let subject =
        |(name, digest): &(String, Digest)| json!({ "name": name, "digest": { "sha256": digest.hex() } });
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "predicateType": attestation.predicate_type,
        "subject": subjects.iter().map(subject).collect::<Vec<_>>(),
        "predicate": attestation.predicate,
    })
}

impl Index {
    /// The documents, from the members' manifests, in the members' order.
    pub(crate) fn documents(&self, mut manifests: Vec<Manifest>) -> Documents {
        if self.flat && manifests.len() == 1 {
            return Documents::of(manifests.remove(0));
        }
        let (mut entries, mut attested) = (Vec::new(), Vec::new());
        let mut blobs: Vec<(Digest, Vec<u8>)> = Vec::new();
        let mut further = Vec::new();
        for (member, manifest) in self.members.iter().zip(&manifests) {
            entries.push(entry(manifest, &member.descriptor_annotations, &member.platform));
            if member.attestations.is_empty() {
                continue;
            }
            let manifest = self.attestation(member, manifest, &mut blobs);
            let about = entries.last().map(|e| e["digest"].clone()).unwrap_or_default();
            let mut attestation =
                json!({ "mediaType": MANIFEST, "digest": manifest.digest, "size": manifest.bytes.len() });
            // Go sorts a map's keys.
            attestation["annotations"] = json!({ REFERENCE_DIGEST: about, REFERENCE_TYPE: ATTESTATION });
            attestation["platform"] = json!({ "architecture": "unknown", "os": "unknown" });
            attested.push(attestation);
            further.push(manifest);
        }
        entries.append(&mut attested);
        manifests.append(&mut further);
        let mut value = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries });
        annotated(&mut value, &self.annotations);
        Documents { root: document(&value, INDEX), manifests, blobs }
    }

    fn attestation(&self, member: &Member, about: &Manifest, blobs: &mut Vec<(Digest, Vec<u8>)>) -> Manifest {
        let name = |r| (image_purl(r, Some(&member.platform)), about.digest);
        let subjects: Vec<(String, Digest)> = self.subjects.iter().map(name).collect();
        let mut layers = Vec::new();
        let mut put = |bytes: Vec<u8>| {
            let digest = Digest::of(&bytes);
            if !blobs.iter().any(|(d, _)| *d == digest) {
                blobs.push((digest, bytes));
            }
            digest
        };
        for attestation in &member.attestations {
            let bytes = statement(attestation, &subjects).to_string().into_bytes();
            let size = bytes.len();
            layers.push(json!({
                "mediaType": STATEMENT,
                "digest": put(bytes),
                "size": size,
                "annotations": { ATTESTATION_TYPE: attestation.predicate_type },
            }));
        }
        let config = put(b"{}".to_vec());
        let value = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": ARTIFACT,
            "config": { "mediaType": EMPTY, "digest": config, "size": 2, "data": "e30=" },
            "layers": layers,
            "subject": { "mediaType": about.media_type, "digest": about.digest, "size": about.bytes.len() },
        });
        document(&value, MANIFEST)
    }
}

/// A member's entry in an index.
fn entry(manifest: &Manifest, annotations: &BTreeMap<String, String>, platform: &Platform) -> Value {
    let mut entry = json!({
        "mediaType": manifest.media_type, "digest": manifest.digest, "size": manifest.bytes.len(),
    });
    annotated(&mut entry, annotations);
    let mut shown = Map::new();
    shown.insert("architecture".into(), json!(platform.architecture));
    shown.insert("os".into(), json!(platform.os));
    if let Some(variant) = &platform.variant {
        shown.insert("variant".into(), json!(variant));
    }
    entry["platform"] = Value::Object(shown);
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What BuildKit 0.33 said of an image, byte for byte.
    const PREDICATE: &str = r#"{"buildDefinition":{"buildType":"https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md","externalParameters":{"configSource":{"path":"Dockerfile"},"request":{"frontend":"dockerfile.v0","locals":[{"name":"context"},{"name":"dockerfile"}],"compatibilityVersion":30}},"internalParameters":{"builderPlatform":"linux/amd64","dockerfileVersion":"1.27.0"}},"runDetails":{"builder":{"id":""},"metadata":{"invocationId":"kdg9qn5giozriwo4ydjg0m547","startedOn":"2026-11-21T15:53:59.700895078Z","finishedOn":"2026-11-21T15:54:00.164181584Z","buildkit_metadata":{},"buildkit_completeness":{"request":true,"resolvedDependencies":false}}}}"#;

    fn digest(hex: &str) -> Digest {
        Digest::from_hex(hex).unwrap()
    }

    #[test]
    fn byte_for_byte_as_buildkit_writes_them() {
        let config = digest("69493075ae5b09950e5e368907c2c60b76c2ba28c7a8615d069d9fe697a57961");
        let layer = Blob {
            media_type: "application/vnd.oci.image.layer.v1.tar+gzip".into(),
            digest: digest("2e33466c1f8b9d410d314a47c07565520d1e2a0d65bd328b46a6a76590b79d38"),
            size: 99,
        };
        let manifest = manifest((config, 691), &[layer], &BTreeMap::new());
        let mut member = Member::new("linux/amd64".parse().unwrap(), config);
        member.attestations.push(Attestation {
            predicate_type: "https://slsa.dev/provenance/v1".into(),
            predicate: serde_json::from_str(PREDICATE).unwrap(),
        });
        let subjects = vec!["p1".parse().unwrap()];
        let index = Index { members: vec![member], subjects, ..Index::default() };
        let made = index.documents(vec![manifest]);
        let hex = |m: &Manifest| m.digest.hex();
        assert_eq!(
            hex(&made.manifests[0]),
            "fdbb2627c11b5dd8919b8aac305655617ad6d1111b5928dbc3e62663789c900b"
        );
        let statement = made.blobs[0].0.hex();
        assert_eq!(statement, "9ef063098dcd77ac201d2292f61a09795865542ea435d663274e1af2eae3fc10");
        assert_eq!(
            hex(&made.manifests[1]),
            "99453acdcc2a3afcf297034fdb7eec8f2539fa1ed7a1c43e902479dff4a234df"
        );
        assert_eq!(hex(&made.root), "6103c0a3a22a3324e0a000035b04b57ed7bb5a35e4db1cf0e79f68a14d216146");
    }

    #[test]
    fn annotations_stand_where_buildkit_has_them() {
        let word = |k: &str, v: &str| BTreeMap::from([(k.to_owned(), v.to_owned())]);
        let image = Digest::of(b"x");
        let mut member = Member::new("linux/arm/v7".parse().unwrap(), image);
        member.descriptor_annotations = word("d", "4");
        let manifest = manifest((image, 1), &[], &word("b", "2"));
        let mut index = Index { members: vec![member], annotations: word("c", "3"), ..Index::default() };
        let made = index.documents(vec![manifest.clone()]);
        let read = |m: &Manifest| serde_json::from_slice::<Value>(&m.bytes).unwrap();
        let root = read(&made.root);
        assert_eq!(root["annotations"], json!({ "c": "3" }));
        let entry = &root["manifests"][0];
        assert_eq!(entry["annotations"], json!({ "d": "4" }));
        assert_eq!(entry["platform"], json!({ "architecture": "arm", "os": "linux", "variant": "v7" }));
        assert_eq!(read(&made.manifests[0])["annotations"], json!({ "b": "2" }));
        index.flat = true;
        assert_eq!(index.documents(vec![manifest.clone()]).root.digest, manifest.digest);
    }
}
