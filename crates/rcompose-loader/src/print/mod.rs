//! The canonical form as `config` prints it.

mod order;
mod yaml;

use std::collections::BTreeMap;

use serde_json::{Map as JsonMap, Value as Json};

use crate::tree::{Map, Node, Value};

/// A project in canonical form, ready to be printed.
#[derive(Debug, Clone)]
pub struct Canonical {
    tree: Node,
    environment: BTreeMap<String, String>,
}

impl Canonical {
    pub(crate) fn new(mut tree: Node, environment: BTreeMap<String, String>, escape: bool) -> Self {
        tidy(&mut tree, &mut Vec::new(), escape);
        Self { tree, environment }
    }

    /// As YAML, in docker compose's order of keys.
    pub fn to_yaml(&self) -> String {
        yaml::print(&self.tree)
    }

    /// As JSON, indented by two spaces, with a newline at the end.
    pub fn to_json(&self) -> String {
        let mut json = json(&self.tree);
        complete(&mut json);
        let mut text = serde_json::to_string_pretty(&json).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Variables that interpolation could see: the environment and the `.env` files.
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// Keeps only these services (`config SERVICE…`), with what they need.
    pub fn keep_services(&mut self, names: &[String]) {
        let Some(services) = self.tree.as_map_mut().and_then(|m| m.get_mut("services")) else { return };
        let Some(services) = services.as_map_mut() else { return };
        let mut wanted: Vec<String> = names.to_vec();
        let mut i = 0;
        while i < wanted.len() {
            let deps = services.get(&wanted[i]).and_then(|s| s.get("depends_on")).and_then(Node::as_map);
            let more: Vec<String> = deps.into_iter().flat_map(Map::keys).cloned().collect();
            for name in more {
                if !wanted.contains(&name) {
                    wanted.push(name);
                }
            }
            i += 1;
        }
        services.retain(|n, _| wanted.contains(n));
        let names = services.keys().cloned().collect();
        let used = crate::normalize::used(&self.tree, &names);
        if let Some(top) = self.tree.as_map_mut() {
            for section in ["networks", "volumes", "secrets", "configs", "models"] {
                let of_section = used.get(section);
                if let Some(entries) = top.get_mut(section).and_then(Node::as_map_mut) {
                    entries.retain(|k, _| of_section.is_some_and(|u| u.contains(k)));
                }
                if top.get(section).and_then(Node::as_map).is_some_and(Map::is_empty) {
                    top.shift_remove(section);
                }
            }
        }
    }
}

/// Keys whose `false` is printed.
fn keeps_false(path: &[String]) -> bool {
    matches!(
        path.last().map(String::as_str),
        Some("attach" | "enable_ipv4" | "required" | "create_host_path")
    ) || path.len() == 3 && path[2] == "init"
        || path.iter().any(|p| p.starts_with("x-"))
}

/// Drops what docker compose doesn't print and puts keys in its order.
fn tidy(node: &mut Node, path: &mut Vec<String>, escape: bool) {
    let extension = path.iter().any(|p| p.starts_with("x-"));
    match &mut node.value {
        Value::Str(text) if escape && text.contains('$') => *text = text.replace('$', "$$"),
        Value::Seq(items) => items.iter_mut().for_each(|i| tidy(i, path, escape)),
        Value::Map(map) => {
            for (key, item) in map.iter_mut() {
                path.push(key.clone());
                tidy(item, path, escape);
                path.pop();
            }
            if !extension {
                let depth = path.len();
                map.retain(|key, item| {
                    if key.starts_with("x-") {
                        return true;
                    }
                    let fixed = order::fixed(path);
                    path.push(key.clone());
                    let keep = keep(item, path) && !(fixed && item.as_str() == Some(""));
                    path.truncate(depth);
                    keep
                });
            }
            order::sort(map, path);
            if escape && map.keys().any(|k| k.contains('$')) {
                *map = std::mem::take(map).into_iter().map(|(k, v)| (k.replace('$', "$$"), v)).collect();
            }
        }
        _ => {}
    }
    if path.len() == 3 && path[0] == "services" && path[2] == "extra_hosts"
        || path.len() == 4 && path[2] == "build" && path[3] == "extra_hosts"
    {
        hosts(node);
    }
    if path.len() == 4 && path[2] == "build" && path[3] == "ssh" {
        ssh(node);
    }
}

fn keep(item: &Node, path: &[String]) -> bool {
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    match &item.value {
        Value::Bool(false) => keeps_false(path),
        Value::Map(m) if m.is_empty() => match words.as_slice() {
            [section] => *section == "services",
            ["services", _, key] => {
                matches!(*key, "logging" | "healthcheck" | "blkio_config" | "deploy" | "develop")
            }
            ["services", _, "deploy", key] => !matches!(*key, "resources" | "placement" | "labels"),
            ["services", _, "build", _] => false,
            ["networks", _, key] => *key != "ipam",
            _ => true,
        },
        Value::Seq(s) if s.is_empty() => {
            matches!(words.as_slice(), ["services", _, "command" | "entrypoint"])
        }
        Value::Null => !(words.len() == 3 && words[0] == "services"),
        // docker compose reads it and never prints it.
        _ if matches!(words.as_slice(), ["services", _, "pull_refresh_after"]) => false,
        // Numbers that are absent when they are zero.
        Value::Int(0) => {
            !matches!(words.as_slice(), ["services", _, key] if *key != "scale" && !key.starts_with("x-"))
        }
        Value::Str(s) if s == "0" => {
            !matches!(words.as_slice(), ["services", _, key] if key.starts_with("mem") || *key == "shm_size")
        }
        _ => true,
    }
}

/// `{host: [ip]}` to sorted `host=ip`.
fn hosts(node: &mut Node) {
    let Value::Map(map) = &node.value else { return };
    let mut lines: Vec<String> = Vec::new();
    for (host, ips) in map {
        for ip in ips.as_seq().unwrap_or_default() {
            lines.push(format!("{host}={}", ip.as_str().unwrap_or_default()));
        }
    }
    lines.sort();
    let span = node.span;
    node.value = Value::Seq(lines.into_iter().map(|l| Node::str(l, span)).collect());
}

fn ssh(node: &mut Node) {
    let Value::Map(map) = &node.value else { return };
    let span = node.span;
    let lines = map.iter().map(|(id, path)| match path.as_str() {
        Some(path) => format!("{id}={path}"),
        None => id.clone(),
    });
    node.value = Value::Seq(lines.map(|l| Node::str(l, span)).collect());
}

fn json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(b) => Json::Bool(*b),
        Value::Int(i) => Json::from(*i),
        Value::Float(f) if f.fract() == 0.0 && f.abs() < 9e15 => Json::from(*f as i64),
        Value::Float(f) => Json::from(*f),
        Value::Str(s) => Json::from(s.as_str()),
        Value::Seq(items) => Json::Array(items.iter().map(json).collect()),
        Value::Map(map) => Json::Object(map.iter().map(|(k, v)| (k.clone(), json(v))).collect()),
    }
}

