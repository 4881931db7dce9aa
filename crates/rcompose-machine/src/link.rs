//! The supervisor's end of its socket to the keeper.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use rcompose_engine::{
    ExecSpec, FailureKind, FrameBuffer, FrameError, HostEvent, StepFailure, encode_frame, send_frame_bytes,
};
use rcompose_plan::ContainerId;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

use crate::wire::{ExitNote, Fd, Fds, FromKeeper, ToKeeper};

/// A process that the keeper made.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) pid: i32,
    pub(crate) notes: Vec<String>,
    pub(crate) fds: Fds,
}

/// A container that was already there.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) id: ContainerId,
    pub(crate) pid: i32,
    pub(crate) exited: Option<ExitNote>,
    pub(crate) fds: Fds,
}

struct Pending {
    reply: oneshot::Sender<Result<Begun, StepFailure>>,
    /// Told of the process's end instead of the event queue.
    exit: Option<oneshot::Sender<i32>>,
}

pub(crate) struct KeeperLink {
    socket: UnixStream,
    incoming: RefCell<FrameBuffer>,
    pending: RefCell<HashMap<u64, Pending>>,
    exits: RefCell<HashMap<i32, oneshot::Sender<i32>>>,
    next: Cell<u64>,
    sending: tokio::sync::Mutex<()>,
}

impl KeeperLink {
    pub(crate) fn new(socket: OwnedFd) -> std::io::Result<Rc<Self>> {
        let socket = std::os::unix::net::UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        Ok(Rc::new(Self {
            socket: UnixStream::from_std(socket)?,
            incoming: RefCell::default(),
            pending: RefCell::default(),
            exits: RefCell::default(),
            next: Cell::new(1),
            sending: tokio::sync::Mutex::new(()),
        }))
    }

    /// The next message and its descriptors; `None`: the keeper is gone.
    pub(crate) async fn recv(&self) -> Result<Option<(FromKeeper, Fds)>, FrameError> {
        loop {
            let message = self.incoming.borrow_mut().take::<FromKeeper>()?;
            if let Some(m) = message {
                let kinds = m.fds().to_vec();
                let fds = self.incoming.borrow_mut().take_fds(kinds.len());
                return Ok(Some((m, Fds::new(&kinds, fds))));
            }
            let got = self
                .socket
                .async_io(Interest::READABLE, || match self.incoming.borrow_mut().fill(&self.socket) {
                    Err(FrameError::Socket(e)) => Err(e.into()),
                    other => Ok(other),
                })
                .await
                .map_err(frame_error)??;
            if got == 0 {
                return Ok(None);
            }
        }
    }

    async fn send(&self, message: &ToKeeper) -> Result<(), FrameError> {
        let bytes = encode_frame(message)?;
        let _turn = self.sending.lock().await;
        let mut sent = 0;
        while sent < bytes.len() {
            sent += self
                .socket
                .async_io(Interest::WRITABLE, || {
                    send_frame_bytes(self.socket.as_fd(), &bytes[sent..], &[]).map_err(std::io::Error::from)
                })
                .await
                .map_err(frame_error)?;
        }
        Ok(())
    }

    /// Sends a short message that nobody waits for; the socket's buffer always has room for it.
    pub(crate) fn tell(&self, message: &ToKeeper) -> Result<(), FrameError> {
        let bytes = encode_frame(message)?;
        send_frame_bytes(self.socket.as_fd(), &bytes, &[])?;
        Ok(())
    }

    /// Asks for a container's process.
    pub(crate) async fn create(
        &self,
        id: &ContainerId,
        attach: Option<Option<(u16, u16)>>,
    ) -> Result<Begun, StepFailure> {
        let id = id.clone();
        self.ask(None, |seq| ToKeeper::Create { seq, id, attached: attach.is_some(), size: attach.flatten() })
            .await
    }

