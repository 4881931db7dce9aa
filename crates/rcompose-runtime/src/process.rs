//! The process of a container, prepared: everything the child needs to become it.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use oci_spec::runtime::{PosixRlimitType, Process};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::capabilities::Masks;
use crate::error::{CreateError, Warning};
use crate::mounts::text;
use crate::rootfs::c_path;
use crate::seccomp::Filter;
use crate::sys::sys;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WinSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// Sends a signal by its number, real-time ones included (pidfd_send_signal(2)).
pub fn send_signal(pidfd: BorrowedFd<'_>, number: i32) -> Result<(), Errno> {
    match sys!(SYS_pidfd_send_signal, pidfd.as_raw_fd(), number, 0, 0) {
        Ok(_) => Ok(()),
        Err(errno) => Err(Errno::from_raw_os_error(errno)),
    }
}

/// Standard streams; `None` is /dev/null.
pub(crate) type Streams<'a> = [Option<BorrowedFd<'a>>; 3];

/// A process as the child needs it. Built in the caller; the child only reads.
pub(crate) struct Prepared {
    pub(crate) name: CString,
    pub(crate) candidates: Vec<CString>,
    pub(crate) argv: Pointers,
    pub(crate) envp: Pointers,
    pub(crate) cwd: CString,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
    pub(crate) umask: u32,
    pub(crate) capabilities: Option<Masks>,
    pub(crate) last_capability: u32,
    pub(crate) no_new_privileges: bool,
    pub(crate) apparmor: Option<CString>,
    pub(crate) seccomp: Option<Filter>,
    pub(crate) terminal: Option<WinSize>,
    pub(crate) streams: [OwnedFd; 3],
    pub(crate) limits: Vec<Limit>,
    pub(crate) warnings: Vec<Warning>,
}

/// A NULL-terminated array of C strings, with the strings.
pub(crate) struct Pointers {
    _strings: Vec<CString>,
    pointers: Vec<*const libc::c_char>,
}

impl Pointers {
    fn new(strings: Vec<CString>) -> Pointers {
        // The strings are on the heap: moving the vector that holds them leaves them where they are.
        let pointers = strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect();
        Pointers { _strings: strings, pointers }
    }

    pub(crate) fn as_ptr(&self) -> *const *const libc::c_char {
        self.pointers.as_ptr()
    }
}

impl Prepared {
    pub(crate) fn new(
        process: &Process,
        streams: Streams<'_>,
        terminal: Option<WinSize>,
        seccomp: Option<Filter>,
    ) -> Result<Prepared, CreateError> {
        let args = process.args().as_deref().unwrap_or_default();
        let name = args.first().ok_or_else(|| CreateError::Spec("process.args is empty".into()))?;
        let env = process.env().as_deref().unwrap_or_default();
        let strings = |values: &[String], what| {
            values.iter().map(|value| text(value, what)).collect::<Result<Vec<_>, _>>()
        };
        let user = process.user();
        let mut warnings = Vec::new();
        let held = held();
        const SYS_RESOURCE: u64 = 1 << 24;
        let limits = limits(process, held & SYS_RESOURCE != 0, &mut warnings)?;
        Ok(Prepared {
            candidates: candidates(name, env)?,
            name: text(name, "the command")?,
            argv: Pointers::new(strings(args, "an argument")?),
            envp: Pointers::new(strings(env, "an environment variable")?),
            cwd: c_path(process.cwd())?,
            uid: user.uid(),
            gid: user.gid(),
            groups: user.additional_gids().clone().unwrap_or_default(),
            umask: user.umask().unwrap_or(0o022),
            capabilities: process.capabilities().as_ref().map(|sets| Masks::new(sets, held)),
            last_capability: 63 - held_bounding().leading_zeros().min(63),
            no_new_privileges: process.no_new_privileges().unwrap_or(false),
            apparmor: process
                .apparmor_profile()
                .as_deref()
                .filter(|profile| !profile.is_empty())
                .map(|profile| text(&format!("exec {profile}"), "the AppArmor profile"))
                .transpose()?,
            seccomp,
            terminal,
            streams: duplicate(streams)?,
            limits,
            warnings,
        })
    }
}

/// The files to try for a command: itself if it has a slash, else one in each directory of the container's PATH.
fn candidates(name: &str, env: &[String]) -> Result<Vec<CString>, CreateError> {
    if name.contains('/') {
        return Ok(vec![text(name, "the command")?]);
    }
    let path = env.iter().rev().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    path.split(':')
        .map(|directory| {
            text(&format!("{}/{name}", if directory.is_empty() { "." } else { directory }), "the command")
        })
        .collect()
}

