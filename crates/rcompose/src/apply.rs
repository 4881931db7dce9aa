//! Observe, plan, and have the project's supervisor carry it out.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use rcompose_engine::{StepEvent, StepFailure};
use rcompose_model::{ProjectName, Signal};
use rcompose_plan::{ContainerId, Desired, Intent, LocalOp, Observed, Plan};
use rcompose_supervisor::{Attach, Client, ProjectMeta, Request, Response};
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::context::{Context, print, stdout_failure};
use crate::failure::{Failure, status};
use crate::progress::{FRAME, Progress};
use crate::signals::Signals;

/// Longest wait for the processes of a project of which nothing is left.
const ENDING: Duration = Duration::from_secs(5);

/// How many further supervisors are asked when one is killed before it answers.
const SUPERVISORS: u32 = 3;

/// Chooses the container whose pipes the client wants, out of a plan.
pub(crate) type ChooseAttached<'a> = &'a dyn Fn(&Plan) -> Option<Attach>;

/// Something to be looked after while a plan is carried out: the logs of an attached `up`.
pub(crate) trait Aside {
    /// This plan is about to be carried out.
    fn planned(&mut self, have: &Observed, plan: &Plan);
    /// The supervisor is there, and stays at least until the plan is done.
    fn connected(&mut self) -> Result<(), Failure>;
    /// Readable when there is something to do.
    fn fd(&self) -> Option<BorrowedFd<'_>>;
    /// It is readable. What is to be printed on stdout and on stderr.
    fn ready(&mut self) -> Result<Said, Failure>;
}

/// What is to be printed above the progress.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Said {
    /// Writes it out.
    pub(crate) fn print(&self) -> Result<(), Failure> {
        use std::io::Write;
        let mut out = std::io::stdout().lock();
        out.write_all(&self.stdout).and_then(|()| out.flush()).map_err(|e| stdout_failure(&e))?;
        let mut err = std::io::stderr().lock();
        err.write_all(&self.stderr).map_err(|e| Failure::io("write to standard error", &e))
    }

    fn is_empty(&self) -> bool {
        self.stdout.is_empty() && self.stderr.is_empty()
    }
}

/// What a signal does while a plan is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnSignal {
    /// What has not begun is not begun any more.
    Cancel,
    /// The containers that are being stopped are killed.
    Kill,
}

/// What else happens while a plan is carried out.
pub(crate) struct Watch<'a> {
    pub(crate) signals: Option<&'a Signals>,
    pub(crate) on_signal: OnSignal,
    pub(crate) aside: Option<&'a mut dyn Aside>,
}

/// The pipes or the terminal of the attached container.
#[derive(Debug)]
pub(crate) struct Attached {
    /// The only fd is a terminal.
    pub(crate) tty: bool,
    /// The first fd is stdin.
    pub(crate) stdin: bool,
    /// The terminal, or \[stdin,\] stdout, stderr.
    pub(crate) fds: Vec<OwnedFd>,
}

/// What came of a plan.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The plan that was carried out; empty when there was nothing to do.
    pub(crate) plan: Plan,
    /// What it was made from.
    pub(crate) before: Observed,
    /// The connection, for further requests; `None` when there was nothing to do, or nothing is left. With an attached
    /// container it is in the state after `Applied`: `Exited` comes next.
    pub(crate) client: Option<Client>,
    /// With `attach` only.
    pub(crate) attached: Option<Attached>,
    /// Failed steps.
    pub(crate) failures: Vec<(usize, StepFailure)>,
    /// Ctrl-C came.
    pub(crate) interrupted: bool,
    /// `--dry-run`: nothing was done.
    pub(crate) dry: bool,
}

impl Outcome {
    /// All steps done, or the failures in the order of the plan.
    pub(crate) fn ok(self) -> Result<Self, Failure> {
        if self.interrupted {
            return Err(Failure::silent(130));
        }
        match self.failure() {
            Some(f) => Err(f),
            None => Ok(self),
        }
    }

    /// The failures of the steps, each said once; exit status 1.
    pub(crate) fn failure(&self) -> Option<Failure> {
        let mut said: Vec<&StepFailure> = Vec::new();
        for (_, f) in &self.failures {
            if !said.contains(&f) {
                said.push(f);
            }
        }
        said.into_iter().cloned().map(Failure::from).reduce(Failure::and).map(|f| f.code(1))
    }

