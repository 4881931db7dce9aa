//! `kill`: a signal, SIGKILL unless another one is named.

use rcompose_model::Signal;
use rcompose_plan::{ContainerId, Intent, ScopeOptions};

use super::common::{on_services, project};
use crate::apply::apply;
use crate::args::KillArgs;
use crate::context::Context;
use crate::failure::Failure;

pub(crate) fn run(cx: &Context, args: KillArgs) -> Result<u8, Failure> {
    let signal = Signal::parse(&args.signal).map_err(|e| Failure::user(e.to_string()))?;
    on_services(cx, &args.services, |s| Intent::Kill(s, signal))?;
    if args.remove_orphans {
        let (name, desired) = project(cx, &args.services)?;
        let (Some(desired), Some(record)) = (desired, cx.record(&name)?) else { return Ok(0) };
        let all = &desired.project;
        let known = |s: &str| all.services.contains_key(s) || all.disabled_services.contains_key(s);
        let containers: Vec<ContainerId> = record
            .observed
            .containers
            .iter()
            .filter(|(_, c)| !c.spec.oneoff && !known(c.spec.service.as_str()))
            .map(|(id, _)| id.clone())
            .collect();
        if !containers.is_empty() {
            let scope = ScopeOptions { containers, ..ScopeOptions::default() };
            let intent = Intent::Remove { scope, stop: true, volumes: false };
            apply(cx, &name, Some(&desired), &intent, None)?.ok()?;
        }
    }
    Ok(0)
}
