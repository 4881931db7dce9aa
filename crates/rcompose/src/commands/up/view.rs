//! The logs and ends of containers that an attached `up` shows.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd};

use rcompose_model::{ProjectName, ServiceName};
use rcompose_plan::{ContainerId, ContainerSpec, ContainerStatus, LocalOp, Observed, Plan};
use rcompose_supervisor::{Client, LifeEvent, LogStream, Request, Response, log_end};
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::apply::{Aside, Said};
use crate::commands::logs::history::{History, Line, Range, continues};
use crate::commands::wait::until_following;
use crate::context::Context;
use crate::failure::Failure;
use crate::render::color::{Prefixes, log_name};
use crate::render::time::timestamp;

/// Whose logs are shown, and whose ends count.
#[derive(Debug, Clone, Default)]
pub(super) struct Shown {
    /// Services whose logs are shown.
    pub(super) logs: BTreeSet<ServiceName>,
    /// Services whose containers are waited for.
    pub(super) ends: BTreeSet<ServiceName>,
    pub(super) color: bool,
    pub(super) prefix: bool,
    pub(super) timestamps: bool,
}

/// A container's end.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) service: ServiceName,
    pub(super) code: i32,
    /// Somebody asked for it.
    pub(super) stopped: bool,
}

struct Seen {
    service: ServiceName,
    name: String,
    /// How far its log has been shown.
    offset: u64,
}

pub(super) struct View<'a> {
    cx: &'a Context,
    project: &'a ProjectName,
    shown: Shown,
    client: Option<Client>,
    prefixes: Prefixes,
    containers: BTreeMap<ContainerId, Seen>,
    /// Begins of long lines whose ends have not come.
    open: BTreeMap<(ContainerId, bool), Line>,
    /// Containers that are waited for and run, or are about to.
    pub(super) live: BTreeSet<ContainerId>,
    /// Ends that have been seen, the first one first.
    pub(super) ended: Vec<End>,
    /// All has been started: from here on a stop is worth a line, too.
    pub(super) attached: bool,
}

impl<'a> View<'a> {
    /// Shows nothing before [`Aside::planned`]; what is in the logs by then isn't shown.
    pub(super) fn new(cx: &'a Context, project: &'a ProjectName, shown: Shown) -> Self {
        let prefixes = Prefixes::new(shown.color, cx.out.stdout_tty, !shown.prefix);
        Self {
            cx,
            project,
            shown,
            client: None,
            prefixes,
            containers: BTreeMap::new(),
            open: BTreeMap::new(),
            live: BTreeSet::new(),
            ended: Vec::new(),
            attached: false,
        }
    }

    /// Listens, if there is a supervisor: one that has nothing left to look after may be ending just now.
    fn follow(&mut self) -> Result<(), Failure> {
        self.client = None;
        let Some(stream) = self.cx.connect_existing(self.project)? else { return Ok(()) };
        let mut client = Client::new(stream);
        let sent = client.send(&Request::Follow { containers: Vec::new(), logs: true, life: true });
        if sent.is_ok() && until_following(&mut client).is_ok() {
            self.client = Some(client);
        }
        Ok(())
    }

    /// Everything has been started: shows whatever was written meanwhile, and goes on listening.
    pub(super) fn attach(&mut self) -> Result<(), Failure> {
        self.attached = true;
        if self.client.is_none() {
            let mut said = Said::default();
            self.again(&mut said)?;
            said.print()?;
        }
        Ok(())
    }

    /// Shows what is left to be said of services that have been stopped (none named: all). It is on its way: the
    /// supervisor tells of an end before it says that the stop is done.
    pub(super) fn drain(&mut self, stopped: &[ServiceName]) -> Result<(), Failure> {
        let open = |view: &Self| {
            let mut live = view.live.iter().filter_map(|id| view.containers.get(id));
            live.any(|c| stopped.is_empty() || stopped.contains(&c.service))
        };
        let mut said = Said::default();
        self.take(&mut said)?;
        said.print()?;
        while open(self) {
            let Some(client) = &self.client else { break };
            let mut fds = [PollFd::new(client, PollFlags::IN)];
            let patience = Timespec { tv_sec: 2, tv_nsec: 0 };
            match rustix::event::poll(&mut fds, Some(&patience)) {
                Ok(0) => break,
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(Failure::io("wait for the last log lines", &e)),
            }
            self.ready()?.print()?;
        }
        Ok(())
    }

