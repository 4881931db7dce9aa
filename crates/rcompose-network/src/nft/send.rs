use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, PoisonError};

use netlink_sys::Socket;
use rustix::net::sockopt::set_socket_send_buffer_size_force;

use super::encode::{Attributes, encode_rule};
use super::rule::{Rule, Table};
use crate::NetError;
use crate::netlink::{ACK, APPEND, CREATE, EXCL, Netlink, REQUEST, errno, messages, put_header};

const SUBSYSTEM: u16 = 10 << 8;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const NEWTABLE: u16 = SUBSYSTEM;
const DELTABLE: u16 = SUBSYSTEM | 2;
const NEWCHAIN: u16 = SUBSYSTEM | 3;
const NEWRULE: u16 = SUBSYSTEM | 6;
const DELRULE: u16 = SUBSYSTEM | 8;
const NLMSG_ERROR: u16 = 2;
/// `NFTA_RULE_EXPRESSIONS`, a nest.
const EXPRESSIONS: u16 = 4 | 0x8000;
/// `NFPROTO_IPV4`.
const IPV4: u8 = 2;

/// What a transaction does besides tables: rules in chains that belong to somebody else.
pub(crate) enum Change<'a> {
    /// At the chain's head, with a comment to find it by.
    Insert { rule: &'a Rule, mark: &'a str },
    /// By the kernel's handle.
    Delete { handle: u64 },
}

/// Messages that take effect all together or not at all.
#[derive(Default)]
pub(crate) struct Transaction {
    wire: Vec<u8>,
    actions: Vec<String>,
    last: usize,
    destroys: bool,
}

impl Transaction {
    /// Replaces a whole table: made if missing, emptied by deletion, made anew. One atomic step for traffic.
    pub(crate) fn replace(&mut self, table: &Table) {
        self.drop_table(&table.name);
        self.create(table, 0);
    }

    /// Makes a whole table; `EXCL` refuses one that is there.
    fn create(&mut self, table: &Table, exclusive: u16) {
        self.push(NEWTABLE, CREATE | exclusive, IPV4, format!("create table {}", table.name), |a| {
            a.text(1, &table.name);
        });
        for chain in &table.chains {
            let hook = chain.hook;
            let label = format!("create chain {} of table {}", hook.name(), table.name);
            self.push(NEWCHAIN, CREATE, IPV4, label, |a| {
                a.text(1, &table.name)
                    .text(3, hook.name())
                    .nest(4, |h| {
                        h.number(1, hook.number()).bytes(2, &hook.priority().to_be_bytes());
                    })
                    .number(5, 1)
                    .text(7, hook.kind());
            });
            for rule in &chain.rules {
                let label = format!("add `{}` to table {}", rule.action, table.name);
                self.push(NEWRULE, CREATE | APPEND, IPV4, label, |a| {
                    a.text(1, &table.name).text(2, hook.name());
                    a.bytes(EXPRESSIONS, &encode_rule(rule).0);
                });
            }
        }
    }

    /// Deletes a table, whether it is there or not: making it first needs no newer kernel, unlike
    /// `NFT_MSG_DESTROYTABLE` (6.3).
    pub(crate) fn drop_table(&mut self, name: &str) {
        for (kind, flags) in [(NEWTABLE, CREATE), (DELTABLE, 0)] {
            self.push(kind, flags, IPV4, format!("remove table {name}"), |a| {
                a.text(1, name);
            });
        }
    }

    /// Changes a chain of any table.
    pub(crate) fn change(&mut self, family: u8, table: &str, chain: &str, change: &Change<'_>) {
        let label = format!("change chain {chain} of table {table}");
        match change {
            Change::Insert { rule, mark } => self.push(NEWRULE, CREATE, family, label, |a| {
                // A comment as nft writes it: type 0, length, text with its terminator.
                let mut comment = vec![0, (mark.len() + 1) as u8];
                comment.extend_from_slice(mark.as_bytes());
                comment.push(0);
                a.text(1, table).text(2, chain);
                a.bytes(EXPRESSIONS, &encode_rule(rule).0);
                a.bytes(7, &comment);
            }),
            Change::Delete { handle } => self.push(DELRULE, 0, family, label, |a| {
                a.text(1, table).text(2, chain);
                a.bytes(3, &handle.to_be_bytes());
            }),
        }
    }

    /// Whether the kernel has something to destroy afterwards.
    fn destroys(&self) -> bool {
        self.destroys
    }

    fn push(
        &mut self,
        kind: u16,
        flags: u16,
        family: u8,
        action: String,
        fill: impl FnOnce(&mut Attributes),
    ) {
        self.destroys |= matches!(kind, DELTABLE | DELRULE);
        let mut body = Attributes(vec![family, 0, 0, 0]);
        fill(&mut body);
        self.actions.push(action);
        self.last = self.wire.len();
        let seq = self.actions.len() as u32;
        put_header(&mut self.wire, kind, REQUEST | flags, seq, body.0.len());
        self.wire.extend_from_slice(&body.0);
    }

