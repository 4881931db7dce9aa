//! `logs`: what containers wrote, merged by time; from the files, and with `-f` from the supervisor.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::io::{BufWriter, Write};

use rcompose_machine::Dirs;
use rcompose_model::{Logging, ProjectName};
use rcompose_plan::{ContainerId, ContainerStatus, ObservedContainer};
use rcompose_supervisor::{Client, LifeEvent, LogStream, Request, Response};

use super::containers;
use crate::args::LogsArgs;
use crate::context::{Context, stdout_failure};
use crate::failure::Failure;
use crate::render::color::{Prefixes, log_name};
use crate::render::time::{moment, now, timestamp};

pub(crate) mod history;
use history::{History, Line, Range, continues};

pub(crate) fn run(cx: &Context, args: LogsArgs) -> Result<u8, Failure> {
    let range = range(&args)?;
    let project = cx.project_name()?;
    if args.follow
        && let Some(stream) = cx.connect_existing(&project)?
    {
        let mut client = Client::new(stream);
        client.send(&Request::Follow { containers: Vec::new(), logs: true, life: true })?;
        // From `Following` on nothing is missed: what is in the files by now is told apart by its offset.
        while let Some((response, _)) = client.recv()? {
            if response == Response::Following {
                break;
            }
        }
        let mut printer = Printer::new(cx, &project, &args);
        let found = select(cx, &project, &args)?;
        let read = printer.history(&cx.dirs, &found, range)?;
        return Follow { cx, args: &args, project: &project, range, printer, read, live: BTreeSet::new() }
            .run(&mut client, &found);
    }
    let mut printer = Printer::new(cx, &project, &args);
    let found = select(cx, &project, &args)?;
    printer.history(&cx.dirs, &found, range)?;
    Ok(0)
}

fn range(args: &LogsArgs) -> Result<Range, Failure> {
    let now = now();
    let at = |text: &Option<String>| {
        text.as_deref().map(|t| moment(t, now, &rcompose_loader::parse_duration)).transpose()
    };
    let tail = match args.tail.as_str() {
        "all" | "" | "-1" => None,
        n => Some(n.parse::<usize>().map_err(|_| {
            Failure::user(format!("invalid value {n:?} for --tail")).hint("a number of lines, or all")
        })?),
    };
    Ok(Range {
        since: at(&args.since).map_err(Failure::user)?,
        until: at(&args.until).map_err(Failure::user)?,
        tail,
    })
}

fn select(cx: &Context, project: &ProjectName, args: &LogsArgs) -> Result<Vec<ObservedContainer>, Failure> {
    let mut found = containers::recorded(cx, project, &args.services)?;
    found.retain(|c| wanted(c, args));
    if args.index > 0 && found.is_empty() {
        return Err(Failure::user(format!("there is no container #{} of these services", args.index)));
    }
    for c in found.iter().filter(|c| c.spec.logging == Logging::Nothing) {
        let why = "its logging driver is none, which keeps nothing";
        cx.warn(&format!("can't retrieve logs for \"{}\": {why}", c.spec.name));
    }
    Ok(found)
}

fn wanted(c: &ObservedContainer, args: &LogsArgs) -> bool {
    !c.spec.oneoff
        && (args.index == 0 || c.spec.number == args.index)
        && (args.services.is_empty() || args.services.iter().any(|s| s == c.spec.service.as_str()))
}

fn is_live(status: ContainerStatus) -> bool {
    matches!(status, ContainerStatus::Running | ContainerStatus::Paused | ContainerStatus::Restarting)
}

/// Writes lines with their prefixes.
struct Printer {
    out: BufWriter<std::io::Stdout>,
    prefixes: Prefixes,
    /// `None`: nothing of its output is kept, nor shown here.
    names: BTreeMap<ContainerId, Option<String>>,
    timestamps: bool,
    project: String,
    /// Begins of long lines whose ends have not come.
    open: BTreeMap<(ContainerId, bool), Line>,
}

impl Printer {
    fn new(cx: &Context, project: &ProjectName, args: &LogsArgs) -> Self {
        let color = cx.out.color_stdout && !args.no_color;
        Self {
            out: BufWriter::with_capacity(65536, std::io::stdout()),
            prefixes: Prefixes::new(color, cx.out.stdout_tty, args.no_log_prefix),
            names: BTreeMap::new(),
            timestamps: args.timestamps,
            project: project.to_string(),
            open: BTreeMap::new(),
        }
    }

    fn know(&mut self, c: &ObservedContainer) {
        let name = log_name(&c.spec.name, &self.project).to_owned();
        let kept = c.spec.logging != Logging::Nothing;
        if kept {
            self.prefixes.add(&name);
        }
        self.names.insert(c.spec.id.clone(), kept.then_some(name));
    }

