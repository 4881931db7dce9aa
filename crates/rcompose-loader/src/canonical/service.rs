use std::collections::HashSet;
use std::path::Path;

use super::resources::{blkio, deploy, device, gpus};
use super::{absolute, bytes, duration, names_to_map, path, ports, texts, to_list, to_map, volumes};
use crate::code::Code;
use crate::cx::Cx;
use crate::remote::Remote;
use crate::tree::{Map, Node, Span, Value};
use crate::units::split_command;

/// Rewrites one service.
pub(crate) fn canonical(cx: &mut Cx<'_>, map: &mut Map, base: &Path, name: &str) {
    for (key, node) in map.iter_mut() {
        if node.tag == crate::tree::Tag::Reset {
            continue;
        }
        attribute(cx, key, node, base, name);
    }
}

/// Attributes that keep the form that they are written in where nothing is interpolated: their values may be variables.
const WRITTEN: [&str; 20] = [
    "blkio_config",
    "command",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpu_shares",
    "deploy",
    "entrypoint",
    "healthcheck",
    "mem_limit",
    "mem_reservation",
    "mem_swappiness",
    "memswap_limit",
    "oom_score_adj",
    "pids_limit",
    "pull_refresh_after",
    "shm_size",
    "stop_grace_period",
    "ulimits",
];

fn attribute(cx: &mut Cx<'_>, key: &str, node: &mut Node, base: &Path, name: &str) {
    match key {
        _ if !cx.interpolate && WRITTEN.contains(&key) => {}
        "environment" => to_map(node, false),
        "labels" | "annotations" | "sysctls" => to_map(node, true),
        "storage_opt" => {
            if let Some(map) = node.as_map_mut() {
                texts(map);
            }
        }
        "build" => build(cx, node, base),
        "command" | "entrypoint" => command(cx, node),
        "depends_on" => depends_on(cx, node),
        "networks" => {
            names_to_map(node, &|n| Node::new(Value::Null, n.span));
            for (_, n) in node.as_map_mut().into_iter().flatten() {
                let Some(map) = n.as_map_mut() else { continue };
                if let Some(opts) = map.get_mut("driver_opts") {
                    opts.as_map_mut().map(texts);
                }
                for key in ["priority", "gw_priority"] {
                    if let Some(Value::Float(f)) = map.get(key).map(|n| &n.value) {
                        map[key].value = Value::Int(*f as i64);
                    }
                }
            }
        }
        "models" => names_to_map(node, &|n| Node::new(Value::Null, n.span)),
        "ports" => ports::canonical(cx, node),
        "expose" => ports::exposed(cx, node),
        "volumes" => volumes::canonical(cx, node, base),
        "env_file" => env_file(cx, node, base),
        "label_file" => {
            to_list(node);
            paths(cx, node, base);
        }
        "dns" | "dns_search" | "tmpfs" | "group_add" | "cap_add" | "cap_drop" => to_list(node),
        "extra_hosts" => extra_hosts(cx, node),
        "secrets" | "configs" => {
            if let Value::Seq(items) = &mut node.value {
                items.iter_mut().for_each(|i| file_mount(cx, i, key == "secrets"));
            }
        }
        "devices" => {
            if let Value::Seq(items) = &mut node.value {
                items.iter_mut().for_each(|i| device(cx, i));
            }
        }
        "gpus" => gpus(cx, node),
        "container_name" => {
            let text = node.as_str().unwrap_or_default();
            let pair = |w: &[u8]| {
                w[0].is_ascii_alphanumeric() && (w[1].is_ascii_alphanumeric() || b"_.-".contains(&w[1]))
            };
            if !text.is_empty() && !text.as_bytes().windows(2).any(pair) {
                let message =
                    format!("container_name {text:?} does not match pattern '[a-zA-Z0-9][a-zA-Z0-9_.-]+'");
                cx.error(node.span, message)
                    .help
                    .push("begin with a letter or digit, and take two characters at least".into());
            }
        }
        "pull_policy" => {
            let text = node.as_str().unwrap_or_default();
            if !is_pull_policy(text) {
                let message = format!("pull_policy {text:?} isn't known");
                cx.error(node.span, message).help.push(
                    "valid values: always, never, missing, build, refresh, daily, weekly, every_<duration>"
                        .into(),
                );
            }
        }
        "healthcheck" => healthcheck(cx, node),
        "stop_grace_period" | "pull_refresh_after" => duration(cx, node),
        "mem_limit" | "mem_reservation" | "memswap_limit" | "shm_size" => bytes(cx, node),
        "logging" => {
            if let Some(options) = node.as_map_mut().and_then(|m| m.get_mut("options")) {
                to_map(options, true);
            }
        }
        "mem_swappiness" => {
            if let Value::Int(n) = node.value {
                node.value = Value::Str(n.to_string());
            }
        }
        "blkio_config" => blkio(cx, node),
        "extends" => extends(cx, node, base, name),
        "deploy" => deploy(cx, node),
        "develop" => develop(cx, node, base),
        "pre_start" | "post_start" | "pre_stop" => {
            if let Value::Seq(items) = &mut node.value {
                for item in items {
                    let span = item.span;
                    let Some(hook) = item.as_map_mut() else { continue };
                    if key != "pre_start" && !hook.contains_key("command") {
                        cx.error(span, format!("{key} needs a command")).is(Code::MissingAttribute);
                    }
                    if let Some(c) = hook.get_mut("command") {
                        command(cx, c);
                    }
                    if let Some(e) = hook.get_mut("environment") {
                        to_map(e, false);
                    }
                }
            }
        }
        "ulimits" => {
            for (name, limit) in node.as_map().into_iter().flatten() {
                if let Some(map) = limit.as_map()
                    && !(cx.adds || map.contains_key("soft") && map.contains_key("hard"))
                {
                    cx.error(limit.key_span, format!("the limit {name} needs soft and hard"))
                        .is(Code::MissingAttribute);
                }
            }
        }
        "oom_score_adj" => {
            if let Value::Int(n) = node.value
                && !(-1000..=1000).contains(&n)
            {
                cx.error(node.span, format!("oom_score_adj must be between -1000 and 1000, not {n}"));
            }
        }
        "provider" => {
            let options = node.as_map_mut().and_then(|m| m.get_mut("options")).and_then(Node::as_map_mut);
            for (_, option) in options.into_iter().flatten() {
                if let Some(text) = option.scalar_text() {
                    option.value = Value::Str(text);
                }
                to_list(option);
            }
        }
        "pids_limit" | "cpu_shares" | "cpu_period" | "cpu_quota" | "cpu_rt_period" | "cpu_rt_runtime" => {
            if let Value::Float(f) = node.value {
                node.value = Value::Int(f as i64);
            }
            if let Value::Str(s) = &node.value {
                match s.parse::<i64>() {
                    Ok(n) => node.value = Value::Int(n),
                    Err(_) => {
                        let message = format!("{key} must be a whole number, not {s:?}");
                        cx.error(node.span, message);
                    }
                }
            }
        }
        _ => {}
    }
}

