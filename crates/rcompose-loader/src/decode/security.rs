//! `security_opt`, `device_cgroup_rules` and `ulimits`.

use std::path::Path;

use rcompose_model::{DeviceRule, Seccomp, SeccompProfile, Security, Ulimit};

use super::value::{each, opt_int};
use crate::cx::{Cx, nearest};
use crate::source::join_clean;
use crate::tree::{Node, Value};

/// Names of `ulimits`: getrlimit(2), without `RLIMIT_`, in lower case.
pub const ULIMIT_NAMES: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

const HELP: &str = "valid options: no-new-privileges, seccomp=unconfined or a profile's file, systempaths=unconfined, \
                    apparmor=…, label=…";

pub(super) fn security(cx: &mut Cx<'_>, n: &Node) -> Security {
    let mut out = Security::default();
    for item in n.get("security_opt").and_then(Node::as_seq).unwrap_or_default() {
        let text = item.scalar_text().unwrap_or_default();
        match split(&text) {
            ("no-new-privileges", value) => match value.unwrap_or("true") {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => out.no_new_privileges = true,
                "0" | "f" | "F" | "false" | "FALSE" | "False" => out.no_new_privileges = false,
                _ => {
                    let message = format!("security_opt: no-new-privileges is true or false, not {text:?}");
                    cx.error(item.span, message);
                }
            },
            ("systempaths", Some("unconfined")) => out.system_paths = true,
            ("seccomp", Some("unconfined")) => out.seccomp = Seccomp::Unconfined,
            ("seccomp", Some("builtin")) => out.seccomp = Seccomp::Default,
            // A profile is only read for services that are on: see `profile`.
            ("seccomp", Some(_)) => {}
            // Labels are the table of capabilities' matter.
            ("label" | "apparmor" | "writable-cgroups", Some(_)) => {}
            _ => {
                let d = cx.error(item.span, format!("security_opt: {text:?} isn't known"));
                d.help.push(HELP.into());
            }
        }
    }
    out
}

/// `key=value`, or `key:value` as before.
fn split(text: &str) -> (&str, Option<&str>) {
    match text.split_once('=').or_else(|| text.split_once(':')) {
        Some((key, value)) => (key, Some(value)),
        None => (text, None),
    }
}

/// Reads the seccomp profile that a service names. Its path starts from the project's directory.
pub(super) fn profile(cx: &mut Cx<'_>, n: &Node, security: &mut Security, directory: &Path) {
    for item in n.get("security_opt").and_then(Node::as_seq).unwrap_or_default() {
        let text = item.scalar_text().unwrap_or_default();
        let ("seccomp", Some(path)) = split(&text) else { continue };
        if matches!(path, "unconfined" | "builtin") {
            continue;
        }
        let path = join_clean(directory, Path::new(path));
        let read = cx.sources.read(&path).map_err(|e| e.to_string());
        let parsed = read
            .and_then(|bytes| serde_json::from_slice::<SeccompProfile>(&bytes).map_err(|e| e.to_string()));
        match parsed {
            Ok(profile) => security.seccomp = Seccomp::Profile(Box::new(profile)),
            Err(why) => {
                let message = format!("the seccomp profile {} can't be used: {why}", path.display());
                cx.error(item.span, message).help.push("paths start from the project's directory".into());
            }
        }
    }
}

pub(super) fn device_rules(cx: &mut Cx<'_>, n: &Node) -> Vec<DeviceRule> {
    each(cx, n, "device_cgroup_rules", |text| {
        text.parse().map_err(|()| {
            format!("device_cgroup_rules: {text:?} isn't TYPE MAJOR:MINOR ACCESS, like \"c 1:3 rwm\" or \"b 8:* r\"")
        })
    })
}

pub(super) fn ulimits(cx: &mut Cx<'_>, n: &Node) -> Vec<Ulimit> {
    let mut out = Vec::new();
    for (key, limit) in n.get("ulimits").and_then(Node::as_map).into_iter().flatten() {
        let (soft, hard) = match &limit.value {
            Value::Map(_) => {
                let soft = opt_int(limit, "soft").unwrap_or_default();
                (soft, opt_int(limit, "hard").unwrap_or(soft))
            }
            _ => {
                let both = limit.scalar_text().and_then(|t| t.parse().ok()).unwrap_or_default();
                (both, both)
            }
        };
        let name = key.to_ascii_lowercase();
        if !ULIMIT_NAMES.contains(&name.as_str()) {
            let at = if limit.key_span.len > 0 { limit.key_span } else { limit.span };
            let near = nearest(&name, ULIMIT_NAMES);
            let d = cx.error(at, format!("ulimits: Linux has no limit {key:?}"));
            d.help.push(format!("valid names: {}", ULIMIT_NAMES.join(", ")));
            d.help.extend(near.map(|n| format!("did you mean {n:?}?")));
            continue;
        }
        out.push(Ulimit { name, soft, hard });
    }
    out
}
