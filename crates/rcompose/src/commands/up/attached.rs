//! `up` in the foreground: logs until everything has ended, Ctrl-C, or an end that ends all.

use std::collections::BTreeSet;

use rcompose_model::{DependencyCondition, Project, ProjectName, ServiceName};
use rcompose_plan::{Desired, Intent, ScopeOptions};
use rustix::event::{PollFd, PollFlags};

use super::view::{End, Shown, View};
use crate::apply::{Aside, OnSignal, Watch, apply_watched};
use crate::args::UpArgs;
use crate::commands::common::seconds;
use crate::context::{Context, to_stderr};
use crate::failure::{Failure, status};
use crate::signals::Signals;

/// What comes up.
pub(super) struct What<'a> {
    pub(super) project: &'a ProjectName,
    pub(super) desired: &'a Desired,
    pub(super) intent: &'a Intent,
    /// Services named on the command line.
    pub(super) selected: Vec<ServiceName>,
    /// Services whose logs are shown.
    pub(super) attach: BTreeSet<ServiceName>,
}

/// Why it is over.
enum Over {
    /// Everything has ended by itself.
    AllEnded,
    /// Ctrl-C.
    Interrupted,
    /// A container ended, and all are to end with it.
    Aborted(End),
}

pub(super) fn run(cx: &Context, args: &UpArgs, what: What<'_>, abort: bool) -> Result<u8, Failure> {
    cx.need_root()?;
    let from = args.exit_code_from.as_deref();
    let abort = abort || from.is_some();
    let order: BTreeSet<ServiceName> = what.desired.images.keys().cloned().collect();
    let ends = if abort || what.attach.is_empty() { order } else { what.attach.clone() };
    let shown = Shown {
        logs: what.attach.clone(),
        ends,
        color: cx.out.color_stdout && !args.no_color,
        prefix: !args.no_log_prefix,
        timestamps: args.timestamps,
    };
    let mut view = View::new(cx, what.project, shown);
    let signals = Signals::ending()?;
    let mut watch = Watch { signals: Some(&signals), on_signal: OnSignal::Cancel, aside: Some(&mut view) };
    let outcome = apply_watched(cx, what.project, Some(what.desired), what.intent, None, &mut watch)?;
    let over = if outcome.interrupted {
        Over::Interrupted
    } else if let Some(failure) = outcome.failure() {
        return Err(failure);
    } else {
        drop(outcome);
        let names = view.names();
        if !names.is_empty() {
            to_stderr(&format!("Attaching to {}\n", names.join(", ")));
        }
        view.attach()?;
        let matters = |end: &End| abort && aborts(end, args, &what.desired.project);
        watch_on(&mut view, &signals, matters)?
    };
    let code = match over {
        Over::AllEnded => return Ok(0),
        Over::Interrupted => {
            view.attached = true;
            to_stderr("Gracefully Stopping... press Ctrl+C again to force\n");
            None
        }
        Over::Aborted(end) => {
            to_stderr("Aborting on container exit...\n");
            Some(end)
        }
    };
    let services = if code.is_some() { Vec::new() } else { what.selected.clone() };
    let stopped = services.clone();
    let scope = ScopeOptions { services, timeout: seconds(args.timeout), ..ScopeOptions::default() };
    let mut watch = Watch { signals: Some(&signals), on_signal: OnSignal::Kill, aside: Some(&mut view) };
    let stop = Intent::Stop(scope);
    let outcome = apply_watched(cx, what.project, Some(what.desired), &stop, None, &mut watch)?;
    if let Some(failure) = outcome.failure() {
        return Err(failure);
    }
    let interrupted = outcome.interrupted;
    drop(outcome);
    view.drain(&stopped)?;
    match code {
        None => Ok(130),
        Some(_) if interrupted => Ok(130),
        Some(end) => match from {
            Some(service) => exit_code_of(cx, what.project, service),
            None => Ok(status(end.code)),
        },
    }
}

/// Whether an end ends all.
fn aborts(end: &End, args: &UpArgs, project: &Project) -> bool {
    if end.stopped || (args.abort_on_container_failure && end.code == 0) {
        return false;
    }
    // A job that others wait for to end well has done so.
    let is_job = project.services.values().any(|s| {
        s.depends_on
            .get(&end.service)
            .is_some_and(|d| d.condition == DependencyCondition::ServiceCompletedSuccessfully)
    });
    let asked = args.exit_code_from.as_deref() == Some(end.service.as_str());
    !(is_job && end.code == 0 && !asked)
}

fn watch_on(view: &mut View<'_>, signals: &Signals, matters: impl Fn(&End) -> bool) -> Result<Over, Failure> {
    loop {
        if let Some(end) = view.ended.iter().find(|e| matters(e)) {
            return Ok(Over::Aborted(end.clone()));
        }
        if view.live.is_empty() {
            return Ok(Over::AllEnded);
        }
        let Some(fd) = view.fd() else { return Ok(Over::AllEnded) };
        let mut fds = [PollFd::new(signals, PollFlags::IN), PollFd::new(&fd, PollFlags::IN)];
        match rustix::event::poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(Failure::io("wait for the containers", &e)),
        }
        let (signal, ready) = (!fds[0].revents().is_empty(), !fds[1].revents().is_empty());
        if signal && signals.take()?.is_some() {
            return Ok(Over::Interrupted);
        }
        if ready {
            view.ready()?.print()?;
        }
    }
}

/// `--exit-code-from`: how a service's first container ended.
fn exit_code_of(cx: &Context, project: &ProjectName, service: &str) -> Result<u8, Failure> {
    let record = cx.record(project)?;
    let containers = record.iter().flat_map(|r| r.observed.containers.values());
    let of_service = containers.filter(|c| c.spec.service.as_str() == service && !c.spec.oneoff);
    let first = of_service.min_by_key(|c| c.spec.number);
    Ok(status(first.and_then(|c| c.state.exit_code).unwrap_or(0)))
}
