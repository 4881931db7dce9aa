//! clone3, and the descriptors between caller and child.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, getpid, pidfd_open};

use crate::child::Child;
use crate::console;
use crate::error::{CreateError, Warning};
use crate::finish::Wires;
use crate::ops::{Op, Slots};
use crate::process::Prepared;
use crate::sys::{CloneArgs, sys};

/// What is to be started.
pub(crate) struct Start<'a> {
    pub(crate) ops: &'a [Op],
    pub(crate) slots: usize,
    pub(crate) process: &'a mut Prepared,
    /// `CLONE_NEW*`.
    pub(crate) namespaces: u64,
    /// The pid namespace to be born in, if it is neither the caller's nor a new one.
    pub(crate) pid_namespace: Option<&'a OwnedFd>,
    /// A cgroup v2 directory to be born in.
    pub(crate) cgroup: Option<&'a OwnedFd>,
    pub(crate) init: bool,
    pub(crate) container: bool,
    pub(crate) pdeathsig: bool,
}

/// A started child, and the caller's ends.
pub(crate) struct Started {
    pub(crate) pid: Pid,
    pub(crate) pidfd: OwnedFd,
    pub(crate) go: OwnedFd,
    pub(crate) status: OwnedFd,
    console: Option<OwnedFd>,
    pub(crate) warnings: Vec<Warning>,
}

pub(crate) fn start(start: Start<'_>) -> Result<Started, CreateError> {
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|e| CreateError::system("make a pipe")(e.into()));
    let (status, status_child) = pipe()?;
    let (go_child, go) = pipe()?;
    let caller = match start.pdeathsig {
        true => Some(
            pidfd_open(getpid(), PidfdFlags::empty())
                .map_err(|e| CreateError::system("open a pidfd of itself")(e.into()))?,
        ),
        false => None,
    };
    let sockets = match start.process.terminal {
        Some(_) => Some(
            socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .map_err(|e| CreateError::system("make a socket pair")(e.into()))?,
        ),
        None => None,
    };
    let number = |fd: Option<&OwnedFd>| fd.map_or(-1, |fd| fd.as_raw_fd());
    let wires = Wires {
        status: status_child.as_raw_fd(),
        go: go_child.as_raw_fd(),
        caller: number(caller.as_ref()),
        console: number(sockets.as_ref().map(|(_, child)| child)),
    };
    let warnings = std::mem::take(&mut start.process.warnings);
    let slots: Slots = vec![-1; start.slots];
    let (ops, process, init, container) = (start.ops, &*start.process, start.init, start.container);
    let child = move || Child { ops, slots, process, wires, init, container }.run();
    let (pid, pidfd) = match start.pid_namespace {
        None => clone(start.namespaces, start.cgroup, child),
        Some(namespace) => within(namespace, || clone(start.namespaces, start.cgroup, child)),
    }
    .map_err(CreateError::system("clone a process"))?;
    Ok(Started { pid, pidfd, go, status, console: sockets.map(|(mine, _)| mine), warnings })
}

impl Started {
    /// Waits for the terminal's master, if there is to be one.
    pub(crate) fn console(&mut self) -> Result<Option<OwnedFd>, CreateError> {
        let Some(socket) = self.console.take() else { return Ok(None) };
        let master = console::receive(&socket).map_err(CreateError::system("receive the console"))?;
        if master.is_some() {
            return Ok(master);
        }
        match console::last_words(&self.status).map_err(CreateError::system("read the child's status"))? {
            Some(error) => Err(CreateError::Child(error)),
            None => Err(CreateError::system("receive the console")(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    /// Takes a child back that can't be handed out. A child that failed by itself knows the reason better than `error`,
    /// which may only say that its /proc entries are gone.
    pub(crate) fn abandon(self, error: CreateError) -> CreateError {
        // It is our child, not reaped: both can only succeed, or find that it ended already.
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, rustix::process::Signal::KILL);
        while let Err(rustix::io::Errno::INTR) =
            rustix::process::waitpid(Some(self.pid), rustix::process::WaitOptions::empty())
        {}
        match (error, console::last_words(&self.status)) {
            (error @ CreateError::Child(_), _) => error,
            (_, Ok(Some(reason))) => CreateError::Child(reason),
            (error, _) => error,
        }
    }
}

/// setns(2) for pid namespaces moves children only, so the way back is always open.
fn within<T>(namespace: &OwnedFd, run: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let mine = rustix::fs::open("/proc/self/ns/pid", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    enter(namespace)?;
    let result = run();
    enter(&mine)?;
    result
}

fn enter(namespace: &OwnedFd) -> io::Result<()> {
    sys!(SYS_setns, namespace.as_raw_fd(), libc::CLONE_NEWPID).map(drop).map_err(io::Error::from_raw_os_error)
}

fn clone(namespaces: u64, cgroup: Option<&OwnedFd>, child: impl FnOnce()) -> io::Result<(Pid, OwnedFd)> {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let mut pidfd: RawFd = -1;
    let mut args = CloneArgs {
        flags: namespaces | libc::CLONE_PIDFD as u64,
        pidfd: std::ptr::from_mut(&mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    if let Some(directory) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = directory.as_raw_fd() as u64;
    }
    // Without CLONE_VM the child is a copy, as by fork(2). SAFETY of that: it runs nothing but raw system calls on
    // prepared data, so a lock held at this moment by nobody (the caller has one thread) or anybody doesn't matter.
    let pid = sys!(SYS_clone3, std::ptr::from_mut(&mut args), size_of::<CloneArgs>())
        .map_err(io::Error::from_raw_os_error)?;
    if pid == 0 {
        child();
    }
    let pid = Pid::from_raw(pid as i32).ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
    Ok((pid, unsafe { OwnedFd::from_raw_fd(pidfd) }))
}
