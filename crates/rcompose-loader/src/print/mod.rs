//! The canonical form as `config` prints it.

mod json;
mod natural;
mod order;
mod yaml;

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{Map, Node, Span, Style, Value};
use crate::variables::{self, Variable};

/// A project in canonical form, ready to be printed.
#[derive(Debug, Clone)]
pub struct Canonical {
    /// Until somebody looks.
    as_loaded: RefCell<Node>,
    tidied: OnceCell<Node>,
    environment: BTreeMap<String, String>,
    raw: bool,
}

impl Canonical {
    pub(crate) fn new(mut tree: Node, environment: BTreeMap<String, String>) -> Self {
        for section in ["networks", "volumes", "secrets", "configs"] {
            let entries = tree.as_map_mut().and_then(|m| m.get_mut(section)).and_then(Node::as_map_mut);
            for entry in entries.into_iter().flat_map(Map::values_mut).filter(|n| n.is_null()) {
                entry.value = Value::Map(Map::new());
            }
        }
        Self { as_loaded: RefCell::new(tree), tidied: OnceCell::new(), environment, raw: false }
    }

    /// As the files have it: nothing is dropped or escaped, and all keys are sorted.
    pub(crate) fn raw(mut tree: Node, environment: BTreeMap<String, String>) -> Self {
        order::sort_all(&mut tree);
        Self { as_loaded: RefCell::default(), tidied: OnceCell::from(tree), environment, raw: true }
    }

    /// Most loads never print: then nothing is tidied.
    fn tree(&self) -> &Node {
        self.tidied.get_or_init(|| {
            let mut tree = self.as_loaded.take();
            tidy(&mut tree, &mut Vec::new());
            tree
        })
    }

    fn tree_mut(&mut self) -> &mut Node {
        self.tree();
        self.tidied.get_mut().expect("the line above has made it")
    }

    /// As YAML, in docker compose's order of keys.
    pub fn to_yaml(&self) -> String {
        self.escaped(yaml::print(self.tree()))
    }

    /// As JSON, indented by two spaces, with a newline at the end.
    pub fn to_json(&self) -> String {
        let json = if self.raw { json::value(self.tree()) } else { json::project(self.tree()) };
        let mut text = serde_json::to_string_pretty(&json).unwrap_or_default();
        text.push('\n');
        self.escaped(text)
    }

    /// Dollars are doubled when all is laid out: to the width of lines they count once.
    fn escaped(&self, text: String) -> String {
        if self.raw || !text.contains('$') { text } else { text.replace('$', "$$") }
    }

    /// What a service's hash is made of: what its containers depend on, as docker compose has it.
    pub fn service_json(&self, name: &str) -> Option<String> {
        let services = self.tree().get("services")?;
        Some(json::for_hash(name, services.get(name)?))
    }

    /// Variables that interpolation could see: the environment and the `.env` files.
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// The variables that strings use, by name.
    pub fn variables(&self) -> BTreeMap<String, Variable> {
        variables::of(self.tree())
    }

    /// Services, each after those that it depends on.
    pub fn services(&self) -> Vec<String> {
        fn visit(services: &Map, name: &str, out: &mut Vec<String>, seen: &mut BTreeSet<String>) {
            let Some(service) = services.get(name).filter(|_| seen.insert(name.to_owned())) else { return };
            let mut needs: Vec<&String> =
                service.get("depends_on").and_then(Node::as_map).into_iter().flat_map(Map::keys).collect();
            needs.sort();
            needs.into_iter().for_each(|n| visit(services, n, out, seen));
            out.push(name.to_owned());
        }
        let (mut out, mut seen) = (Vec::new(), BTreeSet::new());
        if let Some(services) = self.tree().get("services").and_then(Node::as_map) {
            let mut names: Vec<&String> = services.keys().collect();
            names.sort();
            names.into_iter().for_each(|n| visit(services, n, &mut out, &mut seen));
        }
        out
    }

