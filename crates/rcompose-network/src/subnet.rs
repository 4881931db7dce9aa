use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use crate::NetError;

/// An IPv4 subnet: a network address (host bits zero) and a prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ipv4Net {
    address: Ipv4Addr,
    prefix: u8,
}

impl Ipv4Net {
    /// The subnet that `address` lies in. Host bits are cleared. `None` if `prefix` is above 32.
    pub const fn new(address: Ipv4Addr, prefix: u8) -> Option<Self> {
        if prefix > 32 {
            return None;
        }
        let bits = address.to_bits() & mask(prefix);
        Some(Self { address: Ipv4Addr::from_bits(bits), prefix })
    }

    /// The network address.
    pub const fn address(self) -> Ipv4Addr {
        self.address
    }

    /// The prefix length, 0 to 32.
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// The network mask.
    pub const fn netmask(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(mask(self.prefix))
    }

    /// The highest address: the broadcast address of a subnet of /30 or wider.
    pub const fn last(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() | !mask(self.prefix))
    }

    /// The lowest address that a host can have; Docker's choice for a gateway.
    pub const fn first_host(self) -> Ipv4Addr {
        if self.prefix >= 31 { self.address } else { Ipv4Addr::from_bits(self.address.to_bits() + 1) }
    }

    /// Whether `address` lies in this subnet.
    pub const fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask(self.prefix) == self.address.to_bits()
    }

    /// Whether the two subnets share an address.
    pub const fn overlaps(self, other: Self) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }
}

const fn mask(prefix: u8) -> u32 {
    if prefix == 0 { 0 } else { u32::MAX << (32 - prefix as u32) }
}

impl fmt::Display for Ipv4Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Ipv4Net {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        text.split_once('/')
            .and_then(|(address, prefix)| Self::new(address.parse().ok()?, prefix.parse().ok()?))
            .ok_or_else(|| NetError::Invalid(format!("`{text}` is not an IPv4 subnet")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    #[test]
    fn knows_its_edges() {
        let n = net("172.18.3.4/16");
        assert_eq!(n.to_string(), "172.18.0.0/16");
        assert_eq!(n.first_host().to_string(), "172.18.0.1");
        assert_eq!(n.last().to_string(), "172.18.255.255");
        assert_eq!(n.netmask().to_string(), "255.255.0.0");
        assert!(net("0.0.0.0/0").contains(Ipv4Addr::LOCALHOST));
        assert!(net("10.0.0.0/8").overlaps(net("10.3.0.0/16")));
        assert!(net("10.3.0.0/16").overlaps(net("10.0.0.0/8")));
        assert!(!net("10.3.0.0/16").overlaps(net("10.4.0.0/16")));
        assert!("10.0.0.0".parse::<Ipv4Net>().is_err());
        assert!("10.0.0.0/33".parse::<Ipv4Net>().is_err());
    }
}