fn is_pull_policy(text: &str) -> bool {
    const WORDS: [&str; 8] =
        ["always", "never", "build", "if_not_present", "missing", "refresh", "daily", "weekly"];
    let every = || {
        let periods = text.strip_prefix("every_")?;
        let mut parts = periods.split_inclusive(['w', 'd', 'h', 'm', 's']).peekable();
        parts.peek()?;
        let good = |p: &str| {
            p.len() > 1
                && p[..p.len() - 1].bytes().all(|b| b.is_ascii_digit())
                && !p.ends_with(|c: char| c.is_ascii_digit())
        };
        parts.all(good).then_some(())
    };
    WORDS.contains(&text) || every().is_some()
}

fn paths(cx: &Cx<'_>, node: &mut Node, base: &Path) {
    if let Value::Seq(items) = &mut node.value {
        items.iter_mut().for_each(|i| path(cx, i, base));
    }
}

pub(super) fn command(cx: &mut Cx<'_>, node: &mut Node) {
    let Some(text) = node.as_str() else { return };
    match split_command(text) {
        Ok(words) => {
            let span = node.span;
            node.value = Value::Seq(words.into_iter().map(|w| Node::str(w, span)).collect());
        }
        Err(why) => {
            let message = format!("invalid command line: {why}");
            cx.error(node.span, message);
        }
    }
}

/// Whether a build context is fetched from elsewhere.
pub(crate) fn is_remote(context: &str) -> bool {
    ["https://", "http://", "git://", "ssh://", "github.com/", "git@", "oci-layout://", "docker-image://"]
        .iter()
        .any(|p| context.starts_with(p))
}

