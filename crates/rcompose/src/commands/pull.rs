//! `pull`: the images of services from their registries.

use rcompose_image::{Reference, Store};
use rcompose_model::{PullPolicy, Service};
use rcompose_plan::needed_services;

use super::push::as_warning;
use crate::args::PullArgs;
use crate::context::{Context, print, service_names};
use crate::failure::Failure;
use crate::pictures::{Wanted, pull_each};
use crate::progress::Progress;

pub(crate) fn run(cx: &Context, args: PullArgs) -> Result<u8, Failure> {
    let project = cx.load(&args.services)?.project;
    let all = needed_services(&project, &service_names(&args.services)?, !args.include_deps)?;
    let store = Store::open(&cx.dirs.images())?;
    let mut wanted: Vec<Wanted> = Vec::new();
    let mut skipped: Vec<(String, &str)> = Vec::new();
    for service in all.iter().filter_map(|n| project.services.get(n)) {
        if let Some(why) = not_pulled(&store, service, &args)? {
            skipped.push((service.name.to_string(), why));
            continue;
        }
        let w = Wanted::of(&project, service)?;
        if !wanted.iter().any(|o| o.reference == w.reference && o.platform == w.platform) {
            wanted.push(w);
        }
    }
    if cx.dry_run() {
        for w in &wanted {
            print(&format!("pull {}\n", w.reference))?;
        }
        return Ok(0);
    }
    if !wanted.is_empty() {
        cx.need_root()?;
    }
    if !args.quiet {
        let mut progress = Progress::new(cx, "pull");
        for (name, why) in &skipped {
            progress.done(&format!("Service {name}"), &format!("Skipped {why}"));
        }
        progress.finish();
    }
    let (mut failed, mut must_build): (Option<Failure>, Vec<String>) = (None, Vec::new());
    for (w, result) in wanted.iter().zip(pull_each(cx, &store, &wanted, args.quiet)) {
        let Err(f) = result else { continue };
        must_build.extend(w.service.as_ref().filter(|s| s.build.is_some()).map(|s| s.name.to_string()));
        failed = Some(match failed.take() {
            Some(first) => first.and(f),
            None => f,
        });
    }
    if !must_build.is_empty() {
        let names = must_build.join(" ");
        cx.warn(&format!("some service images must be built from source: run `rcompose build {names}`"));
    }
    match failed {
        None => Ok(0),
        Some(f) if args.ignore_pull_failures => {
            cx.warn_all(&f.diagnostics.into_iter().map(as_warning).collect::<Vec<_>>());
            Ok(0)
        }
        Some(f) => Err(f),
    }
}

/// Why a service's image isn't pulled, if so; as docker compose decides.
fn not_pulled(store: &Store, service: &Service, args: &PullArgs) -> Result<Option<&'static str>, Failure> {
    let Some(image) = &service.image else { return Ok(Some("No image to be pulled")) };
    let policy = match args.policy.as_deref() {
        Some("missing") => PullPolicy::Missing,
        Some(_) => PullPolicy::Always,
        None => service.pull_policy.unwrap_or(PullPolicy::Always),
    };
    match policy {
        PullPolicy::Never | PullPolicy::Build => return Ok(Some("Its policy says not to")),
        PullPolicy::Missing if is_present(store, image.as_str())? => {
            return Ok(Some("Image is already present locally"));
        }
        _ => {}
    }
    Ok((args.ignore_buildable && service.build.is_some()).then_some("Image can be built"))
}

/// What `latest` is changes: it is asked for.
fn is_present(store: &Store, image: &str) -> Result<bool, Failure> {
    let Ok(reference) = image.parse::<Reference>() else { return Ok(false) };
    Ok(reference.tag() != Some("latest") && store.get(&reference)?.is_some())
}
