//! `commit`: an image of a container's changes.

use std::time::SystemTime;

use rcompose_image::{History, Image, ImageConfig, Store, rfc3339};
use rcompose_plan::{ContainerSpec, ContainerStatus, Intent, ScopeOptions};

use super::containers;
use super::image::changes;
use crate::apply::apply;
use crate::args::CommitArgs;
use crate::context::{Context, print};
use crate::failure::Failure;
use crate::pictures::{forget, parse_reference};

/// Empty files that are there only to be mounted on.
const PLACES: [&[u8]; 3] = [b"etc/hosts", b"etc/hostname", b"etc/resolv.conf"];

pub(crate) fn run(cx: &Context, args: &CommitArgs) -> Result<u8, Failure> {
    let project = cx.project_name()?;
    let container = containers::any(cx, &project, &args.service, args.index)?;
    let reference = args.reference.as_deref().map(parse_reference).transpose()?;
    if let Some(r) = reference.as_ref().filter(|r| r.digest().is_some()) {
        return Err(Failure::user(format!("refusing to create a tag with a digest reference: {r}")));
    }
    changes::checked(&args.change)?;
    if cx.dry_run() {
        return Ok(0);
    }
    cx.need_root()?;
    let store = Store::open(&cx.dirs.images())?;
    let base = store.get_by_id(&container.spec.image.id)?;
    let base = base.ok_or_else(|| {
        Failure::user(format!(
            "the image {} of container {} is gone",
            container.spec.image.id, container.spec.name
        ))
    })?;
    let upper = cx.dirs.container(&project, &container.spec.id).join("upper");
    let runs = container.state.status == ContainerStatus::Running;
    let scope = || ScopeOptions { containers: vec![container.spec.id.clone()], ..ScopeOptions::default() };
    if args.pause && runs {
        apply(cx, &project, None, &Intent::Pause(scope()), None)?.ok()?;
    }
    let hold = store.hold()?;
    let skip = |path: &[u8], mode: u32, length: u64| {
        PLACES.contains(&path) && length == 0 && mode & 0o170_000 == 0o100_000
    };
    let layer = store.copy_layer(&upper, &skip, &hold).map_err(Failure::from);
    if args.pause && runs {
        let resumed = apply(cx, &project, None, &Intent::Unpause(scope()), None).and_then(|o| o.ok());
        if let (Ok(_), Err(f)) = (&layer, resumed) {
            return Err(f);
        }
    }
    let layer = layer?;
    let mut layers = base.layers.clone();
    layers.push(layer.id);
    let mut config = config(&base, &container.spec, args);
    let mut image = store.put_image(&config, &layers, &[])?;
    if !args.change.is_empty() {
        let changed = changes::change(&image, &args.change);
        let before = image.id;
        let made = changed.and_then(|changed| {
            config.config = changed.config;
            Ok(store.put_image(&config, &layers, &[])?)
        });
        if made.as_ref().map_or(true, |i| i.id != before) {
            forget(&store, &before)?;
        }
        image = made?;
    }
    if let Some(reference) = &reference {
        store.tag(&image.id, reference)?;
    }
    drop(hold);
    print(&format!("{}\n", image.id))?;
    Ok(0)
}

/// The image's configuration with what the container has otherwise.
fn config(base: &Image, spec: &ContainerSpec, args: &CommitArgs) -> ImageConfig {
    let now = rfc3339(SystemTime::now());
    let mut config = base.config.clone();
    let c = &mut config.config;
    let argv = &spec.argv;
    match c.entrypoint.as_ref().filter(|e| !e.is_empty()) {
        Some(entrypoint) if argv.starts_with(entrypoint) => c.cmd = Some(argv[entrypoint.len()..].to_vec()),
        Some(_) => (c.entrypoint, c.cmd) = (Some(argv.clone()), None),
        None => c.cmd = Some(argv.clone()),
    }
    c.env = spec.env.iter().map(|(k, v)| format!("{k}={v}")).collect();
    c.user = spec.user.clone();
    c.working_dir = spec.cwd.clone();
    c.labels.extend(spec.labels.clone());
    c.exposed_ports.extend(spec.exposed.iter().cloned());
    config.created = Some(now.clone());
    if let Some(author) = &args.author {
        config.author = Some(author.clone());
    }
    config.history.push(History {
        created: Some(now),
        created_by: Some(argv.join(" ")),
        author: args.author.clone(),
        comment: args.message.clone(),
        ..History::default()
    });
    config
}
