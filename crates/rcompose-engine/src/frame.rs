use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest message that is accepted, bytes.
const MAX_FRAME: usize = 64 << 20;
/// The most descriptors that one message may carry.
const MAX_FDS: usize = 8;

/// Why a message could not be sent or read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The socket failed.
    #[error("socket: {0}")]
    Socket(#[from] Errno),
    /// Not one of our messages.
    #[error("malformed message")]
    Malformed(#[from] serde_json::Error),
    /// Larger than any message of ours.
    #[error("message of {0} bytes is too large")]
    TooLarge(usize),
    /// The other side closed in the middle of a message.
    #[error("connection closed in the middle of a message")]
    Truncated,
}

/// Bytes and descriptors that came in and are not yet a whole message.
///
/// A message is a 32-bit little-endian length and that many bytes of JSON; its descriptors
/// travel with its first byte (`unix(7)`, SCM_RIGHTS).
#[derive(Debug, Default)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
    start: usize,
    fds: VecDeque<OwnedFd>,
}

/// A message's bytes, ready to send.
pub fn encode_frame(message: &impl Serialize) -> Result<Vec<u8>, FrameError> {
    let mut out = vec![0; 4];
    serde_json::to_writer(&mut out, message)?;
    let len = out.len() - 4;
    let head = u32::try_from(len).map_err(|_| FrameError::TooLarge(len))?;
    out[..4].copy_from_slice(&head.to_le_bytes());
    Ok(out)
}

/// Sends as much as the socket takes; returns how many bytes went. Descriptors go with the first.
pub fn send_frame_bytes(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(fds));
    }
    loop {
        match sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

impl FrameBuffer {
    /// Reads once from the socket; 0 is its end.
    pub fn fill(&mut self, socket: impl AsFd) -> Result<usize, FrameError> {
        let mut chunk = [0u8; 16384];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let got = loop {
            let mut io = [IoSliceMut::new(&mut chunk)];
            match recvmsg(socket.as_fd(), &mut io, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(Errno::INTR) => {}
                other => break other?,
            }
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                self.fds.extend(fds);
            }
        }
        if self.start > 0 && self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        }
        self.bytes.extend_from_slice(&chunk[..got.bytes]);
        Ok(got.bytes)
    }

    /// The next whole message, if it is here.
    pub fn take<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        let rest = &self.bytes[self.start..];
        let Some(head) = rest.first_chunk::<4>() else {
            return Ok(None);
        };
        let len = u32::from_le_bytes(*head) as usize;
        if len > MAX_FRAME {
            return Err(FrameError::TooLarge(len));
        }
        let Some(body) = rest.get(4..4 + len) else {
            return Ok(None);
        };
        let message = serde_json::from_slice(body)?;
        self.start += 4 + len;
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(65536);
            self.start = 0;
        }
        Ok(Some(message))
    }

    /// Descriptors that came with messages, in order. Call it right after the message that carries them.
    pub fn take_fds(&mut self, count: usize) -> Vec<OwnedFd> {
        let n = count.min(self.fds.len());
        self.fds.drain(..n).collect()
    }

    /// Nothing of a message is left over.
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == self.start
    }
}
