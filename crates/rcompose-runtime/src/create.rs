//! A new container: prepared, cloned, and held before its exec until the caller says go.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType, Spec};
use rustix::fs::{Mode, OFlags};
use rustix::process::Pid;

use crate::cgroup::CgroupPath;
use crate::error::{CreateError, Warning};
use crate::mounts::{self, text};
use crate::ops::Op;
use crate::process::{Prepared, WinSize, adjust_oom_score};
use crate::rootfs::{Root, Rootfs};
use crate::seccomp::Filter;
use crate::spawn::{Start, Started, start};

/// A file of the host shown in the container; the place is made if it is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InjectedFile {
    /// Where in the container, absolute.
    pub path: PathBuf,
    /// What on the host.
    pub source: PathBuf,
}

/// All that a container is made from.
pub struct CreateRequest<'a> {
    /// The container's id, for messages.
    pub id: &'a str,
    /// Process, mounts, namespaces, limits. `root.path` is not looked at, `root.readonly` is.
    pub spec: &'a Spec,
    /// The root file system.
    pub rootfs: &'a Rootfs,
    /// Standard input; `None`: /dev/null. All three are ignored with a terminal.
    pub stdin: Option<BorrowedFd<'a>>,
    /// Standard output.
    pub stdout: Option<BorrowedFd<'a>>,
    /// Standard error.
    pub stderr: Option<BorrowedFd<'a>>,
    /// Allocate a terminal from the container's own devpts.
    pub terminal: Option<WinSize>,
    /// Put a tiny init before the process.
    pub init: bool,
    /// Where the container lives; made here, with `spec.linux.resources`.
    pub cgroup: &'a CgroupPath,
    /// Files such as /etc/hosts, mounted after the spec's mounts.
    pub files: Vec<InjectedFile>,
    /// The filter; `None`: the one of `spec.linux.seccomp`, if any.
    pub seccomp: Option<&'a Filter>,
    /// The container is killed when the calling thread ends.
    pub pdeathsig: bool,
}

/// A container that waits for the word. Its process is a child of the caller, who must reap it.
#[derive(Debug)]
pub struct Created {
    /// Process 1 of the container, as the caller sees it.
    pub pid: Pid,
    /// The same as a descriptor.
    pub pidfd: OwnedFd,
    /// The network namespace it will run in.
    pub netns: OwnedFd,
    /// One byte: execute. Closed without: the child gives up.
    pub go: OwnedFd,
    /// At its end without a byte: executed. Else [`crate::read_status`] says what failed.
    pub status: OwnedFd,
    /// The terminal's master.
    pub console: Option<OwnedFd>,
    /// What had to be left out.
    pub warnings: Vec<Warning>,
}

/// Makes the container's process and returns at once; the child goes on by itself up to the point where it waits for `go`.
///
/// What fails in the child is told by `status`, or, if it fails before this function is done with it, by
/// [`CreateError::Child`]: callers treat the two alike. With a terminal it waits until that is there. On failure nothing is left: no process, no cgroup.
pub fn create(request: &CreateRequest<'_>) -> Result<Created, CreateError> {
    let mut warnings = request.cgroup.create(resources(request.spec))?;
    let result = create_in(request);
    match result {
        Ok(mut created) => {
            warnings.append(&mut created.warnings);
            Ok(Created { warnings, ..created })
        }
        Err(error) => {
            // The first failure is the one to tell; an empty cgroup that stays is found again by its name.
            let _ = request.cgroup.remove();
            Err(error)
        }
    }
}

fn resources(spec: &Spec) -> Option<&oci_spec::runtime::LinuxResources> {
    spec.linux().as_ref().and_then(|linux| linux.resources().as_ref())
}

