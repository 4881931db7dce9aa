use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use rcompose_model::{
    CAPABILITIES, Dependency, DependencyCondition, Device, HealthTest, Healthcheck, ImageName,
    ImageNameError, Link, MountsOf, NamespaceMode, Origins, Platform, PullPolicy, Resources, RestartPolicy,
    Service, ServiceName, Signal, User, VolumesFrom,
};

use super::build::build;
use super::hooks::{hooks, pre_start};
use super::hosts;
use super::logging::logging;
use super::mounts::{file_mounts, mounts};
use super::network::{network_mode, ports};
use super::security::{device_rules, security, ulimits};
use super::value::{each, flag, opt_flag, opt_float, opt_int, opt_text, opt_text_map, strings, text_map};
use crate::canonical::exposed_ports;
use crate::chain::shown;
use crate::cx::{Cx, nearest};
use crate::tree::Node;
use crate::units::{parse_bytes, parse_duration};

pub(super) fn decode(cx: &mut Cx<'_>, name: ServiceName, n: &Node) -> Option<Service> {
    let healthcheck = n.get("healthcheck").map(|h| healthcheck(cx, h));
    let build = n.get("build").map(|b| Box::new(build(cx, b)));
    Some(Service {
        origin: cx.origin(n.key_span),
        attribute_origins: origins(cx, n),
        image: n.get("image").and_then(|i| image(cx, i)),
        build,
        pull_policy: pull_policy(cx, n),
        platform: n.get("platform").and_then(|p| platform(cx, p)),
        command: words(n, "command"),
        entrypoint: words(n, "entrypoint"),
        environment: opt_text_map(n.get("environment")),
        depends_on: depends_on(cx, n),
        ports: ports(cx, n),
        expose: each(cx, n, "expose", exposed_ports),
        mounts: mounts(cx, n),
        volumes_from: each(cx, n, "volumes_from", volumes_from),
        network_mode: network_mode(cx, n),
        links: each(cx, n, "links", link),
        healthcheck,
        restart: restart(cx, n),
        user: user(cx, n),
        group_add: strings(n.get("group_add")),
        working_dir: opt_text(n, "working_dir"),
        hostname: opt_text(n, "hostname"),
        domainname: opt_text(n, "domainname"),
        container_name: container_name(cx, n),
        init: flag(n, "init"),
        labels: text_map(n.get("labels")),
        annotations: text_map(n.get("annotations")),
        profiles: strings(n.get("profiles")),
        stop_signal: stop_signal(cx, n),
        stop_grace_period: duration(cx, n, "stop_grace_period"),
        resources: resources(cx, n),
        ulimits: ulimits(cx, n),
        read_only: flag(n, "read_only"),
        cap_add: capabilities(cx, n, "cap_add"),
        cap_drop: capabilities(cx, n, "cap_drop"),
        privileged: flag(n, "privileged"),
        security: security(cx, n),
        extra_hosts: hosts(cx, n.get("extra_hosts")),
        dns: each(cx, n, "dns", |text| {
            text.parse().map_err(|_| format!("dns: {text:?} isn't an IP address"))
        }),
        dns_search: strings(n.get("dns_search")),
        dns_opt: strings(n.get("dns_opt")),
        replicas: replicas(n),
        shm_size: size(n, "shm_size"),
        sysctls: text_map(n.get("sysctls")),
        devices: devices(n),
        device_rules: device_rules(cx, n),
        tty: flag(n, "tty"),
        stdin_open: flag(n, "stdin_open"),
        secrets: file_mounts(cx, n, "secrets"),
        configs: file_mounts(cx, n, "configs"),
        pid: namespace(n, "pid"),
        cgroup: namespace(n, "cgroup"),
        ipc: namespace(n, "ipc"),
        uts: namespace(n, "uts"),
        attach: opt_flag(n, "attach").unwrap_or(true),
        logging: logging(cx, n),
        cgroup_parent: opt_text(n, "cgroup_parent"),
        pre_start: pre_start(cx, n),
        post_start: hooks(cx, n, "post_start"),
        pre_stop: hooks(cx, n, "pre_stop"),
        name,
    })
}

