//! Checks between attributes (Compose specification; compose-go's consistency checks).

use std::collections::{BTreeSet, HashMap};

use crate::code::Code;
use crate::cx::Cx;
use crate::cycles::cycles;
use crate::normalize::namespace_services;
use crate::tree::{Map, Node, Value};

fn section<'r>(root: &'r Node, name: &str) -> Option<&'r Map> {
    root.get(name).and_then(Node::as_map)
}

fn defines(known: Option<&Map>, name: &str) -> bool {
    known.is_some_and(|known| known.contains_key(name))
}

fn undefined(
    cx: &mut Cx<'_>,
    at: crate::tree::Span,
    service: &str,
    kind: &str,
    name: &str,
    known: Option<&Map>,
) {
    let near = cx.nearest(name, known.into_iter().flat_map(Map::keys).map(String::as_str)).map(str::to_owned);
    let d = cx
        .error(at, format!("service {service:?} refers to undefined {kind} {name}: invalid compose project"));
    d.is(match kind {
        "network" => Code::UndefinedNetwork,
        "volume" => Code::UndefinedVolume,
        "service" => Code::UndefinedService,
        _ => Code::UndefinedResource,
    });
    match near {
        Some(near) => d.help.push(format!("did you mean {near:?}?")),
        None => {
            let section = kind.rsplit(' ').next().unwrap_or(kind);
            d.help.push(format!("define it in the top-level section `{section}s`"));
        }
    }
}

/// What one file may leave without a value, for another to fill, must have one in the end.
pub(crate) fn nothing_empty(cx: &mut Cx<'_>, root: &Node) {
    for (name, service) in section(root, "services").into_iter().flatten() {
        if let Some(pid) = service.get("pid").filter(|p| p.is_null()) {
            cx.error(pid.key_span, format!("services.{name}.pid has no value: it must be a string"))
                .is(Code::WrongType)
                .help
                .push("write `pid: host` or `pid: service:NAME`, or take the line away".into());
        }
    }
}

/// Checks the enabled services of a normal tree.
pub(crate) fn validate(cx: &mut Cx<'_>, root: &Node, enabled: &BTreeSet<String>) {
    let Some(services) = root.get("services").and_then(Node::as_map) else { return };
    let mut containers: HashMap<String, String> = HashMap::new();
    for (name, node) in services.iter().filter(|(n, _)| enabled.contains(*n)) {
        let Some(service) = node.as_map() else { continue };
        cx.subject = Some(name.clone());
        check_service(cx, root, services, name, node, service);
        if let Some(container) = service.get("container_name") {
            let text = container.as_str().unwrap_or_default().to_owned();
            if let Some(other) = containers.insert(text.clone(), name.clone()) {
                cx.error(
                    container.span,
                    format!("services.{name}: container name {text:?} is already in use by service {other}"),
                )
                .is(Code::Duplicate);
            }
        }
    }
    cx.subject = None;
    resources(cx, root);
    cycles(cx, services, enabled);
}

