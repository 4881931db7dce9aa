//! The last part of the child: from root in a finished file system to the container's process. No allocation.

use std::ffi::CStr;

use crate::console;
use crate::error::{At, Failure, Stage};
use crate::process::Prepared;
use crate::sys::{self, sys};
use crate::target;

/// Descriptors of the child besides the standard ones.
#[derive(Clone, Copy)]
pub(crate) struct Wires {
    /// Errors go here; closes on exec.
    pub(crate) status: i32,
    /// One byte comes here when it is time.
    pub(crate) go: i32,
    /// A pidfd of the caller, when the container is to die with it; else -1.
    pub(crate) caller: i32,
    /// The console's master goes here; else -1.
    pub(crate) console: i32,
}

/// Streams and terminal, session, credentials, filter, directory; then waits for the word.
pub(crate) fn become_process<'a>(
    process: &'a Prepared,
    wires: &mut Wires,
    container: bool,
) -> Result<(), Failure<'a>> {
    sys!(SYS_setsid).at(Stage::Stdio, b"setsid")?;
    match process.terminal {
        Some(size) => console::attach(size, wires.console, process.uid, container).at(Stage::Console, b"")?,
        None => {
            for number in 0..3 {
                sys!(SYS_dup3, process.stream(number), number, 0).at(Stage::Stdio, b"dup")?;
            }
        }
    }
    close_others(wires).at(Stage::Stdio, b"close_range")?;
    // A container must not share the session keyring of whoever started it. Kernels may lack keyrings; policy may forbid them.
    const JOIN_SESSION_KEYRING: usize = 1;
    match sys!(SYS_keyctl, JOIN_SESSION_KEYRING, 0) {
        Ok(_) | Err(libc::ENOSYS | libc::EPERM | libc::EDQUOT) => {}
        Err(errno) => return Err(errno).at(Stage::Credentials, b"keyring"),
    }
    if let Some(profile) = &process.apparmor {
        apparmor(profile).at(Stage::Credentials, profile.to_bytes())?;
    }
    make_cwd(process).at(Stage::WorkingDirectory, process.cwd.to_bytes())?;
    // With no_new_privs the filter comes last; without, loading it needs CAP_SYS_ADMIN, so it comes before the drop.
    if !process.no_new_privileges {
        load_filter(process)?;
    }
    credentials(process)?;
    // Again as the user: what they may not enter, they may not start in.
    sys!(SYS_chdir, process.cwd.as_ptr()).at(Stage::WorkingDirectory, process.cwd.to_bytes())?;
    inside_root().at(Stage::WorkingDirectory, process.cwd.to_bytes())?;
    sys!(SYS_umask, process.umask).at(Stage::Credentials, b"umask")?;
    if wires.caller >= 0 {
        die_with(wires.caller)?;
    }
    if process.no_new_privileges {
        sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).at(Stage::Credentials, b"no_new_privs")?;
        load_filter(process)?;
    }
    wait_for_go(wires.go)
}

/// Tries every candidate; returns only on failure.
pub(crate) fn execute(process: &Prepared) -> Failure<'_> {
    let mut refused = libc::ENOENT;
    for candidate in &process.candidates {
        match sys!(SYS_execve, candidate.as_ptr(), process.argv.as_ptr(), process.envp.as_ptr()) {
            Ok(_) | Err(libc::ENOENT | libc::ENOTDIR) => {}
            // As execvp(3): go on looking, but say this if nothing better is found.
            Err(libc::EACCES) => refused = libc::EACCES,
            Err(errno) => return Failure { stage: Stage::Exec, errno, detail: process.name().to_bytes() },
        }
    }
    Failure { stage: Stage::Exec, errno: refused, detail: process.name().to_bytes() }
}

/// Keeps 0, 1, 2 and the wires: moves those to 3.. and closes the rest, which belong to the caller.
fn close_others(wires: &mut Wires) -> sys::Result {
    // First above all targets, so that no move overwrites another's source.
    let mut fds = [wires.status, wires.go, wires.caller];
    for fd in &mut fds {
        if *fd >= 0 {
            *fd = sys!(SYS_fcntl, *fd, libc::F_DUPFD_CLOEXEC, 64)? as i32;
        }
    }
    let mut next = 3;
    for fd in &mut fds {
        if *fd >= 0 {
            sys!(SYS_dup3, *fd, next, libc::O_CLOEXEC)?;
            *fd = next;
            next += 1;
        }
    }
    *wires = Wires { status: fds[0], go: fds[1], caller: fds[2], console: -1 };
    sys!(SYS_close_range, next, u32::MAX, 0).map(drop)
}

fn apparmor(profile: &CStr) -> sys::Result {
    match sys::write_file(c"/proc/self/attr/apparmor/exec", profile.to_bytes()) {
        // Before Linux 5.8.
        Err(libc::ENOENT) => sys::write_file(c"/proc/self/attr/exec", profile.to_bytes()),
        other => other,
    }
}

