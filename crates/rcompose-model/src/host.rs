use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Neither an address nor `host-gateway`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} isn't an IP address")]
pub struct HostAddressError(String);

/// What a line of `extra_hosts` points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum HostAddress {
    /// An address.
    Ip(IpAddr),
    /// `host-gateway`: this machine, as the container sees it.
    Gateway,
}

impl FromStr for HostAddress {
    type Err = HostAddressError;
    fn from_str(text: &str) -> Result<Self, HostAddressError> {
        if text == "host-gateway" {
            return Ok(Self::Gateway);
        }
        text.parse().map(Self::Ip).map_err(|_| HostAddressError(text.to_owned()))
    }
}

impl TryFrom<String> for HostAddress {
    type Error = HostAddressError;
    fn try_from(text: String) -> Result<Self, HostAddressError> {
        text.parse()
    }
}

impl From<HostAddress> for String {
    fn from(address: HostAddress) -> Self {
        address.to_string()
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Gateway => f.write_str("host-gateway"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::HostAddress;

    #[test]
    fn addresses() {
        for good in ["10.0.0.1", "::1", "host-gateway"] {
            assert_eq!(good.parse::<HostAddress>().unwrap().to_string(), good);
        }
        for bad in ["", "foo", "10.0.0", "1.2.3.4/8"] {
            assert!(bad.parse::<HostAddress>().is_err(), "{bad}");
        }
    }
}
