//! `ps`: the containers as recorded; nothing is connected to.

use std::collections::BTreeSet;

use rcompose_plan::{ContainerStatus, HealthStatus, MountSource, ObservedContainer};
use serde_json::{Value, json};

use super::containers;
use crate::args::PsArgs;
use crate::context::{Context, print};
use crate::failure::Failure;
use crate::render::table::{Table, ellipsis};
use crate::render::template;
use crate::render::{ports, time};

const STATES: [&str; 7] = ["created", "running", "paused", "restarting", "exited", "removing", "dead"];

pub(crate) fn run(cx: &Context, args: PsArgs) -> Result<u8, Failure> {
    let states = states(&args)?;
    let project = cx.project_name()?;
    let mut found = containers::recorded(cx, &project, &args.names)?;
    if !args.orphans && args.names.is_empty() {
        let services = cx.load(&[])?.project.services;
        found.retain(|c| services.contains_key(&c.spec.service));
    }
    if states.is_empty() && !args.all {
        found.retain(|c| is_up(c) && !c.spec.oneoff);
    }
    found.retain(|c| states.is_empty() || states.contains(time::state_word(c.state.status)));
    print(&shown(project.as_str(), &found, &args)?)?;
    Ok(0)
}

fn states(args: &PsArgs) -> Result<BTreeSet<String>, Failure> {
    let mut states: BTreeSet<String> = args.status.iter().cloned().collect();
    for filter in &args.filter {
        match filter.split_once('=') {
            Some(("status", value)) => drop(states.insert(value.to_owned())),
            Some((key, _)) => {
                return Err(Failure::user(format!("unknown filter {key:?}")).hint("`ps` filters by status=…"));
            }
            None => {
                return Err(Failure::user(format!("invalid filter {filter:?}"))
                    .hint("write it as --filter status=running"));
            }
        }
    }
    match states.iter().find(|s| !STATES.contains(&s.as_str())) {
        Some(s) => Err(Failure::user(format!("unknown status {s:?}")).hint(STATES.join(", "))),
        None => Ok(states),
    }
}

fn is_up(c: &ObservedContainer) -> bool {
    matches!(c.state.status, ContainerStatus::Running | ContainerStatus::Paused | ContainerStatus::Restarting)
}

fn shown(project: &str, found: &[ObservedContainer], args: &PsArgs) -> Result<String, Failure> {
    if args.quiet {
        return Ok(found.iter().map(|c| format!("{}\n", c.spec.id)).collect());
    }
    if args.services {
        let services: BTreeSet<&str> = found.iter().map(|c| c.spec.service.as_str()).collect();
        return Ok(services.iter().map(|s| format!("{s}\n")).collect());
    }
    let now = time::now();
    match args.format.as_str() {
        "table" | "" => Ok(table(found, now, args.no_trunc)),
        "json" => Ok(found.iter().map(|c| format!("{}\n", row(project, c, now, args.no_trunc))).collect()),
        format => {
            let rows: Vec<Value> = found.iter().map(|c| row(project, c, now, args.no_trunc)).collect();
            template::rows(format, &rows, &[]).map_err(Failure::user)
        }
    }
}

fn table(found: &[ObservedContainer], now: i64, no_trunc: bool) -> String {
    let mut t = Table::new(&["NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS"]);
    for c in found {
        t.row([
            c.spec.name.clone(),
            c.spec.image.reference.clone(),
            command(c, no_trunc),
            c.spec.service.to_string(),
            time::ago(c.state.created_at, now),
            time::status(&c.state, now),
            ports::column(c),
        ]);
    }
    t.render()
}

/// The command in double quotes, cut to twenty characters.
fn command(c: &ObservedContainer, no_trunc: bool) -> String {
    let whole = c.spec.argv.join(" ");
    let text = if no_trunc { whole } else { ellipsis(&whole, 20) };
    Value::String(text).to_string()
}

fn row(project: &str, c: &ObservedContainer, now: i64, no_trunc: bool) -> Value {
    let health = match c.state.health.as_ref().map(|h| h.status) {
        None => "",
        Some(HealthStatus::Starting) => "starting",
        Some(HealthStatus::Healthy) => "healthy",
        Some(HealthStatus::Unhealthy) => "unhealthy",
    };
    let labels: Vec<String> = c.spec.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let networks: Vec<&str> = c.spec.endpoints.iter().map(|e| e.network.as_str()).collect();
    let volumes = c.spec.mounts.iter().filter(|m| matches!(m.source, MountSource::Volume { .. })).count();
    let mounts: Vec<String> = c
        .spec
        .mounts
        .iter()
        .filter_map(|m| match &m.source {
            MountSource::Bind { path, .. } => Some(path.display().to_string()),
            MountSource::Volume { name, .. } => Some(name.clone()),
            MountSource::Tmpfs { .. } | MountSource::Image { .. } => None,
        })
        .map(|m| if no_trunc { m } else { ellipsis(&m, 15) })
        .collect();
    let running = matches!(c.state.status, ContainerStatus::Running | ContainerStatus::Paused);
    json!({
        "Command": command(c, no_trunc),
        "CreatedAt": time::created_at(c.state.created_at),
        "ExitCode": if running { 0 } else { c.state.exit_code.unwrap_or(0) },
        "Health": health,
        "ID": if no_trunc { c.spec.id.as_str() } else { c.spec.id.short() },
        "Image": c.spec.image.reference,
        "Labels": labels.join(","),
        "LocalVolumes": volumes.to_string(),
        "Mounts": mounts.join(","),
        "Name": c.spec.name,
        "Names": c.spec.name,
        "Networks": networks.join(","),
        "Ports": ports::column(c),
        "Project": project,
        "Publishers": ports::publishers(c),
        "RunningFor": time::ago(c.state.created_at, now),
        "Service": c.spec.service.as_str(),
        "Size": "0B",
        "State": time::state_word(c.state.status),
        "Status": time::status(&c.state, now),
    })
}
