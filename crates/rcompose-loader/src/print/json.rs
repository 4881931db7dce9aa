//! JSON in the order of docker compose: fields in the order of compose-go's types, free keys by their bytes.

use serde_json::{Map as JsonMap, Value as Json};

use super::order;
use crate::tree::{Map, Node, Span, Style, Value};

/// The tree as it is.
pub(super) fn value(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(b) => Json::Bool(*b),
        Value::Int(i) => Json::from(*i),
        Value::Float(f) if f.fract() == 0.0 && f.abs() < 9e15 => Json::from(*f as i64),
        Value::Float(f) => Json::from(*f),
        Value::Str(s) if node.style == Style::Typed && s.bytes().all(|c| c.is_ascii_digit()) => {
            s.parse::<u64>().map_or_else(|_| Json::from(s.as_str()), Json::from)
        }
        Value::Str(s) => Json::from(s.as_str()),
        Value::Seq(items) => Json::Array(items.iter().map(value).collect()),
        Value::Map(map) => Json::Object(map.iter().map(|(k, v)| (k.clone(), value(v))).collect()),
    }
}

/// A whole project.
pub(super) fn project(root: &Node) -> Json {
    let mut root = root.clone();
    let Some(top) = root.as_map_mut() else { return Json::Object(JsonMap::new()) };
    for (name, service) in entries(top, "services") {
        complete(name, service);
    }
    for (name, network) in entries(top, "networks") {
        add(network, "ipam", Value::Map(Map::new()));
        resort(network, &["networks", name]);
    }
    arrange(&mut root, &mut Vec::new());
    value(&root)
}

/// One service without what needs no other container: how its image is built and when it is pulled, how many there are,
/// what it waits for.
pub(super) fn for_hash(name: &str, service: &Node) -> String {
    let mut service = service.clone();
    complete(name, &mut service);
    if let Some(map) = service.as_map_mut() {
        for key in ["build", "pull_policy", "scale", "depends_on", "profiles"] {
            map.shift_remove(key);
        }
        if let Some(deploy) = map.get_mut("deploy").and_then(Node::as_map_mut) {
            deploy.shift_remove("replicas");
        }
        map.retain(|key, _| !key.starts_with("x-"));
    }
    arrange(&mut service, &mut vec!["services".to_owned(), name.to_owned()]);
    let text = serde_json::to_string(&value(&service)).unwrap_or_default();
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // As Go writes what HTML would take for its own.
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

fn entries<'m>(top: &'m mut Map, section: &str) -> impl Iterator<Item = (&'m String, &'m mut Node)> {
    top.get_mut(section).and_then(Node::as_map_mut).into_iter().flatten()
}

fn add(node: &mut Node, key: &str, value: Value) {
    if let Some(map) = node.as_map_mut() {
        map.entry(key.to_owned()).or_insert_with(|| Node::new(value, Span::default()));
    }
}

fn resort(node: &mut Node, path: &[&str]) {
    let path: Vec<String> = path.iter().map(|p| (*p).to_owned()).collect();
    if let Some(map) = node.as_map_mut() {
        order::sort(map, &path);
    }
}

/// Adds what docker compose's JSON has even when it is empty.
fn complete(name: &str, service: &mut Node) {
    let empty = || Value::Map(Map::new());
    add(service, "command", Value::Null);
    add(service, "entrypoint", Value::Null);
    resort(service, &["services", name]);
    if let Some(deploy) = service.as_map_mut().and_then(|m| m.get_mut("deploy")) {
        add(deploy, "resources", empty());
        add(deploy, "placement", empty());
        resort(deploy, &["services", name, "deploy"]);
    }
    let develop = service.as_map_mut().and_then(|m| m.get_mut("develop")).and_then(Node::as_map_mut);
    if let Some(Value::Seq(watch)) = develop.and_then(|d| d.get_mut("watch")).map(|w| &mut w.value) {
        for trigger in watch {
            add(trigger, "exec", empty());
            if let Some(exec) = trigger.as_map_mut().and_then(|m| m.get_mut("exec")) {
                add(exec, "command", Value::Null);
                resort(exec, &["services", name, "develop", "watch", "exec"]);
            }
            resort(trigger, &["services", name, "develop", "watch"]);
        }
    }
}

/// Sorts free keys by their bytes; fixed ones are in order already. The sections of a project are free keys there.
fn arrange(node: &mut Node, path: &mut Vec<String>) {
    match &mut node.value {
        Value::Seq(items) => items.iter_mut().for_each(|i| arrange(i, path)),
        Value::Map(map) => {
            if path.is_empty() || !order::fixed(path) {
                map.sort_keys();
            }
            for (key, item) in map {
                path.push(key.clone());
                arrange(item, path);
                path.pop();
            }
        }
        _ => {}
    }
}