/// Copies above the standard descriptors, so that the child can put them in place in any order.
fn duplicate(streams: Streams<'_>) -> Result<[OwnedFd; 3], CreateError> {
    let one = |stream: Option<BorrowedFd<'_>>| match stream {
        Some(fd) => rustix::io::fcntl_dupfd_cloexec(fd, 10)
            .map_err(|e| CreateError::system("duplicate a stream")(e.into())),
        None => {
            let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
                .map_err(|e| CreateError::path("open", "/dev/null")(e.into()))?;
            rustix::io::fcntl_dupfd_cloexec(&null, 10)
                .map_err(|e| CreateError::system("duplicate a stream")(e.into()))
        }
    };
    Ok([one(streams[0])?, one(streams[1])?, one(streams[2])?])
}

/// What this process may hand on.
fn held() -> u64 {
    let mut header = [0x2008_0522u32, 0];
    let mut data = [0u32; 6];
    // capget(2), version 3: two triples of effective, permitted, inheritable. It can't fail for one's own process.
    let _ = sys!(SYS_capget, header.as_mut_ptr(), data.as_mut_ptr());
    u64::from(data[1]) | u64::from(data[4]) << 32
}

/// Bits up to the kernel's last capability.
fn held_bounding() -> u64 {
    (0..64)
        .take_while(|bit| crate::sys::prctl(libc::PR_CAPBSET_READ, *bit, 0).is_ok())
        .fold(0, |sum, bit| sum | 1 << bit)
}

/// A limit that this process is allowed to hand on.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) resource: u32,
    pub(crate) value: libc::rlimit64,
}

/// Without CAP_SYS_RESOURCE a hard limit can only go down (getrlimit(2)), and no process gets more descriptors than
/// `fs.nr_open`: what isn't allowed becomes a warning, and the limit is as near as can be.
fn limits(
    process: &Process,
    may_raise: bool,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<Limit>, CreateError> {
    let mut limits = Vec::new();
    for limit in process.rlimits().iter().flatten() {
        let resource = resource(limit.typ());
        let mut now = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
        sys!(SYS_prlimit64, 0, resource, 0, std::ptr::from_mut(&mut now)).map_err(|errno| {
            CreateError::system("read a resource limit")(std::io::Error::from_raw_os_error(errno))
        })?;
        let mut most = if may_raise { u64::MAX } else { now.rlim_max };
        if limit.typ() == PosixRlimitType::RlimitNofile && limit.hard() > now.rlim_max && may_raise {
            let path = "/proc/sys/fs/nr_open";
            let text = std::fs::read_to_string(path).map_err(CreateError::path("read", path))?;
            most = text.trim().parse().unwrap_or(now.rlim_max);
        }
        let value = libc::rlimit64 {
            rlim_cur: limit.soft().min(limit.hard()).min(most),
            rlim_max: limit.hard().min(most),
        };
        if value.rlim_max < limit.hard() {
            warnings.push(Warning(format!(
                "{} can't be raised to {} here, it is {most}",
                limit.typ(),
                limit.hard()
            )));
        }
        limits.push(Limit { resource, value });
    }
    Ok(limits)
}

/// From outside, as the file is the kernel's and the container's /proc may not be there.
pub(crate) fn adjust_oom_score(process: &Process, pid: i32) -> Result<Option<Warning>, CreateError> {
    let Some(score) = process.oom_score_adj() else { return Ok(None) };
    let path = format!("/proc/{pid}/oom_score_adj");
    match std::fs::write(&path, score.to_string()) {
        Ok(()) => Ok(None),
        // proc_pid_oom_score_adj(5): lowering it needs CAP_SYS_RESOURCE.
        Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
            Ok(Some(Warning(format!("oom_score_adj can't be lowered to {score} here"))))
        }
        // It ended already, and `status` says why.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => Ok(None),
        Err(error) => Err(CreateError::path("write", path)(error)),
    }
}

fn resource(kind: PosixRlimitType) -> u32 {
    use PosixRlimitType as R;
    match kind {
        R::RlimitCpu => 0,
        R::RlimitFsize => 1,
        R::RlimitData => 2,
        R::RlimitStack => 3,
        R::RlimitCore => 4,
        R::RlimitRss => 5,
        R::RlimitNproc => 6,
        R::RlimitNofile => 7,
        R::RlimitMemlock => 8,
        R::RlimitAs => 9,
        R::RlimitLocks => 10,
        R::RlimitSigpending => 11,
        R::RlimitMsgqueue => 12,
        R::RlimitNice => 13,
        R::RlimitRtprio => 14,
        R::RlimitRttime => 15,
    }
}

impl Prepared {
    /// For messages.
    pub(crate) fn name(&self) -> &CStr {
        &self.name
    }

    pub(crate) fn stream(&self, number: usize) -> i32 {
        self.streams[number].as_raw_fd()
    }
}
