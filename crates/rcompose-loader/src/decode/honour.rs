use std::collections::BTreeSet;

use crate::code::Code;
use crate::cx::Cx;
use crate::tree::{Node, Value};

/// Attributes of the specification that nothing behind the loader carries out yet, by path below a service.
const SERVICE: [&str; 41] = [
    "blkio_config",
    "build.cache_from",
    "build.cache_to",
    "build.entitlements",
    "build.isolation",
    "build.no_cache_filter",
    "build.privileged",
    "build.provenance",
    "build.sbom",
    "build.secrets",
    "build.ssh",
    "build.ulimits",
    "cgroup",
    "cpu_count",
    "cpu_percent",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "credential_spec",
    "deploy.endpoint_mode",
    "deploy.mode",
    "deploy.placement",
    "deploy.resources.reservations.cpus",
    "deploy.resources.reservations.devices",
    "deploy.resources.reservations.generic_resources",
    "deploy.restart_policy.delay",
    "deploy.restart_policy.window",
    "deploy.rollback_config",
    "deploy.update_config",
    "device_cgroup_rules",
    "external_links",
    "gpus",
    "isolation",
    "models",
    "post_start",
    "pre_start",
    "pre_stop",
    "provider",
    "runtime",
    "storage_opt",
    "use_api_socket",
    "userns_mode",
];

/// Warns of every attribute that is understood and does nothing yet.
pub(crate) fn not_honoured(cx: &mut Cx<'_>, root: &Node, enabled: &BTreeSet<String>) {
    let services = root.get("services").and_then(Node::as_map);
    for (name, service) in services.into_iter().flatten().filter(|(n, _)| enabled.contains(*n)) {
        for path in SERVICE {
            let Some(node) = find(service, path) else { continue };
            warn(cx, node, &format!("services.{name}.{path}"));
        }
        let driver = service.get("logging").and_then(|l| l.get("driver"));
        if let Some(node) =
            driver.filter(|d| !matches!(d.as_str(), Some("json-file" | "local" | "none" | "")))
        {
            warn(cx, node, &format!("services.{name}.logging.driver"));
        }
    }
}

fn warn(cx: &mut Cx<'_>, node: &Node, path: &str) {
    let span = if node.key_span.len > 0 { node.key_span } else { node.span };
    cx.warn(span, format!("{path} isn't honoured yet: it is ignored")).is(Code::NotSupported);
}

fn find<'n>(node: &'n Node, path: &str) -> Option<&'n Node> {
    let mut at = node;
    for part in path.split('.') {
        at = at.get(part)?;
    }
    let empty = match &at.value {
        Value::Null | Value::Bool(false) => true,
        Value::Map(m) => m.is_empty(),
        Value::Seq(s) => s.is_empty(),
        _ => false,
    };
    (!empty).then_some(at)
}
