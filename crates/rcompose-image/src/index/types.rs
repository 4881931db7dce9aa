use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Digest, Platform, Reference};

/// What a name stands for when that is more than one image's configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Index {
    /// It is written as its only member's manifest, not as an index.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub flat: bool,
    /// The images, one for each platform.
    pub members: Vec<Member>,
    /// Annotations of the index itself.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Annotations of what points to the index.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub descriptor_annotations: BTreeMap<String, String>,
    /// Under which names its attestations speak of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<Reference>,
}

/// An image of an index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// What it is for.
    pub platform: Platform,
    /// Digest of its configuration.
    pub image: Digest,
    /// Annotations of its manifest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Annotations of what points to its manifest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub descriptor_annotations: BTreeMap<String, String>,
    /// What is attested of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attestations: Vec<Attestation>,
}

/// Something said of an image (in-toto attestation framework, spec/v1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attestation {
    /// What kind of thing, a URI.
    pub predicate_type: String,
    /// What is said.
    pub predicate: Value,
}

impl Member {
    /// An image without annotations and attestations.
    pub fn new(platform: Platform, image: Digest) -> Self {
        Self {
            platform,
            image,
            annotations: BTreeMap::new(),
            descriptor_annotations: BTreeMap::new(),
            attestations: Vec::new(),
        }
    }
}

impl Index {
    /// The image that the name means on this machine: the one for it, else the first.
    pub(crate) fn primary(&self) -> Option<Digest> {
        let host = Platform::host();
        let own = self.members.iter().find(|m| host.accepts(&m.platform));
        own.or(self.members.first()).map(|m| m.image)
    }

    /// The others, without repetitions.
    pub(crate) fn others(&self) -> Vec<Digest> {
        let primary = self.primary();
        let mut others: Vec<Digest> = Vec::new();
        for image in self.members.iter().map(|m| m.image) {
            if Some(image) != primary && !others.contains(&image) {
                others.push(image);
            }
        }
        others
    }

    /// Whether it says nothing that its only image alone wouldn't.
    pub fn is_plain(&self) -> bool {
        let bare = |m: &Member| {
            m.annotations.is_empty() && m.descriptor_annotations.is_empty() && m.attestations.is_empty()
        };
        self.members.len() == 1
            && self.annotations.is_empty()
            && self.descriptor_annotations.is_empty()
            && self.members.iter().all(bare)
    }
}
