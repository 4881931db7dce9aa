//! One file's tree into the long, canonical forms; relative paths into absolute ones.

mod ports;
mod resources;
mod service;
mod volumes;

pub use ports::parse_short_port;
pub(crate) use ports::{exposed_ports, protocol, published_range};
pub use volumes::parse_short_volume;

use std::path::Path;

use crate::cx::Cx;
use crate::source::join_clean;
use crate::tree::{Map, Node, Value};

/// Rewrites a checked file. `base` is the directory that relative paths start from.
pub(crate) fn canonical(cx: &mut Cx<'_>, root: &mut Node, base: &Path) {
    let Some(top) = root.as_map_mut() else { return };
    if let Some(services) = top.get_mut("services").and_then(Node::as_map_mut) {
        for (name, node) in services {
            if let Some(map) = node.as_map_mut() {
                service::canonical(cx, map, base, name);
            }
        }
    }
    for section in ["networks", "volumes", "secrets", "configs", "models"] {
        let Some(entries) = top.get_mut(section).and_then(Node::as_map_mut) else { continue };
        for (_, node) in entries {
            if let Some(map) = node.as_map_mut() {
                resource(cx, map, base, section);
            }
        }
    }
}

fn resource(cx: &mut Cx<'_>, map: &mut Map, base: &Path, section: &str) {
    if let Some(labels) = map.get_mut("labels") {
        to_map(labels, true);
    }
    if let Some(external) = map.get_mut("external") {
        // `external: {name: x}` is the old form of `external: true` with `name: x`.
        if let Some(name) = external.as_map_mut().and_then(|m| m.shift_remove("name")) {
            external.value = Value::Bool(true);
            map.entry("name".into()).or_insert(name);
        } else if external.as_map().is_some() {
            external.value = Value::Bool(true);
        }
    }
    if let Some(file) = map.get_mut("file") {
        path(cx, file, base);
    }
    // A volume of the driver `local`, said so, with the option `bind` is a bind mount.
    let local = map.get("driver").and_then(Node::as_str) == Some("local");
    if let Some(opts) = map.get_mut("driver_opts").and_then(Node::as_map_mut) {
        texts(opts);
        let bind = opts.get("o").and_then(Node::as_str) == Some("bind");
        if section == "volumes"
            && bind
            && local
            && let Some(device) = opts.get_mut("device")
        {
            path(cx, device, base);
        }
    }
    if section == "models" {
        return;
    }
    if let Some(ipam) = map.get_mut("ipam").and_then(Node::as_map_mut)
        && let Some(options) = ipam.get_mut("options").and_then(Node::as_map_mut)
    {
        texts(options);
    }
}

/// Makes a path absolute, if paths are to be resolved.
pub(crate) fn path(cx: &Cx<'_>, node: &mut Node, base: &Path) {
    if let Value::Str(text) = &node.value {
        node.value = Value::Str(resolved(cx, text, base));
    }
}

/// A path from a file as it is to be shown. Unresolved ones stay, or start from the project's directory where the file
/// is from another one.
pub(crate) fn resolved(cx: &Cx<'_>, text: &str, base: &Path) -> String {
    if !cx.resolve_paths && base == cx.directory {
        return text.to_owned();
    }
    let whole = absolute(cx, text, base);
    match Path::new(&whole).strip_prefix(&cx.directory) {
        Ok(rest) if !cx.resolve_paths && !text.starts_with('/') => rest.display().to_string(),
        _ => whole,
    }
}

/// A path from a file, absolute; `~` is the home directory.
pub(crate) fn absolute(cx: &Cx<'_>, text: &str, base: &Path) -> String {
    let home = cx.env.get("HOME").filter(|h| !h.is_empty());
    if let (Some(rest), Some(home)) = (text.strip_prefix('~'), home)
        && (rest.is_empty() || rest.starts_with('/'))
    {
        return join_clean(Path::new(home), Path::new(rest.trim_start_matches('/'))).display().to_string();
    }
    if text.starts_with('/') {
        text.to_owned()
    } else {
        join_clean(base, Path::new(text)).display().to_string()
    }
}

/// `[K=v, B]` and `{K: v}` to `{K: "v"}`. A bare name is null, or empty where `bare_is_empty`.
pub(crate) fn to_map(node: &mut Node, bare_is_empty: bool) {
    let null = |span| {
        if bare_is_empty { Node::str("", span) } else { Node::new(Value::Null, span) }
    };
    match &mut node.value {
        Value::Seq(items) => {
            let mut map = Map::new();
            for item in std::mem::take(items) {
                let Some(text) = item.as_str() else { continue };
                let (key, value) = match text.split_once('=') {
                    Some((key, value)) => (key.to_owned(), Node::str(value, item.span)),
                    None => (text.to_owned(), null(item.span)),
                };
                map.insert(key, value);
            }
            node.value = Value::Map(map);
            node.listed = true;
        }
        Value::Map(map) => {
            for (_, item) in map.iter_mut() {
                match item.scalar_text() {
                    Some(text) => item.value = Value::Str(text),
                    None if item.is_null() => item.value = null(item.span).value,
                    None => {}
                }
            }
        }
        _ => {}
    }
}

/// Scalars of a mapping to strings.
pub(crate) fn texts(map: &mut Map) {
    for (_, item) in map.iter_mut() {
        if let Some(text) = item.scalar_text() {
            item.value = Value::Str(text);
        }
    }
}

/// A string to a list of one.
pub(crate) fn to_list(node: &mut Node) {
    if node.as_str().is_some() {
        let item = node.with(node.value.clone());
        node.value = Value::Seq(vec![item]);
    }
    if let Value::Seq(items) = &mut node.value {
        for item in items {
            if let Some(text) = item.scalar_text() {
                item.value = Value::Str(text);
            }
        }
    }
}

/// `[a, b]` to `{a: default, b: default}`.
pub(crate) fn names_to_map(node: &mut Node, default: &dyn Fn(&Node) -> Node) {
    if let Value::Seq(items) = &mut node.value {
        let mut map = Map::new();
        for item in std::mem::take(items) {
            if let Some(name) = item.as_str() {
                map.insert(name.to_owned(), default(&item));
            }
        }
        node.value = Value::Map(map);
    }
}

/// A duration in Go's print.
pub(crate) fn duration(cx: &mut Cx<'_>, node: &mut Node) {
    let Some(text) = node.as_str().filter(|_| cx.interpolate) else { return };
    let (sign, positive) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    match crate::units::parse_duration(positive) {
        Ok(d) => node.value = Value::Str(format!("{sign}{}", crate::units::print_duration(d))),
        Err(message) => {
            cx.error(node.span, message);
        }
    }
}

/// A size to a string of bytes.
pub(crate) fn bytes(cx: &mut Cx<'_>, node: &mut Node) {
    // A fraction of a byte counts as nothing, as docker compose's reader has it.
    if matches!(node.value, Value::Float(f) if f.fract() != 0.0 && cx.interpolate) {
        node.value = Value::Str("0".into());
        return;
    }
    let Some(text) = node.scalar_text().filter(|_| cx.interpolate) else { return };
    match crate::units::parse_bytes(&text) {
        Ok(n) => node.value = Value::Str(n.to_string()),
        Err(message) => {
            cx.error(node.span, message);
        }
    }
}