    /// The status of a container that could not be started (127, 126), else 1: for `run`.
    pub(crate) fn start_status(&self) -> u8 {
        self.failures.iter().find_map(|(_, f)| f.exit_code).map_or(1, status)
    }
}

/// Plans an intent and has it carried out, with progress on stderr: again from the start as long as somebody else
/// changes the project meanwhile. An empty plan doesn't connect to anything. `--dry-run` prints the plan only.
///
/// `desired` is `None` where the Compose file is gone. `attach` chooses the container to attach to from each plan.
/// Failed steps are in the outcome; [`Outcome::ok`] makes an error of them.
pub(crate) fn apply(
    cx: &Context,
    project: &ProjectName,
    desired: Option<&Desired>,
    intent: &Intent,
    attach: Option<ChooseAttached<'_>>,
) -> Result<Outcome, Failure> {
    apply_until(cx, project, desired, intent, attach, None)
}

/// As [`apply`]. The first of the signals cancels what has not begun.
pub(crate) fn apply_until(
    cx: &Context,
    project: &ProjectName,
    desired: Option<&Desired>,
    intent: &Intent,
    attach: Option<ChooseAttached<'_>>,
    signals: Option<&Signals>,
) -> Result<Outcome, Failure> {
    let mut watch = Watch { signals, on_signal: OnSignal::Cancel, aside: None };
    apply_watched(cx, project, desired, intent, attach, &mut watch)
}

/// As [`apply`], while something else is looked after.
pub(crate) fn apply_watched(
    cx: &Context,
    project: &ProjectName,
    desired: Option<&Desired>,
    intent: &Intent,
    attach: Option<ChooseAttached<'_>>,
    watch: &mut Watch<'_>,
) -> Result<Outcome, Failure> {
    let mut more_tries = SUPERVISORS;
    let mut done: Option<Outcome> = None;
    loop {
        let have = rcompose_machine::observe(&cx.dirs, project)?;
        let plan = rcompose_plan::plan(project, desired, &have, intent)?;
        // What a `down` left was only its directories. Anything more is somebody's who came after it.
        if let Some(done) = done.take_if(|_| !plan.is_empty() || !left_behind(cx, project)) {
            return Ok(done);
        }
        if cx.dry_run() {
            print(&rcompose_plan::render(&plan))?;
            return Ok(Outcome { plan, before: have, dry: true, ..Outcome::default() });
        }
        if let Some(aside) = watch.aside.as_deref_mut() {
            aside.planned(&have, &plan);
        }
        if plan.is_empty() && !(is_whole_down(intent) && left_behind(cx, project)) {
            plan.warnings.iter().for_each(|w| cx.warn(w));
            return Ok(Outcome { plan, before: have, ..Outcome::default() });
        }
        cx.need_root()?;
        let meta = match desired {
            Some(d) => ProjectMeta {
                working_dir: d.project.working_dir.clone(),
                config_files: d.project.files.clone(),
            },
            None => recorded_meta(cx, project)?,
        };
        let stream = match watch.signals {
            Some(s) => s.lifted(|| cx.connect(project))??,
            None => cx.connect(project)?,
        };
        let mut client = Client::new(stream);
        if let Some(aside) = watch.aside.as_deref_mut() {
            aside.connected()?;
        }
        let attach = attach.and_then(|choose| choose(&plan));
        if let Err(e) = client.send(&Request::Apply { plan: plan.clone(), meta, attach }) {
            if more_tries == 0 {
                return Err(e.into());
            }
            more_tries -= 1;
            continue;
        }
        let mut walk = Walk {
            progress: Progress::new(cx, title(intent)),
            cx,
            project,
            watch,
            outcome: Outcome { plan, before: have, ..Outcome::default() },
            warned: false,
            answered: false,
            lost: false,
        };
        let applied = match walk.until_applied(&mut client) {
            // It was killed before it took the plan in: another one does. Or in the middle, by its own death or its
            // keeper's: what is left to do shows when it is looked at again.
            Err(_) if walk.lost && more_tries > 0 && (!walk.answered || walk.can_go_on(intent)) => {
                if walk.answered {
                    walk.progress.finish();
                    cx.warn(
                        "the project's supervisor ended in the middle of its work: going on with another one",
                    );
                }
                more_tries -= 1;
                continue;
            }
            other => other?,
        };
        match applied {
            None => {}
            Some(None) => return Ok(Outcome { client: Some(client), ..walk.outcome }),
            Some(Some(keeper)) => {
                drop(client);
                rcompose_machine::wait_for_end(keeper, ENDING);
                // Killed after the last step, before they could clear up behind themselves?
                if !is_whole_down(intent) || more_tries == 0 || !left_behind(cx, project) {
                    return Ok(done.unwrap_or(walk.outcome));
                }
                more_tries -= 1;
                done = Some(done.unwrap_or(walk.outcome));
            }
        }
    }
}

