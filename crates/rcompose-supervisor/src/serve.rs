use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::time::Duration;

use rcompose_engine::{ExecSpec, FailureKind, FrameError, Host, Started, StepFailure, walk};
use rcompose_plan::{ContainerId, ContainerStatus, Plan};
use tokio::sync::{Notify, mpsc};

use crate::apply::Applier;
use crate::connection::Connection;
use crate::core::{Busy, Core, handle_events};
use crate::life;
use crate::{Attach, Request, Response};

/// Who started this process may have been killed before it connected: then there is nothing to do after this time.
const FIRST_CLIENT: Duration = Duration::from_secs(5);
/// When to look again whether a project can end that somebody was about to ask something of.
const LATER: Duration = Duration::from_secs(1);

/// Looks after one project until nothing of it runs and nobody asks for anything.
///
/// `adopting` says how many containers the host will report as adopted before the records are
/// complete; clients are served only then.
pub async fn serve<H: Host + 'static>(host: H, listener: UnixListener) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let door = listener.try_clone()?;
    let listener = tokio::net::UnixListener::from_std(listener)?;
    let core = Core::new(host);
    let observed = core.host.observe().await.map_err(std::io::Error::other)?;
    core.adopt_records(observed.containers);
    let mut events = tokio::task::spawn_local(handle_events(core.clone()));
    check_again(&core, FIRST_CLIENT);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                admit(&core, accepted?.0);
            }
            () = core.idle_check.notified() => {
                if !core.is_idle() {
                    continue;
                }
                let mut late = None;
                let sealed = core.host.seal(&mut || {
                    late = door.accept().ok().map(|(stream, _)| stream);
                    late.is_some()
                });
                match late {
                    Some(stream) => {
                        stream.set_nonblocking(true)?;
                        admit(&core, tokio::net::UnixStream::from_std(stream)?);
                    }
                    None if sealed => return Ok(()),
                    // Somebody is about to connect. If he dies before he does, it is looked at again.
                    None => check_again(&core, LATER),
                }
            }
            _ = &mut events => return Ok(()),
        }
    }
}

/// Looks after that time whether there is anything left to do.
fn check_again<H: Host + 'static>(core: &Rc<Core<H>>, after: Duration) {
    let core = core.clone();
    tokio::task::spawn_local(async move {
        tokio::time::sleep(after).await;
        core.idle_check.notify_one();
    });
}

fn admit<H: Host + 'static>(core: &Rc<Core<H>>, stream: tokio::net::UnixStream) {
    let connection = Connection::new(stream);
    let busy = Busy::new(core);
    let core = core.clone();
    tokio::task::spawn_local(async move {
        // A client that goes away in the middle of an answer is no error of ours.
        drop(client(&core, connection, busy).await);
    });
}

/// Serves one connection, one request after the other.
async fn client<H: Host + 'static>(
    core: &Rc<Core<H>>,
    connection: Connection,
    busy: Busy<H>,
) -> Result<(), FrameError> {
    let mut busy = Some(busy);
    let mut next = connection.recv().await?;
    while let Some(request) = next.take() {
        next = match request {
            Request::Apply { plan, meta, attach } => {
                busy.get_or_insert_with(|| Busy::new(core));
                core.host.keep_meta(&meta.working_dir, &meta.config_files);
                apply(core, &connection, plan, attach).await?
            }
            Request::Exec { container, spec } => {
                busy.get_or_insert_with(|| Busy::new(core));
                exec(core, &connection, &container, &spec).await?
            }
            Request::Signal { container, signal } => {
                let answer = match life::kill(core, &container, signal).await {
                    Ok(()) => Response::Done,
                    Err(failure) => Response::Refused { failure },
                };
                connection.send(&answer, &[]).await?;
                connection.recv().await?
            }
            Request::Follow { containers, logs, life } => {
                let queue = core.follow(containers, logs, life);
                // Who only looks on does not keep the project alive.
                busy = None;
                follow(&connection, queue).await?
            }
            // Nothing of that kind runs on this connection any more.
            Request::Cancel | Request::SignalExec { .. } => connection.recv().await?,
        };
    }
    Ok(())
}

async fn follow(
    connection: &Connection,
    mut queue: mpsc::Receiver<Response>,
) -> Result<Option<Request>, FrameError> {
    connection.send(&Response::Following, &[]).await?;
    loop {
        tokio::select! {
            message = queue.recv() => match message {
                Some(m) => connection.send(&m, &[]).await?,
                None => return Ok(None),
            },
            request = connection.recv() => return request,
        }
    }
}