    /// Sends everything in one piece from the calling thread's namespace.
    pub(crate) fn commit(mut self, place: Place) -> Result<(), NetError> {
        if self.actions.is_empty() {
            return Ok(());
        }
        // Errors come for every message; an acknowledgement is asked of the last one only, and comes after them.
        let at = self.last + 6;
        let flags = ACK | u16::from_ne_bytes([self.wire[at], self.wire[at + 1]]);
        self.wire[at..at + 2].copy_from_slice(&flags.to_ne_bytes());
        let last = self.actions.len() as u32;
        let mut wire = Vec::with_capacity(self.wire.len() + 40);
        // nfgenmsg with the subsystem in res_id (linux/netfilter/nfnetlink.h).
        let frame = [0, 0, 0, 10];
        put_header(&mut wire, BATCH_BEGIN, REQUEST, 0, frame.len());
        wire.extend_from_slice(&frame);
        wire.append(&mut self.wire);
        put_header(&mut wire, BATCH_END, REQUEST, last + 1, frame.len());
        wire.extend_from_slice(&frame);

        let netlink = Netlink::netfilter()?;
        make_room(netlink.socket(), wire.len())?;
        netlink.send(&wire)?;
        let result = self.answers(&netlink, last);
        if self.destroys() {
            linger(place, netlink);
        }
        result
    }

    fn answers(&self, netlink: &Netlink, last: u32) -> Result<(), NetError> {
        loop {
            let reply = netlink.receive()?;
            for (kind, seq, body) in messages(&reply) {
                if kind != NLMSG_ERROR {
                    continue;
                }
                match errno(body) {
                    0 if seq == last => return Ok(()),
                    0 => {}
                    e => {
                        let action = self
                            .actions
                            .get((seq as usize).wrapping_sub(1))
                            .map_or("change the firewall", String::as_str);
                        return Err(NetError::kernel(action, io::Error::from_raw_os_error(e)));
                    }
                }
            }
        }
    }
}

/// Whose namespace a transaction is for: it decides how long its socket may stay open, for an open socket keeps its
/// namespace alive.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It outlives us anyway.
    Host,
    /// Until [`release`] is called for its removal.
    Network,
    /// Must be able to die at any moment.
    Container,
}

static LINGERING: Mutex<VecDeque<(Place, Netlink)>> = Mutex::new(VecDeque::new());

/// Closing a netfilter socket waits until the kernel has destroyed what was deleted (an RCU grace period and more, some
/// 10 ms, with the firewall's lock held). So the sockets of the last few deletions stay open: by the time one is
/// closed its destruction is long over.
fn linger(place: Place, netlink: Netlink) {
    const MOST: usize = 8;
    if place == Place::Container {
        return;
    }
    let mut sockets = LINGERING.lock().unwrap_or_else(PoisonError::into_inner);
    sockets.push_back((place, netlink));
    if sockets.len() > MOST {
        sockets.pop_front();
    }
}

/// Closes the lingering sockets in networks' namespaces, so that none keeps a network alive that is being removed.
pub(crate) fn release() {
    let mut sockets = LINGERING.lock().unwrap_or_else(PoisonError::into_inner);
    sockets.retain(|(place, _)| *place != Place::Network);
}

/// A batch must fit into the send buffer whole. The forced size is not bound by net.core.wmem_max (socket(7)).
fn make_room(socket: &Socket, length: usize) -> Result<(), NetError> {
    const DEFAULT: usize = 128 * 1024;
    if length < DEFAULT {
        return Ok(());
    }
    // Twice the length, for the kernel's own bookkeeping.
    set_socket_send_buffer_size_force(socket, 2 * length)
        .map_err(|e| NetError::kernel("make room for a firewall batch", e))
}

/// Puts a table in force in the calling thread's namespace, in place of one of the same name.
pub(crate) fn apply(table: &Table, place: Place) -> Result<(), NetError> {
    // Nearly always there is none yet; then nothing is deleted, and nothing has to be waited for.
    let mut fresh = Transaction::default();
    fresh.create(table, EXCL);
    match fresh.commit(place) {
        Err(e) if e.errno() == Some(rustix::io::Errno::EXIST.raw_os_error()) => {}
        other => return other,
    }
    let mut transaction = Transaction::default();
    transaction.replace(table);
    transaction.commit(place)
}

/// Removes a table; a missing one is fine.
pub(crate) fn remove(name: &str) -> Result<(), NetError> {
    let mut transaction = Transaction::default();
    transaction.drop_table(name);
    transaction.commit(Place::Host)
}

/// The attributes of a message body behind its `nfgenmsg`, or of a nest, as (type, value).
pub(crate) fn parse_attributes(mut wire: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let header = wire.get(..4)?;
        let length = u16::from_ne_bytes([header[0], header[1]]) as usize;
        let kind = u16::from_ne_bytes([header[2], header[3]]) & 0x3fff;
        let value = wire.get(4..length)?;
        wire = wire.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, value))
    })
}
