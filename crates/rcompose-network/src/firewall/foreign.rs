//! Other people's forward chains. A verdict to accept in our table does not overrule a drop in another one, and
//! where Docker's engine ever ran, the FORWARD chain's policy is drop and stays so after it stops.

use std::io;

use crate::NetError;
use crate::netlink::Netlink;
use crate::nft::{Action, Change, Match, Place, Rule, Transaction, parse_attributes};

const GETCHAIN: u16 = (10 << 8) | 4;
const GETRULE: u16 = (10 << 8) | 7;
const IPV4: u8 = 2;
const INET: u8 = 1;
const HOOK_FORWARD: u32 = 2;
const POLICY_DROP: u32 = 0;
const GENMSG: usize = 4;

/// Lets other tables' forward chains pass traffic of links that begin with `link_prefix`: two accepting rules,
/// marked with `mark`, at the head of Docker's `DOCKER-USER` chain and of every forward chain of which the policy is
/// to drop. Rules that drop by themselves (firewalld) and legacy x_tables chains are out of reach. Idempotent.
/// True if a rule was added; take it back with [`close_forward`].
pub fn open_forward(link_prefix: &str, mark: &str) -> Result<bool, NetError> {
    while_others_change(|| open(link_prefix, mark))
}

fn open(link_prefix: &str, mark: &str) -> Result<bool, NetError> {
    let present = marked(mark)?;
    let links = format!("{link_prefix}*");
    let rules = [Match::In(links.clone()), Match::Out(links)]
        .map(|m| Rule { matches: vec![m], action: Action::Accept });
    let mut transaction = Transaction::default();
    let mut added = false;
    for chain in chains()? {
        if !chain.drops() || present.iter().any(|(c, _)| c.is(&chain)) {
            continue;
        }
        added = true;
        for rule in &rules {
            let change = Change::Insert { rule, mark };
            transaction.change(chain.family, &chain.table, &chain.name, &change);
        }
    }
    transaction.commit(Place::Host)?;
    Ok(added)
}

/// Removes every rule that [`open_forward`] added under `mark`.
pub fn close_forward(mark: &str) -> Result<(), NetError> {
    while_others_change(|| close(mark))
}

fn close(mark: &str) -> Result<(), NetError> {
    let mut transaction = Transaction::default();
    for (chain, handle) in marked(mark)? {
        let change = Change::Delete { handle };
        transaction.change(chain.family, &chain.table, &chain.name, &change);
    }
    transaction.commit(Place::Host)
}

/// The chains are other people's: one may go between the look at it and the change to it, as when Docker's engine
/// starts or ends. Then nothing has been done, and all is looked at anew.
fn while_others_change<T>(change: impl Fn() -> Result<T, NetError>) -> Result<T, NetError> {
    const TRIES: usize = 20;
    for _ in 1..TRIES {
        match change() {
            Err(NetError::Kernel { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            done => return done,
        }
    }
    change()
}

/// A chain of any table.
struct ForeignChain {
    family: u8,
    table: String,
    name: String,
    forwards: bool,
    policy: Option<u32>,
}

impl ForeignChain {
    fn drops(&self) -> bool {
        let by_policy = self.forwards && self.policy == Some(POLICY_DROP);
        by_policy || (self.table == "filter" && self.name == "DOCKER-USER")
    }

    fn is(&self, other: &Self) -> bool {
        (self.family, &self.table, &self.name) == (other.family, &other.table, &other.name)
    }
}

fn chains() -> Result<Vec<ForeignChain>, NetError> {
    let mut all = Vec::new();
    for family in [IPV4, INET] {
        let request = [family, 0, 0, 0];
        for body in Netlink::netfilter()?.dump_raw(GETCHAIN, &request, "list firewall chains")? {
            let mut chain = ForeignChain {
                family,
                table: String::new(),
                name: String::new(),
                forwards: false,
                policy: None,
            };
            for (kind, value) in parse_attributes(body.get(GENMSG..).unwrap_or(&[])) {
                match kind {
                    1 => chain.table = text(value),
                    3 => chain.name = text(value),
                    4 => {
                        chain.forwards = parse_attributes(value)
                            .any(|(kind, v)| kind == 1 && number(v) == Some(HOOK_FORWARD));
                    }
                    5 => chain.policy = number(value),
                    _ => {}
                }
            }
            all.push(chain);
        }
    }
    Ok(all)
}

/// The rules whose comment is `mark`, with their handles.
fn marked(mark: &str) -> Result<Vec<(ForeignChain, u64)>, NetError> {
    let mut found = Vec::new();
    for family in [IPV4, INET] {
        let request = [family, 0, 0, 0];
        for body in Netlink::netfilter()?.dump_raw(GETRULE, &request, "list firewall rules")? {
            let (mut table, mut name, mut handle, mut ours) = (None, None, None, false);
            for (kind, value) in parse_attributes(body.get(GENMSG..).unwrap_or(&[])) {
                match kind {
                    1 => table = Some(text(value)),
                    2 => name = Some(text(value)),
                    3 => handle = value.try_into().ok().map(u64::from_be_bytes),
                    7 => ours = value.get(2..).is_some_and(|comment| text(comment) == mark),
                    _ => {}
                }
            }
            if let (Some(table), Some(name), Some(handle), true) = (table, name, handle, ours) {
                let chain = ForeignChain { family, table, name, forwards: false, policy: None };
                found.push((chain, handle));
            }
        }
    }
    Ok(found)
}

fn text(value: &[u8]) -> String {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

fn number(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}
