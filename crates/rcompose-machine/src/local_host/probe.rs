//! Probes of health: a process in the container, its output and its end, within a time.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rcompose_engine::{ExecSpec, ProbeOutcome, StepFailure};
use rcompose_model::Signal;
use rcompose_plan::ContainerSpec;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::oneshot;

use super::LocalHost;
use super::lives::{await_exec, send};
use crate::link::started;
use crate::wire::Fd;

/// The most of a probe's output that is kept, bytes: docker's limit.
const PROBE_OUTPUT: usize = 4096;

impl LocalHost {
    /// Runs a probe to its end, or kills it when its time is over.
    pub(super) async fn run_probe(
        &self,
        spec: &ContainerSpec,
        argv: &[String],
        timeout: Duration,
    ) -> ProbeOutcome {
        let (exit, ended) = oneshot::channel();
        let exec = ExecSpec { argv: argv.to_vec(), ..ExecSpec::default() };
        let failed =
            |f: StepFailure| ProbeOutcome { exit_code: f.exit_code.unwrap_or(-1), output: f.message };
        let mut begun = match self.keeper.exec(&spec.id, &exec, Some(exit)).await {
            Ok(b) => b,
            Err(f) => return failed(f),
        };
        if let Err(f) = await_exec(&self.dirs, spec, &mut begun.fds).await {
            return failed(f);
        }
        let pidfd = begun.fds.take(Fd::Pidfd);
        let s = started(&mut begun);
        let mut output = Vec::new();
        let watched = tokio::time::timeout(timeout, collect(s.stdout, s.stderr, ended, &mut output)).await;
        let exit_code = match watched {
            Ok(code) => code,
            Err(_) => {
                if let Some(p) = pidfd {
                    // It may have ended in this very moment.
                    drop(send(&p, Signal::KILL));
                }
                output.extend_from_slice(
                    format!("Health check exceeded timeout ({})", go_duration(timeout)).as_bytes(),
                );
                -1
            }
        };
        output.truncate(PROBE_OUTPUT);
        ProbeOutcome { exit_code, output: String::from_utf8_lossy(&output).into_owned() }
    }
}

/// Reads a probe's output until it has ended; what it left open is not waited for.
async fn collect(
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    mut ended: oneshot::Receiver<i32>,
    output: &mut Vec<u8>,
) -> i32 {
    let open = |fd: Option<OwnedFd>| {
        let fd = fd?;
        rustix::io::ioctl_fionbio(&fd, true).ok()?;
        Receiver::from_owned_fd_unchecked(fd).ok()
    };
    let mut pipes = [open(stdout), open(stderr)];
    loop {
        let readable = async {
            let [a, b] = &pipes;
            let wait = async |p: &Option<Receiver>| match p {
                Some(p) => drop(p.readable().await),
                None => std::future::pending().await,
            };
            tokio::select! { () = wait(a) => {}, () = wait(b) => {} }
        };
        let code = tokio::select! {
            biased;
            code = &mut ended => Some(code.unwrap_or(-1)),
            () = readable => None,
        };
        for p in &mut pipes {
            let mut chunk = [0u8; 1024];
            while let Some(pipe) = p {
                // After the end everything is there, but the reactor may not have said so yet: then it isn't asked.
                let read = match code {
                    Some(_) => rustix::io::read(&*pipe, &mut chunk).map_err(std::io::Error::from),
                    None => pipe.try_read(&mut chunk),
                };
                match read {
                    Ok(0) => *p = None,
                    Ok(n) => {
                        let room = PROBE_OUTPUT.saturating_sub(output.len());
                        output.extend_from_slice(&chunk[..n.min(room)]);
                    }
                    Err(_) => break,
                }
            }
        }
        if let Some(code) = code {
            return code;
        }
    }
}

/// `1m30s`, as Go prints durations of whole seconds; else with a fraction.
fn go_duration(d: Duration) -> String {
    let (minutes, seconds) = (d.as_secs() / 60, d.as_secs() % 60);
    if d.subsec_nanos() != 0 {
        return format!("{}s", d.as_secs_f64());
    }
    if minutes > 0 { format!("{minutes}m{seconds}s") } else { format!("{seconds}s") }
}
