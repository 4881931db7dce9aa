use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Not an address of the kind that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not an address and a prefix length.
    #[error("{0:?} isn't a network in CIDR form")]
    Cidr(String),
    /// Not six pairs of hexadecimal digits.
    #[error("{0:?} isn't a MAC address")]
    Mac(String),
}

/// An address and a prefix length: `172.28.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// The address, as it was written: it may have bits behind the prefix.
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// Bits that the network's addresses share.
    pub fn prefix(self) -> u8 {
        self.prefix
    }
}

impl FromStr for Cidr {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let parse = || {
            let (address, prefix) = text.split_once('/')?;
            let (address, prefix): (IpAddr, u8) = (address.parse().ok()?, prefix.parse().ok()?);
            let most = if address.is_ipv4() { 32 } else { 128 };
            (prefix <= most).then_some(Self { address, prefix })
        };
        parse().ok_or_else(|| AddressError::Cidr(text.to_owned()))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Six octets of an interface: `02:42:ac:11:00:02`, dashes possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddress([u8; 6]);

impl MacAddress {
    /// The octets.
    pub fn octets(self) -> [u8; 6] {
        self.0
    }
}

impl FromStr for MacAddress {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let parse = || {
            let mut octets = [0; 6];
            let mut parts = text.split([':', '-']);
            for octet in &mut octets {
                let part =
                    parts.next().filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()))?;
                *octet = u8::from_str_radix(part, 16).ok()?;
            }
            parts.next().is_none().then_some(Self(octets))
        };
        parse().ok_or_else(|| AddressError::Mac(text.to_owned()))
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

macro_rules! as_text {
    ($name:ident) => {
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
        impl TryFrom<String> for $name {
            type Error = AddressError;
            fn try_from(text: String) -> Result<Self, AddressError> {
                text.parse()
            }
        }
    };
}
as_text!(Cidr);
as_text!(MacAddress);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in ["10.0.0.0/8", "172.28.5.1/16", "2001:db8::/64", "0.0.0.0/0"] {
            assert_eq!(good.parse::<Cidr>().unwrap().to_string(), good);
        }
        for bad in ["10.0.0.0", "10.0.0.0/33", "10.0.0/8", "::/129", "a/8", "10.0.0.0/-1", ""] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
        assert_eq!("02-42-AC-11-00-02".parse::<MacAddress>().unwrap().to_string(), "02:42:ac:11:00:02");
        for bad in ["", "02:42:ac:11:00", "02:42:ac:11:00:02:03", "+2:42:ac:11:00:02", "02:42:ac:11:00:g2"] {
            assert!(bad.parse::<MacAddress>().is_err(), "{bad}");
        }
    }
}
