//! Something at an address, as a stream.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::SystemTime;

use bytes::Bytes;

use super::endpoint;
use super::error::{About, Failed, RegistryError, Trouble, trouble_of};
use super::settings::Certificates;
use crate::address::without_password;
use crate::time::parse_http_date;

/// Pieces that wait to be read.
const QUEUE: usize = 32;

/// What comes from an address, while it comes.
pub struct Download {
    pieces: Receiver<io::Result<Bytes>>,
    current: Bytes,
    begun: Begun,
}

/// What is asked with.
#[derive(Default)]
pub(super) struct Headers {
    /// The entity tag of what is there.
    pub(super) known: Option<String>,
    pub(super) authorization: Option<String>,
}

/// How an answer begins.
#[derive(Debug, Default)]
struct Begun {
    modified: Option<SystemTime>,
    tag: Option<String>,
    unchanged: bool,
}

impl Download {
    /// Asks, and returns when the answer begins.
    pub fn open(url: &str) -> Result<Self, RegistryError> {
        Self::ask(url, None, None)
    }

    /// As [`Self::open`], with an `Authorization` header, unless what is there still has the entity tag `known`: then
    /// `None`.
    pub fn open_changed(
        url: &str,
        known: Option<&str>,
        authorization: Option<&str>,
    ) -> Result<Option<Self>, RegistryError> {
        let download = Self::ask(url, known, authorization)?;
        Ok(if download.begun.unchanged { None } else { Some(download) })
    }

    fn ask(url: &str, known: Option<&str>, authorization: Option<&str>) -> Result<Self, RegistryError> {
        let (to_reader, pieces) = sync_channel(QUEUE);
        let (began, begin) = sync_channel(1);
        let url = url.to_owned();
        let headers =
            Headers { known: known.map(str::to_owned), authorization: authorization.map(str::to_owned) };
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(carry(&url, &headers, &began, &to_reader)),
                Err(e) => {
                    let shown = without_password(&url);
                    let about = About { image: shown.clone(), host: shown, logged_in: false, sends: false };
                    // Whoever asked waits for this.
                    drop(began.send(Err(about.error(Failed::Body(e)))));
                }
            }
        });
        match begin.recv() {
            Ok(Ok(begun)) => Ok(Self { pieces, current: Bytes::new(), begun }),
            Ok(Err(e)) => Err(e),
            Err(_) => {
                Err(RegistryError::NoRegistry { host: "the download".into(), why: "it broke off".into() })
            }
        }
    }

    /// When it was changed last, if the answer tells.
    pub fn modified(&self) -> Option<SystemTime> {
        self.begun.modified
    }

    /// Its entity tag, if the answer has one.
    pub fn tag(&self) -> Option<&str> {
        self.begun.tag.as_deref()
    }
}

impl Read for Download {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.pieces.recv() {
                Ok(piece) => self.current = piece?,
                Err(_) => return Ok(0),
            }
        }
        let n = buf.len().min(self.current.len());
        buf[..n].copy_from_slice(&self.current.split_to(n));
        Ok(n)
    }
}

async fn carry(
    url: &str,
    headers: &Headers,
    began: &SyncSender<Result<Begun, RegistryError>>,
    to: &SyncSender<io::Result<Bytes>>,
) {
    let host = url.split("://").nth(1).and_then(|r| r.split('/').next()).unwrap_or_default();
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let shown = without_password(url);
    let about = About { image: shown.clone(), host: host.to_owned(), logged_in: false, sends: false };
    let known = headers.known.as_deref();
    let mut answer = match endpoint::fetch(url, host, headers, Certificates::default()).await {
        Ok(answer) => answer,
        Err(Failed::Answer(a)) => {
            let why = a.to_string();
            return drop(began.send(Err(RegistryError::Download { url: shown, why })));
        }
        Err(Failed::Send(e)) => {
            let why = trouble_of(&e).unwrap_or_else(|| Trouble::Other(e.without_url())).to_string();
            return drop(began.send(Err(RegistryError::Download { url: shown, why })));
        }
        Err(e) => return drop(began.send(Err(about.error(e)))),
    };
    let header = |name| answer.headers().get(name).and_then(|v| v.to_str().ok());
    let tag = header("etag").map(str::to_owned);
    // A server may send all in spite of the condition, or compare a weak tag in its own way.
    let same = |tag: &String| known.is_some_and(|k| strong(k) == strong(tag));
    let unchanged = answer.status() == 304 || tag.as_ref().is_some_and(same);
    let begun = Begun { modified: header("last-modified").and_then(parse_http_date), tag, unchanged };
    if began.send(Ok(begun)).is_err() || unchanged {
        return;
    }
    loop {
        let piece = match answer.chunk().await {
            Ok(Some(piece)) => Ok(piece),
            Ok(None) => return,
            Err(e) => Err(super::broken(&e)),
        };
        let last = piece.is_err();
        // Nobody reads any more, or there is no more.
        if to.send(piece).is_err() || last {
            return;
        }
    }
}

/// An entity tag without the mark of a weak one.
fn strong(tag: &str) -> &str {
    tag.trim_start_matches("W/")
}
