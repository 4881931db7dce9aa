//! What a project means without saying it: default network, names, implied dependencies, env files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::bounds;
use crate::chain::Use;
use crate::cx::Cx;
use crate::dotenv::Lookup;
use crate::envfile::{self, Entry, EnvFile};
use crate::source::join_clean;
use crate::tree::{Map, Node, Span, Value};

fn entry_map(node: &mut Node) -> &mut Map {
    if node.as_map().is_none() {
        node.value = Value::Map(Map::new());
    }
    node.as_map_mut().expect("made just now")
}

/// Names of services by `service:x` in a namespace attribute.
pub(crate) fn namespace_services(service: &Map) -> Vec<(String, Span)> {
    ["network_mode", "ipc", "pid", "uts", "cgroup"]
        .iter()
        .filter_map(|key| {
            let node = service.get(*key)?;
            Some((node.as_str()?.strip_prefix("service:")?.to_owned(), node.span))
        })
        .collect()
}

/// Implicit values of every service and resource.
pub(crate) fn normalize(root: &mut Node, project: &str, env: &BTreeMap<String, String>) {
    let Some(top) = root.as_map_mut() else { return };
    let mut default_network = false;
    if let Some(services) = top.get_mut("services").and_then(Node::as_map_mut) {
        for service in services.values_mut() {
            let span = service.key_span;
            let Some(map) = service.as_map_mut() else { continue };
            default_network |= normalize_service(map, span);
            build_arguments(map, env);
        }
    }
    if default_network {
        let networks = top.entry("networks".into()).or_default();
        entry_map(networks).entry("default".into()).or_default();
    }
    for section in ["networks", "volumes", "secrets", "configs"] {
        let Some(entries) = top.get_mut(section).and_then(Node::as_map_mut) else { continue };
        for (key, node) in entries {
            let span = node.key_span;
            let external = node.get("external").is_some_and(|e| e.value == Value::Bool(true));
            let map = entry_map(node);
            let name = if external { key.clone() } else { format!("{project}_{key}") };
            map.entry("name".into()).or_insert_with(|| Node::str(name, span));
        }
    }
}

/// A bare build argument takes the environment's value or disappears.
fn build_arguments(service: &mut Map, env: &BTreeMap<String, String>) {
    let build = service.get_mut("build").and_then(Node::as_map_mut);
    let Some(args) = build.and_then(|b| b.get_mut("args")).and_then(Node::as_map_mut) else { return };
    for (key, arg) in args.iter_mut().filter(|(_, a)| a.is_null()) {
        arg.value = env.get(key).cloned().map_or(Value::Null, Value::Str);
    }
    args.retain(|_, arg| !arg.is_null());
}

/// True if the service joins the default network.
fn normalize_service(map: &mut Map, span: Span) -> bool {
    let networks_empty = map.get("networks").is_none_or(|n| n.as_map().is_none_or(Map::is_empty));
    let mut default = map.get("networks").and_then(|n| n.get("default")).is_some();
    if !map.contains_key("network_mode") && !map.contains_key("provider") && networks_empty {
        let mut networks = Map::new();
        networks.insert("default".into(), Node::new(Value::Null, span));
        map.insert("networks".into(), Node::new(Value::Map(networks), span));
        default = true;
    }
    if let Some(build) = map.get_mut("build").and_then(Node::as_map_mut)
        && !build.contains_key("dockerfile_inline")
    {
        build.entry("dockerfile".into()).or_insert_with(|| Node::str("Dockerfile", span));
    }
    if let Some(policy) = map.get_mut("pull_policy")
        && policy.as_str() == Some("if_not_present")
    {
        policy.value = Value::Str("missing".into());
    }
    if let (Some(scale), Some(deploy)) = (map.get("scale").cloned(), map.get_mut("deploy"))
        && let Some(deploy) = deploy.as_map_mut()
    {
        deploy.entry("replicas".into()).or_insert(scale);
    }
    if let Some(image) = map.get("image").cloned() {
        for hook in map.get_mut("pre_start").into_iter().flat_map(|h| match &mut h.value {
            Value::Seq(items) => items.as_mut_slice(),
            _ => &mut [],
        }) {
            if let Some(hook) = hook.as_map_mut() {
                hook.entry("image".into()).or_insert_with(|| image.clone());
            }
        }
    }
    let mut implied: Vec<(String, Span, bool)> = Vec::new();
    for link in map.get("links").and_then(Node::as_seq).unwrap_or_default() {
        let name = link.as_str().unwrap_or_default().split(':').next().unwrap_or_default();
        implied.push((name.to_owned(), link.span, true));
    }
    implied.extend(namespace_services(map).into_iter().map(|(n, s)| (n, s, true)));
    for from in map.get("volumes_from").and_then(Node::as_seq).unwrap_or_default() {
        let text = from.as_str().unwrap_or_default();
        if !text.starts_with("container:") {
            let name = text.split(':').next().unwrap_or_default();
            implied.push((name.to_owned(), from.span, false));
        }
    }
    for (name, at, restart) in implied {
        let deps = map.entry("depends_on".into()).or_insert_with(|| Node::new(Value::Map(Map::new()), at));
        entry_map(deps).entry(name).or_insert_with(|| {
            let mut dep = Map::new();
            dep.insert("condition".into(), Node::str("service_started", at));
            if restart {
                dep.insert("restart".into(), Node::new(Value::Bool(true), at));
            }
            dep.insert("required".into(), Node::new(Value::Bool(true), at));
            Node::new(Value::Map(dep), at)
        });
    }
    default
}

