use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// One published port, or a range of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    /// Address on the host; `None` is every address.
    pub host_ip: Option<IpAddr>,
    /// First and last host port; `None` lets the machine choose.
    pub published: Option<(u16, u16)>,
    /// Port in the container.
    pub target: u16,
    /// tcp, udp or sctp.
    pub protocol: PortProtocol,
    /// `name` of the long form.
    pub name: Option<String>,
    /// `app_protocol` of the long form.
    pub app_protocol: Option<String>,
    /// `mode` of the long form (`ingress` unless given).
    pub mode: Option<String>,
}

/// Transport protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortProtocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl PortProtocol {
    /// `tcp`, `udp` or `sctp`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

impl std::fmt::Display for PortProtocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
