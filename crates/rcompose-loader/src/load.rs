use std::collections::BTreeSet;

use rcompose_model::{Project, ProjectName, Separator};

use crate::code::Code;
use crate::cx::Cx;
use crate::diagnostic::LoadError;
use crate::print::Canonical;
use crate::project::{self, Setting};
use crate::request::{LoadRequest, Loaded, Model};
use crate::source::Sources;
use crate::tree::{Map, Node, Value};
use crate::{bounds, decode, files, gaps, merge, normalize, validate, why};

/// Loads the files into one tree without understanding all of it: for output that isn't interpolated. Services of all
/// profiles and resources that nobody uses stay; attributes keep the form that they are written in.
///
/// # Errors
/// Everything that is wrong, ordered by place.
pub fn load_model(req: &LoadRequest, sources: &dyn Sources) -> Result<Model, LoadError> {
    let mut cx = context(req, sources);
    cx.interpolate = false;
    let (_, name, mut root) = tree(&mut cx, req)?;
    if root.as_map().is_none() {
        root.value = Value::Map(Map::new());
    }
    if !req.options.no_normalize {
        normalize::normalize(&mut root, name.as_str(), &cx.env);
    }
    if let Some(top) = root.as_map_mut() {
        top.shift_remove("version");
    }
    if let Some(top) = root.as_map_mut().filter(|_| !req.options.no_normalize) {
        top.insert("name".into(), Node::str(name.as_str(), Default::default()));
    }
    fail(&mut cx)?;
    Ok(Model { canonical: Canonical::raw(root, cx.env.clone()), warnings: cx.take() })
}

/// Loads a project.
///
/// # Errors
/// Everything that is wrong, ordered by place; warnings that were found on the way stand among them.
pub fn load(req: &LoadRequest, sources: &dyn Sources) -> Result<Loaded, LoadError> {
    let mut cx = context(req, sources);
    let (setting, name, root) = tree(&mut cx, req)?;
    finish(&mut cx, req, &setting, name, root)
}

fn context<'s>(req: &LoadRequest, sources: &'s dyn Sources) -> Cx<'s> {
    let mut cx = Cx::new(sources, &req.cwd);
    cx.env = req.environment.clone();
    cx.resolve_paths = !req.options.no_resolve_paths;
    cx.trace = (!req.why.is_empty()).then(why::Trace::default);
    cx
}

/// All files in one tree, merged.
fn tree(cx: &mut Cx<'_>, req: &LoadRequest) -> Result<(Setting, ProjectName, Node), LoadError> {
    let setting = project::setting(cx, req)?;
    cx.directory.clone_from(&setting.directory);
    if setting.files.is_empty() {
        return Err(project::no_file(req));
    }
    let parsed = project::parse_all(cx, req, &setting.files);
    fail(cx)?;
    files::refuse_empty(cx, &parsed);
    fail(cx)?;
    let name = project::name(cx, req, &setting, &parsed)?;
    cx.env.insert("COMPOSE_PROJECT_NAME".into(), name.as_str().into());
    let mut trail = setting.files.clone();
    let mut root = files::combine(cx, parsed, &setting.directory, &mut trail);
    give_up(cx)?;
    merge::finish(&mut root);
    let nothing = Node::new(Value::Null, Default::default());
    why::merging(cx, &mut root, nothing, "", |root, _| merge::unique(root));
    Ok((setting, name, root))
}

/// After errors everything else is looked at as well, unless that has no end.
fn give_up(cx: &mut Cx<'_>) -> Result<(), LoadError> {
    if cx.can_go_on() { Ok(()) } else { fail(cx) }
}

fn fail(cx: &mut Cx<'_>) -> Result<(), LoadError> {
    if cx.failed() { Err(LoadError { diagnostics: cx.take() }) } else { Ok(()) }
}