/// Reads the `env_file`s and `label_file`s of the services in `names` and lays `environment` and `labels` on them.
pub(crate) fn env_files(cx: &mut Cx<'_>, root: &mut Node, names: &BTreeSet<String>) {
    let services = root.as_map_mut().and_then(|m| m.get_mut("services")).and_then(Node::as_map_mut);
    let Some(services) = services else { return };
    for (name, service) in services {
        if cx.is_spent() {
            return;
        }
        let Some(map) = service.as_map_mut() else { continue };
        let enabled = names.contains(name);
        if let Some(files) = map.shift_remove("env_file") {
            let none = Map::new();
            let own = map.get("environment").and_then(Node::as_map).unwrap_or(&none);
            let pairs = of_env_files(cx, name, &files, own, enabled);
            if !pairs.is_empty() {
                let node = map.entry("environment".into()).or_insert_with(|| files.with(Value::Null));
                let own = entry_map(node);
                for (key, value) in pairs {
                    match own.get(&key) {
                        Some(_) => cx.lost_node(format!("services.{name}.environment.{key}"), &value),
                        None => {
                            own.insert(key, value);
                        }
                    }
                }
            }
        }
        if let Some(files) = map.get("label_file").cloned() {
            let labels = of_label_files(cx, &files, enabled);
            if !labels.is_empty() {
                let node = map.entry("labels".into()).or_insert_with(|| files.with(Value::Null));
                let own = entry_map(node);
                for (key, value) in labels {
                    own.entry(key).or_insert(value);
                }
            }
        }
    }
}

/// Gives bare names in `environment` the shell's value.
pub(crate) fn bare_names(cx: &mut Cx<'_>, root: &mut Node) {
    let services = root.as_map_mut().and_then(|m| m.get_mut("services")).and_then(Node::as_map_mut);
    for map in services.into_iter().flat_map(|s| s.values_mut()).filter_map(Node::as_map_mut) {
        if let Some(environment) = map.get_mut("environment").and_then(Node::as_map_mut) {
            for (key, node) in environment {
                if node.is_null()
                    && let Some(value) = cx.env.get(key).cloned()
                {
                    taken(cx, node.span, key, &value);
                    node.value = Value::Str(value);
                }
            }
        }
    }
}

/// Notes that a bare name took a variable's value.
fn taken(cx: &mut Cx<'_>, at: Span, name: &str, value: &str) {
    let origin = cx.chain.origin(name);
    cx.chain.uses.insert(at, vec![Use { name: name.to_owned(), value: value.to_owned(), origin }]);
}

