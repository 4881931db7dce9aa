//! nf_tables as data, and its wire form. A [`Table`] is pure and prints in nft's own syntax; [`apply`] sends one.

mod encode;
mod rule;
mod send;

pub(crate) use rule::{Action, Chain, Hook, Match, Rule, Table};
pub(crate) use send::{Change, Place, Transaction, apply, parse_attributes, release, remove, tables};
