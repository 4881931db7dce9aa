//! `pull`: the images of services from their registries.

use rcompose_image::Store;
use rcompose_model::{PullPolicy, Service};
use rcompose_plan::{image_key, needed_services};

use crate::args::PullArgs;
use crate::context::{Context, print, service_names};
use crate::failure::Failure;
use crate::pictures::{Wanted, pull_all};

pub(crate) fn run(cx: &Context, args: PullArgs) -> Result<u8, Failure> {
    let project = cx.load(&args.services)?.project;
    let all = needed_services(&project, &service_names(&args.services)?, !args.include_deps)?;
    let store = Store::open(&cx.dirs.images())?;
    let missing_only = args.policy.as_deref() == Some("missing");
    let mut wanted: Vec<Wanted> = Vec::new();
    for service in all.iter().filter_map(|n| project.services.get(n)) {
        if !is_pulled(service, args.ignore_buildable) {
            continue;
        }
        let w = Wanted::of(&project, service)?;
        let present = missing_only && store.get(&w.reference)?.is_some();
        if !present && !wanted.iter().any(|o| o.reference == w.reference) {
            wanted.push(w);
        }
    }
    if cx.dry_run() {
        for w in &wanted {
            print(&format!("pull {}\n", w.reference))?;
        }
        return Ok(0);
    }
    cx.need_root()?;
    match pull_all(cx, &store, &wanted, args.quiet) {
        Ok(_) => Ok(0),
        // What can't be pulled but can be built is no failure of the command.
        Err(f) => {
            let buildable = wanted.iter().any(|w| {
                let s = w.service.as_ref();
                s.is_some_and(|s| s.build.is_some() && image_key(&project, s) == w.reference.to_string())
            });
            if args.ignore_pull_failures {
                cx.warn(&f.text());
                return Ok(0);
            }
            Err(if buildable { f.hint("services with a build: run `rcompose build`") } else { f })
        }
    }
}

fn is_pulled(service: &Service, ignore_buildable: bool) -> bool {
    service.image.is_some()
        && !(ignore_buildable && service.build.is_some())
        && !matches!(service.pull_policy, Some(PullPolicy::Never | PullPolicy::Build))
}