fn check_service(cx: &mut Cx<'_>, root: &Node, services: &Map, name: &str, node: &Node, service: &Map) {
    let at = node.key_span;
    let has = |key: &str| service.get(key).is_some_and(|n| n.as_str() != Some(""));
    if !has("image") && !has("build") && !has("provider") {
        cx.error(
            at,
            format!(
                "service {name:?} has neither an image nor a build context specified: invalid compose project"
            ),
        )
        .is(Code::MissingAttribute)
        .help
        .push("add `image:` or `build:`".into());
    }
    if let Some(build) = service.get("build") {
        check_build(cx, root, services, name, build);
    }
    if has("network_mode") && service.get("networks").and_then(Node::as_map).is_some_and(|m| !m.is_empty()) {
        let span = service["network_mode"].key_span;
        cx.error(span, format!("service {name} declares mutually exclusive `network_mode` and `networks`: invalid compose project")).is(Code::Conflict);
    }
    let networks = section(root, "networks");
    for (key, network) in service.get("networks").and_then(Node::as_map).into_iter().flatten() {
        if !defines(networks, key) {
            let span =
                if network.is_null() && network.span.len > 0 { network.span } else { network.key_span };
            undefined(cx, span, name, "network", key, networks);
        }
    }
    mounts(cx, root, name, service);
    for (key, kind) in [("secrets", "secret"), ("configs", "config")] {
        let known = section(root, key);
        for item in service.get(key).and_then(Node::as_seq).unwrap_or_default() {
            match item.get("source").and_then(|s| Some((s.as_str()?, s.span))) {
                Some((source, span)) if !defines(known, source) => {
                    undefined(cx, span, name, kind, source, known)
                }
                Some(_) => {}
                None => {
                    cx.error(item.span, format!("service {name:?}: a {kind} needs a source"))
                        .is(Code::MissingAttribute);
                }
            }
        }
    }
    let known = section(root, "models");
    for (key, model) in service.get("models").and_then(Node::as_map).into_iter().flatten() {
        if !defines(known, key) {
            undefined(cx, model.key_span, name, "model", key, known);
        }
    }
    let depends = service.get("depends_on").and_then(Node::as_map);
    for (dep, entry) in depends.into_iter().flatten() {
        if !services.contains_key(dep) {
            let meant = cx.meant(dep, services.keys().map(String::as_str).filter(|s| *s != name));
            let span = if entry.key_span.len > 0 { entry.key_span } else { entry.span };
            let d = cx
                .error(
                    span,
                    format!("service {name:?} depends on undefined service {dep:?}: invalid compose project"),
                )
                .is(Code::UndefinedService);
            d.help.extend(meant);
        }
    }
    for (other, span) in namespace_services(service) {
        // A normal tree depends on it, too, which was told.
        if !services.contains_key(&other) && !defines(depends, &other) {
            undefined(cx, span, name, "service", &other, Some(services));
        }
    }
    limits(cx, name, service);
}

fn check_build(cx: &mut Cx<'_>, root: &Node, services: &Map, name: &str, build: &Node) {
    let said = |key: &str| build.get(key).filter(|n| n.as_str() != Some(""));
    if let (Some(_), Some(inline)) = (said("dockerfile"), said("dockerfile_inline")) {
        cx.error(
            inline.key_span,
            format!("service {name:?} declares mutually exclusive dockerfile and dockerfile_inline: invalid compose project"),
        ).is(Code::Conflict);
    }
    let known = section(root, "secrets");
    for secret in build.get("secrets").and_then(Node::as_seq).unwrap_or_default() {
        if let Some(source) = secret.get("source").and_then(Node::as_str)
            && !defines(known, source)
        {
            undefined(cx, secret.span, name, "build secret", source, known);
        }
    }
    for (key, context) in build.get("additional_contexts").and_then(Node::as_map).into_iter().flatten() {
        let Some(other) = context.as_str().and_then(|c| c.strip_prefix("service:")) else { continue };
        if !services.contains_key(other) {
            let meant = cx.meant(other, services.keys().map(String::as_str).filter(|s| *s != name));
            let message =
                format!("service {name:?} declares unknown service {other:?} as additional context {key}");
            cx.error(context.span, message).is(Code::UndefinedService).help.extend(meant);
        }
        if services.get(other).is_some_and(|s| s.get("build").is_none()) {
            cx.error(
                context.span,
                format!(
                    "service {name:?} declares non-buildable service {other:?} as additional context {key}"
                ),
            )
            .is(Code::Conflict);
        }
    }
}

fn mounts(cx: &mut Cx<'_>, root: &Node, name: &str, service: &Map) {
    let volumes = section(root, "volumes");
    let mut targets: HashMap<String, crate::tree::Span> = HashMap::new();
    for volume in service.get("volumes").and_then(Node::as_seq).unwrap_or_default() {
        let text = |key: &str| volume.get(key).and_then(Node::as_str);
        if let (Some("volume"), Some(source)) = (text("type"), text("source"))
            && !source.is_empty()
            && !defines(volumes, source)
        {
            undefined(cx, volume.span, name, "volume", source, volumes);
        }
        if let Some(target) = text("target") {
            targets.insert(target.to_owned(), volume.span);
        }
    }
    for tmpfs in service.get("tmpfs").and_then(Node::as_seq).unwrap_or_default() {
        let path = tmpfs.as_str().unwrap_or_default().split(':').next().unwrap_or_default();
        if targets.contains_key(path) {
            cx.error(tmpfs.span, format!("services.{name}: target {path} is mounted twice"))
                .is(Code::Duplicate);
        }
    }
}

fn number(node: Option<&Node>) -> Option<f64> {
    match node.map(|n| &n.value) {
        Some(Value::Int(i)) => Some(*i as f64),
        Some(Value::Float(f)) => Some(*f),
        Some(Value::Str(s)) => s.parse().ok(),
        _ => None,
    }
}

