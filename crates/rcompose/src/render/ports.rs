//! The PORTS column: `0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, 5432/tcp`.

use std::net::IpAddr;

use rcompose_model::PortProtocol;
use rcompose_plan::{BoundPort, ObservedContainer};
use serde_json::{Value, json};

/// One port of a container, published or only exposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Port {
    private: u16,
    host: Option<(IpAddr, u16)>,
    protocol: PortProtocol,
}

impl From<&BoundPort> for Port {
    fn from(p: &BoundPort) -> Self {
        Self { private: p.container_port, host: Some((p.host_ip, p.host_port)), protocol: p.protocol }
    }
}

/// The ports of a container in docker's order: published ones as they are, and exposed ones that aren't published.
/// A container that doesn't run has none.
fn ports(c: &ObservedContainer) -> Vec<Port> {
    if c.state.pid.is_none() {
        return Vec::new();
    }
    let mut out: Vec<Port> = c.state.ports.iter().map(Port::from).collect();
    for exposed in &c.spec.exposed {
        let (numbers, protocol) = exposed.split_once('/').unwrap_or((exposed, "tcp"));
        let protocol = match protocol {
            "udp" => PortProtocol::Udp,
            "sctp" => PortProtocol::Sctp,
            _ => PortProtocol::Tcp,
        };
        let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
        let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) else { continue };
        for private in first..=last {
            if !out.iter().any(|p| p.private == private && p.protocol == protocol) {
                out.push(Port { private, host: None, protocol });
            }
        }
    }
    out.sort_unstable();
    out.dedup();
    out
}

/// The column. Ranges that map one to one are drawn together (docker's `DisplayablePorts`).
pub(crate) fn column(c: &ObservedContainer) -> String {
    grouped(&ports(c))
}

fn grouped(ports: &[Port]) -> String {
    let mut groups: Vec<(Option<IpAddr>, PortProtocol, u16, u16)> = Vec::new();
    let mut done = Vec::new();
    let mut mapped = Vec::new();
    for p in ports {
        if let Some((ip, host)) = p.host
            && host != p.private
        {
            mapped.push(format!("{}->{}/{}", join(ip, &host.to_string()), p.private, p.protocol));
            continue;
        }
        let ip = p.host.map(|(ip, _)| ip);
        match groups.iter_mut().find(|g| g.0 == ip && g.1 == p.protocol) {
            None => groups.push((ip, p.protocol, p.private, p.private)),
            Some(g) if g.3.checked_add(1) == Some(p.private) => g.3 = p.private,
            Some(g) => {
                done.push(group(g));
                (g.2, g.3) = (p.private, p.private);
            }
        }
    }
    done.extend(groups.iter().map(group));
    done.extend(mapped);
    done.join(", ")
}

fn group((ip, protocol, first, last): &(Option<IpAddr>, PortProtocol, u16, u16)) -> String {
    let range = if first == last { first.to_string() } else { format!("{first}-{last}") };
    match ip {
        Some(ip) => format!("{}->{range}/{protocol}", join(*ip, &range)),
        None => format!("{range}/{protocol}"),
    }
}

/// Address and port with brackets where needed (Go's `net.JoinHostPort`).
pub(crate) fn join(ip: IpAddr, port: &str) -> String {
    match ip {
        IpAddr::V4(ip) => format!("{ip}:{port}"),
        IpAddr::V6(ip) => format!("[{ip}]:{port}"),
    }
}

/// `Publishers` of `ps --format json`.
pub(crate) fn publishers(c: &ObservedContainer) -> Value {
    ports(c)
        .iter()
        .map(|p| {
            json!({
                "URL": p.host.map(|h| h.0.to_string()).unwrap_or_default(),
                "TargetPort": p.private,
                "PublishedPort": p.host.map_or(0, |h| h.1),
                "Protocol": p.protocol.as_str(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_written_as_docker_does() {
        let on = |ip: &str, host, private| Port {
            private,
            host: Some((ip.parse().unwrap(), host)),
            protocol: PortProtocol::Tcp,
        };
        let bare = |private| Port { private, host: None, protocol: PortProtocol::Tcp };
        assert_eq!(
            grouped(&[on("0.0.0.0", 8080, 80), on("::", 8080, 80), bare(5432)]),
            "5432/tcp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"
        );
        assert_eq!(
            grouped(&[on("127.0.0.1", 7000, 7000), on("127.0.0.1", 7001, 7001), bare(1), bare(3)]),
            "1/tcp, 127.0.0.1:7000-7001->7000-7001/tcp, 3/tcp"
        );
    }
}
