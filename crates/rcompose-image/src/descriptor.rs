//! How documents of registries and archives point to each other and to blobs.

use std::collections::BTreeMap;

use serde::Deserialize;

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
