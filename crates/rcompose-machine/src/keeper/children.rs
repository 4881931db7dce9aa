use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use oci_spec::runtime::LinuxNamespaceType;
use rcompose_engine::{ExecSpec, FailureKind, StepFailure};
use rcompose_model::ProjectName;
use rcompose_plan::{ContainerId, ContainerSpec, NetNs, NsMode};
use rcompose_runtime::cgroup::CgroupPath;
use rcompose_runtime::{CreateError, CreateRequest, ExecRequest, InjectedFile, Rootfs, WinSize};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Pid;

use crate::Dirs;
use crate::bundle::{self, Places};
use crate::files::{read_json, remove_file, write_json};
use crate::local_host::CgroupRecord;
use crate::places::{cgroup_name, file_paths, files_dir, mount_path};
use crate::records::ExitFile;
use crate::under::explained;
use crate::wire::{ExitNote, Fd, Fds, FromKeeper};

/// The containers and exec processes that are our children.
pub(crate) struct Children {
    dirs: Dirs,
    project: ProjectName,
    containers: BTreeMap<ContainerId, Kept>,
    /// Processes of execs.
    execs: Vec<i32>,
}

/// A container whose process is our child, or whose log is not complete yet.
struct Kept {
    pid: i32,
    pidfd: OwnedFd,
    cgroup: CgroupPath,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    console: Option<OwnedFd>,
    /// Nobody writes to it: a detached `stdin_open` reads nothing, but no end either.
    _stdin: Option<OwnedFd>,
    exited: Option<ExitNote>,
    /// At its end once the process has executed its command.
    status: OwnedFd,
}

impl Kept {
    /// It waits for the word to execute, or is about to.
    fn is_unborn(&self) -> bool {
        let mut fds = [PollFd::new(&self.status, PollFlags::IN)];
        let known = rustix::event::poll(&mut fds, Some(&Timespec::default())).is_ok();
        let seen = fds[0].revents();
        self.exited.is_none() && known && (seen.contains(PollFlags::IN) || !seen.contains(PollFlags::HUP))
    }
}

/// The three pipes of a process; child's ends and ours.
#[derive(Default)]
struct Pipes {
    child: [Option<OwnedFd>; 3],
    ours: [Option<OwnedFd>; 3],
}

impl Pipes {
    /// `/dev/null` on the child's side, nothing on ours.
    fn null() -> rustix::io::Result<Self> {
        use rustix::fs::{Mode, OFlags};
        let mut p = Self::default();
        for end in &mut p.child {
            *end = Some(rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?);
        }
        Ok(p)
    }

    fn new(stdin: bool, owner: (u32, u32)) -> rustix::io::Result<Self> {
        let mut p = Self::default();
        for i in usize::from(!stdin)..3 {
            let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
            // As docker does, so that a process that isn't root can open /dev/stdout again.
            let (uid, gid) = (rustix::fs::Uid::from_raw(owner.0), rustix::fs::Gid::from_raw(owner.1));
            rustix::fs::fchown(if i == 0 { &read } else { &write }, Some(uid), Some(gid))?;
            let (child, ours) = if i == 0 { (read, write) } else { (write, read) };
            p.child[i] = Some(child);
            p.ours[i] = Some(ours);
        }
        Ok(p)
    }
}

impl Children {
    pub(crate) fn new(dirs: Dirs, project: ProjectName) -> Self {
        Self { dirs, project, containers: BTreeMap::new(), execs: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.containers.values().all(|k| k.exited.is_some())
    }

    pub(crate) fn ids(&self) -> Vec<ContainerId> {
        self.containers.keys().cloned().collect()
    }

    /// Drops what was kept for a log that is complete.
    pub(crate) fn forget(&mut self, id: &ContainerId) {
        if self.containers.get(id).is_some_and(|k| k.exited.is_some()) {
            self.containers.remove(id);
        }
    }

    /// Ends the processes that a supervisor died over before they executed: nobody gives them the word any more, and
    /// a new supervisor must not take them for running ones.
    pub(crate) fn end_unborn(&mut self) -> rustix::io::Result<()> {
        let unborn: Vec<_> =
            self.containers.iter().filter(|(_, k)| k.is_unborn()).map(|(id, _)| id.clone()).collect();
        for id in unborn {
            let Some(kept) = self.containers.remove(&id) else { continue };
            match rustix::process::pidfd_send_signal(&kept.pidfd, rustix::process::Signal::KILL) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(e) => return Err(e),
            }
            rustix::process::waitpid(Pid::from_raw(kept.pid), rustix::process::WaitOptions::empty())?;
        }
        Ok(())
    }

