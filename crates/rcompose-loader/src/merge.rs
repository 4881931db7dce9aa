//! The rules by which one file's canonical tree changes another's (Compose specification, "Merge").

use crate::tree::{Map, Node, Tag, Value};

/// Lays `over` on `base`.
pub(crate) fn merge(base: &mut Node, over: Node) {
    merge_at(base, over, &mut Vec::new());
}

/// Lays one service on another (`extends`).
pub(crate) fn merge_service(base: &mut Node, over: Node) {
    merge_at(base, over, &mut vec!["services".into(), "x".into()]);
}

fn merge_at(base: &mut Node, over: Node, path: &mut Vec<String>) {
    if over.tag == Tag::Override {
        *base = Node { tag: Tag::None, ..over };
        return;
    }
    if over.is_null() && !base.is_null() {
        // Nothing said changes nothing, except where null is a value of its own.
        if !matches!(leaf(path), Some("command" | "entrypoint")) && !is_environment(path) {
            return;
        }
    }
    if replaces(base, &over, path) {
        *base = over;
        return;
    }
    let key_span = over.key_span;
    match (&mut base.value, over.value) {
        (Value::Map(b), Value::Map(o)) => {
            merge_maps(b, o, base.listed, path);
            base.listed |= becomes_list(path);
        }
        (Value::Seq(b), Value::Seq(o)) => {
            if path.len() == 4 && path[0] == "networks" && path[2] == "ipam" && path[3] == "config" {
                merge_pools(b, o, path);
            } else {
                // What is there already isn't said again.
                for item in o {
                    if !b.contains(&item) {
                        b.push(item);
                    }
                }
            }
        }
        (_, value) => {
            *base = Node {
                value,
                span: over.span,
                key_span,
                tag: Tag::None,
                style: over.style,
                listed: over.listed,
            };
        }
    }
}

/// Attributes whose forms are made alike before they are merged.
pub(crate) fn takes_any_form(path: &[&str]) -> bool {
    match path {
        ["networks" | "volumes", _, "labels"] => true,
        ["services", _, rest @ ..] => matches!(
            rest,
            ["annotations"
                | "command"
                | "depends_on"
                | "dns"
                | "dns_opt"
                | "dns_search"
                | "entrypoint"
                | "env_file"
                | "label_file"
                | "environment"
                | "extra_hosts"
                | "labels"
                | "models"
                | "networks"
                | "sysctls"
                | "tmpfs"
                | "extends"]
                | ["build", "args" | "additional_contexts" | "extra_hosts" | "labels" | "no_cache_filter"]
                | ["deploy", "labels"]
                | ["healthcheck", "test"]
                | ["ulimits", _]
                | ["provider", "options", _]
        ),
        _ => false,
    }
}

/// Attributes that docker compose merges as lists of `KEY=value`, and leaves so.
fn becomes_list(path: &[String]) -> bool {
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    matches!(
        words.as_slice(),
        ["networks" | "volumes", _, "labels"]
            | ["services", _, "environment" | "labels" | "annotations" | "sysctls" | "extra_hosts"]
            | ["services", _, "build", "args" | "labels" | "extra_hosts"]
            | ["services", _, "deploy", "labels"]
    )
}

fn merge_maps(base: &mut Map, over: Map, listed: bool, path: &mut Vec<String>) {
    for (key, node) in over {
        if node.tag == Tag::Reset {
            if !listed {
                base.shift_remove(&key);
            }
            continue;
        }
        match base.get_mut(&key) {
            // Implied, not written (a build's context): what is there already says more.
            Some(_) if node.span.file == 0 => {}
            Some(existing) => {
                path.push(key);
                merge_at(existing, node, path);
                path.pop();
            }
            None => {
                base.insert(key, node);
            }
        }
    }
}

/// IPAM pools are the same when their subnets are. Each pool of the base meets each of the other file, as docker compose
/// has it: a pool that was met is changed wherever it stands.
fn merge_pools(base: &mut Vec<Node>, over: Vec<Node>, path: &mut Vec<String>) {
    let subnet = |n: &Node| n.get("subnet").and_then(Node::as_str).map(str::to_owned);
    let others = over.len();
    let mut pools = over;
    pools.append(base);
    let mut out: Vec<usize> = Vec::new();
    for own in others..pools.len() {
        for other in 0..others {
            let place = |out: &[usize], pools: &[Node], of: usize| {
                out.iter().position(|o| subnet(&pools[*o]) == subnet(&pools[of]))
            };
            if subnet(&pools[other]) != subnet(&pools[own]) && place(&out, &pools, other).is_none() {
                out.push(other);
                continue;
            }
            let over = pools[other].clone();
            merge_at(&mut pools[own], over, path);
            match place(&out, &pools, own) {
                Some(at) => out[at] = own,
                None => out.push(own),
            }
        }
    }
    *base = out.into_iter().map(|i| pools[i].clone()).collect();
}

