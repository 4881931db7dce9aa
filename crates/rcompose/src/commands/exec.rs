//! `exec`: one more process in a running container, with this terminal (or these pipes) as its own.

use std::io::IsTerminal;

use rcompose_engine::ExecSpec;
use rcompose_model::Signal;
use rcompose_plan::ContainerStatus;
use rcompose_supervisor::{Client, Request, Response};

use super::containers;
use crate::args::ExecArgs;
use crate::context::Context;
use crate::failure::{Failure, status};
use crate::relay::{self, Ends, Peer};

pub(crate) fn run(cx: &Context, args: ExecArgs) -> Result<u8, Failure> {
    cx.need_root()?;
    let project = cx.project_name()?;
    super::run::no_flag("exec", args.service())?;
    let container = containers::running(cx, &project, args.service(), args.index)?;
    if container.state.status == ContainerStatus::Paused {
        return Err(Failure::user(format!("container {} is paused", container.spec.name))
            .hint(format!("unpause it first: rcompose unpause {}", args.service())));
    }
    let tty = match args.no_tty {
        Some(no) => !no && std::io::stdin().is_terminal(),
        None => relay::has_terminal(),
    };
    let spec = ExecSpec {
        argv: args.command().to_vec(),
        env: environment(cx, &args.env),
        user: args.user.clone(),
        cwd: args.workdir.clone(),
        tty: (tty && !args.detach).then(|| relay::terminal_size().unwrap_or((24, 80))),
        stdin: !args.detach,
        privileged: args.privileged,
        detached: args.detach,
    };
    if cx.dry_run() {
        return Ok(0);
    }
    let Some(stream) = cx.connect_existing(&project)? else {
        return Err(Failure::user(format!("service {:?} is not running", args.service())));
    };
    let mut client = Client::new(stream);
    client.send(&Request::Exec { container: container.spec.id, spec })?;
    let ends = loop {
        match client.recv()? {
            Some((Response::ExecStarted { tty, stdin }, fds)) => break Ends::new(tty, stdin, fds)?,
            Some((Response::Refused { failure }, _)) => return Err(failure.into()),
            Some(_) => {}
            None => return Err(relay::lost()),
        }
    };
    if args.detach {
        return Ok(0);
    }
    // Until here a signal ends this program; the process has none to pass on before it runs.
    let signals = relay::signals()?;
    relay::relay(&mut client, ends, &signals, &mut Exec).map(status)
}

/// `-e NAME=value`, or `-e NAME` with this program's own value; if it has none, the container's is taken away.
fn environment(cx: &Context, entries: &[String]) -> Vec<(String, Option<String>)> {
    entries
        .iter()
        .map(|e| match e.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (e.clone(), cx.env.all.get(e).cloned()),
        })
        .collect()
}

struct Exec;

impl Peer for Exec {
    fn response(&mut self, response: Response) -> Result<Option<i32>, Failure> {
        match response {
            Response::ExecExited { code } => Ok(Some(code)),
            Response::Refused { failure } => Err(failure.into()),
            _ => Ok(None),
        }
    }

    fn signal(&mut self, client: &mut Client, signal: Signal) -> Result<(), Failure> {
        Ok(client.send(&Request::SignalExec { signal })?)
    }
}
