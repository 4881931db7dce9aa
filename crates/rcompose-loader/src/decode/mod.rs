//! The canonical tree into the typed project.

mod build;
mod hooks;
mod logging;
mod mounts;
mod network;
mod security;
mod service;
mod value;

pub use security::ULIMIT_NAMES;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rcompose_model::{
    AddressError, Cidr, FileObject, FileSource, HostAddress, HostAddressError, Ipam, IpamPool, NetworkDef,
    Project, ProjectName, Separator, ServiceName, VolumeDef,
};

use crate::cx::Cx;
use crate::project::Setting;
use crate::tree::Node;
use value::{flag, opt_flag, opt_text, parsed, text_map};

/// Decodes everything. Errors go into `cx`; the result is only good without them.
pub(crate) fn project(
    cx: &mut Cx<'_>,
    root: &Node,
    enabled: &BTreeSet<String>,
    name: ProjectName,
    setting: &Setting,
) -> Project {
    // Lists first: a map that is built at once has full nodes, one that grows has half-empty ones.
    let (mut on, mut off) = (Vec::new(), Vec::new());
    for (key, node) in root.get("services").and_then(Node::as_map).into_iter().flatten() {
        let service_name = match ServiceName::new(key.clone()) {
            Ok(n) => n,
            Err(e) => {
                cx.error(node.key_span, e.to_string());
                continue;
            }
        };
        cx.subject = Some(key.clone());
        if let Some(mut service) = service::decode(cx, service_name.clone(), node) {
            // An empty context is the project's directory.
            if let Some(build) = service.build.as_mut().filter(|b| b.context.is_empty()) {
                build.context = setting.directory.display().to_string();
            }
            if enabled.contains(key) {
                security::profile(cx, node, &mut service.security, &setting.directory);
                on.push((service_name, service));
            } else {
                off.push((service_name, service));
            }
        }
    }
    cx.subject = None;
    let section = |name: &str| root.get(name).and_then(Node::as_map).into_iter().flatten();
    Project {
        networks: section("networks").map(|(k, n)| (k.clone(), network_def(cx, n, k))).collect(),
        volumes: section("volumes").map(|(k, n)| (k.clone(), volume(cx, n, k))).collect(),
        secrets: section("secrets").map(|(k, n)| (k.clone(), file_object(cx, n, k))).collect(),
        configs: section("configs").map(|(k, n)| (k.clone(), file_object(cx, n, k))).collect(),
        name,
        working_dir: setting.directory.clone(),
        files: setting.files.clone(),
        env_files: setting.env_files.clone(),
        services: on.into_iter().collect(),
        disabled_services: off.into_iter().collect(),
        profiles: Vec::new(),
        separator: Separator::default(),
    }
}

fn network_def(cx: &mut Cx<'_>, n: &Node, key: &str) -> NetworkDef {
    let ipam = n.get("ipam");
    let pools = ipam.and_then(|i| i.get("config")).and_then(Node::as_seq).unwrap_or_default();
    let mut config = Vec::new();
    for pool in pools {
        let mut aux_addresses = BTreeMap::new();
        for (host, node) in pool.get("aux_addresses").and_then(Node::as_map).into_iter().flatten() {
            if let Some(ip) = parsed(cx, node, &format!("the address of {host}"), "an IP address") {
                aux_addresses.insert(host.clone(), ip);
            }
        }
        config.push(IpamPool {
            subnet: cidr(cx, pool, "subnet"),
            ip_range: cidr(cx, pool, "ip_range"),
            gateway: pool.get("gateway").and_then(|g| parsed(cx, g, "gateway", "an IP address")),
            aux_addresses,
        });
    }
    NetworkDef {
        name: opt_text(n, "name").unwrap_or_else(|| key.to_owned()),
        driver: opt_text(n, "driver"),
        driver_opts: text_map(n.get("driver_opts")),
        ipam: Ipam {
            driver: ipam.and_then(|i| opt_text(i, "driver")),
            config,
            options: text_map(ipam.and_then(|i| i.get("options"))),
        },
        external: flag(n, "external"),
        internal: flag(n, "internal"),
        enable_ipv4: opt_flag(n, "enable_ipv4"),
        enable_ipv6: opt_flag(n, "enable_ipv6"),
        attachable: flag(n, "attachable"),
        labels: text_map(n.get("labels")),
        origin: cx.origin(n.key_span),
    }
}

fn cidr(cx: &mut Cx<'_>, pool: &Node, key: &str) -> Option<Cidr> {
    let node = pool.get(key)?;
    let text = node.scalar_text().filter(|t| !t.is_empty())?;
    text.parse()
        .map_err(|e: AddressError| {
            cx.error(node.span, format!("{key} {e}"))
                .help
                .push("write an address and a prefix length, like 172.28.0.0/16".into());
        })
        .ok()
}

fn volume(cx: &mut Cx<'_>, n: &Node, key: &str) -> VolumeDef {
    VolumeDef {
        name: opt_text(n, "name").unwrap_or_else(|| key.to_owned()),
        driver: opt_text(n, "driver"),
        driver_opts: text_map(n.get("driver_opts")),
        external: flag(n, "external"),
        labels: text_map(n.get("labels")),
        origin: cx.origin(n.key_span),
    }
}

fn file_object(cx: &mut Cx<'_>, n: &Node, key: &str) -> FileObject {
    let source = if let Some(file) = opt_text(n, "file") {
        FileSource::File(PathBuf::from(file))
    } else if let Some(variable) = opt_text(n, "environment") {
        let value = cx.env.get(&variable).cloned();
        FileSource::Environment { variable, value }
    } else if let Some(content) = opt_text(n, "content") {
        FileSource::Content(content)
    } else {
        FileSource::External
    };
    FileObject {
        name: opt_text(n, "name").unwrap_or_else(|| key.to_owned()),
        source,
        labels: text_map(n.get("labels")),
        origin: cx.origin(n.key_span),
    }
}

/// `{host: [ip]}` to pairs in order.
fn hosts(cx: &mut Cx<'_>, node: Option<&Node>) -> Vec<(String, HostAddress)> {
    let mut out = Vec::new();
    for (host, ips) in node.and_then(Node::as_map).into_iter().flatten() {
        for ip in ips.as_seq().unwrap_or(std::slice::from_ref(ips)) {
            match ip.scalar_text().unwrap_or_default().parse() {
                Ok(address) => out.push((host.clone(), address)),
                Err(e) => {
                    let e: HostAddressError = e;
                    cx.error(ip.span, format!("extra_hosts: the address of {host}: {e}"))
                        .help
                        .push("write an address, or host-gateway for this machine".into());
                }
            }
        }
    }
    out
}
