//! From an image reference to layers in the store, and mounts as data.
//!
//! The store keeps every layer unpacked once, in the form that overlayfs takes as a lower directory, together with
//! what is needed to write its tar stream again byte for byte. Registry traffic is in [`pull`]; everything else is
//! synchronous.
#![forbid(unsafe_code)]

mod address;
mod config;
mod credentials;
mod descriptor;
mod digest;
mod error;
mod extract;
mod index;
mod layer_tar;
mod make_directory;
mod platform;
mod pull;
mod push;
mod record;
mod reference;
mod registry;
mod remove_tree;
mod store;
mod stream;
mod time;
mod turn;

pub use address::without_password;
pub use config::{ContainerConfig, HealthConfig, History, ImageConfig, RootFs};
pub use credentials::{AuthConfig, AuthSource, Credential, CredentialError, DockerConfig, Stored};
pub use descriptor::Descriptor;
pub use digest::{Digest, DigestError, Hasher};
pub use error::ImageError;
pub use index::{ATTESTATION_TYPE, Attestation, Index, Member, image_purl, statement};
pub use make_directory::make_directory;
pub use platform::{Platform, PlatformError};
pub use pull::{
    ArtifactBlob, LayerProgress, LayerState, NoProgress, PullOptions, PullProgress, artifact, digest,
    document, pull, pull_layer, tags,
};
pub use push::{Document, Pushed, push, push_parts};
pub use reference::{Reference, ReferenceError};
pub use registry::{
    Answer, Download, LoggedIn, RegistryError, RegistryOptions, RegistrySettings, Trouble, login,
};
pub use remove_tree::remove_tree;
pub use store::{
    Hold, Image, ImportOptions, Indexed, LayerBlob, LayerId, LayerInfo, Loaded, Pruned, RemoveOptions,
    Removed, Staging, Store, ToSave, history_json, inspect_default, inspect_json,
};
pub use stream::{Compression, Guard, Packing, archive_error};
pub use time::rfc3339;
pub use turn::{Turn, is_there};
