//! `rm`: removes stopped containers.

use std::io::{BufRead, IsTerminal};

use rcompose_plan::{ContainerStatus, Intent, ScopeOptions};

use super::common::project;
use crate::apply::apply;
use crate::args::RmArgs;
use crate::context::{Context, service_names, to_stderr};
use crate::failure::Failure;

pub(crate) fn run(cx: &Context, args: RmArgs) -> Result<u8, Failure> {
    let (name, desired) = project(cx, &args.services)?;
    let services = service_names(&args.services)?;
    if args.stop {
        let scope = ScopeOptions { services: services.clone(), ..ScopeOptions::default() };
        apply(cx, &name, desired.as_ref(), &Intent::Stop(scope), None)?.ok()?;
    }
    let going: Vec<String> = cx
        .record(&name)?
        .iter()
        .flat_map(|r| r.observed.containers.values())
        .filter(|c| !c.spec.oneoff && (services.is_empty() || services.contains(&c.spec.service)))
        .filter(|c| matches!(c.state.status, ContainerStatus::Created | ContainerStatus::Exited))
        .map(|c| c.spec.name.clone())
        .collect();
    let scope = ScopeOptions { services, ..ScopeOptions::default() };
    let intent = Intent::Remove { scope, stop: args.stop, volumes: args.volumes };
    if going.is_empty() {
        // The planner checks the names.
        let have = rcompose_machine::observe(&cx.dirs, &name)?;
        rcompose_plan::plan(&name, desired.as_ref(), &have, &intent)?;
        to_stderr("No stopped containers\n");
        return Ok(0);
    }
    if !args.force && !cx.dry_run() {
        to_stderr(&format!("Going to remove {}\n", going.join(", ")));
        if !agrees()? {
            return Ok(0);
        }
    }
    apply(cx, &name, desired.as_ref(), &intent, None)?.ok()?;
    Ok(0)
}

/// Asks on the terminal. Without one there is nobody to ask, and nothing is removed.
fn agrees() -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::user("there is no terminal to ask on").hint("--force removes without asking"));
    }
    to_stderr("Are you sure? [yN] ");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|e| Failure::io("read the answer", &e))?;
    Ok(matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