/// Places of single attributes, for errors that the engine finds later.
fn origins(cx: &mut Cx<'_>, n: &Node) -> Origins {
    let mut out = Vec::new();
    for (key, value) in n.as_map().into_iter().flatten() {
        let at = if value.span.line == 0 { value.key_span } else { value.span };
        out.push((cx.name(key), cx.origin(at)));
        if matches!(
            key.as_str(),
            "ports"
                | "volumes"
                | "secrets"
                | "configs"
                | "devices"
                | "tmpfs"
                | "pre_start"
                | "post_start"
                | "pre_stop"
        ) {
            for (i, item) in value.as_seq().unwrap_or_default().iter().enumerate() {
                out.push((cx.name(&format!("{key}.{i}")), cx.origin(item.span)));
            }
        }
    }
    out.into_iter().collect()
}

fn words(n: &Node, key: &str) -> Option<Vec<String>> {
    n.get(key).filter(|c| !c.is_null()).map(|c| strings(Some(c)))
}

fn duration(cx: &mut Cx<'_>, n: &Node, key: &str) -> Option<Duration> {
    let node = n.get(key)?;
    let text = node.as_str()?;
    match parse_duration(text) {
        Ok(duration) => Some(duration),
        Err(why) => {
            cx.error(node.span, why);
            None
        }
    }
}

pub(super) fn size(n: &Node, key: &str) -> Option<u64> {
    let text = n.get(key)?.scalar_text()?;
    parse_bytes(&text).ok().and_then(|b| u64::try_from(b).ok()).filter(|b| *b > 0)
}

/// A text in its own type, which says itself what is wrong; an empty one is none.
fn read<T: FromStr<Err: Display>>(cx: &mut Cx<'_>, node: &Node, what: &str) -> Option<T> {
    let text = node.scalar_text().filter(|t| !t.is_empty())?;
    let read = text.parse::<T>();
    if let Err(e) = &read {
        cx.error(node.span, format!("{what}: {e}"));
    }
    read.ok()
}

pub(super) fn image(cx: &mut Cx<'_>, node: &Node) -> Option<ImageName> {
    let text = node.scalar_text().filter(|t| !t.is_empty())?;
    let named = text.parse::<ImageName>();
    named
        .map_err(|e| {
            let d = cx.error(node.span, format!("invalid image reference {}: {e}", shown(&text)));
            if let ImageNameError::UpperCase(name) = e {
                let (front, tag) = text.split_at(text.find(&name).unwrap_or(0) + name.len());
                let registry = front.split('/').next().unwrap_or_default();
                // `My/App`: hardly a registry called `My`.
                let front = match registry.contains(['.', ':']) {
                    true => front.replacen(&name, &name.to_lowercase(), 1),
                    false => front.to_lowercase(),
                };
                d.help.push(format!("write {}", shown(&format!("{front}{tag}"))));
            }
        })
        .ok()
}

pub(super) fn platform(cx: &mut Cx<'_>, node: &Node) -> Option<Platform> {
    read(cx, node, "platform")
}

pub(super) fn user(cx: &mut Cx<'_>, n: &Node) -> Option<User> {
    let node = n.get("user")?;
    read(cx, node, "user")
}

fn container_name(cx: &mut Cx<'_>, n: &Node) -> Option<String> {
    let node = n.get("container_name")?;
    let text = node.scalar_text()?;
    let ok = text.len() > 1
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if !ok {
        cx.error(node.span, format!("container_name {text:?} is invalid"))
            .help
            .push("begin with a letter or digit; then letters, digits, _ . - only".into());
    }
    Some(text)
}

fn stop_signal(cx: &mut Cx<'_>, n: &Node) -> Option<Signal> {
    let node = n.get("stop_signal")?;
    match Signal::parse(&node.scalar_text()?) {
        Ok(signal) => Some(signal),
        Err(e) => {
            cx.error(node.span, e.to_string()).help.push("write a name like SIGTERM, or a number".into());
            None
        }
    }
}

fn pull_policy(cx: &mut Cx<'_>, n: &Node) -> Option<PullPolicy> {
    let node = n.get("pull_policy")?;
    let text = node.scalar_text()?;
    Some(match text.as_str() {
        "always" => PullPolicy::Always,
        "never" => PullPolicy::Never,
        "missing" | "if_not_present" => PullPolicy::Missing,
        "build" => PullPolicy::Build,
        "daily" => PullPolicy::Every(Duration::from_secs(86_400)),
        "weekly" => PullPolicy::Every(Duration::from_secs(604_800)),
        "refresh" => PullPolicy::Every(duration(cx, n, "pull_refresh_after").unwrap_or_default()),
        other => match other.strip_prefix("every_").map(parse_duration) {
            Some(Ok(d)) => PullPolicy::Every(d),
            _ => {
                let known = ["always", "never", "missing", "build", "daily", "weekly", "if_not_present"];
                let near = nearest(other, known);
                let d = cx.error(node.span, format!("pull_policy {text:?} isn't known"));
                d.help.push(
                    "valid values: always, never, missing, build, daily, weekly, every_<duration>".into(),
                );
                d.help.extend(near.map(|n| format!("did you mean {n:?}?")));
                return None;
            }
        },
    })
}

