//! Something at an address, as a stream.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::SystemTime;

use bytes::Bytes;

use super::endpoint;
use super::error::{About, Failed, RegistryError, Trouble, trouble_of};
use super::settings::Certificates;
use crate::time::parse_http_date;

/// Pieces that wait to be read.
const QUEUE: usize = 32;

/// What comes from an address, while it comes.
pub struct Download {
    pieces: Receiver<io::Result<Bytes>>,
    current: Bytes,
    modified: Option<SystemTime>,
}

impl Download {
    /// Asks, and returns when the answer begins.
    pub fn open(url: &str) -> Result<Self, RegistryError> {
        let (to_reader, pieces) = sync_channel(QUEUE);
        let (began, begin) = sync_channel(1);
        let url = url.to_owned();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(carry(&url, &began, &to_reader)),
                Err(e) => {
                    let about = About { image: url.clone(), host: url, logged_in: false };
                    // Whoever asked waits for this.
                    drop(began.send(Err(about.error(Failed::Body(e)))));
                }
            }
        });
        match begin.recv() {
            Ok(Ok(modified)) => Ok(Self { pieces, current: Bytes::new(), modified }),
            Ok(Err(e)) => Err(e),
            Err(_) => {
                Err(RegistryError::NoRegistry { host: "the download".into(), why: "it broke off".into() })
            }
        }
    }

    /// When it was changed last, if the answer tells.
    pub fn modified(&self) -> Option<SystemTime> {
        self.modified
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
    began: &SyncSender<Result<Option<SystemTime>, RegistryError>>,
    to: &SyncSender<io::Result<Bytes>>,
) {
    let host = url.split("://").nth(1).and_then(|r| r.split('/').next()).unwrap_or_default();
    let about = About { image: url.to_owned(), host: host.to_owned(), logged_in: false };
    let mut answer = match endpoint::fetch(url, host, Certificates::default()).await {
        Ok(answer) => answer,
        Err(Failed::Answer(a)) => {
            let why = a.to_string();
            return drop(began.send(Err(RegistryError::Download { url: url.to_owned(), why })));
        }
        Err(Failed::Send(e)) => {
            let why = trouble_of(&e).unwrap_or(Trouble::Other(e)).to_string();
            return drop(began.send(Err(RegistryError::Download { url: url.to_owned(), why })));
        }
        Err(e) => return drop(began.send(Err(about.error(e)))),
    };
    let modified =
        answer.headers().get("last-modified").and_then(|v| v.to_str().ok()).and_then(parse_http_date);
    if began.send(Ok(modified)).is_err() {
        return;
    }
    loop {
        let piece = match answer.chunk().await {
            Ok(Some(piece)) => Ok(piece),
            Ok(None) => return,
            Err(e) => Err(io::Error::other(e)),
        };
        let last = piece.is_err();
        // Nobody reads any more, or there is no more.
        if to.send(piece).is_err() || last {
            return;
        }
    }
}