fn make_cwd(process: &Prepared) -> sys::Result {
    match sys!(SYS_chdir, process.cwd.as_ptr()) {
        Err(libc::ENOENT) => {
            target::make_parents(process.cwd.to_bytes())?;
            sys::mkdir(&process.cwd, 0o755)
        }
        // Root may lack the right on a network file system where the user has it; the second chdir decides.
        Ok(_) | Err(libc::EACCES) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// CVE-2024-21626: the working directory must not be one of the host, reached through a leaked descriptor.
fn inside_root() -> sys::Result {
    let mut buffer = [0u8; 4096];
    let length = sys!(SYS_getcwd, buffer.as_mut_ptr(), buffer.len())?;
    // getcwd(2): a directory outside the root begins with "(unreachable)".
    if length > 0 && buffer[0] == b'/' { Ok(()) } else { Err(libc::EACCES) }
}

fn credentials(process: &Prepared) -> Result<(), Failure<'_>> {
    let stage = Stage::Credentials;
    for limit in &process.limits {
        sys!(SYS_prlimit64, 0, limit.resource, std::ptr::from_ref(&limit.value), 0).at(stage, b"rlimit")?;
    }
    if let Some(sets) = process.capabilities {
        for capability in 0..=process.last_capability {
            if sets.bounding >> capability & 1 == 0 {
                sys::prctl(libc::PR_CAPBSET_DROP, capability as usize, 0).at(stage, b"bounding set")?;
            }
        }
        sys::prctl(libc::PR_SET_KEEPCAPS, 1, 0).at(stage, b"keepcaps")?;
    }
    sys!(SYS_setgroups, process.groups.len(), process.groups.as_ptr()).at(stage, b"setgroups")?;
    sys!(SYS_setresgid, process.gid, process.gid, process.gid).at(stage, b"setgid")?;
    sys!(SYS_setresuid, process.uid, process.uid, process.uid).at(stage, b"setuid")?;
    if let Some(sets) = process.capabilities {
        sys::prctl(libc::PR_SET_KEEPCAPS, 0, 0).at(stage, b"keepcaps")?;
        let header = [0x2008_0522u32, 0];
        let half = |shift: u32| {
            [sets.effective >> shift, sets.permitted >> shift, sets.inheritable >> shift]
                .map(|bits| bits as u32)
        };
        let data = [half(0), half(32)];
        sys!(SYS_capset, header.as_ptr(), data.as_ptr()).at(stage, b"capset")?;
        const AMBIENT_RAISE: usize = 2;
        for capability in 0..=process.last_capability {
            if sets.ambient >> capability & 1 == 1 {
                sys::prctl(libc::PR_CAP_AMBIENT, AMBIENT_RAISE, capability as usize)
                    .at(stage, b"ambient set")?;
            }
        }
    }
    Ok(())
}

fn load_filter(process: &Prepared) -> Result<(), Failure<'_>> {
    let Some(filter) = &process.seccomp else { return Ok(()) };
    #[repr(C)]
    struct Program {
        length: u16,
        code: *const crate::seccomp::Insn,
    }
    let program = Program { length: filter.code().len() as u16, code: filter.code().as_ptr() };
    const SET_MODE_FILTER: usize = 1;
    sys!(SYS_seccomp, SET_MODE_FILTER, filter.flags(), std::ptr::from_ref(&program))
        .map(drop)
        .at(Stage::Seccomp, b"")
}

/// The signal is forgotten when credentials change (prctl(2), PR_SET_PDEATHSIG), so this comes after that; and a caller
/// that ended before is found out by its pidfd, because getppid() is 0 in a new pid namespace.
pub(crate) fn die_with(caller: i32) -> Result<(), Failure<'static>> {
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as usize, 0).at(Stage::Credentials, b"pdeathsig")?;
    let mut poll = libc::pollfd { fd: caller, events: libc::POLLIN, revents: 0 };
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let gone = sys!(SYS_ppoll, std::ptr::from_mut(&mut poll), 1, std::ptr::from_ref(&now), 0, 8)
        .at(Stage::Abandoned, b"")?;
    if gone > 0 { Err(libc::ESRCH).at(Stage::Abandoned, b"") } else { Ok(()) }
}

fn wait_for_go(go: i32) -> Result<(), Failure<'static>> {
    let mut byte = 0u8;
    loop {
        match sys!(SYS_read, go, std::ptr::from_mut(&mut byte), 1) {
            Ok(1) => return Ok(()),
            Ok(_) => return Err(libc::ECANCELED).at(Stage::Abandoned, b""),
            Err(libc::EINTR) => {}
            Err(errno) => return Err(errno).at(Stage::Abandoned, b""),
        }
    }
}