fn restart(cx: &mut Cx<'_>, n: &Node) -> RestartPolicy {
    let Some(node) = n.get("restart") else {
        let policy = n.get("deploy").and_then(|d| d.get("restart_policy"));
        let attempts = || policy.and_then(|p| opt_int(p, "max_attempts")).and_then(|a| u32::try_from(a).ok());
        return match policy.map(|p| opt_text(p, "condition").unwrap_or_else(|| "any".into())).as_deref() {
            None | Some("none") => RestartPolicy::No,
            Some("on-failure") => RestartPolicy::OnFailure(attempts().filter(|a| *a > 0)),
            Some(_) => RestartPolicy::Always,
        };
    };
    let text = node.scalar_text().unwrap_or_default();
    match text.as_str() {
        "" | "no" => RestartPolicy::No,
        "always" => RestartPolicy::Always,
        "unless-stopped" => RestartPolicy::UnlessStopped,
        "on-failure" => RestartPolicy::OnFailure(None),
        other => match other.strip_prefix("on-failure:").map(str::parse::<u32>) {
            Some(Ok(n)) => RestartPolicy::OnFailure(Some(n).filter(|n| *n > 0)),
            _ => {
                let near = nearest(other, ["no", "always", "unless-stopped", "on-failure"]);
                let d = cx.error(node.span, format!("invalid restart policy {text:?}"));
                d.help.push("valid values: no, always, on-failure[:N], unless-stopped".into());
                d.help.extend(near.map(|n| format!("did you mean {n:?}?")));
                RestartPolicy::No
            }
        },
    }
}

fn capabilities(cx: &mut Cx<'_>, n: &Node, key: &str) -> Vec<String> {
    let known = || CAPABILITIES.into_iter().chain(["ALL"]);
    let mut out = Vec::new();
    for item in n.get(key).and_then(Node::as_seq).unwrap_or_default() {
        let text = item.scalar_text().unwrap_or_default();
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper).to_owned();
        if known().any(|k| k == name) {
            out.push(name);
        } else {
            let near = cx.nearest(&name, known());
            let d = cx.error(item.span, format!("{key}: {text:?} isn't a capability"));
            d.help.extend(near.map(|n| format!("did you mean {n:?}?")));
        }
    }
    out
}

fn replicas(n: &Node) -> u32 {
    let count = opt_int(n, "scale").or_else(|| n.get("deploy").and_then(|d| opt_int(d, "replicas")));
    count.and_then(|c| u32::try_from(c).ok()).unwrap_or(1)
}

fn depends_on(cx: &Cx<'_>, n: &Node) -> BTreeMap<ServiceName, Dependency> {
    let mut out = BTreeMap::new();
    for (name, entry) in n.get("depends_on").and_then(Node::as_map).into_iter().flatten() {
        let Ok(name) = ServiceName::new(name.clone()) else { continue };
        let condition = match opt_text(entry, "condition").as_deref() {
            Some("service_healthy") => DependencyCondition::ServiceHealthy,
            Some("service_completed_successfully") => DependencyCondition::ServiceCompletedSuccessfully,
            _ => DependencyCondition::ServiceStarted,
        };
        let span = if entry.key_span.len > 0 { entry.key_span } else { entry.span };
        out.insert(
            name,
            Dependency {
                condition,
                restart: flag(entry, "restart"),
                required: opt_flag(entry, "required").unwrap_or(true),
                origin: cx.origin(span),
            },
        );
    }
    out
}

fn volumes_from(text: &str) -> Result<VolumesFrom, String> {
    let bad = || format!("volumes_from: {text:?} isn't SERVICE[:ro] or container:NAME[:ro]");
    let (of_container, rest) = match text.strip_prefix("container:") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (name, mode) = rest.split_once(':').unwrap_or((rest, "rw"));
    let from = match ServiceName::new(name) {
        Ok(_) if of_container => MountsOf::Container(name.to_owned()),
        Ok(service) => MountsOf::Service(service),
        Err(_) => return Err(bad()),
    };
    let modes: Vec<&str> = mode.split(',').collect();
    if modes.iter().any(|m| !matches!(*m, "ro" | "rw" | "z" | "Z" | "nocopy")) {
        return Err(bad());
    }
    Ok(VolumesFrom { from, read_only: modes.contains(&"ro") })
}

