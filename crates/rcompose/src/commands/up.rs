//! `up`: makes and starts what the file says, detached or with its logs.

mod attached;
mod view;

use std::collections::BTreeSet;

use rcompose_model::{Project, ServiceName};
use rcompose_plan::{
    ContainerStatus, CreateOptions, Intent, LocalOp, Observed, Plan, RecreatePolicy, UpOptions,
    needed_services,
};

use super::common::{scales, seconds};
use crate::apply::apply;
use crate::args::UpArgs;
use crate::context::{Context, service_names};
use crate::failure::Failure;
use crate::pictures::{self, Policy};
use crate::progress::Progress;

pub(crate) fn run(cx: &Context, args: UpArgs) -> Result<u8, Failure> {
    check(&args)?;
    let abort = args.abort_on_container_exit || args.abort_on_container_failure;
    let mut named = args.services.clone();
    // Its profile counts as active, too.
    named.extend(args.exit_code_from.clone().filter(|_| !args.services.is_empty()));
    let loaded = cx.load(&named)?;
    let mut policy = Policy::from_flags(args.build, args.no_build, args.pull.as_deref())?;
    policy.quiet_pull = args.quiet_pull;
    policy.quiet_build = args.quiet_build;
    let selected = service_names(&args.services)?;
    let order = needed_services(&loaded.project, &selected, args.no_deps)?;
    let attach = attached_services(&loaded.project, &selected, &order, &args)?;
    let intent = Intent::Up(options(cx, &args, &loaded.project, selected.clone())?);
    let desired = pictures::desired(cx, &loaded.project, &order, &policy)?;
    let project = loaded.project.name.clone();
    let detached = args.detach || args.no_start || args.wait || cx.dry_run();
    if !detached {
        let what = attached::What { project: &project, desired: &desired, intent: &intent, selected, attach };
        return attached::run(cx, &args, what, abort);
    }
    let outcome = apply(cx, &project, Some(&desired), &intent, None)?;
    if !outcome.dry {
        show_running(cx, &order, &outcome.before, &outcome.plan);
    }
    outcome.ok()?;
    Ok(0)
}

/// Flags that can't stand together.
fn check(args: &UpArgs) -> Result<(), Failure> {
    let abort =
        args.abort_on_container_exit || args.abort_on_container_failure || args.exit_code_from.is_some();
    if abort && (args.detach || args.wait) {
        let other = if args.detach { "--detach" } else { "--wait" };
        return Err(Failure::user(format!(
            "{other} can't be combined with --abort-on-container-exit, --abort-on-container-failure or --exit-code-from"
        )));
    }
    if args.abort_on_container_exit && args.abort_on_container_failure {
        return Err(Failure::user(
            "--abort-on-container-exit and --abort-on-container-failure can't be combined",
        ));
    }
    if args.always_recreate_deps && args.no_recreate {
        return Err(Failure::user("--always-recreate-deps and --no-recreate are incompatible"));
    }
    Ok(())
}

fn options(
    cx: &Context,
    args: &UpArgs,
    known: &Project,
    services: Vec<ServiceName>,
) -> Result<UpOptions, Failure> {
    let recreate = match (args.force_recreate, args.no_recreate) {
        (true, _) => RecreatePolicy::Force,
        (_, true) => RecreatePolicy::Never,
        _ => RecreatePolicy::Diverged,
    };
    let recreate_deps = match args.always_recreate_deps || (args.force_recreate && services.is_empty()) {
        true => RecreatePolicy::Force,
        false if args.no_recreate => RecreatePolicy::Never,
        false => RecreatePolicy::Diverged,
    };
    let scale = scales(&args.scale)?;
    if let Some(unknown) = scale.keys().find(|n| !known.services.contains_key(*n)) {
        return Err(Failure::no_such_service(
            unknown.as_str(),
            known.services.keys().map(ServiceName::as_str),
        ));
    }
    Ok(UpOptions {
        services,
        create: CreateOptions {
            recreate,
            recreate_deps,
            no_deps: args.no_deps,
            renew_anonymous: args.renew_anon_volumes,
            remove_orphans: args.remove_orphans || cx.env.flag("COMPOSE_REMOVE_ORPHANS"),
            ignore_orphans: cx.env.flag("COMPOSE_IGNORE_ORPHANS"),
            timeout: seconds(args.timeout),
        },
        scale,
        no_start: args.no_start,
        wait: args.wait,
        wait_timeout: seconds(args.wait_timeout),
    })
}

/// Services whose logs are shown.
fn attached_services(
    project: &Project,
    selected: &[ServiceName],
    order: &[ServiceName],
    args: &UpArgs,
) -> Result<BTreeSet<ServiceName>, Failure> {
    let known = |names: &[String]| -> Result<Vec<ServiceName>, Failure> {
        let names = service_names(names)?;
        match names.iter().find(|n| !order.contains(n)) {
            Some(n) => Err(Failure::no_such_service(n.as_str(), order.iter().map(ServiceName::as_str))),
            None => Ok(names),
        }
    };
    let without = known(&args.no_attach)?;
    let from: Vec<ServiceName> = match (&args.exit_code_from, known(&args.attach)?) {
        (_, named) if !named.is_empty() => named,
        _ => {
            let all = if selected.is_empty() || args.attach_dependencies { order } else { selected };
            let wanted = |n: &&ServiceName| project.services.get(*n).is_some_and(|s| s.attach);
            all.iter().filter(wanted).cloned().collect()
        }
    };
    if let Some(name) = &args.exit_code_from {
        known(std::slice::from_ref(name))?;
    }
    Ok(from.into_iter().filter(|n| !without.contains(n)).collect())
}

/// Containers that were there and stay as they are.
fn show_running(cx: &Context, order: &[ServiceName], before: &Observed, plan: &Plan) {
    let touched: BTreeSet<&str> = plan
        .steps
        .iter()
        .filter(|s| !matches!(s.op, LocalOp::WaitFor { .. }))
        .map(|s| s.subject.as_str())
        .collect();
    let mut progress = Progress::new(cx, "up");
    for c in before.containers.values() {
        let subject = format!("Container {}", c.spec.name);
        let up = c.state.status == ContainerStatus::Running && !c.spec.oneoff;
        if up && order.contains(&c.spec.service) && !touched.contains(subject.as_str()) {
            progress.done(&subject, "Running");
        }
    }
    progress.finish();
}