    /// What a new supervisor must know of each container.
    pub(crate) fn adoptions(&self) -> rustix::io::Result<Vec<(FromKeeper, Fds)>> {
        let mut out = Vec::new();
        for (id, k) in &self.containers {
            let mut fds = Fds::default();
            fds.push(Fd::Pidfd, Some(rustix::io::fcntl_dupfd_cloexec(&k.pidfd, 3)?));
            let netns = format!("/proc/{}/ns/net", k.pid);
            fds.push(Fd::Netns, fs::File::open(netns).ok().map(OwnedFd::from));
            for (kind, fd) in [(Fd::Console, &k.console), (Fd::Stdout, &k.stdout), (Fd::Stderr, &k.stderr)] {
                let copy = fd.as_ref().map(|f| rustix::io::fcntl_dupfd_cloexec(f, 3)).transpose()?;
                fds.push(kind, copy);
            }
            let message = FromKeeper::Adopted {
                id: id.clone(),
                pid: k.pid,
                exited: k.exited.clone(),
                fds: fds.kinds(),
            };
            out.push((message, fds));
        }
        Ok(out)
    }

    /// Makes a container's process; it waits for the word.
    pub(crate) fn create(
        &mut self,
        seq: u64,
        id: &ContainerId,
        attach: Option<Option<(u16, u16)>>,
    ) -> (FromKeeper, Fds) {
        match self.try_create(id, attach) {
            Ok((pid, notes, fds)) => (FromKeeper::Started { seq, pid, notes, fds: fds.kinds() }, fds),
            Err(failure) => (FromKeeper::Failed { seq, failure }, Fds::default()),
        }
    }