fn finish(
    cx: &mut Cx<'_>,
    req: &LoadRequest,
    setting: &Setting,
    name: ProjectName,
    mut root: Node,
) -> Result<Loaded, LoadError> {
    if root.as_map().is_none() {
        root.value = Value::Map(Map::new());
    }
    let profiles = active_profiles(cx, req, &root);
    let enabled = enabled(&root, &profiles);
    if !req.options.no_normalize {
        let env = std::mem::take(&mut cx.env);
        why::implying(cx, &mut root, |root| normalize::normalize(root, name.as_str(), &env));
        cx.env = env;
        validate::nothing_empty(cx, &root);
    }
    if !req.options.no_consistency {
        validate::validate(cx, &root, &enabled);
        disabled_dependencies(cx, &root, &enabled);
    }
    if !req.options.no_resolve_env {
        normalize::env_files(cx, &mut root, &enabled);
    }
    normalize::bare_names(cx, &mut root);
    give_up(cx)?;
    pay_for_services(cx, &root);
    give_up(cx)?;
    cx.errors_warn = req.options.unusable_warns;
    let mut project: Project = decode::project(cx, &root, &enabled, name.clone(), setting);
    cx.errors_warn = false;
    fail(cx)?;
    let needs = gaps::tell(cx, &root, &enabled, req.options.strict);
    if req.compatibility || cx.env.get("COMPOSE_COMPATIBILITY").is_some_and(|v| is_yes(v)) {
        project.separator = Separator::Underscore;
    }
    project.profiles = profiles.into_iter().collect();
    let answers = answers(cx, req, &root, name.as_str())?;
    let used = normalize::used(&root, &enabled);
    if let Some(top) = root.as_map_mut() {
        top.shift_remove("version");
        top.entry("services".into()).or_insert_with(|| Node::new(Value::Map(Map::new()), Default::default()));
        top.insert("name".into(), Node::str(name.as_str(), Default::default()));
        if let Some(services) = top.get_mut("services").and_then(Node::as_map_mut) {
            services.retain(|n, _| enabled.contains(n));
        }
        if !req.options.all_resources {
            for section in ["networks", "volumes", "secrets", "configs", "models"] {
                let of_section = used.get(section);
                if let Some(entries) = top.get_mut(section).and_then(Node::as_map_mut) {
                    entries.retain(|k, _| of_section.is_some_and(|u| u.contains(k)));
                }
            }
            project.networks.retain(|k, _| used.get("networks").is_some_and(|u| u.contains(k)));
            project.volumes.retain(|k, _| used.get("volumes").is_some_and(|u| u.contains(k)));
        }
    }
    let canonical = Canonical::new(root, cx.env.clone());
    Ok(Loaded { project, canonical, warnings: cx.take(), needs, answers })
}

/// What docker compose takes for a yes in a variable of its own.
fn is_yes(text: &str) -> bool {
    matches!(text.trim().to_ascii_lowercase().as_str(), "1" | "t" | "true" | "y")
}

/// What was asked of the finished tree, with services of all profiles.
fn answers(cx: &Cx<'_>, req: &LoadRequest, root: &Node, name: &str) -> Result<Vec<why::Answer>, LoadError> {
    let mut out = Vec::new();
    if req.why.is_empty() {
        return Ok(out);
    }
    let mut root = root.clone();
    if let Some(top) = root.as_map_mut() {
        top.entry("name".into()).or_insert_with(|| Node::str(name, Default::default()));
    }
    for path in &req.why {
        out.extend(why::answers(cx, &root, path)?);
    }
    Ok(out)
}

/// Services are what a project is large by: each has a form of its own for everything behind the loader.
fn pay_for_services(cx: &mut Cx<'_>, root: &Node) {
    for service in root.get("services").and_then(Node::as_map).into_iter().flat_map(Map::values) {
        if !cx.spend(bounds::SERVICE, service.key_span) {
            return;
        }
    }
}

/// Profiles of the command line and the environment, and those of the services that were named.
fn active_profiles(cx: &Cx<'_>, req: &LoadRequest, root: &Node) -> BTreeSet<String> {
    let mut out: BTreeSet<String> = req.profiles.iter().cloned().collect();
    // The variable only counts without the flag.
    if let (true, Some(list)) = (out.is_empty(), cx.env.get("COMPOSE_PROFILES")) {
        out.extend(list.split(',').map(|p| p.trim().to_owned()).filter(|p| !p.is_empty()));
    }
    for name in &req.services {
        let service = root.get("services").and_then(|s| s.get(name));
        out.extend(service_profiles(service));
    }
    out
}

fn service_profiles(service: Option<&Node>) -> impl Iterator<Item = String> + '_ {
    service
        .and_then(|s| s.get("profiles"))
        .and_then(Node::as_seq)
        .unwrap_or_default()
        .iter()
        .filter_map(|p| p.as_str().map(str::to_owned))
}

fn enabled(root: &Node, active: &BTreeSet<String>) -> BTreeSet<String> {
    let services = root.get("services").and_then(Node::as_map);
    services
        .into_iter()
        .flatten()
        .filter(|(_, s)| {
            let mut own = service_profiles(Some(s)).peekable();
            own.peek().is_none() || active.contains("*") || own.any(|p| active.contains(&p))
        })
        .map(|(n, _)| n.clone())
        .collect()
}

/// An enabled service may not need one whose profile is off.
fn disabled_dependencies(cx: &mut Cx<'_>, root: &Node, enabled: &BTreeSet<String>) {
    let Some(services) = root.get("services").and_then(Node::as_map) else { return };
    for (name, service) in services.iter().filter(|(n, _)| enabled.contains(*n)) {
        for (dep, entry) in service.get("depends_on").and_then(Node::as_map).into_iter().flatten() {
            let required = entry.get("required").is_none_or(|r| r.value != Value::Bool(false));
            if required && services.contains_key(dep) && !enabled.contains(dep) {
                let profiles: Vec<String> = service_profiles(services.get(dep)).collect();
                let span = if entry.key_span.len > 0 { entry.key_span } else { entry.span };
                cx.error(span, format!("service {name:?} depends on {dep:?}, which no active profile enables: invalid compose project")).is(Code::UndefinedService)
                    .help
                    .push(format!("activate one of its profiles (--profile {}), or say `required: false`", profiles.join(", ")));
            }
        }
    }
}
