use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rcompose_engine::Host;
use rcompose_model::Logging;
use rcompose_plan::ContainerId;
use tokio::net::unix::pipe::Receiver;

use crate::core::{Core, now};
use crate::{LogStream, LogWriter, Response};

/// The longest entry, bytes: a longer line goes on in the next entry (docker's json-file does the same).
const MAX_LINE: usize = 16384;

/// Writer and unfinished lines of one container's two streams.
#[derive(Debug)]
pub(crate) struct ContainerLog {
    writer: RefCell<LogWriter>,
}

impl ContainerLog {
    pub(crate) fn open(path: &std::path::Path, keep: Logging) -> std::io::Result<Rc<Self>> {
        Ok(Rc::new(Self { writer: RefCell::new(LogWriter::open(path, keep)?) }))
    }
}

/// Reads a pipe (or terminal) to its end into the log and to the followers.
///
/// A write error (full disk) is noted once in the container's state and reading goes on: a
/// container must not hang on a full pipe because its log can't be kept.
pub(crate) async fn pump<H: Host>(
    core: Rc<Core<H>>,
    id: ContainerId,
    log: Rc<ContainerLog>,
    stream: LogStream,
    fd: OwnedFd,
) {
    if rustix::io::ioctl_fionbio(&fd, true).is_err() {
        return;
    }
    // Not checked: a terminal is no pipe, but is read alike.
    let Ok(pipe) = Receiver::from_owned_fd_unchecked(fd) else { return };
    let mut pending: Vec<u8> = Vec::new();
    loop {
        if pipe.readable().await.is_err() {
            break;
        }
        let mut chunk = [0u8; 16384];
        match pipe.try_read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => {
                pending.extend_from_slice(&chunk[..n]);
                drain_lines(&core, &id, &log, stream, &mut pending);
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            // A terminal whose last process has gone reads as EIO: its end.
            Err(_) => break,
        }
    }
    if !pending.is_empty() {
        emit(&core, &id, &log, stream, true, &pending);
    }
}

fn drain_lines<H: Host>(
    core: &Core<H>,
    id: &ContainerId,
    log: &ContainerLog,
    stream: LogStream,
    pending: &mut Vec<u8>,
) {
    let mut start = 0;
    while let Some(n) = pending[start..].iter().position(|b| *b == b'\n') {
        emit(core, id, log, stream, false, &pending[start..start + n]);
        start += n + 1;
    }
    while pending.len() - start >= MAX_LINE {
        emit(core, id, log, stream, true, &pending[start..start + MAX_LINE]);
        start += MAX_LINE;
    }
    pending.drain(..start);
    if pending.is_empty() {
        pending.shrink_to(4096);
    }
}

fn emit<H: Host>(
    core: &Core<H>,
    id: &ContainerId,
    log: &ContainerLog,
    stream: LogStream,
    partial: bool,
    text: &[u8],
) {
    let at = now();
    match log.writer.borrow_mut().append(at, stream, partial, text) {
        Ok(offset) => {
            if core.has_followers() {
                core.publish(&Response::Log {
                    container: id.clone(),
                    stream,
                    at,
                    text: String::from_utf8_lossy(text).into_owned(),
                    partial,
                    offset,
                });
            }
        }
        Err(e) => core.note_log_failure(id, &e),
    }
}
