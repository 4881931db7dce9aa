//! How a service meets the network.

use std::collections::BTreeMap;

use rcompose_model::{MacAddress, NetworkAttachment, NetworkMode, PortMapping, PortProtocol, ServiceName};

use super::value::{each, opt_int, opt_text, parsed, strings, text_map};
use crate::canonical::{protocol, published_range};
use crate::cx::Cx;
use crate::tree::Node;

pub(super) fn ports(cx: &mut Cx<'_>, n: &Node) -> Vec<PortMapping> {
    let mut out = Vec::new();
    for port in n.get("ports").and_then(Node::as_seq).unwrap_or_default() {
        let published = opt_text(port, "published");
        let published = match published_range(published.as_deref()) {
            Ok(p) => p,
            Err(why) => {
                cx.error(port.span, why);
                continue;
            }
        };
        let at = |key: &str| port.get(key).map_or(port.span, |n| n.span);
        let protocol = protocol(&opt_text(port, "protocol").unwrap_or_default()).unwrap_or_else(|why| {
            cx.error(at("protocol"), why);
            PortProtocol::Tcp
        });
        let number = opt_int(port, "target").unwrap_or_default();
        let target = u16::try_from(number).ok().filter(|t| *t > 0).unwrap_or_else(|| {
            cx.error(at("target"), format!("{number} isn't a port between 1 and 65535"));
            0
        });
        out.push(PortMapping {
            host_ip: opt_text(port, "host_ip").and_then(|ip| ip.parse().ok()),
            published,
            target,
            protocol,
            name: opt_text(port, "name"),
            app_protocol: opt_text(port, "app_protocol"),
            mode: opt_text(port, "mode").filter(|m| m != "ingress"),
        });
    }
    out
}

pub(super) fn network_mode(cx: &mut Cx<'_>, n: &Node) -> NetworkMode {
    if let Some(node) = n.get("network_mode") {
        let text = node.scalar_text().unwrap_or_default();
        match text.as_str() {
            "" => {}
            "none" => return NetworkMode::None,
            "host" => return NetworkMode::Host,
            "bridge" | "default" => return NetworkMode::Bridge,
            other => {
                if let Some(service) = other.strip_prefix("service:") {
                    if let Ok(name) = ServiceName::new(service) {
                        return NetworkMode::Service(name);
                    }
                } else if let Some(container) = other.strip_prefix("container:") {
                    return NetworkMode::Container(container.to_owned());
                }
                cx.error(node.span, format!("network_mode {text:?} isn't known"))
                    .help
                    .push("valid values: none, host, bridge, service:NAME, container:NAME; networks go into `networks`".into());
                return NetworkMode::None;
            }
        }
    }
    let mut out = BTreeMap::new();
    for (key, a) in n.get("networks").and_then(Node::as_map).into_iter().flatten() {
        let attachment = NetworkAttachment {
            aliases: strings(a.get("aliases")),
            ipv4_address: address(cx, a, "ipv4_address"),
            ipv6_address: address(cx, a, "ipv6_address"),
            interface_name: opt_text(a, "interface_name"),
            link_local_ips: each(cx, a, "link_local_ips", |text| {
                text.parse().map_err(|_| format!("link_local_ips: {text:?} isn't an IP address"))
            }),
            mac_address: mac(cx, a).or_else(|| mac(cx, n)),
            driver_opts: text_map(a.get("driver_opts")),
            priority: opt_int(a, "priority").unwrap_or_default(),
            gw_priority: opt_int(a, "gw_priority").unwrap_or_default(),
        };
        out.insert(key.clone(), Box::new(attachment));
    }
    NetworkMode::Networks(out)
}

fn address<T: std::str::FromStr>(cx: &mut Cx<'_>, n: &Node, key: &str) -> Option<T> {
    parsed(cx, n.get(key)?, key, "an IP address")
}

fn mac(cx: &mut Cx<'_>, n: &Node) -> Option<MacAddress> {
    parsed(cx, n.get("mac_address")?, "mac_address", "a MAC address")
}
