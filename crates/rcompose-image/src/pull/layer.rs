//! One layer: unpacked while it is downloaded, taken up again where a connection broke.

use std::io::{self, Read};

use bytes::Bytes;
use reqwest::Response;
use tokio::sync::mpsc;

use super::{LayerProgress, LayerState, PullProgress};
use crate::registry::{Failed, Registry, RegistryError, broken};
use crate::store::{LayerId, Store, Unpacked};
use crate::{Digest, Hasher, ImageError};

/// Chunks on their way to the unpacking thread.
const QUEUE: usize = 32;

/// What the manifest says of a layer.
#[derive(Debug, Clone)]
pub(super) struct Blob {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) media_type: String,
    pub(super) layer: LayerId,
}

impl Blob {
    pub(super) fn progress(&self, state: LayerState, bytes: u64) -> LayerProgress {
        LayerProgress { blob: self.digest, layer: self.layer, bytes, total: self.size, state }
    }
}

enum Message {
    Chunk(Bytes),
    /// All there, and verified. A channel that closes without it is a download that failed.
    End,
}

/// What becomes of a layer on the unpacking thread when it is verified.
pub(super) type Then<T> = Box<dyn FnOnce(Unpacked) -> Result<T, ImageError> + Send>;

/// Downloads, unpacks, and does `then`. `running` is dropped when the unpacking thread has cleaned up, whatever happens here.
pub(super) async fn fetch<T: Send + 'static>(
    registry: &Registry,
    store: &Store,
    blob: &Blob,
    progress: &dyn PullProgress,
    running: mpsc::Sender<()>,
    then: Then<T>,
) -> Result<T, RegistryError> {
    let (to_unpacker, chunks) = mpsc::channel(QUEUE);
    let (store, layer) = (store.clone(), blob.layer);
    let unpacker = tokio::task::spawn_blocking(move || {
        let reader = Chunks { chunks, current: Bytes::new(), ended: false };
        // Dropped in this order if nobody takes the result.
        (store.unpack(reader, Some(layer.0)).and_then(then), running)
    });
    let downloaded = download(registry, blob, progress, to_unpacker).await;
    let unpacked = match unpacker.await {
        Ok((unpacked, _running)) => unpacked,
        Err(e) => match e.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => return Err(registry.about.malformed("the unpacking was cancelled")),
        },
    };
    // A failed download is why unpacking failed, not the other way round.
    downloaded?;
    let about = &registry.about;
    let unpacked = unpacked.map_err(|e| match e {
        ImageError::Mismatch { expected, actual, .. } => {
            about.mismatch("a layer's content", expected, actual)
        }
        e @ (ImageError::Read { .. } | ImageError::Member { .. }) => {
            about.malformed(format!("its layer {} can't be unpacked: {}", blob.digest.short(), chain(&e)))
        }
        e => RegistryError::Store(e),
    })?;
    progress.layer(&blob.progress(LayerState::Done, blob.size));
    Ok(unpacked)
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut out = error.to_string();
    let mut cause = error.source();
    while let Some(e) = cause {
        out += &format!(": {e}");
        cause = e.source();
    }
    out
}

async fn download(
    registry: &Registry,
    blob: &Blob,
    progress: &dyn PullProgress,
    to: mpsc::Sender<Message>,
) -> Result<(), RegistryError> {
    let about = &registry.about;
    let mut hasher = Hasher::new();
    let mut tries = registry.tries();
    loop {
        let before = hasher.bytes();
        let failed = match registry.blob_from(blob.digest, before).await {
            Err(Failed::Answer(a)) if a.status == 416 => {
                let why =
                    format!("its registry has only {before} of {} bytes of layer {}", blob.size, blob.digest);
                return Err(about.malformed(why));
            }
            Err(e) => e,
            Ok((answer, skip)) => match chunks(answer, skip, blob, progress, &mut hasher, &to).await {
                _ if hasher.bytes() >= blob.size => {
                    let actual = hasher.finish();
                    if actual != blob.digest {
                        return Err(about.mismatch("a layer", blob.digest, actual));
                    }
                    // Unpacking that ended early has an error of its own.
                    let _ = to.send(Message::End).await;
                    return Ok(());
                }
                Ok(()) => Failed::Body(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!(
                        "{} of {} bytes of layer {} came",
                        hasher.bytes(),
                        blob.size,
                        blob.digest.short()
                    ),
                )),
                Err(e) => Failed::Body(e),
            },
        };
        if hasher.bytes() > before {
            // A long layer over a bad line may break more often than a short one.
            tries = registry.tries();
        }
        tries.again(failed).await.map_err(|e| about.error(e))?;
    }
}

/// Passes chunks on until the stream ends, breaks, or is longer than it should be.
async fn chunks(
    mut answer: Response,
    mut skip: u64,
    blob: &Blob,
    progress: &dyn PullProgress,
    hasher: &mut Hasher,
    to: &mpsc::Sender<Message>,
) -> io::Result<()> {
    while let Some(mut chunk) = answer.chunk().await.map_err(|e| broken(&e))? {
        let known = skip.min(chunk.len() as u64);
        skip -= known;
        chunk = chunk.slice(known as usize..);
        hasher.update(&chunk);
        progress.layer(&blob.progress(LayerState::Downloading, hasher.bytes()));
        if hasher.bytes() > blob.size {
            return Ok(());
        }
        // If unpacking has failed, the rest still tells whether the download is to blame.
        let _ = to.send(Message::Chunk(chunk)).await;
    }
    Ok(())
}

/// The other end, on the unpacking thread.
struct Chunks {
    chunks: mpsc::Receiver<Message>,
    current: Bytes,
    ended: bool,
}

impl Read for Chunks {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.chunks.blocking_recv() {
                Some(Message::Chunk(chunk)) => self.current = chunk,
                Some(Message::End) => self.ended = true,
                None => {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the download was given up"));
                }
            }
        }
        let n = buf.len().min(self.current.len());
        buf[..n].copy_from_slice(&self.current.split_to(n));
        Ok(n)
    }
}
