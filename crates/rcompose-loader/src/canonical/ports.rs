use std::net::IpAddr;

use rcompose_model::{Exposed, PortMapping, PortProtocol};

use super::to_list;
use crate::code::Code;
use crate::cx::Cx;
use crate::tree::{Map, Node, Span, Value};

/// One parsed short port: what the canonical form says.
struct Short {
    host_ip: Option<IpAddr>,
    published: Option<String>,
    target: u16,
    protocol: PortProtocol,
}

fn range(text: &str) -> Result<(u16, u16), String> {
    let bad = || format!("{text:?} isn't a port between 1 and 65535");
    let one = |t: &str| t.parse::<u16>().map_err(|_| bad());
    match text.split_once('-') {
        Some((a, b)) => {
            let (a, b) = (one(a)?, one(b)?);
            if b < a { Err(format!("the port range {text} ends before it begins")) } else { Ok((a, b)) }
        }
        None => one(text).map(|p| (p, p)),
    }
}

pub(crate) fn protocol(text: &str) -> Result<PortProtocol, String> {
    match text.to_ascii_lowercase().as_str() {
        "tcp" | "" => Ok(PortProtocol::Tcp),
        "udp" => Ok(PortProtocol::Udp),
        "sctp" => Ok(PortProtocol::Sctp),
        _ => Err(format!("{text:?} isn't a protocol: tcp, udp or sctp")),
    }
}

/// A short port as it is written.
struct Ranges {
    host_ip: Option<IpAddr>,
    published: Option<(u16, u16)>,
    target: (u16, u16),
    protocol: PortProtocol,
}

/// `[[ip:]published:]target[/protocol]`.
fn ranges(text: &str) -> Result<Ranges, String> {
    let bad = |why: String| format!("invalid port {text:?}: {why}");
    let (main, proto) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol(proto).map_err(bad)?;
    let (ip, rest) = match main.strip_prefix('[') {
        Some(v6) => {
            let (ip, rest) = v6.split_once(']').ok_or_else(|| bad("the bracket isn't closed".into()))?;
            (Some(ip), rest.strip_prefix(':').unwrap_or(rest))
        }
        None => {
            let mut parts = main.rsplitn(3, ':').collect::<Vec<_>>();
            parts.reverse();
            match parts.as_slice() {
                [ip, _, _] => (Some(*ip), &main[ip.len() + 1..]),
                _ => (None, main),
            }
        }
    };
    let host_ip = match ip.filter(|ip| !ip.is_empty()) {
        Some(ip) => Some(ip.parse::<IpAddr>().map_err(|_| bad(format!("{ip:?} isn't an IP address")))?),
        None => None,
    };
    let (published, target) = match rest.split_once(':') {
        Some((p, t)) => (Some(p).filter(|p| !p.is_empty()), t),
        None => (None, rest),
    };
    if target.is_empty() {
        return Err(bad("the container's port is missing".into()));
    }
    let (t0, t1) = range(target).map_err(bad)?;
    if t0 == 0 {
        return Err(bad("the container's port can't be 0".into()));
    }
    let published = published.map(range).transpose().map_err(bad)?;
    let targets = u32::from(t1 - t0) + 1;
    if let Some((p0, p1)) = published
        && targets != 1
        && targets != u32::from(p1 - p0) + 1
    {
        return Err(bad("the two ranges have different lengths".into()));
    }
    Ok(Ranges { host_ip, published, target: (t0, t1), protocol })
}

/// One entry for each port of the container.
fn short(text: &str) -> Result<Vec<Short>, String> {
    let Ranges { host_ip, published, target: (t0, t1), protocol } = ranges(text)?;
    let one = |target: u16| {
        let published = published.map(|(p0, p1)| match (t0 == t1, p0 == p1) {
            (true, false) => format!("{p0}-{p1}"),
            _ => (p0 + (target - t0)).to_string(),
        });
        Short { host_ip, published, target, protocol }
    };
    Ok((t0..=t1).map(one).collect())
}

/// The ports of the container that a short port says (`expose`).
pub(crate) fn exposed_ports(text: &str) -> Result<Exposed, String> {
    let Ranges { target: (first, last), protocol, .. } = ranges(text)?;
    Ok(Exposed { first, last, protocol })
}

/// The list `expose` to texts.
pub(crate) fn exposed(cx: &mut Cx<'_>, node: &mut Node) {
    for item in node.as_seq().unwrap_or_default() {
        if matches!(item.value, Value::Float(_)) {
            cx.error(item.span, "a port must be a whole number or text").is(Code::WrongType);
        }
    }
    to_list(node);
}