    fn line(&mut self, id: &ContainerId, line: &Line) -> Result<(), Failure> {
        let Some(Some(name)) = self.names.get(id) else { return Ok(()) };
        let prefix = self.prefixes.of(name);
        let mut write = || {
            self.out.write_all(prefix.as_bytes())?;
            if self.timestamps {
                write!(self.out, "{} ", timestamp(line.at))?;
            }
            self.out.write_all(&line.text)?;
            self.out.write_all(b"\n")
        };
        write().map_err(|e| stdout_failure(&e))
    }

    /// Prints what is in the files, merged by time; how far each was read.
    fn history(
        &mut self,
        dirs: &Dirs,
        found: &[ObservedContainer],
        range: Range,
    ) -> Result<BTreeMap<ContainerId, u64>, Failure> {
        let project = ProjectName::new(self.project.as_str()).map_err(|e| Failure::user(e.to_string()))?;
        let mut sources = Vec::new();
        let mut heap = BinaryHeap::new();
        for c in found {
            self.know(c);
            let mut source = History::open(&dirs.log_file(&project, &c.spec.id), range)?;
            if let Some(line) = source.next_line()? {
                heap.push(Reverse((line, sources.len())));
            }
            sources.push((c.spec.id.clone(), source));
        }
        while let Some(Reverse((line, i))) = heap.pop() {
            self.line(&sources[i].0, &line)?;
            if let Some(next) = sources[i].1.next_line()? {
                heap.push(Reverse((next, i)));
            }
        }
        self.flush()?;
        Ok(sources.into_iter().map(|(id, s)| (id, s.offset())).collect())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|e| stdout_failure(&e))
    }
}

struct Follow<'a> {
    cx: &'a Context,
    args: &'a LogsArgs,
    project: &'a ProjectName,
    range: Range,
    printer: Printer,
    /// What was printed from the files.
    read: BTreeMap<ContainerId, u64>,
    /// Containers that may still write.
    live: BTreeSet<ContainerId>,
}

impl Follow<'_> {
    /// Until every container has ended, as docker compose does.
    fn run(mut self, client: &mut Client, found: &[ObservedContainer]) -> Result<u8, Failure> {
        self.live = found.iter().filter(|c| is_live(c.state.status)).map(|c| c.spec.id.clone()).collect();
        while !self.live.is_empty() {
            let next = match client.buffered()? {
                Some(next) => Some(next),
                None => {
                    self.printer.flush()?;
                    client.recv()?
                }
            };
            let Some((response, _)) = next else { break };
            match response {
                Response::Log { container, stream, at, text, partial, offset } => {
                    if self.range.until.is_some_and(|u| at > u) {
                        break;
                    }
                    let line = Line { at, text: text.into_bytes() };
                    self.log(container, stream, line, partial, offset)?;
                }
                Response::Life { container, event, .. } => self.life(container, &event)?,
                _ => {}
            }
        }
        // What was written after the last message that we have got.
        self.rest()?;
        self.printer.flush()?;
        Ok(0)
    }

    fn log(
        &mut self,
        id: ContainerId,
        stream: LogStream,
        line: Line,
        partial: bool,
        offset: u64,
    ) -> Result<(), Failure> {
        if !self.printer.names.contains_key(&id) && !self.meet(&id)? {
            return Ok(());
        }
        let read = self.read.entry(id.clone()).or_default();
        if offset <= *read {
            return Ok(());
        }
        *read = offset;
        let key = (id, stream == LogStream::Stderr);
        let more = continues(partial, line.text.len());
        let whole = match self.printer.open.remove(&key) {
            Some(mut begin) => {
                begin.text.extend_from_slice(&line.text);
                begin
            }
            None => line,
        };
        if more {
            self.printer.open.insert(key, whole);
            return Ok(());
        }
        self.printer.line(&key.0, &whole)
    }

    fn life(&mut self, id: ContainerId, event: &LifeEvent) -> Result<(), Failure> {
        match event {
            LifeEvent::Created | LifeEvent::Started
                if self.printer.names.contains_key(&id) || self.meet(&id)? =>
            {
                self.live.insert(id);
            }
            LifeEvent::Exited { restarting: false, .. } | LifeEvent::Removed => drop(self.live.remove(&id)),
            _ => {}
        }
        Ok(())
    }

    /// A container that wasn't there at the start; whether it is one of those asked for.
    fn meet(&mut self, id: &ContainerId) -> Result<bool, Failure> {
        let record = self.cx.record(self.project)?;
        let Some(c) = record.and_then(|r| r.observed.containers.get(id).cloned()) else { return Ok(false) };
        let wanted = wanted(&c, self.args);
        if wanted {
            self.printer.know(&c);
        }
        Ok(wanted)
    }

    fn rest(&mut self) -> Result<(), Failure> {
        if self.range.until.is_some() {
            return Ok(());
        }
        for (id, read) in self.read.clone() {
            let range = Range { since: None, until: None, tail: None };
            let mut source = History::open(&self.cx.dirs.log_file(self.project, &id), range)?;
            while let Some(line) = source.next_line()? {
                if source.offset() > read {
                    self.printer.line(&id, &line)?;
                }
            }
        }
        Ok(())
    }
}