    fn try_create(
        &mut self,
        id: &ContainerId,
        attach: Option<Option<(u16, u16)>>,
    ) -> Result<(i32, Vec<String>, Fds), StepFailure> {
        let dir = self.dirs.container(&self.project, id);
        let spec: ContainerSpec = read_json(&dir.join("spec.json"))?.ok_or_else(|| {
            StepFailure::new(FailureKind::Internal, format!("container {} has no record", id.short()))
        })?;
        remove_file(&dir.join("exit.json"))?;
        let files = files_dir(&self.dirs, &self.project, id);
        let mounts = spec.mounts.iter().map(|m| mount_path(&self.dirs, m)).collect::<std::io::Result<_>>();
        let places = Places {
            upper: dir.join("upper"),
            mounts: mounts.map_err(|e| StepFailure::environment("find what is mounted", &e))?,
            files: file_paths(&files, &spec),
            joined: self.joined(&spec)?,
        };
        let oci = bundle::oci_spec(&spec, &places)?;
        let fail = |doing: &str| {
            let what = format!("{doing} container {}", spec.name);
            move |e: rustix::io::Errno| StepFailure::environment(&what, &e)
        };
        let user = oci.process().as_ref().map(|p| (p.user().uid(), p.user().gid())).unwrap_or_default();
        let tty = if spec.tty { Some(attach.flatten().unwrap_or((24, 80))) } else { None };
        let mut pipes = if tty.is_some() {
            Pipes::default()
        } else {
            Pipes::new(spec.stdin_open, user).map_err(fail("make the pipes of"))?
        };
        let name = cgroup_name(&self.dirs, &self.project, &spec);
        let cgroup = CgroupPath::new(&name)
            .map_err(|e| StepFailure::environment(format!("find the cgroup of {}", spec.name), &e))?;
        let record = CgroupRecord { name, directories: cgroup.directories().map(Into::into).collect() };
        write_json(&dir.join("cgroup.json"), &record)?;
        let filter = bundle::filter(&spec, false)?;
        let rootfs = Rootfs::Overlay {
            lowers: spec.image.layers.clone(),
            upper: dir.join("upper"),
            work: dir.join("work"),
            // It is removed as soon as it ends.
            ephemeral: spec.auto_remove,
        };
        let injected =
            [("/etc/hosts", "hosts"), ("/etc/hostname", "hostname"), ("/etc/resolv.conf", "resolv.conf")];
        let mounted = |target: &str| spec.mounts.iter().any(|m| m.target == target);
        let request = CreateRequest {
            id: id.as_str(),
            spec: &oci,
            rootfs: &rootfs,
            stdin: pipes.child[0].as_ref().map(AsFd::as_fd),
            stdout: pipes.child[1].as_ref().map(AsFd::as_fd),
            stderr: pipes.child[2].as_ref().map(AsFd::as_fd),
            terminal: tty.map(|(rows, columns)| WinSize { rows, columns }),
            init: spec.init,
            cgroup: &cgroup,
            files: injected
                .into_iter()
                .filter(|(target, _)| !mounted(target))
                .map(|(path, name)| InjectedFile { path: path.into(), source: files.join(name) })
                .collect(),
            seccomp: filter.as_ref(),
            pdeathsig: true,
        };
        let created = rcompose_runtime::create(&request).map_err(|e| match &e {
            CreateError::Child(child) => explained(child_failure(&spec, child), child, &self.dirs.lib),
            _ => create_failure(&spec, e),
        })?;
        let pid = created.pid.as_raw_nonzero().get();
        let notes = created.warnings.iter().map(|w| w.0.clone()).collect();
        let logged = attach.is_none();
        let copy = |fd: &Option<OwnedFd>| {
            fd.as_ref()
                .map(|f| rustix::io::fcntl_dupfd_cloexec(f, 3))
                .transpose()
                .map_err(fail("keep the pipes of"))
        };
        let [stdin, stdout, stderr] = std::mem::take(&mut pipes.ours);
        let mut fds = Fds::default();
        let pidfd = rustix::io::fcntl_dupfd_cloexec(&created.pidfd, 3).map_err(fail("keep"))?;
        fds.push(Fd::Pidfd, Some(created.pidfd));
        fds.push(Fd::Netns, Some(created.netns));
        fds.push(Fd::Go, Some(created.go));
        let status = rustix::io::fcntl_dupfd_cloexec(&created.status, 3).map_err(fail("keep"))?;
        fds.push(Fd::Status, Some(created.status));
        let mut kept = Kept {
            pid,
            pidfd,
            cgroup,
            stdout: None,
            stderr: None,
            console: None,
            _stdin: None,
            exited: None,
            status,
        };
        if logged {
            fds.push(Fd::Console, copy(&created.console)?);
            fds.push(Fd::Stdout, copy(&stdout)?);
            fds.push(Fd::Stderr, copy(&stderr)?);
            (kept.console, kept.stdout, kept.stderr, kept._stdin) = (created.console, stdout, stderr, stdin);
        } else {
            fds.push(Fd::Console, created.console);
            fds.push(Fd::Stdin, stdin);
            fds.push(Fd::Stdout, stdout);
            fds.push(Fd::Stderr, stderr);
        }
        self.containers.insert(id.clone(), kept);
        Ok((pid, notes, fds))
    }

    /// Namespaces of other containers that this one joins.
    fn joined(&self, spec: &ContainerSpec) -> Result<Vec<(LinuxNamespaceType, PathBuf)>, StepFailure> {
        let mut out = Vec::new();
        let mut join = |kind: LinuxNamespaceType, name: &str, id: &ContainerId| {
            let Some(k) = self.containers.get(id).filter(|k| k.exited.is_none()) else {
                let message = format!(
                    "cannot join the {name} namespace of container {}: it is not running",
                    id.short()
                );
                return Err(StepFailure::new(FailureKind::User, message).at(&spec.origin));
            };
            out.push((kind, PathBuf::from(format!("/proc/{}/ns/{name}", k.pid))));
            Ok(())
        };
        if let NetNs::Container(id) = &spec.net {
            join(LinuxNamespaceType::Network, "net", id)?;
        }
        if let NsMode::Container(id) = &spec.pid {
            join(LinuxNamespaceType::Pid, "pid", id)?;
        }
        if let NsMode::Container(id) = &spec.ipc {
            join(LinuxNamespaceType::Ipc, "ipc", id)?;
        }
        if let NsMode::Container(id) = &spec.uts {
            join(LinuxNamespaceType::Uts, "uts", id)?;
        }
        Ok(out)
    }

    /// Starts a process in a running container.
    pub(crate) fn exec(&mut self, seq: u64, id: &ContainerId, exec: &ExecSpec) -> (FromKeeper, Fds) {
        match self.try_exec(id, exec) {
            Ok((pid, notes, fds)) => (FromKeeper::Started { seq, pid, notes, fds: fds.kinds() }, fds),
            Err(failure) => (FromKeeper::Failed { seq, failure }, Fds::default()),
        }
    }

