//! `down`: stops and removes what `up` made.

use rcompose_image::{ImageError, RemoveOptions, Store};
use rcompose_model::Project;
use rcompose_plan::{DownOptions, Intent, Observed, image_key};

use super::common::{project, seconds};
use crate::apply::apply;
use crate::args::DownArgs;
use crate::commands::image::LaterUsers;
use crate::context::{Context, service_names};
use crate::failure::Failure;
use crate::progress::Progress;

pub(crate) fn run(cx: &Context, args: DownArgs) -> Result<u8, Failure> {
    let (name, desired) = project(cx, &args.services)?;
    let intent = Intent::Down(DownOptions {
        services: service_names(&args.services)?,
        volumes: args.volumes,
        remove_orphans: args.remove_orphans || cx.env.flag("COMPOSE_REMOVE_ORPHANS"),
        timeout: seconds(args.timeout),
    });
    let outcome = apply(cx, &name, desired.as_ref(), &intent, None)?;
    let (dry, nothing) = (outcome.dry, outcome.plan.is_empty());
    let before = outcome.ok()?.before;
    if dry {
        return Ok(0);
    }
    if nothing && args.rmi.is_none() {
        cx.warn(&format!("no resource found to remove for project \"{name}\""));
    }
    if let Some(which) = &args.rmi {
        remove_images(cx, desired.as_ref().map(|d| &d.project), &before, which == "all")?;
    }
    Ok(0)
}

/// `--rmi local`: images that only the file's builds named; `--rmi all`: every image of the services.
fn remove_images(
    cx: &Context,
    project: Option<&Project>,
    before: &Observed,
    all: bool,
) -> Result<(), Failure> {
    let store = Store::open(&cx.dirs.images())?;
    let mut names: Vec<String> = match project {
        Some(p) => p
            .services
            .values()
            .filter(|s| all || (s.build.is_some() && s.image.is_none()))
            .map(|s| image_key(p, s))
            .collect(),
        // Without a file all that is known are the containers' images.
        None if all => before.containers.values().map(|c| c.spec.image.reference.clone()).collect(),
        None => Vec::new(),
    };
    names.sort();
    names.dedup();
    let mut progress = Progress::new(cx, "down");
    let mut failed: Option<Failure> = None;
    for name in names {
        if store.find_named(&name)?.is_empty() {
            continue;
        }
        let id = format!("Image {name}");
        progress.begin(&id, "Removing");
        let users = LaterUsers::new(cx, &store);
        let removed = store.remove(&name, &RemoveOptions { force: false, in_use: &|id| users.uses(id) });
        let failure = match users.told(removed) {
            // Somebody else may have been faster.
            Ok(Ok(_) | Err(ImageError::NotFound(_))) => {
                progress.done(&id, "Removed");
                continue;
            }
            Ok(Err(ImageError::InUse(_))) => {
                progress.done(&id, "Resource is still in use");
                continue;
            }
            Ok(Err(e)) => e.into(),
            Err(f) => f,
        };
        progress.failed(&id, "Error");
        failed = Some(failure);
    }
    progress.finish();
    failed.map_or(Ok(()), Err)
}
