//! Images from registries.

mod artifact;
mod auth;
mod document;
mod error;
mod identity;
mod layer;
mod registry;

pub use artifact::{ArtifactBlob, artifact, digest};
pub use auth::AuthSource;
pub use error::PullError;

use futures_util::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;

use crate::store::{Image, LayerId, NewImage, Store};
use crate::{Digest, ImageConfig, Platform, Reference};
use document::Parsed;
use layer::Blob;
use registry::Registry;

/// How to pull.
#[derive(Debug, Clone)]
pub struct PullOptions {
    /// Which image of an index.
    pub platform: Platform,
    /// Who we are.
    pub auth: AuthSource,
    /// Accept any certificate and plain HTTP. Registries on loopback may always speak plain HTTP.
    pub insecure: bool,
    /// Layers at once.
    pub parallel: usize,
    /// How often to take up a broken transfer again.
    pub retries: u32,
}

impl Default for PullOptions {
    fn default() -> Self {
        Self {
            platform: Platform::host(),
            auth: AuthSource::Anonymous,
            insecure: false,
            parallel: 3,
            retries: 5,
        }
    }
}

/// How far a layer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerProgress {
    /// What is downloaded.
    pub blob: Digest,
    /// What becomes of it.
    pub layer: LayerId,
    /// Bytes downloaded.
    pub bytes: u64,
    /// Bytes to download.
    pub total: u64,
    /// What is being done.
    pub state: LayerState,
}

/// What is being done with a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerState {
    /// It waits for its turn.
    Waiting,
    /// The store has it already.
    Present,
    /// It is downloaded and unpacked.
    Downloading,
    /// It is unpacked.
    Done,
}

/// Hears how far a pull is; called for every piece that arrives.
pub trait PullProgress: Send + Sync {
    /// A layer has got further.
    fn layer(&self, progress: &LayerProgress);
}

/// Doesn't listen.
#[derive(Debug, Clone, Copy)]
pub struct NoProgress;

impl PullProgress for NoProgress {
    fn layer(&self, _: &LayerProgress) {}
}

/// Gets an image from its registry. Nothing of it is in the store before all of it is, and nothing stays if the pull
/// fails or is dropped. Needs a tokio runtime with I/O and time.
pub async fn pull(
    store: &Store,
    reference: &Reference,
    options: &PullOptions,
    progress: &dyn PullProgress,
) -> Result<Image, PullError> {
    let registry = Registry::connect(reference, options).await?;
    let (mut bytes, digest) = registry.manifest(None).await?;
    if let Parsed::Index(manifest) = document::parse(&bytes, &options.platform, &registry.about)? {
        bytes = registry.manifest(Some(manifest)).await?.0;
    }
    let Parsed::Manifest(config_digest, blobs) = document::parse(&bytes, &options.platform, &registry.about)?
    else {
        return Err(registry.about.malformed("its index leads to another index"));
    };
    let config_bytes = registry.blob(config_digest).await?;
    let config: ImageConfig = serde_json::from_slice(&config_bytes)
        .map_err(|e| registry.about.malformed(format!("its configuration is malformed: {e}")))?;
    let blobs = document::layers(&blobs, &config, &options.platform, &registry.about)?;

    let hold = store.hold()?;
    let mut wanted: Vec<Blob> = Vec::new();
    for blob in blobs {
        let present = hold.layer(&blob.layer)?;
        let state = if present { LayerState::Present } else { LayerState::Waiting };
        progress.layer(&blob.progress(state, 0));
        if !present && !wanted.iter().any(|w| w.layer == blob.layer) {
            wanted.push(blob);
        }
    }
    let (running, mut all_done) = mpsc::channel(1);
    let fetched: Result<Vec<_>, PullError> = futures_util::stream::iter(wanted)
        .map(|blob| {
            let (registry, running) = (&registry, running.clone());
            async move { layer::fetch(registry, store, &blob, progress, running).await }
        })
        .buffer_unordered(options.parallel.max(1))
        .try_collect()
        .await;
    drop(running);
    // The other layers' threads clean up before we say that it failed.
    let _ = all_done.recv().await;
    let layers = fetched?;
    let (store, names) = (store.clone(), vec![reference.clone()]);
    let add = move || {
        let _hold = hold;
        store.add(&NewImage { config: &config_bytes, layers: &layers, names: &names, manifest: Some(digest) })
    };
    match tokio::task::spawn_blocking(add).await {
        Ok(image) => Ok(image?),
        Err(e) => match e.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(registry.about.malformed("adding it was cancelled")),
        },
    }
}