fn build(cx: &mut Cx<'_>, node: &mut Node, base: &Path) {
    if node.as_str().is_some() {
        let mut context = node.with(node.value.clone());
        context.key_span = node.key_span;
        node.value = Value::Map([("context".to_owned(), context)].into_iter().collect());
    }
    let Some(map) = node.as_map_mut() else { return };
    // A context that nobody wrote has no place: it gives way to one from another file.
    let context = map.entry("context".into()).or_insert_with(|| Node::str(".", Span::default()));
    let elsewhere = |c: &str| is_remote(c) || c.contains("://") || c.starts_with("service:") || c.is_empty();
    if !context.as_str().is_some_and(elsewhere) {
        path(cx, context, base);
    }
    for key in ["args", "additional_contexts", "ssh"] {
        if let Some(n) = map.get_mut(key) {
            if key != "args" {
                super::resources::pairs_only(cx, key, n);
            }
            to_map(n, false);
        }
    }
    for key in ["provenance", "sbom"] {
        if let Some(n) = map.get_mut(key)
            && let Some(text) = n.scalar_text()
        {
            n.value = Value::Str(text);
        }
    }
    if let Some(labels) = map.get_mut("labels") {
        to_map(labels, true);
    }
    if let Some(contexts) = map.get_mut("additional_contexts") {
        contexts.listed = false;
    }
    for (_, n) in map.get_mut("additional_contexts").and_then(Node::as_map_mut).into_iter().flatten() {
        if !n.as_str().is_some_and(elsewhere) {
            path(cx, n, base);
        }
    }
    if let Some(n) = map.get_mut("extra_hosts") {
        extra_hosts(cx, n);
    }
    if let Some(n) = map.get_mut("no_cache_filter") {
        to_list(n);
    }
    if let Some(n) = map.get_mut("shm_size") {
        bytes(cx, n);
    }
    if let Some(Value::Seq(items)) = map.get_mut("secrets").map(|n| &mut n.value) {
        items.iter_mut().for_each(|i| file_mount(cx, i, false));
    }
}

fn depends_on(cx: &mut Cx<'_>, node: &mut Node) {
    names_to_map(node, &|n| {
        let entries = [("condition", Node::str("service_started", n.span)), ("required", truth(n))];
        Node::new(Value::Map(entries.map(|(k, v)| (k.to_owned(), v)).into_iter().collect()), n.span)
    });
    for (_, entry) in node.as_map_mut().into_iter().flatten() {
        let required = truth(entry);
        let span = if entry.key_span.len > 0 { entry.key_span } else { entry.span };
        if let Some(map) = entry.as_map_mut() {
            if !map.contains_key("condition") {
                cx.error(span, "a dependency's long form needs a condition")
                    .is(Code::MissingAttribute)
                    .help
                    .push("add `condition: service_started`".into());
            }
            map.entry("required".into()).or_insert(required);
        }
    }
}

fn truth(n: &Node) -> Node {
    Node::new(Value::Bool(true), n.span)
}

fn env_file(cx: &mut Cx<'_>, node: &mut Node, base: &Path) {
    if node.as_str().is_some() {
        let item = node.with(node.value.clone());
        node.value = Value::Seq(vec![item]);
    }
    let Value::Seq(items) = &mut node.value else { return };
    for item in items {
        if item.as_str().is_some() {
            let path = item.with(item.value.clone());
            *item = item.with(Value::Map([("path".to_owned(), path)].into_iter().collect()));
        }
        let span = item.span;
        let Some(map) = item.as_map_mut() else { continue };
        map.entry("required".into()).or_insert_with(|| Node::new(Value::Bool(true), span));
        match map.get_mut("path") {
            Some(p) => path(cx, p, base),
            None => {
                cx.error(span, "an env_file needs a path").is(Code::MissingAttribute);
            }
        }
        if let Some(format) = map.get("format") {
            let text = format.as_str().unwrap_or_default();
            if text != "raw" && !text.is_empty() {
                let message = format!("env_file format {text:?} isn't known: only \"raw\" is");
                cx.error(format.span, message);
            }
        }
    }
}