/// Carries out a plan; returns the request that came after it.
async fn apply<H: Host + 'static>(
    core: &Rc<Core<H>>,
    connection: &Connection,
    plan: Plan,
    attach: Option<Attach>,
) -> Result<Option<Request>, FrameError> {
    let _turn = core.applying.lock().await;
    let fresh = plan.generation == core.host.generation();
    let claimed = if fresh { core.host.claim(&plan).unwrap_or(false) } else { false };
    if !fresh || !claimed {
        connection.send(&Response::Stale, &[]).await?;
        return connection.recv().await;
    }
    let failures = core.host.foresee(&plan);
    if !failures.is_empty() {
        let skipped = plan.steps.len();
        connection
            .send(&Response::Applied { success: false, failures, skipped, ending: ending(core) }, &[])
            .await?;
        drop(_turn);
        return connection.recv().await;
    }
    if core.host.advance().is_err() {
        connection.send(&Response::Stale, &[]).await?;
        return connection.recv().await;
    }
    let (events, mut incoming) = mpsc::unbounded_channel();
    let applier = Applier {
        core: core.clone(),
        attach: attach.clone(),
        attached: RefCell::new(None),
        attached_ready: Notify::new(),
        watching: RefCell::new(None),
        cancelled: Cell::new(false),
        cancel: Notify::new(),
        events,
    };
    let walking = walk(&plan, &applier, &applier);
    tokio::pin!(walking);
    let mut listening = true;
    let mut after = None;
    let report = loop {
        tokio::select! {
            biased;
            Some(event) = incoming.recv() => {
                // A client that has gone is noticed below, by the end of its requests.
                drop(connection.send(&Response::Step { event }, &[]).await);
            }
            () = applier.attached_ready.notified() => {
                let started = applier.attached.borrow_mut().take();
                if let (Some(started), Some(attach)) = (started, &attach) {
                    drop(send_attached(connection, attach, &started).await);
                }
            }
            report = &mut walking => break report,
            request = connection.recv(), if listening => match request {
                Ok(Some(Request::Cancel) | None) | Err(_) => {
                    listening = matches!(request, Ok(Some(_)));
                    applier.cancelled.set(true);
                    applier.cancel.notify_one();
                }
                Ok(Some(other)) => {
                    after = Some(other);
                    listening = false;
                }
            },
        }
    };
    core.host.advance().map_err(|_| FrameError::Truncated)?;
    while let Ok(event) = incoming.try_recv() {
        connection.send(&Response::Step { event }, &[]).await?;
    }
    let started = applier.attached.borrow_mut().take();
    if let (Some(started), Some(attach)) = (started, &attach) {
        send_attached(connection, attach, &started).await?;
    }
    let applied = Response::Applied {
        success: report.failures.is_empty() && report.skipped == 0,
        failures: report.failures,
        skipped: report.skipped,
        ending: ending(core),
    };
    connection.send(&applied, &[]).await?;
    drop(_turn);
    if let Some(attach) = attach.filter(|_| listening)
        && let Some(mut rx) = applier.watching.take().or_else(|| core.watch(&attach.container))
    {
        let ended = async {
            life::until(&mut rx, |s| life::has_ended(s) && s.finished_at.is_some()).await;
            rx.borrow().exit_code.unwrap_or(255)
        };
        tokio::select! {
            code = ended => {
                let exited = Response::Exited { container: attach.container, code };
                connection.send(&exited, &[]).await?;
            }
            request = connection.recv() => return request,
        }
    }
    match after {
        Some(request) => Ok(Some(request)),
        None if listening => connection.recv().await,
        None => Ok(None),
    }
}

/// The keeper's PID when nothing of the project is left to keep.
fn ending<H: Host + 'static>(core: &Core<H>) -> Option<i32> {
    core.containers.borrow().is_empty().then(|| core.host.keeper_pid())
}

async fn send_attached(
    connection: &Connection,
    attach: &Attach,
    started: &Started,
) -> Result<(), FrameError> {
    let fds = ends(started);
    let response = Response::Attached {
        container: attach.container.clone(),
        tty: started.console.is_some(),
        stdin: started.stdin.is_some(),
    };
    connection.send(&response, &fds).await
}

/// The descriptors a client gets: the terminal, or \[stdin,\] stdout, stderr.
fn ends(started: &Started) -> Vec<BorrowedFd<'_>> {
    if let Some(c) = &started.console {
        return vec![c.as_fd()];
    }
    [&started.stdin, &started.stdout, &started.stderr].into_iter().flatten().map(AsFd::as_fd).collect()
}

/// Runs a process in a container; returns the request that came after it.
async fn exec<H: Host + 'static>(
    core: &Rc<Core<H>>,
    connection: &Connection,
    container: &ContainerId,
    spec: &ExecSpec,
) -> Result<Option<Request>, FrameError> {
    let started = match core.known(container) {
        // Nothing in it would move, and what waits for it would wait, too.
        Ok(c) if core.status(container) == Some(ContainerStatus::Paused) => Err(StepFailure::new(
            FailureKind::User,
            format!("container {} is paused: unpause it before exec", c.name),
        )),
        Ok(c) => core.host.exec(&c, spec).await,
        Err(failure) => Err(failure),
    };
    let started = match started {
        Ok(s) => s,
        Err(failure) => {
            connection.send(&Response::Refused { failure }, &[]).await?;
            return connection.recv().await;
        }
    };
    let pid = started.pid;
    let mut exit = core.exec_exit(pid);
    let response = Response::ExecStarted { tty: started.console.is_some(), stdin: started.stdin.is_some() };
    connection.send(&response, &ends(&started)).await?;
    drop(started);
    loop {
        tokio::select! {
            code = &mut exit => {
                let exited = Response::ExecExited { code: code.unwrap_or(255) };
                connection.send(&exited, &[]).await?;
                return connection.recv().await;
            }
            request = connection.recv() => match request? {
                Some(Request::SignalExec { signal }) => {
                    // Its process may have ended just now: the answer is on its way.
                    drop(core.host.signal_exec(pid, signal).await);
                }
                Some(other) => return Ok(Some(other)),
                None => return Ok(None),
            },
        }
    }
}
