use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd};

use rcompose_engine::{FrameBuffer, FrameError, encode_frame, send_frame_bytes};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::{Request, Response};

/// The supervisor's end of a client's connection.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: UnixStream,
    incoming: RefCell<FrameBuffer>,
    /// One message at a time: parts of two must not mix.
    sending: tokio::sync::Mutex<()>,
}

impl Connection {
    pub(crate) fn new(socket: UnixStream) -> Self {
        Self { socket, incoming: RefCell::default(), sending: tokio::sync::Mutex::new(()) }
    }

    /// The next request; `None` when the client has closed.
    pub(crate) async fn recv(&self) -> Result<Option<Request>, FrameError> {
        loop {
            if let Some(r) = self.incoming.borrow_mut().take()? {
                return Ok(Some(r));
            }
            let got = self
                .socket
                .async_io(Interest::READABLE, || match self.incoming.borrow_mut().fill(&self.socket) {
                    Err(FrameError::Socket(e)) => Err(e.into()),
                    other => Ok(other),
                })
                .await
                .map_err(socket_error)??;
            if got == 0 {
                return Ok(None);
            }
        }
    }

    /// Sends a response with its descriptors.
    pub(crate) async fn send(&self, response: &Response, fds: &[BorrowedFd<'_>]) -> Result<(), FrameError> {
        let bytes = encode_frame(response)?;
        let _turn = self.sending.lock().await;
        let mut sent = 0;
        while sent < bytes.len() {
            let fds = if sent == 0 { fds } else { &[] };
            sent += self
                .socket
                .async_io(Interest::WRITABLE, || {
                    send_frame_bytes(self.socket.as_fd(), &bytes[sent..], fds).map_err(std::io::Error::from)
                })
                .await
                .map_err(socket_error)?;
        }
        Ok(())
    }
}

fn socket_error(e: std::io::Error) -> FrameError {
    FrameError::Socket(Errno::from_io_error(&e).unwrap_or(Errno::IO))
}
