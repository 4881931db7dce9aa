//! One set of Compose files into one canonical tree: documents, extends, include.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::bounds::{self, MAX_EXTENDS};
use crate::canonical::{absolute, canonical};
use crate::chain::Extends;
use crate::code::Code;
use crate::cx::Cx;
use crate::merge;
use crate::prune::prune;
use crate::remote::Remote;
use crate::source::{join_clean, unreadable};
use crate::tree::{Map, Node, Span, Tag, Value};
use crate::{envfile, interpolate, normalize, schema, why, yaml};

/// The sections that an include brings.
const INCLUDED: [&str; 6] = ["services", "volumes", "networks", "secrets", "configs", "models"];

/// How deep includes may go: far more than anybody writes, and an end to loops through links.
const MAX_INCLUDES: usize = 64;

/// A file's documents, parsed and nothing more.
pub(crate) struct Parsed {
    pub(crate) path: PathBuf,
    /// The file as a whole.
    span: Span,
    pub(crate) documents: Vec<Node>,
}

/// Reads and parses; what is wrong goes into `cx`. `word` says what the place `at` does with the file.
pub(crate) fn read(cx: &mut Cx<'_>, path: &Path, at: Span, word: &'static str) -> Option<Parsed> {
    let bytes = match cx.read(path) {
        Ok(bytes) => bytes,
        Err(e) => {
            let shown = cx.shown(path);
            let (why, help) = unreadable(&e);
            let d = cx.error(at, format!("can't read {}: {why}", shown.display())).is(Code::UnreadableFile);
            d.help.extend(help.map(Into::into));
            return None;
        }
    };
    let before = cx.files.len();
    let parsed = parse(cx, path, &bytes);
    cx.led_to(before, at, word);
    parsed
}

/// Where a remote file lies on this machine; what is wrong goes into `cx`.
pub(crate) fn fetch(cx: &mut Cx<'_>, text: &str, at: Span) -> Option<PathBuf> {
    let fetched = match Remote::parse(text) {
        Ok(Some(remote)) => cx.sources.fetch(&remote).inspect(|file| {
            let place = remote.place(file);
            if !cx.elsewhere.contains(&place) {
                cx.elsewhere.push(place);
            }
        }),
        Ok(None) => return Some(PathBuf::from(text)),
        Err(e) => Err(e),
    };
    fetched.map_err(|e| cx.error(at, e.message).help.extend(e.help)).ok()
}

/// Parses a file's text.
pub(crate) fn parse(cx: &mut Cx<'_>, path: &Path, bytes: &[u8]) -> Option<Parsed> {
    let documents = yaml::parse(cx, path, bytes)?;
    if let Some(empty) = documents.iter().find(|d| d.is_null()) {
        let file = cx.files.len() as u16;
        cx.error(
            Span { file, len: 1, ..empty.span },
            "a document without content: the top level must be a mapping",
        )
        .is(Code::UnusableFile)
        .help
        .push("take its `---` away, or write `services:` below".into());
        return None;
    }
    let span = Span { file: cx.files.len() as u16, ..Span::default() };
    Some(Parsed { path: path.to_owned(), span, documents })
}

/// The error for files that say nothing at all. Beside others, and as an include, a file may be empty.
pub(crate) fn refuse_empty(cx: &mut Cx<'_>, files: &[Parsed]) {
    if files.iter().all(|f| f.documents.iter().all(Node::is_null)) {
        let span = files.first().map(|f| f.span).unwrap_or_default();
        cx.error(span, "empty compose file")
            .is(Code::UnusableFile)
            .help
            .push("write at least `services:` with one service".into());
    }
}

/// Merges files that were parsed, in order.
pub(crate) fn combine(cx: &mut Cx<'_>, files: Vec<Parsed>, base: &Path, trail: &mut Vec<PathBuf>) -> Node {
    let mut all: Option<Node> = None;
    for file in files {
        for mut document in file.documents {
            if let Some(all) = &all {
                clashes(cx, &document, all, &mut Vec::new());
                silent(&mut document, all);
            }
            let outer = std::mem::replace(&mut cx.adds, all.is_some());
            let tree = prepare(cx, document, &file.path, base, trail);
            cx.adds = outer;
            match &mut all {
                Some(all) => why::merging(cx, all, tree, "", merge::merge),
                None => all = Some(tree),
            }
        }
    }
    all.unwrap_or_default()
}

