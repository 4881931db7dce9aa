//! SSH agents for build steps: a socket of the step's own, in front of the user's. An agent asks the kernel who talks to it
//! and serves only its owner and root (ssh-agent(1)), so a step's user couldn't use it directly.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use rcompose_engine::StepFailure;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::pipe::{PipeFlags, pipe_with};

use super::BuildStep;
use crate::Dirs;
use crate::files::{make_dir, remove_file};
use crate::records::list_dir;

/// Passes connections on until dropped.
pub(super) struct Forwarded {
    path: PathBuf,
    /// Closed to end the thread.
    stop: Option<std::os::fd::OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

/// Gives each of a step's agents a socket, and has the step mount that.
pub(super) fn forward(dirs: &Dirs, step: &mut BuildStep) -> Result<Vec<Forwarded>, StepFailure> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut all = Vec::new();
    for mount in &mut step.mounts {
        let Some(agent) = mount.agent.take() else { continue };
        let directory = dirs.run.join("build-agents");
        make_dir(&directory)?;
        sweep(&directory)?;
        let name = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = directory.join(&name);
        let failed = |e: io::Error| StepFailure::environment("forward the SSH agent", &e);
        let listener = listen(&directory, &name).map_err(failed)?;
        let (stopped, stop) = pipe_with(PipeFlags::CLOEXEC)
            .map_err(|e| StepFailure::environment("forward the SSH agent", &e))?;
        let mut one = Forwarded { path: path.clone(), stop: Some(stop), thread: None };
        chown(&path, Some(mount.uid), Some(mount.gid)).map_err(failed)?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mount.mode)).map_err(failed)?;
        one.thread = Some(std::thread::spawn(move || serve(&listener, &stopped, &agent)));
        mount.source = Some(path);
        all.push(one);
    }
    Ok(all)
}

/// A socket's path may only have 107 bytes (unix(7)); this one is short wherever the directory is.
fn listen(directory: &Path, name: &str) -> io::Result<UnixListener> {
    use std::os::fd::AsRawFd;
    let directory = std::fs::File::open(directory)?;
    UnixListener::bind(format!("/proc/self/fd/{}/{name}", directory.as_raw_fd()))
}

fn serve(listener: &UnixListener, stopped: &std::os::fd::OwnedFd, agent: &Path) {
    loop {
        let mut fds = [PollFd::new(listener, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return,
            Ok(_) if !fds[1].revents().is_empty() => return,
            Ok(_) => {}
        }
        let Ok((inner, _)) = listener.accept() else { return };
        // An agent that has gone: the program in the step sees its connection closed, as it would outside.
        let Ok(outer) = UnixStream::connect(agent) else { continue };
        std::thread::spawn(move || drop(relay(&inner, &outer)));
    }
}

/// Copies both ways until one side closes.
fn relay(inner: &UnixStream, outer: &UnixStream) -> io::Result<()> {
    loop {
        let mut fds = [
            PollFd::from_borrowed_fd(inner.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(outer.as_fd(), PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        let ready = [!fds[0].revents().is_empty(), !fds[1].revents().is_empty()];
        for (ready, (mut from, mut to)) in ready.into_iter().zip([(inner, outer), (outer, inner)]) {
            let mut chunk = [0u8; 8192];
            if ready {
                match io::Read::read(&mut from, &mut chunk)? {
                    0 => return Ok(()),
                    n => io::Write::write_all(&mut to, &chunk[..n])?,
                }
            }
        }
    }
}

/// Sockets of builders that were killed.
fn sweep(directory: &Path) -> Result<(), StepFailure> {
    for name in list_dir(directory)? {
        let pid = name.split('-').next().and_then(|p| p.parse::<u32>().ok());
        if pid.is_some_and(|p| !std::fs::exists(format!("/proc/{p}")).unwrap_or(true)) {
            remove_file(&directory.join(&name))?;
        }
    }
    Ok(())
}

impl Drop for Forwarded {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It has no way to panic; if it did, the socket still goes.
            drop(thread.join());
        }
        if std::fs::remove_file(&self.path).is_err() {
            // The next build sweeps it.
        }
    }
}