fn leaf(path: &[String]) -> Option<&str> {
    (path.len() == 3 && path[0] == "services").then(|| path[2].as_str())
}

/// A variable or a build argument: without a value it takes the shell's.
fn is_environment(path: &[String]) -> bool {
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    matches!(words.as_slice(), ["services", _, "environment", _] | ["services", _, "build", "args", _])
}

fn replaces(base: &Node, over: &Node, path: &[String]) -> bool {
    if path.first().map(String::as_str) != Some("services") {
        return false;
    }
    match path.get(2..).unwrap_or_default() {
        [a] if a == "command" || a == "entrypoint" => true,
        [a] if a == "logging" => {
            let driver = |n: &Node| n.get("driver").and_then(Node::as_str).map(str::to_owned);
            matches!((driver(base), driver(over)), (Some(b), Some(o)) if b != o)
        }
        [a, b] if a == "healthcheck" && b == "test" => true,
        [a, _] if a == "ulimits" => base.as_map().is_none() || over.as_map().is_none(),
        _ => false,
    }
}

/// Takes away what is left of the merge tags.
pub(crate) fn finish(node: &mut Node) {
    node.tag = Tag::None;
    match &mut node.value {
        Value::Map(map) => {
            map.retain(|_, n| n.tag != Tag::Reset);
            map.values_mut().for_each(finish);
        }
        Value::Seq(items) => {
            items.retain(|n| n.tag != Tag::Reset);
            items.iter_mut().for_each(finish);
        }
        _ => {}
    }
}

/// Collapses duplicates: the last wins, in the first's place.
pub(crate) fn unique(root: &mut Node) {
    let services = root.as_map_mut().and_then(|m| m.get_mut("services")).and_then(Node::as_map_mut);
    for service in services.into_iter().flat_map(|s| s.values_mut()).filter_map(Node::as_map_mut) {
        unique_service(service);
    }
}

pub(crate) fn unique_service(service: &mut Map) {
    for (key, node) in service.iter_mut() {
        match key.as_str() {
            "volumes" | "devices" => dedupe(node, |n| text(n, "target")),
            "secrets" | "configs" => {
                let folder = if key == "secrets" { "/run/secrets/" } else { "/" };
                dedupe(node, |n| {
                    text(n, "target").or_else(|| Some(format!("{folder}{}", text(n, "source")?)))
                });
            }
            "env_file" => dedupe(node, |n| text(n, "path")),
            "ports" => dedupe(node, |n| {
                // Not read where a variable stands in it.
                if let Some(text) = n.scalar_text() {
                    return Some(text);
                }
                let part = |k| n.get(k).and_then(Node::scalar_text).unwrap_or_default();
                let ip = text(n, "host_ip").unwrap_or_else(|| "0.0.0.0".into());
                Some(format!("{}|{}|{}|{}", ip, part("target"), part("published"), part("protocol")))
            }),
            "expose" => dedupe(node, Node::scalar_text),
            "cap_add" | "cap_drop" | "links" | "profiles" | "dns" | "dns_opt" | "dns_search" | "tmpfs" => {
                dedupe(node, name);
            }
            "build" => {
                if let Some(tags) = node.as_map_mut().and_then(|m| m.get_mut("tags")) {
                    dedupe(tags, name);
                }
            }
            "networks" => {
                for network in node.as_map_mut().into_iter().flat_map(|m| m.values_mut()) {
                    for list in ["aliases", "link_local_ips"] {
                        if let Some(n) = network.as_map_mut().and_then(|m| m.get_mut(list)) {
                            dedupe(n, name);
                        }
                    }
                }
            }
            "extra_hosts" => {
                for ips in node.as_map_mut().into_iter().flat_map(|m| m.values_mut()) {
                    dedupe(ips, Node::scalar_text);
                }
            }
            _ => {}
        }
    }
}

fn text(node: &Node, key: &str) -> Option<String> {
    node.get(key).and_then(Node::scalar_text)
}

/// What stands before the first `=`, by which docker compose tells entries apart.
fn name(node: &Node) -> Option<String> {
    let text = node.scalar_text()?;
    Some(text.split('=').next().unwrap_or_default().to_owned())
}

fn dedupe(node: &mut Node, key: impl Fn(&Node) -> Option<String>) {
    let Value::Seq(items) = &mut node.value else { return };
    let mut seen: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
    let mut out: Vec<Node> = Vec::with_capacity(items.len());
    for item in std::mem::take(items) {
        match key(&item) {
            Some(k) => match seen.get(&k) {
                Some(&i) => out[i] = item,
                None => {
                    seen.insert(k, out.len());
                    out.push(item);
                }
            },
            None => out.push(item),
        }
    }
    *items = out;
}