/// Tells where a file gives another kind of value than the one that it would change.
fn clashes(cx: &mut Cx<'_>, over: &Node, below: &Node, path: &mut Vec<String>) {
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    let build = matches!(words.as_slice(), ["services", _, "build"]) && over.as_str().is_some();
    if over.tag != Tag::None || over.is_null() || build || merge::takes_any_form(&words) {
        return;
    }
    match (&below.value, &over.value) {
        (Value::Map(below), Value::Map(over)) => {
            for (key, node) in over {
                let Some(below) = below.get(key) else { continue };
                path.push(key.clone());
                clashes(cx, node, below, path);
                path.pop();
            }
        }
        (Value::Seq(_), Value::Seq(_)) => {}
        (Value::Map(_) | Value::Seq(_), _) => {
            cx.error(
                over.span,
                format!("{} can't override {}: {}", over.kind(), below.kind(), path.join(".")),
            )
            .is(Code::WrongType)
            .help
            .push("write it as the file before does, or tag it with !override".into());
        }
        _ => {}
    }
}

/// Takes away the attributes without a value in a file that adds to others: they change nothing.
fn silent(document: &mut Node, below: &Node) {
    let services = document.as_map_mut().and_then(|m| m.get_mut("services")).and_then(Node::as_map_mut);
    for (name, service) in services.into_iter().flatten() {
        let known = below.get("services").and_then(|s| s.get(name));
        let (Some(map), Some(known)) = (service.as_map_mut(), known) else { continue };
        map.retain(|key, node| {
            let means = matches!(
                key.as_str(),
                "command" | "entrypoint" | "depends_on" | "networks" | "models" | "logging"
            ) || node.tag != Tag::None;
            means || !node.is_null() || known.get(key).is_none()
        });
        let known = known.get("logging").and_then(|l| l.get("options")).and_then(Node::as_map);
        let logging = map.get_mut("logging").and_then(Node::as_map_mut);
        let own = logging.and_then(|l| l.get_mut("options")).and_then(Node::as_map_mut);
        if let (Some(own), Some(known)) = (own, known) {
            own.retain(|key, node| !node.is_null() || !known.contains_key(key));
        }
    }
}

/// One document: interpolated, checked, canonical, with its extends and includes.
fn prepare(cx: &mut Cx<'_>, mut tree: Node, path: &Path, base: &Path, trail: &mut Vec<PathBuf>) -> Node {
    if !in_form(cx, &mut tree, base) {
        return Node::new(Value::Map(Map::new()), tree.span);
    }
    let includes = tree.as_map_mut().and_then(|m| m.shift_remove("include"));
    let mut included: Option<Node> = None;
    if let Some(includes) = includes {
        for entry in includes.as_seq().unwrap_or_default() {
            match (include(cx, entry, base, trail), &mut included) {
                // What an include brought first counts more than the ones after it.
                (Some(mut part), Some(all)) => {
                    why::merging(cx, &mut part, std::mem::take(all), "", merge::merge);
                    *all = part;
                }
                (Some(part), None) => included = Some(part),
                (None, _) => cx.holes.definition(),
            }
        }
    }
    extend_all(cx, &mut tree, path, included.as_ref());
    if let Some(mut all) = included {
        why::merging(cx, &mut all, tree, "", merge::merge);
        return all;
    }
    tree
}

/// Interpolates, checks and makes canonical. What is wrong is left out: it would only give follow-up errors.
/// `false`: there is nothing to go on with.
fn in_form(cx: &mut Cx<'_>, tree: &mut Node, base: &Path) -> bool {
    let mark = cx.mark();
    if cx.interpolate {
        interpolate::tree(cx, tree);
    }
    note_services(cx, tree);
    schema::check(cx, tree);
    if tree.as_map().is_none() || !cx.can_go_on() {
        return false;
    }
    prune(cx, tree, mark);
    let mark = cx.mark();
    canonical(cx, tree, base);
    prune(cx, tree, mark);
    cx.can_go_on()
}

