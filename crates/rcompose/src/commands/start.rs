//! `start`: starts containers that are there.

use rcompose_model::ServiceName;
use rcompose_plan::{Intent, ScopeOptions, needed_services};

use super::common::{project, seconds};
use crate::apply::apply;
use crate::args::StartArgs;
use crate::context::{Context, service_names};
use crate::failure::Failure;
use crate::pictures::{self, Policy};

pub(crate) fn run(cx: &Context, args: StartArgs) -> Result<u8, Failure> {
    let (name, mut desired) = project(cx, &args.services)?;
    let services = service_names(&args.services)?;
    if let Some(known) = &desired {
        // Containers that are there have their images; what `pre_start` makes needs one.
        let in_file: Vec<_> =
            services.iter().filter(|s| known.project.services.contains_key(*s)).cloned().collect();
        let all = needed_services(&known.project, &in_file, false)?;
        let preparing =
            |s: &ServiceName| known.project.services.get(s).is_some_and(|s| !s.pre_start.is_empty());
        let preparing: Vec<ServiceName> = all.into_iter().filter(preparing).collect();
        if !preparing.is_empty() {
            desired = Some(pictures::desired(cx, &known.project, &preparing, &Policy::default())?);
        }
    }
    let (wait, wait_timeout) = (args.wait, seconds(args.wait_timeout));
    let intent = Intent::Start(ScopeOptions { services, wait, wait_timeout, ..ScopeOptions::default() });
    apply(cx, &name, desired.as_ref(), &intent, None)?.ok()?;
    Ok(0)
}
