//! Blobs and manifests on their way to a registry (OCI distribution specification, "Pushing").

use std::io::{self, Write};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Body, Response, StatusCode, Url};
use tokio::sync::{mpsc, oneshot};

use crate::pull::{LayerProgress, LayerState, PullProgress};
use crate::registry::{Failed, Manifest, Registry, RegistryError};
use crate::store::{KnownBlob, LayerId, Store};
use crate::stream::{Packer, Packing};
use crate::{Digest, Hasher, ImageError};

const OCTETS: &str = "application/octet-stream";
/// Compressed bytes that are sent in one piece, and pieces that wait.
const CHUNK: usize = 256 * 1024;
const QUEUE: usize = 4;
/// A registry may look through a layer before it says that it has it.
const FINISH: Duration = Duration::from_secs(600);

/// The length of a blob that the repository has.
async fn has(registry: &Registry, digest: Digest) -> Result<Option<u64>, Failed> {
    let request = registry.endpoint.http.head(registry.url(&format!("blobs/{digest}")));
    match registry.endpoint.send(&registry.scope(None), request).await {
        Ok(answer) => {
            let length = answer.headers().get(CONTENT_LENGTH).and_then(|h| h.to_str().ok()?.parse().ok());
            Ok(Some(length.unwrap_or_default()))
        }
        Err(Failed::Answer(a)) if a.status == 404 => Ok(None),
        Err(e) => Err(e),
    }
}

/// Asks the registry to take a blob from another of its repositories; else the address of a new upload.
async fn begin(registry: &Registry, mount: Option<(Digest, &str)>) -> Result<Option<Url>, Failed> {
    let (url, scope) = match mount {
        Some((digest, from)) => {
            let from_words: String = Url::parse_with_params("http://q/", [("from", from)])
                .ok()
                .and_then(|u| u.query().map(str::to_owned))
                .unwrap_or_default();
            (format!("blobs/uploads/?mount={digest}&{from_words}"), registry.scope(Some(from)))
        }
        None => ("blobs/uploads/".to_owned(), registry.scope(None)),
    };
    let request = registry.endpoint.http.post(registry.url(&url)).header(CONTENT_LENGTH, 0);
    let answer = registry.endpoint.send(&scope, request).await?;
    match answer.status() {
        StatusCode::CREATED => Ok(None),
        _ => location(registry, &answer).map(Some),
    }
}

/// It may be relative.
fn location(registry: &Registry, answer: &Response) -> Result<Url, Failed> {
    let wrong = || registry.about.malformed("its registry doesn't say where to upload to");
    let text = answer.headers().get(LOCATION).and_then(|h| h.to_str().ok()).ok_or_else(wrong)?;
    Ok(answer.url().join(text).map_err(|_| wrong())?)
}

fn finish(mut to: Url, digest: Digest) -> Url {
    to.query_pairs_mut().append_pair("digest", &digest.to_string());
    to
}

/// A blob in one piece, unless it is there.
pub(super) async fn small(registry: &Registry, digest: Digest, bytes: &[u8]) -> Result<(), Failed> {
    if has(registry, digest).await?.is_some() {
        return Ok(());
    }
    let Some(to) = begin(registry, None).await? else { return Ok(()) };
    let request =
        registry.endpoint.http.put(finish(to, digest)).header(CONTENT_TYPE, OCTETS).body(bytes.to_vec());
    registry.endpoint.send(&registry.scope(None), request).await.map(drop)
}

pub(super) async fn manifest(registry: &Registry, target: &str, manifest: &Manifest) -> Result<(), Failed> {
    let request = registry
        .endpoint
        .http
        .put(registry.url(&format!("manifests/{target}")))
        .header(CONTENT_TYPE, &manifest.media_type)
        .body(manifest.bytes.clone());
    registry.endpoint.send(&registry.scope(None), request).await.map(drop)
}