/// Notes where the services stand, for what is told later.
fn note_services(cx: &mut Cx<'_>, tree: &Node) {
    for (name, node) in tree.get("services").and_then(Node::as_map).into_iter().flatten() {
        cx.chain.services.insert(node.key_span, name.clone());
    }
}

fn strings(node: Option<&Node>) -> Vec<(String, Span)> {
    match node.map(|n| (&n.value, n.span)) {
        Some((Value::Str(s), span)) => vec![(s.clone(), span)],
        Some((Value::Seq(items), _)) => {
            items.iter().filter_map(|i| Some((i.as_str()?.to_owned(), i.span))).collect()
        }
        _ => Vec::new(),
    }
}

fn include(cx: &mut Cx<'_>, entry: &Node, base: &Path, trail: &mut Vec<PathBuf>) -> Option<Node> {
    let paths = match entry.as_str() {
        Some(path) => vec![(path.to_owned(), entry.span)],
        None => strings(entry.get("path")),
    };
    if paths.is_empty() {
        cx.error(entry.span, "an include needs a path")
            .is(Code::MissingAttribute)
            .help
            .push("add `path:` with a Compose file".into());
        return None;
    }
    let mut local = Vec::new();
    for (path, at) in paths {
        let path = if Remote::is(&path) { fetch(cx, &path, at)? } else { absolute(cx, &path, base).into() };
        local.push((path, at));
    }
    let paths: Vec<(PathBuf, Span)> = local;
    if trail.contains(&paths[0].0) || trail.len() > MAX_INCLUDES {
        let chain: Vec<String> =
            trail.iter().chain([&paths[0].0]).map(|p| cx.shown(p).display().to_string()).collect();
        cx.error(entry.span, format!("include cycle detected: {}", chain.join(" includes "))).is(Code::Cycle);
        return None;
    }
    let directory = match entry.get("project_directory").and_then(Node::as_str) {
        Some(dir) => join_clean(base, Path::new(dir)),
        None => paths[0].0.parent().unwrap_or(Path::new("/")).to_owned(),
    };
    // Paths in the included files start from the folder above one that isn't there.
    let start =
        if cx.sources.is_dir(&directory) { &directory } else { directory.parent().unwrap_or(&directory) };
    let start = start.to_owned();
    let mut env_files = strings(entry.get("env_file"));
    let given = !env_files.is_empty();
    if !given {
        env_files = vec![(directory.join(".env").display().to_string(), entry.span)];
    }
    let outer = cx.env.clone();
    let outer_lines = cx.chain.set_in.clone();
    let mut files = Vec::new();
    for (file, at) in env_files {
        let path = join_clean(base, Path::new(&file));
        if file != "/dev/null" && (given || cx.sources.is_file(&path)) {
            files.push((path, at));
        }
    }
    envfile::interpolation(cx, &files);
    let mut parsed = Vec::new();
    for (path, at) in &paths {
        match read(cx, path, *at, "included here") {
            Some(file) => parsed.push(file),
            None => cx.holes.definition(),
        }
    }
    trail.push(paths[0].0.clone());
    let outer_adds = std::mem::take(&mut cx.adds);
    let mut tree = combine(cx, parsed, &start, trail);
    cx.adds = outer_adds;
    trail.pop();
    // Bare names take the values that the include sees.
    normalize::bare_names(cx, &mut tree);
    // Only what services are made of is included; not names and extensions.
    if let Some(map) = tree.as_map_mut() {
        map.retain(|key, _| INCLUDED.contains(&key.as_str()));
    }
    cx.env = outer;
    cx.chain.set_in = outer_lines;
    Some(tree)
}