    /// Asks for a process in a container. With `exit`, its end is told there.
    pub(crate) async fn exec(
        &self,
        id: &ContainerId,
        spec: &ExecSpec,
        exit: Option<oneshot::Sender<i32>>,
    ) -> Result<Begun, StepFailure> {
        let (id, spec) = (id.clone(), spec.clone());
        self.ask(exit, |seq| ToKeeper::Exec { seq, id, spec }).await
    }

    async fn ask(
        &self,
        exit: Option<oneshot::Sender<i32>>,
        message: impl FnOnce(u64) -> ToKeeper,
    ) -> Result<Begun, StepFailure> {
        let seq = self.next.replace(self.next.get() + 1);
        let (reply, answer) = oneshot::channel();
        self.pending.borrow_mut().insert(seq, Pending { reply, exit });
        match self.send(&message(seq)).await {
            Ok(()) => {}
            Err(FrameError::Socket(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET)) => {
                return std::future::pending().await;
            }
            Err(e) => return Err(StepFailure::environment("ask the keeper", &e)),
        }
        match answer.await {
            Ok(answer) => answer,
            // The keeper is gone, and this process ends with it this very moment. Whoever asked for the step sees that
            // and asks the next supervisor: a failure of the step would be a lie to him.
            Err(_) => std::future::pending().await,
        }
    }

    /// Takes in messages until the keeper is gone.
    pub(crate) async fn read_all(
        self: Rc<Self>,
        events: mpsc::UnboundedSender<HostEvent>,
    ) -> Result<(), FrameError> {
        while let Some((message, fds)) = self.recv().await? {
            match message {
                FromKeeper::Started { seq, pid, notes, .. } => {
                    if let Some(p) = self.pending.borrow_mut().remove(&seq) {
                        if let Some(exit) = p.exit {
                            self.exits.borrow_mut().insert(pid, exit);
                        }
                        // Who asked may have been cancelled: dropping the descriptors ends the process.
                        drop(p.reply.send(Ok(Begun { pid, notes, fds })));
                    }
                }
                FromKeeper::Failed { seq, failure } => {
                    if let Some(p) = self.pending.borrow_mut().remove(&seq) {
                        drop(p.reply.send(Err(failure)));
                    }
                }
                FromKeeper::ExecExited { pid, code } => {
                    let event = match self.exits.borrow_mut().remove(&pid) {
                        Some(waiting) => {
                            if waiting.send(code).is_err() {
                                // The probe timed out in the meantime: nobody asks any more.
                            }
                            continue;
                        }
                        None => HostEvent::ExecExited { pid, code },
                    };
                    drop(events.send(event));
                }
                FromKeeper::ContainerExited { id, pid, note } => {
                    let ExitNote { code, at, oom_killed } = note;
                    drop(events.send(HostEvent::ContainerExited { id, pid, code, at, oom_killed }));
                }
                // Only at the begin; see `LocalHost::connect`.
                FromKeeper::Hello { .. } | FromKeeper::Adopted { .. } => {}
            }
        }
        self.pending.borrow_mut().clear();
        Ok(())
    }
}

pub(crate) fn keeper_gone() -> StepFailure {
    StepFailure::new(FailureKind::Environment, "the project's keeper process is gone")
        .hint("run the same command again: it starts a new one")
}

fn frame_error(e: std::io::Error) -> FrameError {
    FrameError::Socket(rustix::io::Errno::from_io_error(&e).unwrap_or(rustix::io::Errno::IO))
}

/// Descriptors of a process, for the supervisor.
pub(crate) fn started(begun: &mut Begun) -> rcompose_engine::Started {
    rcompose_engine::Started {
        pid: begun.pid,
        console: begun.fds.take(Fd::Console),
        stdin: begun.fds.take(Fd::Stdin),
        stdout: begun.fds.take(Fd::Stdout),
        stderr: begun.fds.take(Fd::Stderr),
        ports: Vec::new(),
        notes: std::mem::take(&mut begun.notes),
    }
}
