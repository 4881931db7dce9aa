//! Batches over a netlink socket: many messages in one send, every answer matched by its sequence number.

use std::io;

use netlink_packet_core::Emitable;
use netlink_sys::{Socket, SocketAddr, protocols};

use crate::NetError;

pub(crate) const REQUEST: u16 = 0x1;
pub(crate) const ACK: u16 = 0x4;
pub(crate) const DUMP: u16 = 0x300;
pub(crate) const EXCL: u16 = 0x200;
pub(crate) const CREATE: u16 = 0x400;
pub(crate) const APPEND: u16 = 0x800;

const HEADER: usize = 16;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// The kernel takes a send up to the socket's buffer (net.core.wmem_default, 208 KiB); a link message has about
/// 200 bytes. Fewer at a time also bounds the queue of answers.
const CHUNK: usize = 128;

/// A socket of one netlink protocol in the calling thread's network namespace.
pub(crate) struct Netlink(Socket);

/// Messages to be sent together.
#[derive(Default)]
pub(crate) struct Batch {
    messages: Vec<Message>,
}

struct Message {
    kind: u16,
    flags: u16,
    payload: Vec<u8>,
    /// What it does, for the error.
    action: String,
    /// An errno that is as good as success.
    fine: Option<i32>,
}

impl Batch {
    /// Adds one request; `action` completes "failed to …".
    pub(crate) fn push(&mut self, kind: u16, flags: u16, body: &impl Emitable, action: impl Into<String>) {
        let mut payload = vec![0; body.buffer_len()];
        body.emit(&mut payload);
        self.messages.push(Message {
            kind,
            flags: flags | REQUEST | ACK,
            payload,
            action: action.into(),
            fine: None,
        });
    }

    /// The last message may fail with this errno.
    pub(crate) fn unless(&mut self, errno: i32) {
        if let Some(last) = self.messages.last_mut() {
            last.fine = Some(errno);
        }
    }
}

impl Netlink {
    /// `NETLINK_ROUTE` (rtnetlink(7)).
    pub(crate) fn route() -> Result<Self, NetError> {
        Self::open(protocols::NETLINK_ROUTE)
    }

    /// `NETLINK_NETFILTER`.
    pub(crate) fn netfilter() -> Result<Self, NetError> {
        Self::open(protocols::NETLINK_NETFILTER)
    }

    fn open(protocol: isize) -> Result<Self, NetError> {
        let open = || {
            let mut socket = Socket::new(protocol)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            Ok(socket)
        };
        open().map(Self).map_err(|e: io::Error| NetError::kernel("open a netlink socket", e))
    }

    /// Sends the whole batch and waits for every answer. All messages are tried; the errors come back together.
    pub(crate) fn run(&self, batch: &Batch) -> Result<(), NetError> {
        self.run_by(batch, CHUNK)
    }

    /// [`Netlink::run`] for questions, of which the answers are long and queue up during a send; they are dropped.
    pub(crate) fn run_questions(&self, batch: &Batch) -> Result<(), NetError> {
        const QUESTIONS: usize = 16;
        self.run_by(batch, QUESTIONS)
    }

    fn run_by(&self, batch: &Batch, at_a_time: usize) -> Result<(), NetError> {
        let mut errors = Vec::new();
        for chunk in batch.messages.chunks(at_a_time) {
            let mut wire = Vec::new();
            for (seq, message) in (1u32..).zip(chunk) {
                put_header(&mut wire, message.kind, message.flags, seq, message.payload.len());
                wire.extend_from_slice(&message.payload);
                wire.resize(wire.len().next_multiple_of(4), 0);
            }
            self.send(&wire)?;
            let mut open = chunk.len();
            while open > 0 {
                let reply = self.receive()?;
                for (kind, seq, body) in messages(&reply) {
                    let Some(message) = chunk.get((seq as usize).wrapping_sub(1)) else {
                        continue;
                    };
                    if kind != NLMSG_ERROR {
                        continue;
                    }
                    open -= 1;
                    match errno(body) {
                        0 => {}
                        e if message.fine == Some(e) => {}
                        e => errors
                            .push(NetError::kernel(message.action.clone(), io::Error::from_raw_os_error(e))),
                    }
                }
            }
        }
        NetError::collect(errors)
    }

