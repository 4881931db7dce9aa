//! `build`: the images of services that have a `build`.

use rcompose_image::Store;
use rcompose_model::Service;
use rcompose_plan::needed_services;

use crate::args::BuildArgs;
use crate::context::{Context, print, service_names};
use crate::failure::Failure;
use crate::pictures::{BuildOptions, build_services};

pub(crate) fn run(cx: &Context, args: BuildArgs) -> Result<u8, Failure> {
    let project = cx.load(&args.services)?.project;
    let selected = service_names(&args.services)?;
    let all = needed_services(&project, &selected, !args.with_dependencies)?;
    let services: Vec<&Service> =
        all.iter().filter_map(|n| project.services.get(n)).filter(|s| s.build.is_some()).collect();
    if services.is_empty() {
        cx.warn("no services to build");
        return Ok(0);
    }
    if cx.dry_run() {
        for s in &services {
            print(&format!("build {}\n", rcompose_plan::image_key(&project, s)))?;
        }
        return Ok(0);
    }
    cx.need_root()?;
    let pairs = args.build_arg.iter().map(|a| match a.split_once('=') {
        Some((k, v)) => (k.to_owned(), Some(v.to_owned())),
        None => (a.clone(), None),
    });
    let options =
        BuildOptions { args: pairs.collect(), no_cache: args.no_cache, pull: args.pull, quiet: args.quiet };
    let store = Store::open(&cx.dirs.images())?;
    build_services(cx, &store, &project, &services, &options)?;
    Ok(0)
}
