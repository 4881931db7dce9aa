//! Several platforms under one name, and what is attested of them (OCI image spec, image-index.md).
//!
//! What is kept are images, annotations and predicates. The documents are made anew wherever they are wanted, since the
//! digests of manifests depend on how the layers are compressed there.

mod documents;
mod purl;
mod types;

pub(crate) use documents::{
    ATTESTATION, Blob, Documents, INDEX, REFERENCE_DIGEST, REFERENCE_TYPE, STATEMENT, Statement, manifest,
};
pub use documents::{ATTESTATION_TYPE, statement};
pub use purl::image_purl;
pub use types::{Attestation, Index, Member};
