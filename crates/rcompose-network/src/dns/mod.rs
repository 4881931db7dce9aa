//! Names for containers: a pure table per container, and a server that answers from it at 127.0.0.11.

mod forward;
mod message;
mod resolv;
mod server;
mod table;

pub use crate::firewall::NAMESERVER;
pub use resolv::nameservers;
pub use server::DnsServer;
pub use table::{Answer, NameTable, Question};
