//! `run`: a one-off container of a service, with this terminal (or these pipes) as its own.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rcompose_model::{ProjectName, ServiceName, Signal, UserError};
use rcompose_plan::{
    ContainerId, ContainerStatus, CreateOptions, Desired, Intent, Plan, RecreatePolicy, RunOptions,
    ScopeOptions, needed_services,
};
use rcompose_supervisor::{Attach, Client, LifeEvent, Request, Response};

use crate::apply::{apply, apply_until, one_off};
use crate::args::RunArgs;
use crate::context::{Context, print, service_names};
use crate::failure::{Failure, status};
use crate::pictures;
use crate::relay::{self, Ends, Peer};
use crate::signals::Signals;

pub(crate) fn run(cx: &Context, args: RunArgs) -> Result<u8, Failure> {
    no_flag("run", args.service())?;
    let wanted = [args.service().to_owned()];
    let loaded = cx.load(&wanted)?;
    let project = loaded.project;
    let name = project.name.clone();
    let service = service_names(&wanted)?.remove(0);
    let Some(defined) = project.services.get(&service) else {
        return Err(Failure::no_such_service(
            service.as_str(),
            project.services.keys().map(ServiceName::as_str),
        ));
    };
    let grace = defined.stop_grace_period.unwrap_or(Duration::from_secs(10));
    let options = options(cx, &args, service.clone(), &project.working_dir)?;
    let needed = needed_services(&project, std::slice::from_ref(&service), args.no_deps)?;
    let mut policy = pictures::Policy::from_flags(args.build, false, args.pull.as_deref())?;
    policy.quiet_build = args.quiet_build;
    policy.quiet_pull = args.quiet_pull || args.quiet;
    let mut desired = pictures::desired(cx, &project, &needed, &policy)?;
    if let Some(defined) = desired.project.services.get_mut(&service) {
        // What the command line says is written nowhere in the file: errors must not point there.
        let said = [("command", !options.command.is_empty()), ("entrypoint", options.entrypoint.is_some())];
        for (attribute, _) in said.iter().filter(|(_, said)| *said) {
            defined.attribute_origins.remove(attribute);
        }
    }

    let tty = options.tty.then(|| relay::terminal_size().unwrap_or((24, 80)));
    let stdin = options.interactive;
    let choose = |plan: &Plan| one_off(plan).map(|c| Attach { container: c.id.clone(), tty, stdin });
    let ending = Signals::ending()?;
    let outcome = apply_until(
        cx,
        &name,
        Some(&desired),
        &Intent::Run(Box::new(options)),
        if args.detach { None } else { Some(&choose) },
        Some(&ending),
    )?;
    if outcome.interrupted {
        return Err(Failure::silent(130));
    }
    if let Some(failure) = outcome.failure() {
        let failure = failure.code(outcome.start_status());
        // Who is served keeps the supervisor, whose end is waited for when nothing is left.
        drop(outcome.client);
        return Err(match (args.rm, one_off(&outcome.plan)) {
            (true, Some(c)) => match discard(cx, &name, &desired, c.id.clone()) {
                Ok(()) => failure,
                Err(more) => failure.and(more),
            },
            _ => failure,
        });
    }
    if outcome.dry {
        return Ok(0);
    }
    let Some(container) = one_off(&outcome.plan).cloned() else { return Ok(0) };
    if args.detach {
        print(&format!("{}\n", container.name))?;
        return Ok(0);
    }
    let (Some(mut client), Some(attached)) = (outcome.client, outcome.attached) else {
        return Err(relay::lost());
    };
    let signals = relay::signals()?;
    let ends = Ends::new(attached.tty, attached.stdin, attached.fds)?;
    let mut peer = OneOff { cx, project: name, id: container.id, grace, ended_by: None, deadline: None };
    let code = relay::relay(&mut client, ends, &signals, &mut peer)?;
    Ok(status(peer.status(code)))
}

/// Where the service is wanted, a word with a dash is a flag that doesn't exist.
pub(super) fn no_flag(verb: &str, word: &str) -> Result<(), Failure> {
    if !word.starts_with('-') {
        return Ok(());
    }
    Err(Failure::user(format!("unknown flag: {word}")).hint(format!("see `rcompose {verb} --help`")))
}

/// `--rm` of a container that could not be started.
fn discard(cx: &Context, project: &ProjectName, desired: &Desired, id: ContainerId) -> Result<(), Failure> {
    let scope = ScopeOptions { containers: vec![id], ..ScopeOptions::default() };
    let intent = Intent::Remove { scope, stop: false, volumes: true };
    apply(cx, project, Some(desired), &intent, None)?.ok().map(drop)
}

fn options(
    cx: &Context,
    args: &RunArgs,
    service: ServiceName,
    base: &std::path::Path,
) -> Result<RunOptions, Failure> {
    let tty = match args.no_tty {
        Some(no) => !no && relay::has_terminal(),
        None => relay::has_terminal(),
    };
    let mut publish = Vec::new();
    for port in &args.publish {
        publish.extend(rcompose_loader::parse_short_port(port).map_err(Failure::user)?);
    }
    let volumes = args.volume.iter().map(|v| rcompose_loader::parse_short_volume(v, base));
    let entrypoint = args.entrypoint.as_deref().map(|e| match e {
        "" => Ok(Vec::new()),
        text => rcompose_loader::split_command(text),
    });
    Ok(RunOptions {
        service,
        command: args.command().to_vec(),
        entrypoint: entrypoint.transpose().map_err(Failure::user)?,
        env: environment(cx, args)?,
        labels: labels(&args.label),
        user: args
            .user
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|e: UserError| Failure::user(e.to_string()))?,
        workdir: args.workdir.clone(),
        name: args.name.clone(),
        publish,
        service_ports: args.service_ports,
        use_aliases: args.use_aliases,
        volumes: volumes.collect::<Result<_, _>>().map_err(Failure::user)?,
        cap_add: args.cap_add.clone(),
        cap_drop: args.cap_drop.clone(),
        auto_remove: args.rm,
        tty: tty && !args.detach,
        interactive: args.interactive.unwrap_or(true) && !args.detach,
        slug: slug()?,
        create: CreateOptions {
            recreate: RecreatePolicy::Diverged,
            no_deps: args.no_deps,
            remove_orphans: args.remove_orphans || cx.env.flag("COMPOSE_REMOVE_ORPHANS"),
            ignore_orphans: cx.env.flag("COMPOSE_IGNORE_ORPHANS"),
            ..CreateOptions::default()
        },
    })
}

