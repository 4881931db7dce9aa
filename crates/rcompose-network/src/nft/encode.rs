//! The wire form of rules (linux/netfilter/nf_tables.h). Numbers in attributes are big-endian; what a register
//! holds is in the packet's order, or in the host's for the kernel's own values.

use std::net::Ipv4Addr;

use super::rule::{Action, Match, Rule};
use crate::{Ipv4Net, Protocol};

const NESTED: u16 = 0x8000;
const LIST_ELEM: u16 = 1;
const REG_1: u32 = 1;
const REG_2: u32 = 2;
const EQ: u32 = 0;
const NEQ: u32 = 1;
const BASE_NETWORK: u32 = 1;
const BASE_TRANSPORT: u32 = 2;
const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;
const META_L4PROTO: u32 = 16;
const CT_STATE: u32 = 0;
const CT_STATUS: u32 = 2;
/// `NF_CT_STATE_BIT` of established and related.
const ESTABLISHED_OR_RELATED: u32 = 2 | 4;
/// `IPS_DST_NAT`.
const DST_NAT: u32 = 1 << 5;
const FIB_SADDR: u32 = 1;
const FIB_DADDR: u32 = 2;
const FIB_ADDRTYPE: u32 = 3;
/// `RTN_LOCAL`.
const LOCAL: u32 = 2;
const SOURCE: u32 = 12;
const DESTINATION: u32 = 16;
const IFNAMSIZ: usize = 16;

/// A list of netlink attributes being written.
#[derive(Default)]
pub(crate) struct Attributes(pub(crate) Vec<u8>);

impl Attributes {
    pub(crate) fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let length = (4 + value.len()) as u16;
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    pub(crate) fn number(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    pub(crate) fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    pub(crate) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let mut inner = Self::default();
        fill(&mut inner);
        self.bytes(kind | NESTED, &inner.0)
    }

    fn expression(&mut self, name: &str, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.nest(LIST_ELEM, |e| {
            e.text(1, name).nest(2, fill);
        })
    }
}

/// The contents of `NFTA_RULE_EXPRESSIONS`.
pub(crate) fn encode_rule(rule: &Rule) -> Attributes {
    let mut out = Attributes::default();
    for m in &rule.matches {
        encode_match(&mut out, m);
    }
    encode_action(&mut out, &rule.action);
    out
}

fn encode_match(out: &mut Attributes, m: &Match) {
    match m {
        Match::In(name) => link(out, META_IIFNAME, name),
        Match::Out(name) => link(out, META_OIFNAME, name),
        Match::From(a) => address(out, SOURCE, *a),
        Match::To(a) => address(out, DESTINATION, *a),
        Match::FromNet(n) => subnet(out, SOURCE, *n, EQ),
        Match::NotToNet(n) => subnet(out, DESTINATION, *n, NEQ),
        Match::FromLocal => local(out, FIB_SADDR),
        Match::ToLocal => local(out, FIB_DADDR),
        Match::Port(protocol, port) => {
            let number: u8 = match protocol {
                Protocol::Tcp => 6,
                Protocol::Udp => 17,
            };
            meta(out, META_L4PROTO);
            compare(out, EQ, &[number]);
            payload(out, BASE_TRANSPORT, 2, 2);
            compare(out, EQ, &port.to_be_bytes());
        }
        Match::Translated => conntrack(out, CT_STATUS, DST_NAT),
        Match::Established => conntrack(out, CT_STATE, ESTABLISHED_OR_RELATED),
    }
}

fn encode_action(out: &mut Attributes, action: &Action) {
    match action {
        Action::Drop => verdict(out, 0),
        Action::Accept => verdict(out, 1),
        Action::Masquerade => {
            out.expression("masq", |_| {});
        }
        Action::Snat(a) => nat(out, 0, *a, None),
        Action::Dnat(a, port) => nat(out, 1, *a, *port),
    }
}

fn nat(out: &mut Attributes, kind: u32, to: Ipv4Addr, port: Option<u16>) {
    immediate(out, REG_1, &to.octets());
    if let Some(port) = port {
        immediate(out, REG_2, &port.to_be_bytes());
    }
    out.expression("nat", |e| {
        e.number(1, kind).number(2, 2).number(3, REG_1);
        if port.is_some() {
            e.number(5, REG_2);
        }
    });
}

fn immediate(out: &mut Attributes, register: u32, value: &[u8]) {
    out.expression("immediate", |e| {
        e.number(1, register).nest(2, |d| {
            d.bytes(1, value);
        });
    });
}

fn verdict(out: &mut Attributes, code: u32) {
    out.expression("immediate", |e| {
        e.number(1, 0).nest(2, |d| {
            d.nest(2, |v| {
                v.number(1, code);
            });
        });
    });
}

fn link(out: &mut Attributes, key: u32, name: &str) {
    meta(out, key);
    match name.strip_suffix('*') {
        Some(prefix) => compare(out, EQ, prefix.as_bytes()),
        None => {
            let mut padded = name.as_bytes().to_vec();
            padded.resize(IFNAMSIZ, 0);
            compare(out, EQ, &padded);
        }
    }
}

fn address(out: &mut Attributes, offset: u32, value: Ipv4Addr) {
    payload(out, BASE_NETWORK, offset, 4);
    compare(out, EQ, &value.octets());
}

fn subnet(out: &mut Attributes, offset: u32, value: Ipv4Net, op: u32) {
    payload(out, BASE_NETWORK, offset, 4);
    mask(out, &value.netmask().octets());
    compare(out, op, &value.address().octets());
}

fn local(out: &mut Attributes, of: u32) {
    out.expression("fib", |e| {
        e.number(1, REG_1).number(2, FIB_ADDRTYPE).number(3, of);
    });
    compare(out, EQ, &LOCAL.to_ne_bytes());
}

fn conntrack(out: &mut Attributes, key: u32, bits: u32) {
    out.expression("ct", |e| {
        e.number(1, REG_1).number(2, key);
    });
    mask(out, &bits.to_ne_bytes());
    compare(out, NEQ, &[0; 4]);
}

fn meta(out: &mut Attributes, key: u32) {
    out.expression("meta", |e| {
        e.number(1, REG_1).number(2, key);
    });
}

fn payload(out: &mut Attributes, base: u32, offset: u32, length: u32) {
    out.expression("payload", |e| {
        e.number(1, REG_1).number(2, base).number(3, offset).number(4, length);
    });
}

fn mask(out: &mut Attributes, bits: &[u8; 4]) {
    out.expression("bitwise", |e| {
        e.number(1, REG_1).number(2, REG_1).number(3, 4);
        e.nest(4, |d| {
            d.bytes(1, bits);
        });
        e.nest(5, |d| {
            d.bytes(1, &[0; 4]);
        });
    });
}

fn compare(out: &mut Attributes, op: u32, value: &[u8]) {
    out.expression("cmp", |e| {
        e.number(1, REG_1).number(2, op).nest(3, |d| {
            d.bytes(1, value);
        });
    });
}
