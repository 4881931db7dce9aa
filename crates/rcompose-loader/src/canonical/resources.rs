//! Devices, limits and reservations of a service.

use super::{bytes, duration, to_map};
use crate::code::Code;
use crate::cx::Cx;
use crate::tree::{Map, Node, Span, Value};

pub(super) fn device(cx: &mut Cx<'_>, item: &mut Node) {
    let span = item.span;
    if let Some(text) = item.as_str() {
        let parts: Vec<&str> = text.split(':').collect();
        let (source, mut target, permissions) = match parts.as_slice() {
            [s] => (*s, *s, "rwm"),
            [s, t] => (*s, *t, "rwm"),
            [s, t, p] => (*s, *t, *p),
            _ => {
                let message = format!("invalid device {text:?}: write HOST[:CONTAINER[:rwm]]");
                cx.error(span, message);
                return;
            }
        };
        if target.is_empty() {
            target = source;
        }
        let map: Map = [("source", source), ("target", target), ("permissions", permissions)]
            .into_iter()
            .map(|(k, v)| (k.to_owned(), Node::str(v, span)))
            .collect();
        *item = item.with(Value::Map(map));
    } else if let Some(map) = item.as_map_mut() {
        if map.get("source").is_none() || map.get("target").is_none() {
            cx.error(span, "a device needs a source and a target").is(Code::MissingAttribute);
        }
        map.entry("permissions".into()).or_insert_with(|| Node::str("rwm", span));
    }
}

pub(super) fn gpus(cx: &mut Cx<'_>, node: &mut Node) {
    let span = node.span;
    let minus = || Node::new(Value::Int(-1), span);
    match &mut node.value {
        Value::Str(s) if s == "all" => {
            let map: Map = [("count".to_owned(), minus())].into_iter().collect();
            node.value = Value::Seq(vec![Node::new(Value::Map(map), span)]);
        }
        Value::Str(s) => {
            let message = format!("gpus must be \"all\" or a list, not {s:?}");
            cx.error(span, message);
        }
        Value::Seq(items) => {
            for map in items.iter_mut().filter_map(Node::as_map_mut) {
                device_request(cx, map, span);
            }
        }
        _ => {}
    }
}

fn device_request(cx: &mut Cx<'_>, map: &mut Map, span: Span) {
    if let (Some(count), Some(_)) = (map.get("count"), map.get("device_ids")) {
        cx.error(count.key_span, "\"count\" and \"device_ids\" attributes are exclusive").is(Code::Conflict);
    }
    if !map.contains_key("device_ids") {
        map.entry("count".into()).or_insert_with(|| Node::new(Value::Int(-1), span));
    }
    if let Some(count) = map.get_mut("count") {
        match count.as_str() {
            Some("all") => count.value = Value::Int(-1),
            Some(s) => match s.parse() {
                Ok(n) => count.value = Value::Int(n),
                Err(_) => {
                    cx.error(count.span, format!("invalid count {s:?}: it is \"all\" or a number"));
                }
            },
            None => {}
        }
    }
    if let Some(options) = map.get_mut("options") {
        to_map(options, true);
    }
}

/// Every entry of a list needs its value; only the agent's own keys (`ssh: [default]`) go without.
pub(super) fn pairs_only(cx: &mut Cx<'_>, key: &str, node: &Node) {
    for item in node.as_seq().unwrap_or_default() {
        let text = item.as_str().unwrap_or_default();
        if !text.contains('=') && (key, text) != ("ssh", "default") {
            cx.error(item.span, format!("invalid {key} entry {text:?}: it has no value")).help.push(format!(
                "write NAME=VALUE, like \"{}=./path\"",
                if text.is_empty() { "name" } else { text }
            ));
        }
    }
}

/// Rates are strings of bytes.
pub(super) fn blkio(cx: &mut Cx<'_>, node: &mut Node) {
    for (key, list) in node.as_map_mut().into_iter().flatten() {
        let Value::Seq(items) = &mut list.value else { continue };
        for rate in items.iter_mut().filter_map(|i| i.as_map_mut()?.get_mut("rate")) {
            if key.starts_with("device_") {
                bytes(cx, rate);
            }
        }
    }
}

pub(super) fn deploy(cx: &mut Cx<'_>, node: &mut Node) {
    let Some(map) = node.as_map_mut() else { return };
    if let Some(labels) = map.get_mut("labels") {
        to_map(labels, true);
    }
    for section in ["restart_policy", "update_config", "rollback_config"] {
        let Some(m) = map.get_mut(section).and_then(Node::as_map_mut) else { continue };
        for key in ["delay", "window", "monitor"] {
            if let Some(n) = m.get_mut(key) {
                duration(cx, n);
            }
        }
    }
    let Some(resources) = map.get_mut("resources").and_then(Node::as_map_mut) else { return };
    for section in ["limits", "reservations"] {
        let Some(m) = resources.get_mut(section).and_then(Node::as_map_mut) else { continue };
        if let Some(n) = m.get_mut("memory") {
            bytes(cx, n);
        }
        if let Some(Value::Seq(items)) = m.get_mut("devices").map(|n| &mut n.value) {
            for item in items {
                let span = item.span;
                let Some(request) = item.as_map_mut() else { continue };
                if !request.contains_key("capabilities") {
                    cx.error(span, "a device reservation needs capabilities")
                        .is(Code::MissingAttribute)
                        .help
                        .push("add `capabilities: [gpu]`".into());
                }
                device_request(cx, request, span);
            }
        }
        if let Some(n) = m.get_mut("cpus") {
            if let Some(Ok(f)) = n.as_str().map(str::parse::<f64>) {
                n.value = Value::Float(f);
            } else if n.as_str().is_some() {
                cx.error(n.span, "cpus must be a number");
            }
        }
    }
}