/// `--env-from-file`, then `-e`; a name alone takes this program's own value.
fn environment(cx: &Context, args: &RunArgs) -> Result<Vec<(String, Option<String>)>, Failure> {
    let own = |name: &str| cx.env.all.get(name).cloned();
    let mut env = Vec::new();
    for path in &args.env_from_file {
        let path = cx.env.cwd.join(path);
        let text = std::fs::read_to_string(&path)
            .map_err(|e| Failure::io(format_args!("read the env file {}", path.display()), &e))?;
        let read = rcompose_loader::parse_env_file(&text, &own);
        let read = read.map_err(|e| Failure::user(e).context(path.display()))?;
        env.extend(read.into_iter().map(|(name, value)| {
            let value = value.or_else(|| own(&name));
            (name, value)
        }));
    }
    env.extend(args.env.iter().map(|e| match e.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (e.clone(), own(e)),
    }));
    Ok(env)
}

fn labels(entries: &[String]) -> BTreeMap<String, String> {
    let split = |l: &String| match l.split_once('=') {
        Some((k, v)) => (k.to_owned(), v.to_owned()),
        None => (l.clone(), String::new()),
    };
    entries.iter().map(split).collect()
}

/// Twelve hexadecimal digits that no other container's name has.
fn slug() -> Result<String, Failure> {
    let mut bytes = [0u8; 6];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|e| Failure::io("get random bytes", &std::io::Error::from(e)))?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// The attached one-off container.
struct OneOff<'a> {
    cx: &'a Context,
    project: ProjectName,
    id: ContainerId,
    /// From the first SIGINT or SIGTERM until SIGKILL.
    grace: Duration,
    /// The first signal that was to end it.
    ended_by: Option<Signal>,
    deadline: Option<Instant>,
}

impl OneOff<'_> {
    /// On a connection of its own: a request on the first one would end the wait for the container.
    fn send(&self, signal: Signal) -> Result<(), Failure> {
        let Some(stream) = self.cx.connect_existing(&self.project)? else { return Ok(()) };
        let mut client = Client::new(stream);
        client.send(&Request::Signal { container: self.id.clone(), signal })?;
        // `Done`, or a refusal since it has ended just now.
        client.recv().map(drop).map_err(Failure::from)
    }

    /// The status in the records, if it has ended.
    fn recorded_status(&self) -> Result<Option<i32>, Failure> {
        let record = self.cx.record(&self.project)?.ok_or_else(relay::lost)?;
        let state = record.observed.containers.get(&self.id).map(|c| &c.state).ok_or_else(relay::lost)?;
        Ok(state.exit_code.filter(|_| state.status == ContainerStatus::Exited))
    }

    /// Whether the container's PID 1 has a handler: without one the kernel doesn't deliver (kill(2), pid_namespaces(7)).
    fn handles(&self, signal: Signal) -> Result<bool, Failure> {
        let record = self.cx.record(&self.project)?;
        let pid = record.and_then(|r| r.observed.containers.get(&self.id).and_then(|c| c.state.pid));
        let Some(pid) = pid else { return Ok(true) };
        Ok(rcompose_machine::handles_signal(pid, signal))
    }

    /// The exit status: the process's own; 130 where a signal to us asked it to end, as docker compose has it.
    fn status(&self, code: i32) -> i32 {
        if self.ended_by.is_some() { 130 } else { code }
    }
}

impl Peer for OneOff<'_> {
    fn response(&mut self, response: Response) -> Result<Option<i32>, Failure> {
        match response {
            Response::Exited { container, code } if container == self.id => Ok(Some(code)),
            Response::Life { container, event: LifeEvent::Exited { code, .. }, .. }
                if container == self.id =>
            {
                Ok(Some(code))
            }
            // It may have ended while nobody told.
            Response::Following => self.recorded_status(),
            Response::Refused { failure } => Err(failure.into()),
            _ => Ok(None),
        }
    }

    fn signal(&mut self, _: &mut Client, signal: Signal) -> Result<(), Failure> {
        if signal != Signal::INT && signal != Signal::TERM {
            return self.send(signal);
        }
        if self.ended_by.is_some() || !self.handles(signal)? {
            self.ended_by.get_or_insert(signal);
            self.deadline = None;
            return self.send(Signal::KILL);
        }
        self.ended_by = Some(signal);
        self.deadline = Instant::now().checked_add(self.grace);
        self.send(signal)
    }

    fn reconnect(&mut self) -> Result<Client, Failure> {
        let stream = self.cx.connect_existing(&self.project)?.ok_or_else(relay::lost)?;
        let mut client = Client::new(stream);
        let containers = vec![self.id.clone()];
        client.send(&Request::Follow { containers, logs: false, life: true })?;
        Ok(client)
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn overdue(&mut self) -> Result<(), Failure> {
        self.deadline = None;
        self.send(Signal::KILL)
    }
}
