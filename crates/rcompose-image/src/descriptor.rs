//! How documents of registries and archives point to each other and to blobs.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::index::{ATTESTATION, REFERENCE_DIGEST, REFERENCE_TYPE};
use crate::{Digest, Platform};

/// A pointer with what is known of what it points to (OCI image spec, descriptor.md; docker's schema 2 has the same
/// fields).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What kind of content it is; empty if that isn't said.
    #[serde(default)]
    pub media_type: String,
    /// The content's.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// For which platform it is, in an index.
    pub platform: Option<Platform>,
    /// What kind of artifact a manifest is.
    pub artifact_type: Option<String>,
    /// What else is said of it.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// Whether it leads to what is said of an image, not to an image.
    pub(crate) fn is_attestation(&self) -> bool {
        self.annotations.get(REFERENCE_TYPE).is_some_and(|t| t == ATTESTATION)
    }

    /// The manifest that an attestation is about.
    pub(crate) fn attested(&self) -> Option<&String> {
        self.annotations.get(REFERENCE_DIGEST)
    }
}
