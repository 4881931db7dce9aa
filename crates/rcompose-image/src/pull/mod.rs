//! Images from registries.

mod artifact;
mod attested;
mod document;
mod layer;
mod parts;

pub use artifact::{ArtifactBlob, artifact, digest, tags};
pub use parts::{document, pull_layer};

use futures_util::TryStreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Semaphore, mpsc};

use crate::registry::{About, Manifest, Registry, RegistryError, RegistryOptions};
use crate::store::{Hold, Image, KnownBlob, KnownManifest, LayerId, NewImage, Store};
use crate::{Digest, ImageConfig, ImageError, Platform, Reference};
pub(crate) use attested::Attested;
use document::Parsed;
use layer::{Blob, Then};

/// So many layers of a pull wait for other pulls at once: each takes a thread.
const WAITING: usize = 8;

/// How to pull.
#[derive(Debug, Clone)]
pub struct PullOptions {
    /// Which image of an index.
    pub platform: Platform,
    /// How to speak to its registry.
    pub registry: RegistryOptions,
    /// Layers at once.
    pub parallel: usize,
}

impl Default for PullOptions {
    fn default() -> Self {
        Self { platform: Platform::host(), registry: RegistryOptions::default(), parallel: 3 }
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
    /// It is read, compressed and sent.
    Uploading,
    /// The registry takes it from another repository of its own.
    Mounted,
    /// It is unpacked, or the registry has it.
    Done,
}

/// Hears how far a pull or a push is; called for every piece that is carried.
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

/// Gets an image from its registry. It is in the store once all of it is. If the pull fails or is dropped, the layers
/// that were done stay for the next one, at most for a day, unless the disk is full. Needs a tokio runtime with I/O and time.
pub async fn pull(
    store: &Store,
    reference: &Reference,
    options: &PullOptions,
    progress: &dyn PullProgress,
) -> Result<Image, RegistryError> {
    let (registry, mut manifest) = Registry::open(reference, &options.registry).await?;
    let digest = manifest.digest;
    let about = &registry.about;
    let mut said = None;
    if let Parsed::Index(chosen) = document::parse(&manifest.bytes, &options.platform, about)? {
        said = Some(document::said(&manifest.bytes, &chosen));
        manifest = registry.manifest(&chosen.to_string()).await?;
    }
    let Parsed::Manifest(config_digest, blobs) = document::parse(&manifest.bytes, &options.platform, about)?
    else {
        return Err(about.malformed("its index leads to another index"));
    };
    let config_bytes = registry.blob(config_digest).await?;
    let config: ImageConfig = serde_json::from_slice(&config_bytes)
        .map_err(|e| about.malformed(format!("its configuration is malformed: {e}")))?;
    let blobs = document::layers(&blobs, &config, &options.platform, about)?;
    let repository = format!("{}/{}", reference.domain(), reference.path());
    let known: Vec<(LayerId, KnownBlob)> = blobs
        .iter()
        .map(|b| (b.layer, KnownBlob::new(b.digest, b.size, &b.media_type, &repository)))
        .collect();

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
    let getting = Getting {
        registry: &registry,
        store,
        hold: &hold,
        progress,
        room: Semaphore::new(options.parallel.max(1)),
        waiting: Semaphore::new(WAITING),
    };
    let layers: FuturesUnordered<_> =
        wanted.iter().map(|blob| getting.layer(blob, running.clone())).collect();
    let layers = layers.try_collect::<()>();
    let attested = async {
        match said {
            Some(said) if !store.has_pulled(reference, &digest, &config_digest)? => {
                let mut attested = attested::fetch(&registry, said).await?;
                attested.manifest = document::annotations(&manifest.bytes);
                Ok(Some(attested))
            }
            _ => Ok::<_, RegistryError>(None),
        }
    };
    let fetched = futures_util::future::try_join(layers, attested).await;
    drop(running);
    // The other layers' threads clean up before we say that it failed.
    let _ = all_done.recv().await;
    let done = match fetched {
        Ok(((), attested)) => {
            let new = Complete { config: config_bytes, digest, manifest, known, attested };
            add(store, reference, new, hold, about).await
        }
        Err(e) => {
            drop(hold);
            Err(e)
        }
    };
    if let Err(RegistryError::Store(ImageError::DiskFull { .. })) = done {
        // What is there already only takes the room that is wanted. The error that matters is the first.
        let _ = store.let_go_pulled();
    }
    done
}

/// A pull that is at its layers.
struct Getting<'a> {
    registry: &'a Registry,
    store: &'a Store,
    hold: &'a Hold,
    progress: &'a dyn PullProgress,
    /// For layers on their way.
    room: Semaphore,
    /// For layers that another pull is at.
    waiting: Semaphore,
}

impl Getting<'_> {
    /// Gets a layer, unless another pull is faster with it, in this process or another.
    async fn layer(&self, blob: &Blob, running: mpsc::Sender<()>) -> Result<(), RegistryError> {
        let mut room = self.room.acquire().await;
        let mut _waiting = None;
        let path = self.store.turn_to_pull(&blob.layer);
        let _turn = match self.store.try_turn(path.clone())? {
            Some(turn) => Some(turn),
            // Who waits takes no room from the layers that nobody is at.
            None => {
                drop(room);
                _waiting = self.waiting.acquire().await.ok();
                let turn = self.store.turn(path).await?;
                room = self.room.acquire().await;
                turn
            }
        };
        let _room = room;
        if self.hold.layer(&blob.layer)? {
            self.progress.layer(&blob.progress(LayerState::Present, 0));
            return Ok(());
        }
        let keep = (self.store.clone(), self.hold.clone());
        let then: Then<()> = Box::new(move |layer| keep.0.place_pulled(&layer, &keep.1));
        layer::fetch(self.registry, self.store, blob, self.progress, running, then).await
    }
}

/// An image whose layers are all there.
struct Complete {
    config: Vec<u8>,
    digest: Digest,
    manifest: Manifest,
    known: Vec<(LayerId, KnownBlob)>,
    /// None: it came without an index, or is there already.
    attested: Option<Attested>,
}

async fn add(
    store: &Store,
    reference: &Reference,
    new: Complete,
    hold: Hold,
    about: &About,
) -> Result<Image, RegistryError> {
    let (store, names) = (store.clone(), vec![reference.clone()]);
    let add = move || {
        let _hold = hold;
        let image = NewImage { config: &new.config, layers: &[], names: &names, manifest: Some(new.digest) };
        let image = store.add_pulled(&image, new.attested)?;
        store.unmark_pulled(&image.layers)?;
        let text = String::from_utf8(new.manifest.bytes).ok();
        let manifest = text.map(|text| KnownManifest { media_type: new.manifest.media_type, text });
        store.remember(&image.id, manifest, new.known)?;
        Ok::<_, RegistryError>(image)
    };
    match tokio::task::spawn_blocking(add).await {
        Ok(image) => image,
        Err(e) => match e.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(about.malformed("adding it was cancelled")),
        },
    }
}
