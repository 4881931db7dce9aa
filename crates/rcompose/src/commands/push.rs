//! `push`: the images of services to their registries.

use rcompose_image::Store;
use rcompose_plan::needed_services;

use crate::args::PushArgs;
use crate::context::{Context, print, service_names};
use crate::failure::Failure;
use crate::pictures::{ToPush, at_image, parse_reference, push_each, together};
use crate::progress::Progress;

pub(crate) fn run(cx: &Context, args: PushArgs) -> Result<u8, Failure> {
    let project = cx.load(&args.services)?.project;
    let services = needed_services(&project, &service_names(&args.services)?, !args.include_deps)?;
    let mut images: Vec<ToPush> = Vec::new();
    let mut skipped = Vec::new();
    for service in services.iter().filter_map(|n| project.services.get(n)) {
        let (Some(image), Some(build)) = (&service.image, &service.build) else {
            skipped.push(service.name.clone());
            continue;
        };
        for name in std::iter::once(image).chain(&build.tags) {
            let reference = parse_reference(name.as_str()).map_err(|f| at_image(f, service))?;
            if !images.iter().any(|o| o.reference == reference) {
                images.push(ToPush { reference, service: Some(Box::new(service.clone())) });
            }
        }
    }
    if cx.dry_run() {
        for image in &images {
            print(&format!("push {}\n", image.reference))?;
        }
        return Ok(0);
    }
    if !args.quiet {
        let mut progress = Progress::new(cx, "push");
        for name in &skipped {
            progress.done(&format!("Service {name}"), "Skipped");
        }
        progress.finish();
    }
    let store = Store::open(&cx.dirs.images())?;
    match together(push_each(cx, &store, &images, args.quiet)) {
        Ok(_) => Ok(0),
        Err(f) if args.ignore_push_failures => {
            cx.warn_all(&f.diagnostics.into_iter().map(as_warning).collect::<Vec<_>>());
            Ok(0)
        }
        Err(f) => Err(f),
    }
}

/// A failure that the user said doesn't matter.
pub(super) fn as_warning(mut d: rcompose_loader::Diagnostic) -> rcompose_loader::Diagnostic {
    d.severity = rcompose_loader::Severity::Warning;
    d
}
