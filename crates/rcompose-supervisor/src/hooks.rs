//! Commands that run in a container around its life: `post_start` and `pre_stop`.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rcompose_engine::{ExecSpec, FailureKind, Host, StepFailure};
use rcompose_model::Hook;
use rcompose_plan::{ContainerId, ContainerSpec};
use tokio::net::unix::pipe::Receiver;

use crate::core::Core;

/// How much of what a command printed stands in its failure, as in docker compose.
const SHOWN_LINES: usize = 10;
const SHOWN_BYTES: usize = 2048;

/// Runs the commands one after the other, each to its end. The first that fails is the last. `name` is the attribute;
/// each line that is printed goes to `say`.
pub(crate) async fn run<H: Host>(
    core: &Rc<Core<H>>,
    id: &ContainerId,
    name: &str,
    hooks: &[Hook],
    say: &dyn Fn(String),
) -> Result<(), StepFailure> {
    for (i, hook) in hooks.iter().enumerate() {
        let spec = core.known(id)?;
        one(core, &spec, hook, say).await.map_err(|mut failure| {
            failure.message = format!("service \"{}\": {name}[{i}]: {}", spec.service, failure.message);
            let place = spec.attribute_origins.get(&format!("{name}.{i}"));
            failure.at(place.or_else(|| spec.attribute_origins.get(name)).unwrap_or(&spec.origin))
        })?;
    }
    Ok(())
}

async fn one<H: Host>(
    core: &Rc<Core<H>>,
    spec: &ContainerSpec,
    hook: &Hook,
    say: &dyn Fn(String),
) -> Result<(), StepFailure> {
    let exec = ExecSpec {
        argv: hook.command.clone(),
        env: hook.environment.clone().into_iter().collect(),
        user: hook.user.as_ref().map(ToString::to_string),
        cwd: hook.working_dir.clone(),
        privileged: hook.privileged,
        ..ExecSpec::default()
    };
    let started = core.host.exec(spec, &exec).await?;
    let mut exit = core.exec_exit(started.pid);
    let mut streams = [Stream::new(started.stdout), Stream::new(started.stderr)];
    let code = loop {
        let readable = async {
            let [out, err] = &streams;
            tokio::select! { () = out.readable() => {}, () = err.readable() => {} }
        };
        tokio::select! {
            biased;
            code = &mut exit => break code.unwrap_or(255),
            () = readable => streams.iter_mut().for_each(|s| s.read(say)),
        }
    };
    // Everything that it printed is in the pipes; what it left behind may hold them open, and isn't waited for.
    let [out, err] = streams.map(|s| s.rest(say));
    if code == 0 {
        return Ok(());
    }
    let mut failure = StepFailure::new(FailureKind::User, format!("the command exited with status {code}"));
    // Where a command prints its reason.
    let shown = if err.is_empty() { out } else { err };
    if !shown.is_empty() {
        failure.detail.push("it printed:".to_owned());
        failure.detail.extend(shown.into_iter().map(|l| format!("  {l}")));
    }
    Err(failure)
}

/// One output of a command, and the end of what came of it.
struct Stream {
    pipe: Option<Receiver>,
    line: Vec<u8>,
    last: VecDeque<String>,
}

impl Stream {
    fn new(fd: Option<OwnedFd>) -> Self {
        let pipe = fd.and_then(|fd| {
            rustix::io::ioctl_fionbio(&fd, true).ok()?;
            Receiver::from_owned_fd_unchecked(fd).ok()
        });
        Self { pipe, line: Vec::new(), last: VecDeque::new() }
    }

    async fn readable(&self) {
        match &self.pipe {
            // An error shows when it is read.
            Some(pipe) => drop(pipe.readable().await),
            None => std::future::pending().await,
        }
    }

    fn read(&mut self, say: &dyn Fn(String)) {
        let mut chunk = [0u8; 4096];
        while let Some(pipe) = &self.pipe {
            match pipe.try_read(&mut chunk) {
                Ok(n) if n > 0 => self.take(&chunk[..n], say),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Ok(_) | Err(_) => self.pipe = None,
            }
        }
    }

    /// What is in the pipe now, and the last lines of all.
    fn rest(mut self, say: &dyn Fn(String)) -> Vec<String> {
        if let Some(mut file) = self.pipe.take().and_then(|p| p.into_nonblocking_fd().ok()).map(File::from) {
            let mut chunk = [0u8; 4096];
            while let Ok(n @ 1..) = file.read(&mut chunk) {
                self.take(&chunk[..n], say);
            }
        }
        if !self.line.is_empty() {
            self.take(b"\n", say);
        }
        let mut room = SHOWN_BYTES;
        let fits = |l: &&String| {
            room = room.saturating_sub(l.len() + 1);
            room > 0
        };
        let mut shown: Vec<String> = self.last.iter().rev().take_while(fits).cloned().collect();
        shown.reverse();
        shown
    }

    fn take(&mut self, bytes: &[u8], say: &dyn Fn(String)) {
        for byte in bytes {
            // A line without end is told in pieces.
            if *byte != b'\n' && self.line.len() < SHOWN_BYTES - 2 {
                self.line.push(*byte);
                continue;
            }
            let text = String::from_utf8_lossy(&self.line);
            // A bar of progress begins its line again and again.
            let text = text.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default().to_owned();
            self.line.clear();
            if *byte != b'\n' {
                self.line.push(*byte);
            }
            if !text.trim().is_empty() {
                if self.last.len() == SHOWN_LINES {
                    self.last.pop_front();
                }
                self.last.push_back(text.clone());
            }
            say(text);
        }
    }
}