/// What env files say, later ones over earlier ones. `own` is the service's `environment`.
fn of_env_files(
    cx: &mut Cx<'_>,
    name: &str,
    files: &Node,
    own: &Map,
    enabled: bool,
) -> BTreeMap<String, Node> {
    let env = cx.env.clone();
    let first = |name: &str| env.get(name).cloned().or_else(|| own.get(name)?.scalar_text());
    let mut out: BTreeMap<String, Node> = BTreeMap::new();
    for file in files.as_seq().unwrap_or_default() {
        let Some(path_node) = file.get("path") else { continue };
        let path = join_clean(&cx.directory, Path::new(path_node.as_str().unwrap_or_default()));
        let required = file.get("required").is_none_or(|r| r.value != Value::Bool(false));
        let raw = file.get("format").and_then(Node::as_str) == Some("raw");
        if (!required || !enabled) && !cx.sources.is_file(&path) {
            continue;
        }
        let last = |name: &str| out.get(name).and_then(Node::scalar_text);
        let file = EnvFile { what: "env file", path: &path, at: path_node.span, raw };
        let pairs = envfile::read(cx, &file, &Lookup { first: &first, last: &last });
        if !pay(cx, &pairs, path_node.span) {
            break;
        }
        for pair in pairs {
            // A bare name takes the shell's value; without one it changes nothing.
            let bare = pair.value.is_none();
            if let Some(value) = pair.value.or_else(|| first(&pair.key)) {
                if bare {
                    taken(cx, pair.at, &pair.key, &value);
                }
                let path = format!("services.{name}.environment.{}", pair.key);
                if let Some(old) = out.insert(pair.key, Node::str(value, pair.at)) {
                    cx.lost_node(path, &old);
                }
            }
        }
    }
    out
}

/// Every service that reads a file has its values.
fn pay(cx: &mut Cx<'_>, pairs: &[Entry], at: Span) -> bool {
    let values = pairs.iter().map(|p| 3 + p.value.as_deref().map_or(0, bounds::of_text));
    cx.spend(values.sum(), at)
}

/// What label files say. Their values see no variables but those of the label files before.
fn of_label_files(cx: &mut Cx<'_>, files: &Node, enabled: bool) -> Map {
    let mut labels = Map::new();
    for file in files.as_seq().unwrap_or_default() {
        let Some(path) = file.as_str().map(|p| join_clean(&cx.directory, Path::new(p))) else { continue };
        if !enabled && !cx.sources.is_file(&path) {
            continue;
        }
        let first = |name: &str| labels.get(name).and_then(Node::scalar_text);
        let label_file = EnvFile { what: "label file", path: &path, at: file.span, raw: false };
        let pairs = envfile::read(cx, &label_file, &Lookup { first: &first, last: &|_| None });
        if !pay(cx, &pairs, file.span) {
            break;
        }
        for pair in pairs {
            if let Some(value) = pair.value {
                labels.insert(pair.key, Node::str(value, pair.at));
            }
        }
    }
    labels
}

/// Resources that the enabled services use, by section.
pub(crate) fn used(root: &Node, enabled: &BTreeSet<String>) -> BTreeMap<&'static str, BTreeSet<String>> {
    let mut out: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
    let mut add = |section: &'static str, name: &str| {
        out.entry(section).or_default().insert(name.to_owned());
    };
    let services = root.get("services").and_then(Node::as_map);
    for (_, service) in services.into_iter().flatten().filter(|(n, _)| enabled.contains(*n)) {
        for key in service.get("networks").and_then(Node::as_map).into_iter().flat_map(Map::keys) {
            add("networks", key);
        }
        for volume in service.get("volumes").and_then(Node::as_seq).unwrap_or_default() {
            if volume.get("type").and_then(Node::as_str) == Some("volume")
                && let Some(source) = volume.get("source").and_then(Node::as_str)
            {
                add("volumes", source);
            }
        }
        for section in ["secrets", "configs"] {
            for item in service.get(section).and_then(Node::as_seq).unwrap_or_default() {
                if let Some(source) = item.get("source").and_then(Node::as_str) {
                    add(section, source);
                }
            }
        }
        for item in
            service.get("build").and_then(|b| b.get("secrets")).and_then(Node::as_seq).unwrap_or_default()
        {
            if let Some(source) = item.get("source").and_then(Node::as_str) {
                add("secrets", source);
            }
        }
        for key in service.get("models").and_then(Node::as_map).into_iter().flat_map(Map::keys) {
            add("models", key);
        }
    }
    out
}
