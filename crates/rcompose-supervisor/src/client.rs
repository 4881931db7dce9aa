use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rcompose_engine::{FrameBuffer, FrameError, encode_frame, send_frame_bytes};

use crate::{Request, Response};

/// Why talking with the supervisor failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection failed.
    #[error("lost the connection to the project's supervisor")]
    Frame(#[from] FrameError),
}

/// A client's end of a project's socket; blocking.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    buffer: FrameBuffer,
}

impl Client {
    /// Takes a connected socket.
    pub fn new(stream: UnixStream) -> Self {
        Self { stream, buffer: FrameBuffer::default() }
    }

    /// Sends a request whole.
    pub fn send(&mut self, request: &Request) -> Result<(), ClientError> {
        let bytes = encode_frame(request)?;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let n = send_frame_bytes(self.stream.as_fd(), rest, &[]).map_err(FrameError::from)?;
            rest = &rest[n..];
        }
        Ok(())
    }

    /// The next response with its descriptors; blocks. `None`: the supervisor closed.
    pub fn recv(&mut self) -> Result<Option<(Response, Vec<OwnedFd>)>, ClientError> {
        loop {
            if let Some(r) = self.buffered()? {
                return Ok(Some(r));
            }
            if self.buffer.fill(&self.stream)? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(FrameError::Truncated.into()) };
            }
        }
    }

    /// A response that has already been read from the socket. Before polling the socket, take
    /// these until `None`.
    pub fn buffered(&mut self) -> Result<Option<(Response, Vec<OwnedFd>)>, ClientError> {
        let Some(response) = self.buffer.take::<Response>()? else {
            return Ok(None);
        };
        let count = match &response {
            Response::Attached { tty, stdin, .. } | Response::ExecStarted { tty, stdin } => {
                if *tty {
                    1
                } else {
                    2 + usize::from(*stdin)
                }
            }
            _ => 0,
        };
        let fds = self.buffer.take_fds(count);
        Ok(Some((response, fds)))
    }

    /// Reads once from the socket (call it when poll says readable); false at its end.
    pub fn fill(&mut self) -> Result<bool, ClientError> {
        Ok(self.buffer.fill(&self.stream)? > 0)
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