    /// Names in a section: `volumes`, `networks`, ….
    pub fn names(&self, section: &str) -> Vec<String> {
        let entries = self.tree().get(section).and_then(Node::as_map);
        entries.into_iter().flat_map(Map::keys).cloned().collect()
    }

    /// A text attribute of each entry of a section.
    pub fn attribute(&self, section: &str, key: &str) -> Vec<String> {
        let entries = self.tree().get(section).and_then(Node::as_map);
        entries
            .into_iter()
            .flat_map(Map::values)
            .filter_map(|n| Some(n.get(key)?.as_str()?.to_owned()))
            .collect()
    }

    /// Keeps these services and what they need (`config SERVICE…`), and the resources that they use unless
    /// `all_resources`.
    ///
    /// # Errors
    /// The name that no enabled service has.
    pub fn keep_services(&mut self, names: &[String], all_resources: bool) -> Result<(), String> {
        let Some(top) = self.tree_mut().as_map_mut() else { return Ok(()) };
        let none = Map::new();
        let services = top.get("services").and_then(Node::as_map).unwrap_or(&none);
        let mut wanted: Vec<(String, bool)> = names.iter().map(|n| (n.clone(), true)).collect();
        let mut i = 0;
        while i < wanted.len() {
            let (name, required) = wanted[i].clone();
            i += 1;
            let Some(service) = services.get(&name) else {
                if required {
                    return Err(name);
                }
                continue;
            };
            for (need, how) in service.get("depends_on").and_then(Node::as_map).into_iter().flatten() {
                if !wanted.iter().any(|(n, _)| n == need) {
                    let required = how.get("required").is_none_or(|r| r.value != Value::Bool(false));
                    wanted.push((need.clone(), required));
                }
            }
        }
        let wanted: BTreeSet<String> = wanted.into_iter().map(|(n, _)| n).collect();
        let kept = |n: &str| wanted.contains(n) && services.contains_key(n);
        let kept: BTreeSet<String> = wanted.iter().filter(|n| kept(n)).cloned().collect();
        if let Some(services) = top.get_mut("services").and_then(Node::as_map_mut) {
            services.retain(|n, _| kept.contains(n));
            for service in services.values_mut().filter_map(Node::as_map_mut) {
                let Some(needs) = service.get_mut("depends_on").and_then(Node::as_map_mut) else { continue };
                needs.retain(|n, _| kept.contains(n));
                if needs.is_empty() {
                    service.shift_remove("depends_on");
                }
            }
        }
        if !all_resources {
            self.drop_unused(&kept);
        }
        Ok(())
    }

