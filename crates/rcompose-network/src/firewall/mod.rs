//! Rule sets as data, each rendered to one nf_tables transaction.

mod dns;
mod foreign;
mod host;
mod network;

pub use dns::{NAMESERVER, redirect_dns};
pub use foreign::{close_forward, open_forward};
pub use host::{HostRules, HostUplink, Published};
pub use network::{NetworkRules, Outlet};