/// `down` of everything.
fn is_whole_down(intent: &Intent) -> bool {
    matches!(intent, Intent::Down(o) if o.services.is_empty())
}

/// Nothing is recorded of the project, but a former command may have been killed before its first record, or its
/// supervisor may be at work still: an empty plan waits for its turn there, and then the directories go, too.
fn left_behind(cx: &Context, project: &ProjectName) -> bool {
    cx.dirs.project(project).exists() || cx.dirs.project_run(project).exists()
}

struct Walk<'a, 'w> {
    cx: &'a Context,
    project: &'a ProjectName,
    progress: Progress,
    watch: &'a mut Watch<'w>,
    outcome: Outcome,
    warned: bool,
    /// The supervisor has said something.
    answered: bool,
    /// It is gone.
    lost: bool,
}

impl Walk<'_, '_> {
    /// Whether planning the same again leads to the same end, whatever has been done of it: a restart would be a
    /// second one, and what an attached container printed can't be had again.
    fn can_go_on(&self, intent: &Intent) -> bool {
        let converges = !matches!(intent, Intent::Run(_) | Intent::Restart(_) | Intent::Kill(..));
        converges && self.outcome.attached.is_none() && !self.outcome.interrupted
    }

    /// `None`: stale. Else, if nothing of the project is left, its keeper's PID.
    fn until_applied(&mut self, client: &mut Client) -> Result<Option<Option<i32>>, Failure> {
        loop {
            while let Some((response, fds)) = client.buffered()? {
                self.answered = true;
                match response {
                    Response::Stale => return Ok(None),
                    Response::Step { event } => self.step(&event)?,
                    Response::Attached { tty, stdin, .. } => {
                        self.outcome.attached = Some(Attached { tty, stdin, fds });
                    }
                    Response::Applied { failures, ending, .. } => {
                        self.warn();
                        self.progress.finish();
                        self.outcome.failures = failures;
                        if self.outcome.interrupted {
                            // Waits that were given up are no failures of their own.
                            self.outcome.failures.retain(|(_, f)| f.message != "cancelled");
                        }
                        return Ok(Some(ending));
                    }
                    Response::Refused { failure } => return Err(failure.into()),
                    _ => {}
                }
            }
            self.wait(client)?;
        }
    }

    fn step(&mut self, event: &StepEvent) -> Result<(), Failure> {
        self.warn();
        // As docker compose: only who looks at the services' output sees that of their commands.
        if let (StepEvent::Output { step, text }, true) = (event, self.watch.aside.is_some()) {
            let subject = self.outcome.plan.steps.get(*step).map_or("", |s| s.subject.as_str());
            let name = subject.strip_prefix("Container ").unwrap_or(subject);
            let short = name.strip_prefix(self.project.as_str()).and_then(|n| n.strip_prefix(['-', '_']));
            let name = short.unwrap_or(name);
            self.progress.above(|| print(&format!("{name} ->  | {text}\n")))?;
        }
        self.progress.step(&self.outcome.plan, event);
        Ok(())
    }

    /// The planner's warnings, once it is sure that this plan is the one.
    fn warn(&mut self) {
        if !std::mem::replace(&mut self.warned, true) {
            self.outcome.plan.warnings.iter().for_each(|w| self.cx.warn(w));
        }
    }

