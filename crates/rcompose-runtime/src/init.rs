//! The tiny init: process 1 of a container that asks for one. Forwards signals, reaps, ends with its child's status.

use crate::error::{At, Failure, Stage};
use crate::finish::{Wires, execute};
use crate::process::Prepared;
use crate::sys::{self, Result, sys};

const SIGSET_SIZE: usize = 8;

/// The kernel's signal set: every signal.
const ALL: u64 = u64::MAX;

/// Forks the real process and serves it to its end. Returns only on failure.
pub(crate) fn serve<'a>(process: &'a Prepared, wires: Wires) -> Failure<'a> {
    match fork() {
        Ok(0) => match in_front(process) {
            Ok(()) => execute(process),
            Err(errno) => Failure { stage: Stage::Init, errno, detail: b"" },
        },
        Ok(child) => {
            // The caller must see the end of `status` when the child executes, not when this process ends.
            sys::close(wires.status);
            sys::close(wires.go);
            sys::exit(reap_until(child as i32));
        }
        Err(errno) => match Err(errno).at(Stage::Init, b"fork") {
            Ok(()) => sys::exit(128),
            Err(failure) => failure,
        },
    }
}

fn fork() -> Result<usize> {
    sys::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0)?;
    sys::prctl(libc::PR_SET_NAME, c"init".as_ptr() as usize, 0)?;
    // Blocked, signals stay pending for rt_sigtimedwait, even those that the kernel withholds from process 1.
    sys!(SYS_rt_sigprocmask, libc::SIG_SETMASK, std::ptr::from_ref(&ALL), 0, SIGSET_SIZE)?;
    sys!(SYS_clone, libc::SIGCHLD, 0, 0, 0, 0)
}

/// A process group of its own, in front of the terminal if there is one. SIGTTOU is still blocked here.
fn in_front(process: &Prepared) -> Result {
    sys!(SYS_setpgid, 0, 0)?;
    if process.terminal.is_some() {
        let group = sys!(SYS_getpid)? as i32;
        sys!(SYS_ioctl, 0, libc::TIOCSPGRP, std::ptr::from_ref(&group))?;
    }
    let none = 0u64;
    sys!(SYS_rt_sigprocmask, libc::SIG_SETMASK, std::ptr::from_ref(&none), 0, SIGSET_SIZE).map(drop)
}

fn reap_until(child: i32) -> i32 {
    loop {
        match sys!(SYS_rt_sigtimedwait, std::ptr::from_ref(&ALL), 0, 0, SIGSET_SIZE) {
            Ok(signal) if signal as i32 == libc::SIGCHLD => {
                let mut status = 0i32;
                while let Ok(pid @ 1..) =
                    sys!(SYS_wait4, -1isize, std::ptr::from_mut(&mut status), libc::WNOHANG, 0)
                {
                    if pid as i32 == child {
                        return exit_code(status);
                    }
                }
            }
            Ok(signal) => {
                // ESRCH: it ended meanwhile; SIGCHLD follows.
                let _ = sys!(SYS_kill, child, signal);
            }
            Err(_) => {}
        }
    }
}

fn exit_code(status: i32) -> i32 {
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) }
}