fn create_in(request: &CreateRequest<'_>) -> Result<Created, CreateError> {
    let spec = request.spec;
    let process = spec
        .process()
        .as_ref()
        .ok_or_else(|| CreateError::Spec(format!("container {} has no process", request.id)))?;
    let linux = spec.linux().as_ref();
    let filter = match (request.seccomp, linux.and_then(|linux| linux.seccomp().as_ref())) {
        (Some(filter), _) => Some(filter.clone()),
        (None, Some(profile)) => Some(Filter::from_spec(profile)?),
        (None, None) => None,
    };
    let streams = [request.stdin, request.stdout, request.stderr];
    let mut prepared = Prepared::new(process, streams, request.terminal, filter)?;
    let namespaces =
        Namespaces::new(linux.and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default())?;
    let files =
        mounts::steps(spec, Root::new(request.rootfs)?, &request.files, &request.cgroup.hierarchies())?;

    let entries = request.cgroup.entries()?;
    let mut ops: Vec<Op> = entries.v1.iter().map(|fd| Op::JoinCgroup { fd: fd.as_raw_fd() }).collect();
    ops.extend(namespaces.joins.iter().map(|(fd, kind)| Op::SetNs { fd: fd.as_raw_fd(), kinds: *kind }));
    if namespaces.cgroup {
        // After the cgroup is entered: its root is where the process is at that moment (cgroup_namespaces(7)).
        ops.push(Op::Unshare(libc::CLONE_NEWCGROUP));
    }
    if namespaces.flags & libc::CLONE_NEWNET as u64 != 0 {
        ops.push(Op::LoopbackUp);
    }
    if let Some(name) = spec.hostname() {
        ops.push(Op::Hostname(text(name, "the hostname")?));
    }
    if let Some(name) = spec.domainname() {
        ops.push(Op::Domainname(text(name, "the domain name")?));
    }
    ops.extend(files.ops);
    if spec.root().as_ref().and_then(|root| root.readonly()).unwrap_or(false) {
        // The working directory is made before the root is closed.
        ops.push(Op::MakeDirectory(crate::rootfs::c_path(process.cwd())?));
        ops.push(Op::ReadOnlyMount(c"/".into()));
    }
    let started = start(Start {
        ops: &ops,
        slots: files.slots,
        process: &mut prepared,
        namespaces: namespaces.flags,
        pid_namespace: namespaces.pid.as_ref(),
        cgroup: entries.v2.as_ref(),
        init: request.init,
        container: true,
        pdeathsig: request.pdeathsig,
    })?;
    finish(started, process, namespaces.net)
}

fn finish(
    mut started: Started,
    process: &oci_spec::runtime::Process,
    joined: Option<OwnedFd>,
) -> Result<Created, CreateError> {
    let outcome = (|| {
        let pid = started.pid.as_raw_nonzero().get();
        let warning = adjust_oom_score(process, pid)?;
        let netns = match joined {
            Some(fd) => fd,
            None => open_namespace(Path::new(&format!("/proc/{pid}/ns/net")))?,
        };
        Ok((warning, netns, started.console()?))
    })();
    match outcome {
        Ok((warning, netns, console)) => {
            started.warnings.extend(warning);
            let Started { pid, pidfd, go, status, warnings, .. } = started;
            Ok(Created { pid, pidfd, netns, go, status, console, warnings })
        }
        Err(error) => Err(started.abandon(error)),
    }
}

/// Namespaces of the spec: made by clone3, joined by the child, or (pid) entered around the clone.
struct Namespaces {
    flags: u64,
    joins: Vec<(OwnedFd, i32)>,
    pid: Option<OwnedFd>,
    net: Option<OwnedFd>,
    cgroup: bool,
}

impl Namespaces {
    fn new(wanted: &[LinuxNamespace]) -> Result<Namespaces, CreateError> {
        let mut out = Namespaces { flags: 0, joins: Vec::new(), pid: None, net: None, cgroup: false };
        for namespace in wanted {
            let kind = match namespace.typ() {
                LinuxNamespaceType::Mount => libc::CLONE_NEWNS,
                LinuxNamespaceType::Cgroup => libc::CLONE_NEWCGROUP,
                LinuxNamespaceType::Uts => libc::CLONE_NEWUTS,
                LinuxNamespaceType::Ipc => libc::CLONE_NEWIPC,
                LinuxNamespaceType::Pid => libc::CLONE_NEWPID,
                LinuxNamespaceType::Network => libc::CLONE_NEWNET,
                other @ (LinuxNamespaceType::User | LinuxNamespaceType::Time) => {
                    return Err(CreateError::Spec(format!(
                        "{other} namespaces are not made by this runtime"
                    )));
                }
            };
            match namespace.path() {
                None if kind == libc::CLONE_NEWCGROUP => out.cgroup = true,
                None => out.flags |= kind as u64,
                Some(path) => {
                    let fd = open_namespace(path)?;
                    match kind {
                        libc::CLONE_NEWPID => out.pid = Some(fd),
                        libc::CLONE_NEWNS => {
                            return Err(CreateError::Spec("a container's mount namespace is its own".into()));
                        }
                        _ => {
                            if kind == libc::CLONE_NEWNET {
                                out.net = Some(open_namespace(path)?);
                            }
                            out.joins.push((fd, kind));
                        }
                    }
                }
            }
        }
        // The root can't be changed in the host's mount namespace.
        out.flags |= libc::CLONE_NEWNS as u64;
        Ok(out)
    }
}

pub(crate) fn open_namespace(path: &Path) -> Result<OwnedFd, CreateError> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| CreateError::path("open the namespace", path)(errno.into()))
}
