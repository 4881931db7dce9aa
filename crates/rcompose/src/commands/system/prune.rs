//! `system prune`: stopped containers, projects that have none left, images and cache that nobody uses.

use std::collections::BTreeMap;

use rcompose_image::{Image, Store};
use rcompose_model::ProjectName;
use rcompose_plan::{ContainerId, DownOptions, Intent, ScopeOptions};

use super::inventory::{Inventory, containers};
use crate::apply::apply;
use crate::args::SystemPruneArgs;
use crate::commands::image::{Filters, LaterUsers, ask, prune_lines};
use crate::context::{Context, print};
use crate::failure::Failure;
use crate::pictures::{Pruning, prune};
use crate::render::time::human_size;

const FILTERS: [&str; 3] = ["label", "label!", "until"];

pub(super) fn run(cx: &Context, args: &SystemPruneArgs) -> Result<u8, Failure> {
    let store = Store::open(&cx.dirs.images())?;
    let filters = Filters::parse(&args.filter, &FILTERS, &store)?;
    if args.volumes && !args.filter.is_empty() && args.filter.iter().any(|f| f.starts_with("until")) {
        return Err(Failure::user("the \"until\" filter is not supported with \"--volumes\""));
    }
    if !args.force && !ask(&warning(args))? {
        return Ok(0);
    }
    cx.need_root()?;
    let mut text = String::new();
    let mut freed = stopped(cx, &filters, &mut text)?;
    if args.filter.is_empty() {
        networks(cx, &mut text)?;
    }
    if args.volumes {
        freed += volumes(cx, &store, &filters, &mut text)?;
    }
    let users = LaterUsers::new(cx, &store);
    let chosen = |i: &Image| (args.all || i.is_dangling()) && filters.accepts(i);
    let pruned = store.prune(&chosen, &|id| users.uses(id));
    let pruned = users.told(pruned)??;
    text += &prune_lines(&pruned);
    freed += pruned.freed;
    if args.filter.is_empty() {
        let (gone, bytes) = prune(cx, &store, &Pruning { all: args.all, ..Pruning::default() })?;
        if !gone.is_empty() {
            text += "Deleted build cache objects:\n";
            text.extend(gone.iter().map(|c| format!("{}\n", c.record.id)));
            text.push('\n');
        }
        freed += bytes;
    }
    print(&format!("{text}Total reclaimed space: {}\n", human_size(freed)))?;
    Ok(0)
}

fn warning(args: &SystemPruneArgs) -> String {
    let images = match args.all {
        true => "all images without at least one container associated to them",
        false => "all dangling images",
    };
    let mut lines = vec!["all stopped containers", "all networks not used by at least one container"];
    if args.volumes {
        lines.push("all anonymous volumes not used by at least one container");
    }
    lines.extend([images, if args.all { "all build cache" } else { "unused build cache" }]);
    let mut text = "WARNING! This will remove:\n".to_owned();
    text.extend(lines.iter().map(|l| format!("  - {l}\n")));
    if !args.filter.is_empty() {
        text += "\n  Items to be pruned will be filtered with:\n";
        text.extend(args.filter.iter().map(|f| format!("  - {f}\n")));
    }
    text
}

fn stopped(cx: &Context, filters: &Filters, text: &mut String) -> Result<u64, Failure> {
    let mut going: BTreeMap<ProjectName, Vec<ContainerId>> = BTreeMap::new();
    let (mut lines, mut freed) = (String::new(), 0);
    for c in containers(cx)?.into_iter().filter(|c| !c.lives()) {
        let (spec, made) = (&c.container.spec, c.container.state.created_at);
        if filters.accepts_labels(&spec.labels) && filters.accepts_time(made) {
            lines += &format!("{}\n", spec.id);
            freed += c.bytes;
            going.entry(c.project).or_default().push(spec.id.clone());
        }
    }
    for (project, ids) in going {
        let scope = ScopeOptions { containers: ids, ..ScopeOptions::default() };
        apply(cx, &project, None, &Intent::Remove { scope, stop: false, volumes: false }, None)?.ok()?;
    }
    if !lines.is_empty() {
        *text += &format!("Deleted Containers:\n{lines}\n");
    }
    Ok(freed)
}

/// A project without a container has nothing left but its networks and named volumes; the latter stay.
fn networks(cx: &Context, text: &mut String) -> Result<(), Failure> {
    let mut lines = String::new();
    for project in rcompose_machine::list_projects(&cx.dirs)? {
        let Some(record) = cx.record(&project)? else { continue };
        if !record.observed.containers.is_empty() || record.observed.networks.is_empty() {
            continue;
        }
        lines.extend(record.observed.networks.keys().map(|n| format!("{n}\n")));
        let down = DownOptions { services: Vec::new(), volumes: false, remove_orphans: true, timeout: None };
        apply(cx, &project, None, &Intent::Down(down), None)?.ok()?;
    }
    if !lines.is_empty() {
        *text += &format!("Deleted Networks:\n{lines}\n");
    }
    Ok(())
}

fn volumes(cx: &Context, store: &Store, filters: &Filters, text: &mut String) -> Result<u64, Failure> {
    let (mut lines, mut freed) = (String::new(), 0);
    for v in Inventory::of(cx, store)?.volumes {
        if v.links == 0 && v.volume.anonymous && filters.accepts_labels(&v.volume.labels) {
            rcompose_machine::remove_volume(&cx.dirs, &v.volume.name)?;
            lines += &format!("{}\n", v.volume.name);
            freed += v.bytes;
        }
    }
    if !lines.is_empty() {
        *text += &format!("Deleted Volumes:\n{lines}\n");
    }
    Ok(freed)
}