/// `{host: ip}`, `{host: [ip]}`, `[host=ip]`, `[host:ip]` to `{host: [ip, …]}`.
fn extra_hosts(cx: &mut Cx<'_>, node: &mut Node) {
    let mut out = Map::new();
    let mut seen = HashSet::new();
    let span = node.span;
    let mut add = |host: &str, ip: &str, at: &Node| {
        let ip = ip.strip_prefix('[').and_then(|i| i.strip_suffix(']')).unwrap_or(ip);
        let list = out.entry(host.to_owned()).or_insert_with(|| at.with(Value::Seq(Vec::new())));
        if let Value::Seq(items) = &mut list.value
            && seen.insert((host.to_owned(), ip.to_owned()))
        {
            items.push(Node::str(ip, at.span));
        }
    };
    match &node.value {
        Value::Seq(items) => {
            for item in items {
                let Some(text) = item.as_str() else { continue };
                match text.split_once('=').or_else(|| text.split_once(':')) {
                    Some((host, ip)) if !host.is_empty() && !ip.is_empty() => add(host, ip, item),
                    _ => {
                        cx.error(item.span, format!("invalid extra_hosts entry {text:?}"))
                            .help
                            .push("write HOST=IP".into());
                    }
                }
            }
        }
        Value::Map(map) => {
            for (host, item) in map {
                match &item.value {
                    Value::Seq(ips) => ips.iter().for_each(|ip| {
                        if let Some(text) = ip.scalar_text() {
                            add(host, &text, ip);
                        }
                    }),
                    _ => match item.scalar_text() {
                        Some(ip) => add(host, &ip, item),
                        None => {
                            cx.error(item.key_span, format!("extra_hosts: {host} has no address"))
                                .is(Code::MissingAttribute);
                        }
                    },
                }
            }
        }
        _ => return,
    }
    node.listed = node.as_seq().is_some();
    node.value = Value::Map(out);
    node.span = span;
}

fn file_mount(cx: &mut Cx<'_>, item: &mut Node, secret: bool) {
    if item.as_str().is_some() {
        let source = item.with(item.value.clone());
        *item = item.with(Value::Map([("source".to_owned(), source)].into_iter().collect()));
    }
    let span = item.span;
    let Some(map) = item.as_map_mut() else { return };
    if let Some(mode) = map.get_mut("mode") {
        let text = match &mode.value {
            Value::Int(n) => Some(format!("{n:04o}")),
            Value::Str(s) => {
                let digits = s.trim_start_matches("0o");
                u32::from_str_radix(digits, 8).ok().map(|n| format!("{n:04o}"))
            }
            _ => None,
        };
        match text {
            Some(text) => mode.value = Value::Str(text),
            None => {
                cx.error(mode.span, "mode must be permission bits, like 0440");
            }
        }
    }
    if secret && let Some(source) = map.get("source").and_then(Node::as_str).map(str::to_owned) {
        map.entry("target".into()).or_insert_with(|| Node::str(format!("/run/secrets/{source}"), span));
    }
}

fn healthcheck(cx: &mut Cx<'_>, node: &mut Node) {
    let Some(map) = node.as_map_mut() else { return };
    for key in ["interval", "timeout", "start_period", "start_interval"] {
        if let Some(n) = map.get_mut(key) {
            duration(cx, n);
        }
    }
    let Some(test) = map.get_mut("test") else { return };
    if let Some(text) = test.as_str() {
        test.value = Value::Seq(vec![Node::str("CMD-SHELL", test.span), Node::str(text, test.span)]);
    }
    let first = test.as_seq().and_then(|s| s.first()).map(|n| n.as_str().unwrap_or_default().to_owned());
    match first.as_deref() {
        // An empty list says nothing: the image's test stays.
        Some("CMD" | "CMD-SHELL" | "NONE") | None => {}
        Some(other) => {
            cx.error(
                test.span,
                format!(
                    "healthcheck.test must start either by \"CMD\", \"CMD-SHELL\" or \"NONE\", not {other:?}"
                ),
            );
        }
    }
}

fn extends(cx: &mut Cx<'_>, node: &mut Node, base: &Path, name: &str) {
    if node.as_str().is_some() {
        let service = node.with(node.value.clone());
        node.value = Value::Map([("service".to_owned(), service)].into_iter().collect());
    }
    let span = node.span;
    let Some(map) = node.as_map_mut() else { return };
    if !map.contains_key("service") {
        cx.error(span, format!("services.{name}.extends needs a service")).is(Code::MissingAttribute);
    }
    if let Some(Value::Str(file)) = map.get_mut("file").map(|f| &mut f.value)
        && !Remote::is(file)
    {
        *file = absolute(cx, file, base);
    }
}

fn develop(cx: &mut Cx<'_>, node: &mut Node, base: &Path) {
    let Some(map) = node.as_map_mut() else { return };
    let Some(Value::Seq(items)) = map.get_mut("watch").map(|n| &mut n.value) else { return };
    for watch in items.iter_mut().filter_map(Node::as_map_mut) {
        if let Some(p) = watch.get_mut("path") {
            path(cx, p, base);
        }
        for key in ["ignore", "include"] {
            if let Some(n) = watch.get_mut(key) {
                to_list(n);
            }
        }
        if let Some(exec) = watch.get_mut("exec").and_then(Node::as_map_mut) {
            if let Some(c) = exec.get_mut("command") {
                command(cx, c);
            }
            if let Some(e) = exec.get_mut("environment") {
                to_map(e, false);
            }
        }
    }
}
