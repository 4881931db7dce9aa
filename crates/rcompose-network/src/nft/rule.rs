use std::fmt;
use std::net::Ipv4Addr;

use crate::{Ipv4Net, Protocol};

/// A table of family `ip`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) chains: Vec<Chain>,
}

/// A base chain: nat chains at the hook's usual priority, a filter chain for forwarding. Policy accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) hook: Hook,
    pub(crate) rules: Vec<Rule>,
}

/// Where a chain hangs (linux/netfilter.h), with the priority that nft calls dstnat, filter or srcnat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    Prerouting,
    Forward,
    Output,
    Postrouting,
}

impl Hook {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Prerouting => "prerouting",
            Self::Forward => "forward",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
        }
    }

    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Prerouting => 0,
            Self::Forward => 2,
            Self::Output => 3,
            Self::Postrouting => 4,
        }
    }

    pub(crate) fn priority(self) -> i32 {
        match self {
            Self::Prerouting | Self::Output => -100,
            Self::Forward => 0,
            Self::Postrouting => 100,
        }
    }

    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Forward => "filter",
            _ => "nat",
        }
    }
}

/// Conditions that must all hold, and what then happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) matches: Vec<Match>,
    pub(crate) action: Action,
}

/// One condition. Names ending in `*` stand for all links that begin so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    In(String),
    Out(String),
    From(Ipv4Addr),
    FromNet(Ipv4Net),
    To(Ipv4Addr),
    NotToNet(Ipv4Net),
    FromLocal,
    ToLocal,
    Port(Protocol, u16),
    Translated,
    Established,
}

/// What happens to a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Accept,
    Drop,
    Masquerade,
    Snat(Ipv4Addr),
    Dnat(Ipv4Addr, Option<u16>),
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In(name) => write!(f, "iifname \"{name}\""),
            Self::Out(name) => write!(f, "oifname \"{name}\""),
            Self::From(a) => write!(f, "ip saddr {a}"),
            Self::FromNet(n) => write!(f, "ip saddr {n}"),
            Self::To(a) => write!(f, "ip daddr {a}"),
            Self::NotToNet(n) => write!(f, "ip daddr != {n}"),
            Self::FromLocal => f.write_str("fib saddr type local"),
            Self::ToLocal => f.write_str("fib daddr type local"),
            Self::Port(protocol, port) => write!(f, "{protocol} dport {port}"),
            Self::Translated => f.write_str("ct status dnat"),
            Self::Established => f.write_str("ct state established,related"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Drop => f.write_str("drop"),
            Self::Masquerade => f.write_str("masquerade"),
            Self::Snat(a) => write!(f, "snat to {a}"),
            Self::Dnat(a, None) => write!(f, "dnat to {a}"),
            Self::Dnat(a, Some(p)) => write!(f, "dnat to {a}:{p}"),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "table ip {} {{", self.name)?;
        for chain in &self.chains {
            let hook = chain.hook;
            writeln!(
                f,
                "  chain {0} {{ type {1} hook {0} priority {2}; policy accept;",
                hook.name(),
                hook.kind(),
                hook.priority()
            )?;
            for rule in &chain.rules {
                f.write_str("    ")?;
                for m in &rule.matches {
                    write!(f, "{m} ")?;
                }
                writeln!(f, "{}", rule.action)?;
            }
            writeln!(f, "  }}")?;
        }
        writeln!(f, "}}")
    }
}