    /// Names of the containers whose logs are shown.
    pub(super) fn names(&self) -> Vec<String> {
        let shown = |c: &&Seen| self.shown.logs.contains(&c.service);
        let mut names: Vec<String> = self.containers.values().filter(shown).map(|c| c.name.clone()).collect();
        names.sort();
        names
    }

    fn know(&mut self, spec: &ContainerSpec) {
        if spec.oneoff || self.containers.contains_key(&spec.id) {
            return;
        }
        let name = log_name(&spec.name, self.project.as_str()).to_owned();
        if self.shown.logs.contains(&spec.service) {
            self.prefixes.add(&name);
        }
        let path = self.cx.dirs.log_file(self.project, &spec.id);
        // A log that can't be read is told when it is to be shown.
        let offset = log_end(&path).unwrap_or(0);
        self.containers.insert(spec.id.clone(), Seen { service: spec.service.clone(), name, offset });
    }

    fn log(
        &mut self,
        id: ContainerId,
        stream: LogStream,
        line: Line,
        partial: bool,
        offset: u64,
        said: &mut Said,
    ) {
        let Some(seen) = self.containers.get_mut(&id).filter(|c| self.shown.logs.contains(&c.service)) else {
            return;
        };
        // The file is read up to its end when the container becomes known.
        if offset <= seen.offset {
            return;
        }
        seen.offset = offset;
        let more = continues(partial, line.text.len());
        let key = (id, stream == LogStream::Stderr);
        let whole = match self.open.remove(&key) {
            Some(mut begin) => {
                begin.text.extend_from_slice(&line.text);
                begin
            }
            None => line,
        };
        if more {
            self.open.insert(key, whole);
            return;
        }
        self.print(&key.0, key.1, &whole, said);
    }

    fn print(&mut self, id: &ContainerId, stderr: bool, line: &Line, said: &mut Said) {
        let Some(seen) = self.containers.get(id) else { return };
        let to = if stderr { &mut said.stderr } else { &mut said.stdout };
        to.extend_from_slice(self.prefixes.of(&seen.name).as_bytes());
        if self.shown.timestamps {
            to.extend_from_slice(format!("{} ", timestamp(line.at)).as_bytes());
        }
        to.extend_from_slice(&line.text);
        to.push(b'\n');
    }

    fn life(&mut self, id: ContainerId, event: &LifeEvent, said: &mut Said) -> Result<(), Failure> {
        if !self.containers.contains_key(&id) {
            let record = self.cx.record(self.project)?;
            if let Some(c) = record.as_ref().and_then(|r| r.observed.containers.get(&id)) {
                self.know(&c.spec);
            }
        }
        let Some(seen) = self.containers.get(&id) else { return Ok(()) };
        let counts = self.shown.ends.contains(&seen.service);
        match event {
            LifeEvent::Started if counts => {
                self.live.insert(id);
            }
            LifeEvent::Exited { code, restarting, stopped } => {
                if self.shown.logs.contains(&seen.service) && (self.attached || !stopped) {
                    let again = if *restarting { " (restarting)" } else { "" };
                    let text = format!("{} exited with code {code}{again}\n", seen.name);
                    said.stdout.extend_from_slice(text.as_bytes());
                }
                if !restarting {
                    let end = End { service: seen.service.clone(), code: *code, stopped: *stopped };
                    self.ended.push(end);
                    self.live.remove(&id);
                }
            }
            LifeEvent::Removed => {
                self.live.remove(&id);
            }
            _ => {}
        }
        Ok(())
    }