fn limits(cx: &mut Cx<'_>, name: &str, service: &Map) {
    let deploy = service.get("deploy");
    for (own, path) in [
        ("cpus", "resources.limits.cpus"),
        ("mem_limit", "resources.limits.memory"),
        ("pids_limit", "resources.limits.pids"),
        ("mem_reservation", "resources.reservations.memory"),
        ("scale", "replicas"),
    ] {
        let (section, key) = path.rsplit_once('.').unwrap_or(("", path));
        let section = section.split('.').filter(|k| !k.is_empty());
        let section = section.fold(deploy, |at, key| at?.get(key));
        // Limits that are given without this one limit it to nothing; with replicas it's another thing.
        let unsaid = if own == "scale" { None } else { section.map(|_| 0.0) };
        let theirs = number(section.and_then(|s| s.get(key))).or(unsaid);
        if let (Some(a), Some(b)) = (number(service.get(own)), theirs)
            && a != b
            && (a != 0.0 || own == "scale")
        {
            let span = service[own].span;
            cx.error(span, format!("services.{name}: can't set distinct values on '{own}' and 'deploy.{path}': invalid compose project")).is(Code::Conflict);
        }
    }
    let replicas = deploy.and_then(|d| d.get("replicas"));
    let count = number(service.get("scale")).or(number(replicas)).unwrap_or(1.0);
    if count < 0.0 {
        cx.error(
            service.get("scale").or(replicas).map_or_else(Default::default, |n| n.span),
            "the number of replicas can't be negative",
        );
    }
    if count > 1.0
        && let Some(container) = service.get("container_name")
    {
        cx.error(
                container.span,
                format!("services.{name}: can't set container_name and {name} as container name must be unique: invalid compose project"),
            ).is(Code::Conflict)
            .help
            .push("remove container_name, or the scale".into());
    }
    if let (Some(platform), Some(platforms)) = (
        service.get("platform").and_then(Node::as_str),
        service.get("build").and_then(|b| b.get("platforms")).and_then(Node::as_seq),
    ) && !platforms.iter().any(|p| p.as_str() == Some(platform))
    {
        cx.error(
            service["platform"].span,
            format!("services.{name}.build.platforms must include {platform:?}"),
        )
        .is(Code::Conflict);
    }
    for watch in
        service.get("develop").and_then(|d| d.get("watch")).and_then(Node::as_seq).unwrap_or_default()
    {
        let action = watch.get("action").and_then(Node::as_str).unwrap_or_default();
        if action.starts_with("sync") && watch.get("target").is_none() {
            cx.error(
                watch.span,
                format!("services.{name}.develop.watch: target is required for action {action}"),
            )
            .is(Code::MissingAttribute);
        }
    }
}

fn resources(cx: &mut Cx<'_>, root: &Node) {
    for (key, model) in root.get("models").and_then(Node::as_map).into_iter().flatten() {
        if model.get("model").is_none() {
            cx.error(model.key_span, format!("models.{key} needs a model")).is(Code::MissingAttribute);
        }
    }
    for (key, volume) in root.get("volumes").and_then(Node::as_map).into_iter().flatten() {
        if volume.get("external").is_none_or(|e| e.value != Value::Bool(true)) {
            continue;
        }
        for other in ["driver", "driver_opts", "labels"] {
            if let Some(node) = volume.get(other) {
                cx.error(
                    node.key_span,
                    format!("volumes.{key}: conflicting parameters \"external\" and {other:?} specified"),
                )
                .is(Code::Conflict);
            }
        }
    }
    for (section, kind, sources) in [
        ("secrets", "secret", &["file", "environment"][..]),
        ("configs", "config", &["file", "environment", "content"][..]),
    ] {
        for (key, node) in root.get(section).and_then(Node::as_map).into_iter().flatten() {
            let count = sources.iter().filter(|s| node.get(s).is_some()).count();
            let external =
                node.get("external").is_some_and(|n| n.value != Value::Bool(false) || section == "configs");
            if count == 0 && !external {
                cx.error(
                    node.key_span,
                    format!("{kind} {key:?} must declare either {} or external", sources.join(" or ")),
                )
                .is(Code::MissingAttribute);
            }
            if count > 1 {
                cx.error(
                    node.key_span,
                    format!("{kind} {key:?}: {} are mutually exclusive", sources.join(", ")),
                )
                .is(Code::Conflict);
            }
        }
    }
}