fn link(text: &str) -> Result<Link, String> {
    let (name, alias) = text.split_once(':').map_or((text, None), |(n, a)| (n, Some(a.to_owned())));
    let service = ServiceName::new(name).map_err(|_| format!("links: {text:?} isn't SERVICE[:ALIAS]"))?;
    Ok(Link { service, alias })
}

fn namespace(n: &Node, key: &str) -> Option<NamespaceMode> {
    let text = opt_text(n, key)?;
    Some(match text.as_str() {
        "" | "private" => NamespaceMode::Private,
        "shareable" => NamespaceMode::Shareable,
        "host" => NamespaceMode::Host,
        "none" => NamespaceMode::None,
        other => match other.split_once(':') {
            Some(("service", name)) => match ServiceName::new(name) {
                Ok(name) => NamespaceMode::Service(name),
                Err(_) => NamespaceMode::Private,
            },
            Some(("container", name)) => NamespaceMode::Container(name.to_owned()),
            _ => NamespaceMode::Private,
        },
    })
}

fn healthcheck(cx: &mut Cx<'_>, n: &Node) -> Healthcheck {
    let items = strings(n.get("test"));
    let none = items.first().is_some_and(|f| f == "NONE");
    let test = match items.split_first() {
        Some((first, rest)) if first == "CMD" => Some(HealthTest::Exec(rest.to_vec())),
        Some((first, rest)) if first == "CMD-SHELL" => Some(HealthTest::Shell(rest.join(" "))),
        _ => None,
    };
    Healthcheck {
        test,
        interval: duration(cx, n, "interval"),
        timeout: duration(cx, n, "timeout"),
        retries: opt_int(n, "retries").and_then(|r| u32::try_from(r).ok()),
        start_period: duration(cx, n, "start_period"),
        start_interval: duration(cx, n, "start_interval"),
        disable: flag(n, "disable") || none,
    }
}

fn resources(cx: &mut Cx<'_>, n: &Node) -> Resources {
    let deploy = n.get("deploy").and_then(|d| d.get("resources"));
    let limits = deploy.and_then(|r| r.get("limits"));
    let reserved = deploy.and_then(|r| r.get("reservations"));
    let swap = n.get("memswap_limit").and_then(Node::scalar_text).and_then(|t| parse_bytes(&t).ok());
    Resources {
        memory: size(n, "mem_limit").or_else(|| limits.and_then(|l| size(l, "memory"))),
        memory_swap: swap.filter(|s| *s != 0),
        memory_reservation: size(n, "mem_reservation").or_else(|| reserved.and_then(|r| size(r, "memory"))),
        memory_swappiness: opt_int(n, "mem_swappiness").and_then(|s| u64::try_from(s).ok()),
        cpus: opt_float(n, "cpus").or_else(|| limits.and_then(|l| opt_float(l, "cpus"))).filter(|c| *c > 0.0),
        cpu_shares: opt_int(n, "cpu_shares").and_then(|s| u64::try_from(s).ok()),
        cpu_quota: opt_int(n, "cpu_quota").filter(|q| *q != 0),
        cpu_period: opt_int(n, "cpu_period").and_then(|s| u64::try_from(s).ok()).filter(|p| *p > 0),
        cpuset: n.get("cpuset").and_then(|c| read(cx, c, "cpuset")),
        pids: opt_int(n, "pids_limit")
            .or_else(|| limits.and_then(|l| opt_int(l, "pids")))
            .filter(|p| *p != 0),
        oom_kill_disable: flag(n, "oom_kill_disable"),
        oom_score_adj: opt_int(n, "oom_score_adj").and_then(|s| i32::try_from(s).ok()),
    }
}

fn devices(n: &Node) -> Vec<Device> {
    let items = n.get("devices").and_then(Node::as_seq).unwrap_or_default();
    items
        .iter()
        .map(|d| {
            let part = |key| opt_text(d, key).unwrap_or_default();
            Device { source: part("source"), target: part("target"), permissions: part("permissions") }
        })
        .collect()
}