/// Sees to it that the repository has a layer; one that has to be sent is compressed as it is said.
pub(super) async fn layer(
    store: &Store,
    registry: &Registry,
    layer: LayerId,
    (repository, packing): (&str, &Packing),
    preferred: &[Digest],
    progress: &dyn PullProgress,
) -> Result<KnownBlob, RegistryError> {
    let total = store.layer_info(&layer)?.ok_or(ImageError::LayerMissing(layer.0))?.stream;
    let say = |blob: Digest, state, bytes| {
        progress.layer(&LayerProgress { blob, layer, bytes, total, state });
    };
    let mut known = store.known_blobs(&layer)?;
    known.retain(|k| packing.accepts(&k.media_type));
    known.sort_by_key(|k| !preferred.contains(&k.digest));
    let mut tries = registry.tries();
    loop {
        let failed = match there(registry, &known, repository).await {
            Ok(Some((blob, state))) => {
                say(blob.digest, state, total);
                return Ok(blob);
            }
            Ok(None) => {
                let uploading = |bytes| say(layer.0, LayerState::Uploading, bytes);
                match send(store, registry, (layer, packing), &uploading).await {
                    Ok((digest, size)) => {
                        say(digest, LayerState::Done, total);
                        return Ok(KnownBlob::new(digest, size, packing.media_type(), repository));
                    }
                    Err(e) => e,
                }
            }
            Err(e) => e,
        };
        tries.again(failed).await.map_err(|e| registry.about.error(e))?;
    }
}