/// Reads a short port (`run -p`).
pub fn parse_short_port(text: &str) -> Result<Vec<PortMapping>, String> {
    short(text)?
        .into_iter()
        .map(|s| {
            Ok(PortMapping {
                host_ip: s.host_ip,
                published: published_range(s.published.as_deref())?,
                target: s.target,
                protocol: s.protocol,
                name: None,
                app_protocol: None,
                mode: None,
            })
        })
        .collect()
}

/// `8080` or `8000-8010`; nothing and `0` let the machine choose.
pub(crate) fn published_range(text: Option<&str>) -> Result<Option<(u16, u16)>, String> {
    match text {
        None | Some("" | "0") => Ok(None),
        Some(text) => range(text).map(Some),
    }
}

/// The list `ports` to its long forms.
pub(crate) fn canonical(cx: &mut Cx<'_>, node: &mut Node) {
    let Value::Seq(items) = &mut node.value else { return };
    let written = |i: &Node| i.as_map().is_none() && i.scalar_text().is_some_and(|t| short(&t).is_err());
    if !cx.interpolate && items.iter().any(written) {
        return;
    }
    let mut out = Vec::with_capacity(items.len());
    for mut item in std::mem::take(items) {
        let span = item.span;
        if let Some(map) = item.as_map_mut() {
            long(cx, map, span);
            out.push(item);
            continue;
        }
        let Some(text) = item.scalar_text() else { continue };
        if matches!(item.value, Value::Float(_)) {
            cx.error(span, "a port must be a whole number or text").is(Code::WrongType);
            continue;
        }
        match short(&text) {
            Ok(ports) => {
                // A long form has five attributes.
                if ports.len() > 1 && !cx.spend(ports.len() * 6, span) {
                    break;
                }
                out.extend(ports.into_iter().map(|p| item.with(Value::Map(entry(&p, span)))));
            }
            Err(message) => {
                cx.error(item.span, message)
                    .help
                    .push("write [[IP:]HOST:]CONTAINER[/PROTOCOL], like \"8080:80\"".into());
            }
        }
    }
    *items = out;
}

fn entry(p: &Short, span: Span) -> Map {
    let mut map = Map::new();
    map.insert("mode".into(), Node::str("ingress", span));
    if let Some(ip) = p.host_ip {
        map.insert("host_ip".into(), Node::str(ip.to_string(), span));
    }
    map.insert("target".into(), Node::new(Value::Int(p.target.into()), span));
    if let Some(published) = &p.published {
        map.insert("published".into(), Node::str(published, span));
    }
    map.insert("protocol".into(), Node::str(p.protocol.as_str(), span));
    map
}

fn long(cx: &mut Cx<'_>, map: &mut Map, span: Span) {
    map.entry("mode".into()).or_insert_with(|| Node::str("ingress", span));
    map.entry("protocol".into()).or_insert_with(|| Node::str("tcp", span));
    if let Some(published) = map.get_mut("published")
        && let Some(text) = published.scalar_text()
    {
        published.value = Value::Str(text);
    }
    if map.get("target").is_none() {
        cx.error(span, "a port needs a target")
            .is(Code::MissingAttribute)
            .help
            .push("add `target:`, the container's port".into());
    }
    if let Some(ip) = map.get("host_ip") {
        let text = ip.as_str().unwrap_or_default();
        if !text.is_empty() && text.parse::<IpAddr>().is_err() {
            let message = format!("host_ip {text:?} isn't an IP address");
            cx.error(ip.span, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms() {
        let show = |t: &str| {
            short(t).map(|ps| {
                ps.iter()
                    .map(|p| {
                        format!(
                            "{}{}>{}/{}",
                            p.host_ip.map(|i| format!("{i} ")).unwrap_or_default(),
                            p.published.as_deref().unwrap_or("?"),
                            p.target,
                            p.protocol
                        )
                    })
                    .collect::<Vec<_>>()
                    .join(",")
            })
        };
        for (text, want) in [
            ("80", "?>80/tcp"),
            ("8080:80", "8080>80/tcp"),
            ("127.0.0.1:8080:80/udp", "127.0.0.1 8080>80/udp"),
            ("127.0.0.1::80", "127.0.0.1 ?>80/tcp"),
            ("[::1]:8080:80", "::1 8080>80/tcp"),
            ("3000-3001:4000-4001", "3000>4000/tcp,3001>4001/tcp"),
            ("4000-4010:400", "4000-4010>400/tcp"),
        ] {
            assert_eq!(show(text).unwrap(), want, "{text}");
        }
        for bad in ["", "a", "80:", "99999", "1-2:3-5", "80/xyz", "1.2.3:80:80", "0"] {
            assert!(show(bad).is_err(), "{bad}");
        }
    }
}
