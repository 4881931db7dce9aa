//! One more process in a running container.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::Process;
use rustix::process::Pid;

use crate::cgroup::CgroupPath;
use crate::create::open_namespace;
use crate::error::{CreateError, Warning};
use crate::ops::Op;
use crate::process::{Prepared, WinSize, adjust_oom_score};
use crate::seccomp::Filter;
use crate::spawn::{Start, start};
use crate::sys::sys;

/// What is to run, and where.
pub struct ExecRequest<'a> {
    /// A pidfd of the container's process 1.
    pub target: BorrowedFd<'a>,
    /// Its number.
    pub target_pid: Pid,
    /// The process: arguments, environment, user, capabilities, directory.
    pub process: &'a Process,
    /// Standard input; `None`: /dev/null. All three are ignored with a terminal.
    pub stdin: Option<BorrowedFd<'a>>,
    /// Standard output.
    pub stdout: Option<BorrowedFd<'a>>,
    /// Standard error.
    pub stderr: Option<BorrowedFd<'a>>,
    /// Allocate a terminal from the container's devpts.
    pub terminal: Option<WinSize>,
    /// The container's cgroup.
    pub cgroup: &'a CgroupPath,
    /// The container's filter.
    pub seccomp: Option<&'a Filter>,
    /// The process is killed when the calling thread ends.
    pub pdeathsig: bool,
}

/// A process on its way. A child of the caller, who must reap it.
#[derive(Debug)]
pub struct Executed {
    /// As the caller sees it.
    pub pid: Pid,
    /// The same as a descriptor.
    pub pidfd: OwnedFd,
    /// As [`crate::Created::status`].
    pub status: OwnedFd,
    /// The terminal's master.
    pub console: Option<OwnedFd>,
    /// What had to be left out.
    pub warnings: Vec<Warning>,
}

/// Starts a process in all namespaces of the target, and in its cgroup.
pub fn exec(request: &ExecRequest<'_>) -> Result<Executed, CreateError> {
    let streams = [request.stdin, request.stdout, request.stderr];
    let mut prepared = Prepared::new(request.process, streams, request.terminal, request.seccomp.cloned())?;
    let pid = request.target_pid.as_raw_nonzero();
    let pid_namespace = open_namespace(Path::new(&format!("/proc/{pid}/ns/pid")))?;
    // The number may have been given to another process meanwhile; the pidfd knows.
    sys!(SYS_pidfd_send_signal, request.target.as_raw_fd(), 0, 0, 0).map_err(|errno| {
        CreateError::system("find the container's process")(std::io::Error::from_raw_os_error(errno))
    })?;
    let entries = request.cgroup.entries()?;
    let mut ops: Vec<Op> = entries.v1.iter().map(|fd| Op::JoinCgroup { fd: fd.as_raw_fd() }).collect();
    let kinds = libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWNS;
    ops.push(Op::SetNs { fd: request.target.as_raw_fd(), kinds });
    let mut started = start(Start {
        ops: &ops,
        slots: 0,
        process: &mut prepared,
        namespaces: 0,
        pid_namespace: Some(&pid_namespace),
        cgroup: entries.v2.as_ref(),
        init: false,
        container: false,
        pdeathsig: request.pdeathsig,
    })?;
    let outcome = (|| {
        let warning = adjust_oom_score(request.process, started.pid.as_raw_nonzero().get())?;
        let console = started.console()?;
        match rustix::io::write(&started.go, &[1]) {
            // A child that has failed already says why itself, through `status`.
            Ok(_) | Err(rustix::io::Errno::PIPE) => Ok((warning, console)),
            Err(errno) => Err(CreateError::system("let the process go")(errno.into())),
        }
    })();
    match outcome {
        Ok((warning, console)) => {
            started.warnings.extend(warning);
            Ok(Executed {
                pid: started.pid,
                pidfd: started.pidfd,
                status: started.status,
                console,
                warnings: started.warnings,
            })
        }
        Err(error) => Err(started.abandon(error)),
    }
}