    /// One dump: the bodies of all answers.
    pub(crate) fn dump(
        &self,
        kind: u16,
        body: &impl Emitable,
        action: &str,
    ) -> Result<Vec<Vec<u8>>, NetError> {
        let mut payload = vec![0; body.buffer_len()];
        body.emit(&mut payload);
        self.dump_raw(kind, &payload, action)
    }

    /// [`Netlink::dump`] with a ready-made request body. What changes while it is listed is listed once more: something
    /// may be missing from it. Where there is no end to that, the last list is as good as any.
    pub(crate) fn dump_raw(&self, kind: u16, payload: &[u8], action: &str) -> Result<Vec<Vec<u8>>, NetError> {
        const TRIES: usize = 20;
        for _ in 1..TRIES {
            let (all, whole) = self.dump_once(kind, payload, action)?;
            if whole {
                return Ok(all);
            }
        }
        Ok(self.dump_once(kind, payload, action)?.0)
    }

    /// A list, and whether nothing has changed meanwhile.
    fn dump_once(&self, kind: u16, payload: &[u8], action: &str) -> Result<(Vec<Vec<u8>>, bool), NetError> {
        let mut wire = Vec::new();
        put_header(&mut wire, kind, REQUEST | DUMP, 1, payload.len());
        wire.extend_from_slice(payload);
        self.send(&wire)?;
        let (mut all, mut whole) = (Vec::new(), true);
        loop {
            let reply = self.receive()?;
            whole &= !is_interrupted(&reply);
            for (kind, _, body) in messages(&reply) {
                match kind {
                    NLMSG_DONE => return Ok((all, whole)),
                    NLMSG_ERROR => {
                        return Err(NetError::kernel(action, io::Error::from_raw_os_error(errno(body))));
                    }
                    _ => all.push(body.to_vec()),
                }
            }
        }
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.0
    }

    pub(crate) fn send(&self, wire: &[u8]) -> Result<(), NetError> {
        self.0.send(wire, 0).map(drop).map_err(|e| NetError::kernel("send a netlink batch", e))
    }

    pub(crate) fn receive(&self) -> Result<Vec<u8>, NetError> {
        loop {
            match self.0.recv_from_full() {
                Ok((reply, _)) => return Ok(reply),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(NetError::kernel("read a netlink answer", e)),
            }
        }
    }
}

/// Appends a `struct nlmsghdr` (netlink(7)) for a body of `len` bytes.
pub(crate) fn put_header(wire: &mut Vec<u8>, kind: u16, flags: u16, seq: u32, len: usize) {
    wire.extend_from_slice(&((HEADER + len) as u32).to_ne_bytes());
    wire.extend_from_slice(&kind.to_ne_bytes());
    wire.extend_from_slice(&flags.to_ne_bytes());
    wire.extend_from_slice(&seq.to_ne_bytes());
    wire.extend_from_slice(&0u32.to_ne_bytes());
}

/// The messages of one datagram as (type, sequence number, body).
pub(crate) fn messages(mut wire: &[u8]) -> impl Iterator<Item = (u16, u32, &[u8])> {
    std::iter::from_fn(move || {
        let header = wire.get(..HEADER)?;
        let word =
            |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let length = word(0) as usize;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        let seq = word(8);
        let body = wire.get(HEADER..length)?;
        wire = wire.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, seq, body))
    })
}

/// Whether a message of a datagram says that what is listed has changed meanwhile (`NLM_F_DUMP_INTR`).
fn is_interrupted(mut wire: &[u8]) -> bool {
    const DUMP_INTR: u16 = 0x10;
    while let Some(header) = wire.get(..HEADER) {
        if u16::from_ne_bytes([header[6], header[7]]) & DUMP_INTR != 0 {
            return true;
        }
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        wire = wire.get(length.max(HEADER).next_multiple_of(4)..).unwrap_or(&[]);
    }
    false
}

/// The positive errno of an `NLMSG_ERROR` body; 0 is an acknowledgement.
pub(crate) fn errno(body: &[u8]) -> i32 {
    match body {
        [a, b, c, d, ..] => -i32::from_ne_bytes([*a, *b, *c, *d]),
        _ => rustix::io::Errno::BADMSG.raw_os_error(),
    }
}
