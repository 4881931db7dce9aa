//! Published ports: held on the host so that a clash is seen, and relayed for clients that the firewall's
//! translation does not serve (loopback, IPv6).

mod hold;
mod holder;
mod relay;

pub use hold::{PortHolder, Protocol};
pub use holder::port_holder;