    /// Until the supervisor says something.
    fn wait(&mut self, client: &mut Client) -> Result<(), Failure> {
        loop {
            let (client_ready, signal_ready, aside_ready) = self.poll(client)?;
            if signal_ready
                && let Some(signals) = self.watch.signals
                && signals.take()?.is_some()
            {
                self.signal(client)?;
            }
            if aside_ready && let Some(aside) = self.watch.aside.as_deref_mut() {
                let said = aside.ready()?;
                if !said.is_empty() {
                    self.progress.above(|| said.print())?;
                }
            }
            if client_ready {
                let filled = client.fill();
                self.lost = !matches!(filled, Ok(true));
                return match filled? {
                    true => Ok(()),
                    false => Err(Failure::new(
                        rcompose_engine::FailureKind::Internal,
                        "the project's supervisor ended in the middle of its work",
                    )
                    .hint("its last words are in the project's keeper.log")),
                };
            }
            self.progress.tick();
        }
    }

    /// Which can be read: the supervisor, the signals, what is looked after.
    fn poll(&self, client: &Client) -> Result<(bool, bool, bool), Failure> {
        let aside = self.watch.aside.as_deref().and_then(Aside::fd);
        let mut fds = vec![PollFd::new(client, PollFlags::IN)];
        fds.extend(self.watch.signals.map(|s| PollFd::new(s, PollFlags::IN)));
        fds.extend(aside.as_ref().map(|a| PollFd::new(a, PollFlags::IN)));
        let frame = if self.progress.moves() { Timespec::try_from(FRAME).ok() } else { None };
        match rustix::event::poll(&mut fds, frame.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok((false, false, false)),
            Err(e) => return Err(Failure::io("wait for the supervisor", &e)),
        }
        let mut ready = fds.iter().map(|f| !f.revents().is_empty());
        let client = ready.next().unwrap_or(false);
        let signal = self.watch.signals.is_some() && ready.next().unwrap_or(false);
        Ok((client, signal, ready.next().unwrap_or(false)))
    }

    fn signal(&mut self, client: &mut Client) -> Result<(), Failure> {
        match self.watch.on_signal {
            OnSignal::Cancel if self.outcome.interrupted => return Err(Failure::silent(130)),
            OnSignal::Cancel => client.send(&Request::Cancel)?,
            OnSignal::Kill => {
                let stops = self.outcome.plan.steps.iter().filter_map(|s| match &s.op {
                    LocalOp::StopContainer { id, .. } => Some(id.clone()),
                    _ => None,
                });
                kill(self.cx, self.project, stops.collect())?;
            }
        }
        self.outcome.interrupted = true;
        Ok(())
    }
}

/// Kills containers now, whatever plan is being carried out.
fn kill(cx: &Context, project: &ProjectName, containers: Vec<ContainerId>) -> Result<(), Failure> {
    let Some(stream) = cx.connect_existing(project)? else { return Ok(()) };
    let mut client = Client::new(stream);
    for container in containers {
        client.send(&Request::Signal { container, signal: Signal::KILL })?;
        // A refusal means that it has ended already.
        if client.recv()?.is_none() {
            break;
        }
    }
    Ok(())
}

fn recorded_meta(cx: &Context, project: &ProjectName) -> Result<ProjectMeta, Failure> {
    let meta = cx.record(project)?.map(|r| r.meta).unwrap_or_default();
    Ok(ProjectMeta { working_dir: meta.working_dir, config_files: meta.config_files })
}

fn title(intent: &Intent) -> &'static str {
    match intent {
        Intent::Up(o) if o.no_start => "create",
        Intent::Up(_) => "up",
        Intent::Run(_) => "run",
        Intent::Start(_) => "start",
        Intent::Stop(_) => "stop",
        Intent::Restart(_) => "restart",
        Intent::Kill(..) => "kill",
        Intent::Pause(_) => "pause",
        Intent::Unpause(_) => "unpause",
        Intent::Remove { .. } => "rm",
        Intent::Down(_) => "down",
    }
}

/// The container that a plan for `run` makes: the one-off.
pub(crate) fn one_off(plan: &Plan) -> Option<&rcompose_plan::ContainerSpec> {
    plan.steps.iter().find_map(|s| match &s.op {
        LocalOp::CreateContainer { spec, .. } if spec.oneoff => Some(&**spec),
        _ => None,
    })
}