/// Carries out every `extends` of a file, also of services that it includes.
fn extend_all(cx: &mut Cx<'_>, tree: &mut Node, path: &Path, included: Option<&Node>) {
    let Some(services) = tree.get("services").and_then(Node::as_map) else { return };
    let names: Vec<String> =
        services.iter().filter(|(_, s)| s.get("extends").is_some()).map(|(n, _)| n.clone()).collect();
    if names.is_empty() {
        return;
    }
    let mut files = BTreeMap::new();
    let mut known = services.clone();
    for (name, service) in
        included.and_then(|i| i.get("services")).and_then(Node::as_map).into_iter().flatten()
    {
        known.entry(name.clone()).or_insert_with(|| service.clone());
    }
    files.insert(path.to_owned(), known);
    for name in names {
        if cx.is_spent() || cx.is_full() {
            return;
        }
        let mut chain = Vec::new();
        let done = extended(cx, &mut files, path, &name, &mut chain);
        if done.is_none() {
            let key = tree.get("services").and_then(|s| s.get(&name)).map(|s| s.key_span);
            cx.holes.around(key.unwrap_or_default());
        }
        if let (Some(done), Some(services)) = (done, tree.as_map_mut().and_then(|m| m.get_mut("services")))
            && let Some(slot) = services.as_map_mut().and_then(|m| m.get_mut(&name))
        {
            *slot = done;
        }
    }
}

fn extended(
    cx: &mut Cx<'_>,
    files: &mut BTreeMap<PathBuf, Map>,
    path: &Path,
    name: &str,
    chain: &mut Vec<(PathBuf, String)>,
) -> Option<Node> {
    let mut service = files.get(path)?.get(name)?.clone();
    let Some(extends) = service.as_map_mut().and_then(|m| m.shift_remove("extends")) else {
        return Some(service);
    };
    if extends.tag == Tag::Reset {
        return Some(service);
    }
    let here = (path.to_owned(), name.to_owned());
    if chain.len() > MAX_EXTENDS {
        cx.error(extends.span, format!("more than {MAX_EXTENDS} services extend one another in a row"))
            .is(Code::UnusableFile);
        return None;
    }
    if chain.contains(&here) {
        let mut names: Vec<String> = chain.iter().map(|(_, n)| n.clone()).collect();
        names.push(name.to_owned());
        cx.error(extends.span, format!("circular extends: {}", names.join(" extends "))).is(Code::Cycle);
        return None;
    }
    let of = extends.get("service")?;
    let base_name = of.as_str()?.to_owned();
    let (of_span, file) = (of.span, extends.get("file").and_then(|f| Some((f.as_str()?.to_owned(), f.span))));
    let base_path = match &file {
        Some((file, at)) => {
            let file = fetch(cx, file, *at)?;
            if !files.contains_key(&file) {
                let services = base_file(cx, &file, *at)?;
                files.insert(file.clone(), services);
            }
            file
        }
        None => path.to_owned(),
    };
    let services = files.get(&base_path)?;
    if !services.contains_key(&base_name) {
        let others = services.keys().map(String::as_str).filter(|s| base_path != path || *s != name);
        let meant = cx.meant(&base_name, others);
        let shown = cx.shown(&base_path);
        let d = cx
            .error(
                of_span,
                format!(
                    "cannot extend service {name:?}: service {base_name:?} not found in {}",
                    shown.display()
                ),
            )
            .is(Code::UndefinedService);
        d.help.extend(meant);
        return None;
    }
    let (key, base) = (service.key_span, services[&base_name].key_span);
    cx.chain.extends.push(Extends { name: name.to_owned(), key, at: of_span, base });
    chain.push(here);
    let base = extended(cx, files, &base_path, &base_name, chain);
    chain.pop();
    let mut base = base?;
    if !cx.spend(2 * bounds::of_node(&base), of_span) {
        return None;
    }
    let (span, key_span) = (service.span, service.key_span);
    why::merging(cx, &mut base, service, &format!("services.{name}"), merge::merge_service);
    base.span = span;
    base.key_span = key_span;
    // Others that extend this one find it done.
    if let Some(known) = files.get_mut(path).and_then(|services| services.get_mut(name)) {
        *known = base.clone();
    }
    Some(base)
}

/// The services of a file that is only extended from: canonical, its paths against its own directory.
fn base_file(cx: &mut Cx<'_>, path: &Path, at: Span) -> Option<Map> {
    let parsed = read(cx, path, at, "extended here")?;
    let base = path.parent().unwrap_or(Path::new("/")).to_owned();
    let mut services = Map::new();
    for mut tree in parsed.documents {
        if !in_form(cx, &mut tree, &base) {
            continue;
        }
        if let Some(found) = tree.as_map_mut().and_then(|m| m.shift_remove("services"))
            && let Value::Map(found) = found.value
        {
            services.extend(found);
        }
    }
    Some(services)
}