/// What docker compose's JSON has even when it is empty.
fn complete(root: &mut Json) {
    let empty = || Json::Object(JsonMap::new());
    let Some(top) = root.as_object_mut() else { return };
    for service in
        top.get_mut("services").and_then(Json::as_object_mut).into_iter().flat_map(|s| s.values_mut())
    {
        let Some(service) = service.as_object_mut() else { continue };
        service.entry("command").or_insert(Json::Null);
        service.entry("entrypoint").or_insert(Json::Null);
        if let Some(deploy) = service.get_mut("deploy").and_then(Json::as_object_mut) {
            deploy.entry("resources").or_insert_with(empty);
            deploy.entry("placement").or_insert_with(empty);
        }
        let watch = service.get_mut("develop").and_then(|d| d.get_mut("watch")).and_then(Json::as_array_mut);
        for trigger in watch.into_iter().flatten().filter_map(Json::as_object_mut) {
            let exec = trigger.entry("exec").or_insert_with(empty);
            if let Some(exec) = exec.as_object_mut() {
                exec.entry("command").or_insert(Json::Null);
            }
        }
    }
    for network in
        top.get_mut("networks").and_then(Json::as_object_mut).into_iter().flat_map(|s| s.values_mut())
    {
        if let Some(network) = network.as_object_mut() {
            network.entry("ipam").or_insert_with(empty);
        }
    }
}