    fn drop_unused(&mut self, services: &BTreeSet<String>) {
        let used = crate::normalize::used(self.tree(), services);
        let Some(top) = self.tree_mut().as_map_mut() else { return };
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

    /// Every image that services name: their own, those of `pre_start` steps, and those mounted as volumes unless
    /// they are another service's.
    pub fn images_mut(&mut self) -> Vec<&mut String> {
        let services =
            self.tree_mut().as_map_mut().and_then(|m| m.get_mut("services")).and_then(Node::as_map_mut);
        let Some(services) = services else { return Vec::new() };
        let names: BTreeSet<String> = services.keys().cloned().collect();
        let mut out = Vec::new();
        for service in services.values_mut().filter_map(Node::as_map_mut) {
            for (key, node) in service {
                match (key.as_str(), &mut node.value) {
                    ("image", Value::Str(image)) => out.push(image),
                    ("pre_start", Value::Seq(hooks)) => {
                        out.extend(hooks.iter_mut().filter_map(|h| text(h, "image")))
                    }
                    ("volumes", Value::Seq(mounts)) => {
                        let images =
                            mounts.iter_mut().filter(|m| is_image(m)).filter_map(|m| text(m, "source"));
                        out.extend(images.filter(|source| !names.contains(*source)));
                    }
                    _ => {}
                }
            }
        }
        out
    }

    /// A service's image as it is written, even if nobody can pull it.
    pub fn image(&self, service: &str) -> Option<String> {
        Some(self.tree().get("services")?.get(service)?.get("image")?.as_str()?.to_owned())
    }

    /// The images of a service's `pre_start` steps.
    pub fn step_images(&self, service: &str) -> Vec<String> {
        let service = self.tree().get("services").and_then(|s| s.get(service));
        let steps = service.and_then(|s| s.get("pre_start")).and_then(Node::as_seq).unwrap_or_default();
        steps.iter().filter_map(|s| Some(s.get("image")?.as_str()?.to_owned())).collect()
    }

    /// Drops all but images, the services' own and those mounted as volumes (`--lock-image-digests`).
    pub fn keep_images(&mut self) {
        let Some(top) = self.tree_mut().as_map_mut() else { return };
        top.retain(|key, _| key == "services");
        let services = top.get_mut("services").and_then(Node::as_map_mut);
        for service in services.into_iter().flat_map(Map::values_mut).filter_map(Node::as_map_mut) {
            service.retain(|key, node| {
                if let ("volumes", Value::Seq(mounts)) = (key.as_str(), &mut node.value) {
                    mounts.retain(is_image);
                    return !mounts.is_empty();
                }
                key == "image"
            });
        }
    }
}

/// Variables as YAML, as `config --variables --format yaml` prints them.
pub fn variables_yaml(variables: &BTreeMap<String, Variable>) -> String {
    let entry = |(name, v): (&String, &Variable)| {
        let text = |text: &str| Node::str(text, Span::default());
        let fields = [
            ("name", text(name)),
            ("defaultvalue", text(&v.default_value)),
            ("presencevalue", text(&v.presence_value)),
            ("required", Node::new(Value::Bool(v.required), Span::default())),
        ];
        let fields: Map = fields.into_iter().map(|(k, n)| (k.to_owned(), n)).collect();
        (name.clone(), Node::new(Value::Map(fields), Span::default()))
    };
    if variables.is_empty() {
        return "{}\n".into();
    }
    let text = yaml::print(&Node::new(Value::Map(variables.iter().map(entry).collect()), Span::default()));
    // It is indented by four there.
    text.lines().map(|l| if l.starts_with("  ") { format!("  {l}\n") } else { format!("{l}\n") }).collect()
}

fn is_image(mount: &Node) -> bool {
    mount.get("type").and_then(Node::as_str) == Some("image")
}

fn text<'n>(node: &'n mut Node, key: &str) -> Option<&'n mut String> {
    match &mut node.as_map_mut()?.get_mut(key)?.value {
        Value::Str(text) => Some(text),
        _ => None,
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
fn tidy(node: &mut Node, path: &mut Vec<String>) {
    let extension = path.iter().any(|p| p.starts_with("x-"));
    if node.style == Style::Typed {
        // Only extensions have no type of their own.
        match &mut node.value {
            Value::Str(text) if extension => *text = crate::scalar::typed(text),
            _ => node.style = Style::Plain,
        }
    }
    match &mut node.value {
        Value::Seq(items) => items.iter_mut().for_each(|i| tidy(i, path)),
        Value::Map(map) => {
            for (key, item) in map.iter_mut() {
                path.push(key.clone());
                tidy(item, path);
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
        Value::Bool(true) => !matches!(words.as_slice(), ["services", _, "env_file", "required"]),
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
        // Plain durations are absent when they are zero; pointers to them aren't.
        Value::Str(s) if s == "0s" => {
            !matches!(words.as_slice(), ["services", _, "deploy", "update_config" | "rollback_config", _])
        }
        // Numbers that are absent when they are zero.
        Value::Int(0) if matches!(words.as_slice(), ["services", _, "ports", "target"]) => false,
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