    fn try_exec(
        &mut self,
        id: &ContainerId,
        exec: &ExecSpec,
    ) -> Result<(i32, Vec<String>, Fds), StepFailure> {
        let dir = self.dirs.container(&self.project, id);
        let spec: Option<ContainerSpec> = read_json(&dir.join("spec.json"))?;
        let kept = self.containers.get(id).filter(|k| k.exited.is_none());
        let (Some(spec), Some(kept)) = (spec, kept) else {
            let message = format!("container {} is not running", id.short());
            return Err(StepFailure::new(FailureKind::User, message));
        };
        let process = bundle::exec_process(&spec, exec, &dir.join("upper"))?;
        let fail = |e: rustix::io::Errno| {
            StepFailure::environment(format!("start a process in container {}", spec.name), &e)
        };
        let user = (process.user().uid(), process.user().gid());
        let mut pipes = match (exec.detached, exec.tty.is_some()) {
            (true, _) => Pipes::null().map_err(fail)?,
            (false, true) => Pipes::default(),
            (false, false) => Pipes::new(exec.stdin, user).map_err(fail)?,
        };
        let filter = bundle::filter(&spec, exec.privileged)?;
        let target_pid = Pid::from_raw(kept.pid)
            .ok_or_else(|| StepFailure::new(FailureKind::Internal, "a container without a process"))?;
        let request = ExecRequest {
            target: kept.pidfd.as_fd(),
            target_pid,
            process: &process,
            stdin: pipes.child[0].as_ref().map(AsFd::as_fd),
            stdout: pipes.child[1].as_ref().map(AsFd::as_fd),
            stderr: pipes.child[2].as_ref().map(AsFd::as_fd),
            terminal: exec.tty.map(|(rows, columns)| WinSize { rows, columns }),
            cgroup: &kept.cgroup,
            seccomp: filter.as_ref(),
            pdeathsig: true,
        };
        let done = rcompose_runtime::exec(&request).map_err(|e| create_failure(&spec, e))?;
        let pid = done.pid.as_raw_nonzero().get();
        self.execs.push(pid);
        let [stdin, stdout, stderr] = std::mem::take(&mut pipes.ours);
        let mut fds = Fds::default();
        fds.push(Fd::Pidfd, Some(done.pidfd));
        fds.push(Fd::Status, Some(done.status));
        fds.push(Fd::Console, done.console);
        fds.push(Fd::Stdin, stdin);
        fds.push(Fd::Stdout, stdout);
        fds.push(Fd::Stderr, stderr);
        Ok((pid, done.warnings.iter().map(|w| w.0.clone()).collect(), fds))
    }

    /// A child has ended: its record first, then the news. `None` for processes that nobody asked for.
    pub(crate) fn ended(&mut self, pid: i32, code: i32) -> Option<FromKeeper> {
        if let Some(at) = self.execs.iter().position(|p| *p == pid) {
            self.execs.swap_remove(at);
            return Some(FromKeeper::ExecExited { pid, code });
        }
        let (id, kept) = self.containers.iter_mut().find(|(_, k)| k.pid == pid && k.exited.is_none())?;
        let oom_killed = code == 137 && kept.cgroup.oom_kills().is_ok_and(|n| n > 0);
        let at = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX));
        let path = self.dirs.container(&self.project, id).join("exit.json");
        if let Err(e) = write_json(&path, &ExitFile { code, at, oom_killed }) {
            eprintln!("keeper: {e}");
        }
        let note = ExitNote { code, at, oom_killed };
        kept.exited = Some(note.clone());
        Some(FromKeeper::ContainerExited { id: id.clone(), pid, note })
    }
}

fn create_failure(spec: &ContainerSpec, e: CreateError) -> StepFailure {
    if let CreateError::Child(child) = &e {
        return child_failure(spec, child);
    }
    StepFailure::environment(format!("start container {}", spec.name), &e)
}

/// What the child reported, with the service's name and place.
pub(crate) fn child_failure(spec: &ContainerSpec, child: &rcompose_runtime::ChildError) -> StepFailure {
    let message = format!("{}: cannot start container {}: {child}", bundle::named(&spec.service), spec.name);
    let mut f = StepFailure::new(FailureKind::User, message).at(bundle::command_place(spec));
    f.exit_code = Some(child.exit_code());
    f
}