/// A blob of the layer that the repository has or can take over.
async fn there(
    registry: &Registry,
    known: &[KnownBlob],
    repository: &str,
) -> Result<Option<(KnownBlob, LayerState)>, Failed> {
    let found = |blob: &KnownBlob, state| {
        Ok(Some((KnownBlob { repositories: vec![repository.to_owned()], ..blob.clone() }, state)))
    };
    for blob in known {
        if has(registry, blob.digest).await?.is_some() {
            return found(blob, LayerState::Present);
        }
        let (host, own) = repository.split_once('/').unwrap_or((repository, ""));
        let others = blob.repositories.iter().filter_map(|r| r.strip_prefix(host)?.strip_prefix('/'));
        // Most often the latest has it; each one is a request.
        for from in others.filter(|r| *r != own).take(3) {
            match begin(registry, Some((blob.digest, from))).await {
                Ok(None) => return found(blob, LayerState::Mounted),
                Ok(Some(upload)) => cancel(registry, upload).await,
                // It may not be read by us, or not any more: then it is sent.
                Err(Failed::Answer(a)) if matches!(a.status, 401 | 403 | 404 | 405) => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(None)
}

/// Best effort: registries forget uploads that nobody goes on with.
async fn cancel(registry: &Registry, upload: Url) {
    let request = registry.endpoint.http.delete(upload);
    let _ = registry.endpoint.send(&registry.scope(None), request).await;
}

/// Compresses and sends; returns digest and length of what was sent.
async fn send(
    store: &Store,
    registry: &Registry,
    (layer, packing): (LayerId, &Packing),
    progress: &(dyn Fn(u64) + Sync),
) -> Result<(Digest, u64), Failed> {
    let broken = || registry.about.malformed("the upload was begun as a mount");
    let upload = begin(registry, None).await?.ok_or_else(broken)?;
    let (to_sender, mut pieces) = mpsc::channel::<(Bytes, u64)>(QUEUE);
    let (to_body, mut body) = mpsc::channel::<io::Result<Bytes>>(1);
    let (store, packing) = (store.clone(), *packing);
    let compressing = tokio::task::spawn_blocking(move || compress(&store, &layer, &packing, to_sender));
    let stream = futures_util::stream::poll_fn(move |cx| body.poll_recv(cx));
    let request =
        registry.uploads.patch(upload.clone()).header(CONTENT_TYPE, OCTETS).body(Body::wrap_stream(stream));
    let scope = registry.scope(None);
    let feeding = async {
        while let Some((piece, read)) = pieces.recv().await {
            progress(read);
            if to_body.send(Ok(piece)).await.is_err() {
                // The registry has answered before the end: its answer says why.
                break;
            }
        }
        // Whoever compresses notices that nobody takes it.
        drop(pieces);
        let done = match compressing.await {
            Ok(done) => done,
            Err(e) => match e.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(ImageError::malformed("the upload", "compressing was cancelled")),
            },
        };
        if done.is_err() {
            // Without the end of the body the registry doesn't take what came for the whole.
            let _ = to_body.send(Err(io::ErrorKind::Interrupted.into())).await;
        }
        drop(to_body);
        done
    };
    // The kernel tells when nothing of it arrives any more; an answer has its time once all is on its way.
    let (all_given, given) = oneshot::channel::<()>();
    let sending = async {
        tokio::select! {
            sent = registry.endpoint.send(&scope, request) => sent,
            late = unanswered(given) => Err(Failed::Body(late)),
        }
    };
    let feeding = async {
        let done = feeding.await;
        drop(all_given);
        done
    };
    let (sent, compressed) = tokio::join!(sending, feeding);
    let answer = match (sent, &compressed) {
        (Ok(answer), Ok(Some(_))) => answer,
        (Ok(_), Ok(None)) => return Err(Failed::Body(io::ErrorKind::UnexpectedEof.into())),
        (Err(e), Ok(_)) => {
            cancel(registry, upload).await;
            return Err(e);
        }
        (_, Err(_)) => {
            cancel(registry, upload).await;
            return Err(compressed
                .map_or_else(|e| Failed::Final(e.into()), |_| Failed::Body(io::ErrorKind::Other.into())));
        }
    };
    let Ok(Some((digest, size))) = compressed else {
        return Err(Failed::Body(io::ErrorKind::UnexpectedEof.into()));
    };
    let to = finish(location(registry, &answer)?, digest);
    let request = registry.uploads.put(to).timeout(FINISH).header(CONTENT_LENGTH, 0);
    registry.endpoint.send(&scope, request).await?;
    Ok((digest, size))
}

async fn unanswered(given: oneshot::Receiver<()>) -> io::Error {
    // Nobody sends: it ends when the other side goes.
    drop(given.await);
    tokio::time::sleep(FINISH).await;
    let why = format!("no answer came for {} seconds", FINISH.as_secs());
    io::Error::new(io::ErrorKind::TimedOut, why)
}

/// `None`: nobody wanted the rest.
fn compress(
    store: &Store,
    layer: &LayerId,
    packing: &Packing,
    to: mpsc::Sender<(Bytes, u64)>,
) -> Result<Option<(Digest, u64)>, ImageError> {
    let pieces =
        Pieces { to, hasher: Hasher::new(), buffer: Vec::with_capacity(CHUNK), read: 0, closed: false };
    let packer = packing.packer(pieces).map_err(|e| ImageError::io("compress", "a layer", e))?;
    let mut counted = Counted { out: packer };
    let written = store.write_layer(layer, &mut counted);
    let mut pieces = match counted.out.finish() {
        Ok(pieces) => pieces,
        Err(_) => return written.map(|()| None),
    };
    if pieces.flush_all().is_err() || pieces.closed {
        return Ok(None);
    }
    written?;
    let size = pieces.hasher.bytes();
    Ok(Some((pieces.hasher.finish(), size)))
}

/// Counts what goes into the compressor.
struct Counted {
    out: Packer<Pieces>,
}

impl Write for Counted {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.out.write(buf)?;
        self.out.get_mut().read += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// What comes out, in pieces of some length.
struct Pieces {
    to: mpsc::Sender<(Bytes, u64)>,
    hasher: Hasher,
    buffer: Vec<u8>,
    read: u64,
    closed: bool,
}

impl Pieces {
    fn flush_all(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK));
        self.to.blocking_send((piece.into(), self.read)).map_err(|_| {
            self.closed = true;
            io::ErrorKind::BrokenPipe.into()
        })
    }
}

impl Write for Pieces {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.hasher.update(buf);
        self.buffer.extend_from_slice(buf);
        if self.buffer.len() >= CHUNK {
            self.flush_all()?;
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