    fn take(&mut self, said: &mut Said) -> Result<(), Failure> {
        while let Some((response, _)) = match &mut self.client {
            Some(client) => client.buffered()?,
            None => None,
        } {
            match response {
                Response::Log { container, stream, at, text, partial, offset } => {
                    let line = Line { at, text: text.into_bytes() };
                    self.log(container, stream, line, partial, offset, said);
                }
                Response::Life { container, event, .. } => self.life(container, &event, said)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// The supervisor has closed: we were too slow, or it has ended. What was missed is in the files.
    fn again(&mut self, said: &mut Said) -> Result<(), Failure> {
        self.follow()?;
        let ids: Vec<ContainerId> = self.containers.keys().cloned().collect();
        for id in ids {
            self.catch_up(&id, said)?;
        }
        let record = self.cx.record(self.project)?;
        for id in std::mem::take(&mut self.live) {
            let now = record.as_ref().and_then(|r| r.observed.containers.get(&id));
            match now {
                Some(c) if c.state.status == ContainerStatus::Exited => {
                    let code = c.state.exit_code.unwrap_or(0);
                    let event =
                        LifeEvent::Exited { code, restarting: false, stopped: c.state.stopped_by_user };
                    self.life(id, &event, said)?;
                }
                Some(_) if self.client.is_some() => {
                    self.live.insert(id);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn catch_up(&mut self, id: &ContainerId, said: &mut Said) -> Result<(), Failure> {
        let Some(seen) = self.containers.get(id).filter(|c| self.shown.logs.contains(&c.service)) else {
            return Ok(());
        };
        let from = seen.offset;
        let path = self.cx.dirs.log_file(self.project, id);
        let end = log_end(&path).map_err(|e| Failure::io(format_args!("read {}", path.display()), &e))?;
        if end <= from {
            return Ok(());
        }
        let mut file = History::open(&path, Range::default())?;
        while let Some(line) = file.next_line()? {
            if file.offset() > from {
                self.print(id, false, &line, said);
            }
        }
        let to = file.offset().max(from);
        if let Some(seen) = self.containers.get_mut(id) {
            seen.offset = to;
        }
        Ok(())
    }
}

impl Aside for View<'_> {
    fn planned(&mut self, have: &Observed, plan: &Plan) {
        self.live.clear();
        for c in have.containers.values() {
            self.know(&c.spec);
            let up = matches!(
                c.state.status,
                ContainerStatus::Running | ContainerStatus::Paused | ContainerStatus::Restarting
            );
            if up && !c.spec.oneoff && self.shown.ends.contains(&c.spec.service) {
                self.live.insert(c.spec.id.clone());
            }
        }
        for step in &plan.steps {
            match &step.op {
                LocalOp::CreateContainer { spec, .. } => self.know(spec),
                // Its start is told, too, but maybe after the end of the plan.
                LocalOp::StartContainer { id } => {
                    let counts = |c: &Seen| self.shown.ends.contains(&c.service);
                    if self.containers.get(id).is_some_and(counts) {
                        self.live.insert(id.clone());
                    }
                }
                _ => {}
            }
        }
    }

    fn connected(&mut self) -> Result<(), Failure> {
        if self.client.is_none() {
            self.follow()?;
            let mut said = Said::default();
            let ids: Vec<ContainerId> = self.containers.keys().cloned().collect();
            for id in ids {
                self.catch_up(&id, &mut said)?;
            }
            said.print()?;
        }
        Ok(())
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.client.as_ref().map(AsFd::as_fd)
    }

    fn ready(&mut self) -> Result<Said, Failure> {
        let mut said = Said::default();
        let Some(client) = &mut self.client else { return Ok(said) };
        // Broken or closed is the same: what was missed is in the files.
        let open = client.fill().unwrap_or(false);
        self.take(&mut said)?;
        if !open {
            self.again(&mut said)?;
        }
        Ok(said)
    }
}
