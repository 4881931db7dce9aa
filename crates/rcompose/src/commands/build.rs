//! `build`: the images of services that have a `build`.

use std::collections::BTreeMap;

use rcompose_image::Store;
use rcompose_model::Service;
use rcompose_plan::needed_services;

use crate::args::BuildArgs;
use crate::context::{Context, print, service_names};
use crate::failure::Failure;
use crate::pictures::{
    Attests, BakeOptions, BuildOptions, ToPush, at_image, bake, build_services, check_services,
    parse_reference, push_each, run_limits, together, with_used,
};

pub(crate) fn run(cx: &Context, args: &BuildArgs) -> Result<u8, Failure> {
    let project = cx.load_to_build(&args.services, args.with_dependencies)?.project;
    // A mistake on the command line has no place in the file.
    Attests::parse(cx, &[], args.shared.provenance.as_deref(), args.shared.sbom.as_deref())?;
    let selected = service_names(&args.services)?;
    let all = needed_services(&project, &selected, !args.with_dependencies)?;
    let services: Vec<&Service> =
        all.iter().filter_map(|n| project.services.get(n)).filter(|s| s.build.is_some()).collect();
    if services.is_empty() {
        cx.warn("no services to build");
        return Ok(0);
    }
    let services = with_used(&project, &services)?;
    let options = BuildOptions {
        args: pairs(&args.shared.build_arg),
        no_cache: args.shared.no_cache,
        pull: args.shared.pull,
        quiet: args.shared.quiet,
        debug_shell: args.shared.debug_shell,
        ssh: pairs(&args.shared.ssh),
        provenance: args.shared.provenance.clone(),
        sbom: args.shared.sbom.clone(),
        limits: run_limits(args.shared.memory.iter().map(|m| format!("memory={m}")))?,
    };
    if args.print {
        let more = BakeOptions {
            push: args.shared.push,
            provenance: args.shared.provenance.as_deref(),
            sbom: args.shared.sbom.as_deref(),
        };
        let file = bake(cx, &project, &services, &options, &more);
        return print(&format!("{file:#}\n")).map(|()| 0);
    }
    if args.shared.check {
        let store = Store::open(&cx.dirs.images())?;
        let checked = check_services(cx, &store, &project, &services, &options)?;
        print(&checked.text)?;
        return checked.failure.map_or(Ok(u8::from(checked.found)), Err);
    }
    if cx.dry_run() {
        for s in &services {
            print(&format!("build {}\n", rcompose_plan::image_key(&project, s)))?;
        }
        return Ok(0);
    }
    cx.need_root()?;
    let store = Store::open(&cx.dirs.images())?;
    build_services(cx, &store, &project, &services, &options)?;
    if args.shared.push {
        together(push_each(cx, &store, &to_push(&services)?, args.shared.quiet))?;
    }
    Ok(0)
}

/// The names that somebody gave: those of the project's own making belong to no registry.
fn to_push(services: &[&Service]) -> Result<Vec<ToPush>, Failure> {
    let mut images: Vec<ToPush> = Vec::new();
    for service in services {
        let tags = service.build.iter().flat_map(|b| &b.tags);
        for name in service.image.iter().chain(tags) {
            let reference = parse_reference(name.as_str()).map_err(|f| at_image(f, service))?;
            if !images.iter().any(|o| o.reference == reference) {
                images.push(ToPush { reference, service: Some(Box::new((*service).clone())) });
            }
        }
    }
    Ok(images)
}

/// `NAME` or `NAME=VALUE`, each.
pub(crate) fn pairs(all: &[String]) -> BTreeMap<String, Option<String>> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (text.clone(), None),
    };
    all.iter().map(pair).collect()
}
