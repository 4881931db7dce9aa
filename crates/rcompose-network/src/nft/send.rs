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
const GETTABLE: u16 = SUBSYSTEM | 1;
const DELTABLE: u16 = SUBSYSTEM | 2;
const NEWCHAIN: u16 = SUBSYSTEM | 3;
const NEWRULE: u16 = SUBSYSTEM | 6;
const DELRULE: u16 = SUBSYSTEM | 8;
const NLMSG_ERROR: u16 = 2;
/// `NFTA_TABLE_NAME`.
const TABLE_NAME: u16 = 1;
/// `NFTA_TABLE_USERDATA`, since Linux 5.10.
const TABLE_USERDATA: u16 = 6;
/// Length of `nfgenmsg`.
const GENMSG: usize = 4;
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
            a.text(TABLE_NAME, &table.name).bytes(TABLE_USERDATA, &comment(&fingerprint(table)));
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
                a.text(1, table).text(2, chain);
                a.bytes(EXPRESSIONS, &encode_rule(rule).0);
                a.bytes(7, &comment(mark));
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
    pub(crate) fn commit(self, place: Place) -> Result<(), NetError> {
        if self.actions.is_empty() {
            return Ok(());
        }
        self.commit_by(Netlink::netfilter()?, place)
    }

    fn commit_by(mut self, netlink: Netlink, place: Place) -> Result<(), NetError> {
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

/// Puts a table in force in the calling thread's namespace, in place of one of the same name. One that is there just so
/// stays: whoever takes over from another process changes nothing, and waits for nothing.
pub(crate) fn apply(table: &Table, place: Place) -> Result<(), NetError> {
    let netlink = Netlink::netfilter()?;
    let mut transaction = Transaction::default();
    // Looked up first: a refused transaction costs the kernel an RCU grace period, 20 ms (nf_tables_abort).
    match present(&netlink, &table.name)? {
        None => transaction.create(table, EXCL),
        Some(state) if state == comment(&fingerprint(table)) => return Ok(()),
        Some(_) => transaction.replace(table),
    }
    transaction.commit_by(netlink, place)
}

/// The user data of a table of this namespace; `None`: there is no such table.
fn present(netlink: &Netlink, name: &str) -> Result<Option<Vec<u8>>, NetError> {
    Ok(listed(netlink)?.into_iter().find_map(|(table, data)| (table == name.as_bytes()).then_some(data)))
}

/// The names of this namespace's IPv4 tables.
pub(crate) fn tables() -> Result<Vec<String>, NetError> {
    let listed = listed(&Netlink::netfilter()?)?;
    Ok(listed.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect())
}

/// A table's name and its user data.
type Listed = (Vec<u8>, Vec<u8>);

fn listed(netlink: &Netlink) -> Result<Vec<Listed>, NetError> {
    let mut all = Vec::new();
    for body in netlink.dump_raw(GETTABLE, &[IPV4, 0, 0, 0], "list firewall tables")? {
        let (mut name, mut data) = (Vec::new(), Vec::new());
        for (kind, value) in parse_attributes(body.get(GENMSG..).unwrap_or(&[])) {
            match kind {
                TABLE_NAME => name = value.strip_suffix(&[0]).unwrap_or(value).to_vec(),
                TABLE_USERDATA => data = value.to_vec(),
                _ => {}
            }
        }
        all.push((name, data));
    }
    Ok(all)
}

/// A comment as nft writes it into user data: type 0, length, text with its terminator.
fn comment(text: &str) -> Vec<u8> {
    let mut data = vec![0, (text.len() + 1) as u8];
    data.extend_from_slice(text.as_bytes());
    data.push(0);
    data
}

/// Tells two contents of a table apart (FNV-1a of what it says in nft's syntax).
fn fingerprint(table: &Table) -> String {
    let hash = table
        .to_string()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    format!("rcompose {hash:016x}")
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
