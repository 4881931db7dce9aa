//! Reading, hashing and unpacking at the same time, on up to three threads.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::{Digest, Hasher};

/// Below malloc's threshold for a mapping of its own, which would cost a page fault for every 4 KiB.
const CHUNK: usize = 112 * 1024;
const QUEUE: usize = 16;

type Chunk = io::Result<Arc<Vec<u8>>>;

/// Digest and length of a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Summed {
    pub(crate) digest: Digest,
    pub(crate) bytes: u64,
}

/// A reader over chunks that another thread sends.
pub(crate) struct ChunkReader {
    chunks: Receiver<Chunk>,
    current: Arc<Vec<u8>>,
    at: usize,
}

impl ChunkReader {
    fn new(chunks: Receiver<Chunk>) -> Self {
        Self { chunks, current: Arc::default(), at: 0 }
    }
}

impl Read for ChunkReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.at == self.current.len() {
            match self.chunks.recv() {
                Ok(chunk) => (self.current, self.at) = (chunk?, 0),
                Err(_) => return Ok(0),
            }
        }
        let n = buf.len().min(self.current.len() - self.at);
        buf[..n].copy_from_slice(&self.current[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

/// Gives `work` the bytes of `source` and returns its result with the stream's digest. The source is read on one
/// thread, hashed on another; `work` must read to the end, or the digest is of what was read so far.
pub(crate) fn with_hash<T, E: Send>(
    source: impl Read + Send,
    work: impl FnOnce(&mut ChunkReader) -> Result<T, E>,
) -> (Result<T, E>, Summed) {
    thread::scope(|scope| {
        let (to_work, from_source) = sync_channel(QUEUE);
        let (to_hash, from_pump) = sync_channel::<Arc<Vec<u8>>>(QUEUE);
        let hashing = scope.spawn(move || {
            let mut hasher = Hasher::new();
            for chunk in from_pump {
                hasher.update(&chunk);
            }
            Summed { bytes: hasher.bytes(), digest: hasher.finish() }
        });
        scope.spawn(move || pump(source, &to_work, Some(&to_hash)));
        let mut reader = ChunkReader::new(from_source);
        let result = work(&mut reader);
        drop(reader);
        let summed = hashing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (result, summed)
    })
}

/// Gives `work`, on another thread, the bytes of a source that can't change threads. Returns the digest of the whole
/// source, whether or not `work` wanted all of it.
pub(crate) fn feed<T: Send>(
    source: &mut dyn Read,
    work: impl FnOnce(ChunkReader) -> T + Send,
) -> (io::Result<Summed>, T) {
    thread::scope(|scope| {
        let (to_work, chunks) = sync_channel(QUEUE);
        let worker = scope.spawn(move || work(ChunkReader::new(chunks)));
        let mut hasher = Hasher::new();
        let mut to_work = Some(to_work);
        let read = loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            match source.take(CHUNK as u64).read_to_end(&mut chunk) {
                Ok(0) => break Ok(()),
                Ok(_) => {
                    hasher.update(&chunk);
                    to_work = to_work.filter(|to| to.send(Ok(Arc::new(chunk))).is_ok());
                }
                Err(e) => {
                    let copy = io::Error::new(e.kind(), e.to_string());
                    if let Some(to) = &to_work {
                        // Nobody listening is fine: the error is returned here too.
                        let _ = to.send(Err(copy));
                    }
                    break Err(e);
                }
            }
        };
        drop(to_work);
        let result = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (read.map(|()| Summed { bytes: hasher.bytes(), digest: hasher.finish() }), result)
    })
}

/// Sends a source's bytes in chunks until its end, its first error, or until nobody listens.
fn pump(mut source: impl Read, work: &SyncSender<Chunk>, hash: Option<&SyncSender<Arc<Vec<u8>>>>) {
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        match source.by_ref().take(CHUNK as u64).read_to_end(&mut chunk) {
            Ok(0) => return,
            Ok(_) => {
                let chunk = Arc::new(chunk);
                let hashed = hash.is_none_or(|hash| hash.send(chunk.clone()).is_ok());
                if !hashed || work.send(Ok(chunk)).is_err() {
                    return;
                }
            }
            Err(e) => {
                // Nobody listening is fine: the other side has its own error by now.
                let _ = work.send(Err(e));
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_digest() {
        let data: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
        let mut out = Vec::new();
        let (result, summed) = with_hash(&data[..], |r| r.read_to_end(&mut out));
        assert_eq!(
            (result.unwrap(), summed.bytes, summed.digest),
            (data.len(), 1_000_000, Digest::of(&data))
        );
        assert_eq!(out, data);
    }

    #[test]
    fn stops_early_without_hanging() {
        let (result, _) = with_hash(io::repeat(7), |_| Err::<(), _>("enough"));
        assert_eq!(result, Err("enough"));
    }

    #[test]
    fn source_error_comes_through() {
        struct Bad;
        impl Read for Bad {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let (result, _) = with_hash(Bad, |r| r.read_to_end(&mut Vec::new()));
        assert_eq!(result.unwrap_err().to_string(), "broken");
    }
}
