//! EXPOSE (frontend/dockerfile/dockerfile2llb/convert_expose.go).

use std::net::IpAddr;

use crate::BuildError;

/// `80`, `80/udp`, `8000-8010/tcp`, each port on its own. `[ip:]host:container` is taken as docker still does: only the
/// container's port counts.
pub(crate) fn expose(text: &str) -> Result<Vec<String>, BuildError> {
    read(text).ok_or_else(|| {
        BuildError::input(format!("`{text}` isn't a port")).help("write a port as 80, 53/udp or 8000-8010")
    })
}

fn read(text: &str) -> Option<Vec<String>> {
    let (address, own) = match text.rsplit_once(':') {
        None => (None, text),
        Some((outside, own)) => (Some(outside), own),
    };
    let (ports, protocol) = own.split_once('/').unwrap_or((own, ""));
    let protocol = if protocol.is_empty() { "tcp".to_owned() } else { protocol.to_lowercase() };
    let (low, high) = range(ports)?;
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return None;
    }
    if let Some(outside) = address {
        let (ip, host) = outside.rsplit_once(':').unwrap_or(("", outside));
        let ip = ip.strip_prefix('[').and_then(|i| i.strip_suffix(']')).unwrap_or(ip);
        if !ip.is_empty() && ip.parse::<IpAddr>().is_err() {
            return None;
        }
        if !host.is_empty() {
            let (first, last) = range(host)?;
            if last - first != high - low && high != low {
                return None;
            }
        }
    }
    Some((low..=high).map(|p| format!("{p}/{protocol}")).collect())
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (low.parse().ok()?, high.parse().ok()?);
    (low <= high).then_some((low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (text, want) in [
            ("80", Some("80/tcp")),
            ("53/UDP", Some("53/udp")),
            ("7/", Some("7/tcp")),
            ("5-6", Some("5/tcp 6/tcp")),
            ("127.0.0.1:80:81", Some("81/tcp")),
            ("[::1]::81", Some("81/tcp")),
            ("80-90:81", Some("81/tcp")),
            ("80-90:81-82", None),
            ("host:80:81", None),
            ("6-5", None),
            ("65536", None),
            ("80/http", None),
            ("", None),
        ] {
            assert_eq!(read(text).map(|p| p.join(" ")).as_deref(), want, "{text}");
        }
    }
}
