//! This machine, for one project's supervisor.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use rcompose_engine::{
    ExecSpec, FailureKind, Host, HostEvent, ProbeOutcome, SignalOutcome, Started, StepFailure,
};
use rcompose_model::{ProjectName, Signal};
use rcompose_plan::{
    ContainerId, ContainerSpec, ContainerState, ContainerStatus, LocalOp, MountSource, NetNs, NsMode,
    Observed, Plan,
};
use rcompose_runtime::cgroup::CgroupPath;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::{mpsc, oneshot};

use crate::files::{make_dir, read_json, remove_file, remove_tree, write_json};
use crate::keeper::child_failure;
use crate::link::{Begun, Found, KeeperLink, started};
use crate::net::Networks;
use crate::places::{files_dir, mount_path};
use crate::records::{ProjectFile, list_dir, settle_dead};
use crate::wire::{Fd, Fds, FromKeeper, ToKeeper};
use crate::{Dirs, ProjectMeta, StateError, claims, etc, volumes};

/// The most of a probe's output that is kept, bytes: docker's limit.
const PROBE_OUTPUT: usize = 4096;

/// How long rules of ended containers stay, so that many are taken back at once.
const SETTLE_AFTER: Duration = Duration::from_millis(100);

/// This machine, for one project.
pub struct LocalHost {
    dirs: Dirs,
    project: ProjectName,
    keeper: Rc<KeeperLink>,
    keeper_pid: i32,
    events: tokio::sync::Mutex<mpsc::UnboundedReceiver<HostEvent>>,
    file: RefCell<ProjectFile>,
    networks: Rc<Networks>,
    /// Rules of ended containers are about to be taken back.
    settling: Rc<Cell<bool>>,
    running: RefCell<BTreeMap<ContainerId, Running>>,
    execs: RefCell<HashMap<i32, OwnedFd>>,
    /// Containers that the keeper still has; the others' records say more than is true.
    found: RefCell<Vec<Found>>,
    /// Events of adopted containers that have ended meanwhile.
    late: RefCell<Vec<HostEvent>>,
    seal: Cell<Option<OwnedFd>>,
    filling: tokio::sync::Mutex<()>,
}

struct Running {
    spec: Rc<ContainerSpec>,
    pid: i32,
    pidfd: Rc<OwnedFd>,
}

impl LocalHost {
    /// Meets the keeper over its socket. Call it inside a current-thread tokio runtime's local set.
    pub async fn connect(dirs: Dirs, project: ProjectName, socket: OwnedFd) -> io::Result<Self> {
        let keeper = KeeperLink::new(socket)?;
        let lost = || io::Error::other("the keeper said nothing");
        let (hello, _) = keeper.recv().await.map_err(io::Error::other)?.ok_or_else(lost)?;
        let FromKeeper::Hello { pid: keeper_pid, containers } = hello else { return Err(lost()) };
        let mut found = Vec::new();
        while found.len() < containers.len() {
            let (message, fds) = keeper.recv().await.map_err(io::Error::other)?.ok_or_else(lost)?;
            if let FromKeeper::Adopted { id, pid, exited, .. } = message {
                found.push(Found { id, pid, exited, fds });
            }
        }
        let (sender, events) = mpsc::unbounded_channel();
        let reader = keeper.clone();
        tokio::task::spawn_local(async move {
            // Its end closes the event queue; that is how the supervisor learns of it.
            drop(reader.read_all(sender).await);
        });
        let file = ProjectFile::read(&dirs, &project).map_err(io::Error::other)?.unwrap_or_default();
        let networks = Networks::new(dirs.clone(), project.clone(), &file.networks);
        let host = Self {
            dirs,
            project,
            keeper,
            keeper_pid,
            events: tokio::sync::Mutex::new(events),
            file: RefCell::new(file),
            networks: Rc::new(networks),
            settling: Rc::default(),
            running: RefCell::default(),
            execs: RefCell::default(),
            found: RefCell::new(found),
            late: RefCell::default(),
            seal: Cell::new(None),
            filling: tokio::sync::Mutex::new(()),
        };
        host.sweep().map_err(|e| io::Error::other(e.to_string()))?;
        Ok(host)
    }

    /// Finishes what a crash left half-done.
    fn sweep(&self) -> Result<(), StateError> {
        {
            let file = self.file.borrow();
            let keep: Vec<_> = file.networks.values().collect();
            claims::sweep(&self.dirs, &self.project, &keep)?;
        }
        let all = self.dirs.project(&self.project).join("containers");
        for name in list_dir(&all)? {
            let dir = all.join(&name);
            let state: Option<ContainerState> = read_json(&dir.join("state.json"))?;
            let removing = state.is_some_and(|s| s.status == ContainerStatus::Removing);
            if removing || !dir.join("spec.json").exists() {
                remove_cgroup(&dir);
                remove_tree(&dir)?;
            }
        }
        Ok(())
    }

    fn container_dir(&self, id: &ContainerId) -> PathBuf {
        self.dirs.container(&self.project, id)
    }

    fn change_file(&self, change: impl FnOnce(&mut ProjectFile)) -> Result<(), StepFailure> {
        let mut file = self.file.borrow_mut();
        change(&mut file);
        make_dir(&self.dirs.project(&self.project))?;
        file.write(&self.dirs, &self.project)?;
        Ok(())
    }

    async fn create_container(&self, spec: &ContainerSpec) -> Result<(), StepFailure> {
        let dir = self.container_dir(&spec.id);
        for sub in ["upper", "work"] {
            make_dir(&dir.join(sub))?;
        }
        write_json(&dir.join("spec.json"), spec)?;
        for m in &spec.mounts {
            if let MountSource::Volume { name, copy, .. } = &m.source {
                self.prepare_volume(spec, name, *copy, &m.target).await?;
            }
        }
        Ok(())
    }

    /// Fills a new volume from the image; one container at a time, so that two that share it don't mix.
    async fn prepare_volume(
        &self,
        spec: &ContainerSpec,
        name: &str,
        copy: bool,
        target: &str,
    ) -> Result<(), StepFailure> {
        let dir = self.dirs.volume(name);
        let marker = dir.join("filled");
        if !copy || marker.exists() {
            return Ok(());
        }
        if !dir.join("volume.json").exists() {
            let message = format!("volume {name} is not there");
            return Err(StepFailure::new(FailureKind::Internal, message).at(&spec.origin));
        }
        let _turn = self.filling.lock().await;
        let (data, layers, target) = (dir.join("_data"), spec.image.layers.clone(), target.to_owned());
        tokio::task::spawn_blocking(move || volumes::fill(&data, &layers, &target))
            .await
            .map_err(|e| StepFailure::environment(format!("fill volume {name}"), &e))??;
        crate::files::write_atomic(&marker, b"", 0o600)?;
        Ok(())
    }

    fn check_mounts(&self, spec: &ContainerSpec) -> Result<(), StepFailure> {
        for (i, m) in spec.mounts.iter().enumerate() {
            let Some(path) = mount_path(&self.dirs, m) else { continue };
            if path.exists() {
                continue;
            }
            let origin = spec.attribute_origins.get(&format!("volumes.{i}"));
            let origin = origin.or_else(|| spec.attribute_origins.get("volumes")).unwrap_or(&spec.origin);
            match &m.source {
                MountSource::Bind { create: true, .. } => make_dir(&path)?,
                MountSource::Bind { .. } => {
                    let message = format!(
                        "service \"{}\": bind source path does not exist: {}",
                        spec.service,
                        path.display()
                    );
                    let hint = "make it, or set bind.create_host_path: true";
                    return Err(StepFailure::new(FailureKind::Compose, message).hint(hint).at(origin));
                }
                _ => {
                    let message = format!(
                        "service \"{}\": {} is not there: {}",
                        spec.service,
                        m.target,
                        path.display()
                    );
                    return Err(StepFailure::new(FailureKind::Environment, message).at(origin));
                }
            }
        }
        Ok(())
    }

    fn write_etc(&self, spec: &ContainerSpec) -> Result<(), StepFailure> {
        let running = self.running.borrow();
        let owner = match &spec.net {
            NetNs::Container(id) => running.get(id).map(|r| r.spec.clone()),
            _ => None,
        };
        let gateway = self.networks.gateway(owner.as_deref().unwrap_or(spec));
        let dir = files_dir(&self.dirs, &self.project, &spec.id);
        etc::write(&dir, spec, owner.as_deref(), gateway)
    }

    /// Connects a created process and lets it execute.
    async fn release_process(&self, spec: &ContainerSpec, fds: &mut Fds) -> Result<(), StepFailure> {
        if let Some(netns) = fds.take(Fd::Netns) {
            self.networks.connect(spec, &netns)?;
        }
        if let Some(go) = fds.take(Fd::Go) {
            match rustix::io::write(&go, b"g") {
                // It has failed already: its status says how.
                Ok(_) | Err(rustix::io::Errno::PIPE) => {}
                Err(e) => return Err(StepFailure::environment("start the process", &e)),
            }
        }
        await_exec(spec, fds).await
    }

    fn remove_container(&self, id: &ContainerId, with_volumes: bool) -> Result<(), StepFailure> {
        let dir = self.container_dir(id);
        let spec: Option<ContainerSpec> = read_json(&dir.join("spec.json"))?;
        remove_cgroup(&dir);
        remove_tree(&files_dir(&self.dirs, &self.project, id))?;
        // The record goes last: until then everything can be found again.
        remove_tree(&dir.join("upper"))?;
        remove_tree(&dir.join("work"))?;
        if let Some(spec) = spec.filter(|_| with_volumes) {
            for m in &spec.mounts {
                let MountSource::Volume { name, .. } = &m.source else { continue };
                let record: Option<rcompose_plan::VolumeSpec> =
                    read_json(&self.dirs.volume(name).join("volume.json"))?;
                if record.is_some_and(|v| v.anonymous) {
                    volumes::remove(&self.dirs, name)?;
                    self.change_file(|f| {
                        f.volumes.remove(name);
                    })?;
                }
            }
        }
        remove_file(&dir.join("spec.json"))?;
        remove_tree(&dir)?;
        Ok(())
    }

    fn remove_network(&self, name: &str) -> Result<(), StepFailure> {
        let spec = self.file.borrow().networks.get(name).cloned();
        let Some(spec) = spec else { return Ok(()) };
        self.networks.remove(name)?;
        self.change_file(|f| drop(f.networks.remove(name)))?;
        if claims::give_back(&self.dirs, &spec)? {
            let marker = self.dirs.run.join("ip_forward");
            if marker.exists() {
                rcompose_network::restore_ip_forward()
                    .map_err(|e| StepFailure::environment("restore ip_forward", &e))?;
                remove_file(&marker)?;
            }
        }
        Ok(())
    }

    fn create_network(&self, spec: &rcompose_plan::NetworkSpec) -> Result<(), StepFailure> {
        self.change_file(|f| drop(f.networks.insert(spec.name.clone(), spec.clone())))?;
        self.forward_packets()?;
        self.networks.create(spec)
    }

    /// The host must forward; whether it did before is recorded first.
    fn forward_packets(&self) -> Result<(), StepFailure> {
        let path = "/proc/sys/net/ipv4/ip_forward";
        if etc::host_file(path)?.trim() == "1" {
            return Ok(());
        }
        crate::files::write_atomic(&self.dirs.run.join("ip_forward"), b"0\n", 0o600)?;
        rcompose_network::enable_ip_forward()
            .map(drop)
            .map_err(|e| StepFailure::environment("let the host forward packets", &e))
    }

    /// Takes back the rules of ended containers, those of many in one step: a stack that goes down, or a
    /// container that is started again at once, costs no change at all.
    fn settle_rules_soon(&self) {
        if self.settling.replace(true) {
            return;
        }
        let (networks, settling) = (self.networks.clone(), self.settling.clone());
        tokio::task::spawn_local(async move {
            tokio::time::sleep(SETTLE_AFTER).await;
            settling.set(false);
            if let Err(e) = networks.settle_rules() {
                eprintln!("supervisor: {e}");
            }
        });
    }

    /// Takes containers over that a former supervisor started.
    fn adopt(&self, found: Found) -> Option<HostEvent> {
        let Found { id, pid, exited, mut fds } = found;
        let dir = self.container_dir(&id);
        let spec: ContainerSpec = read_json(&dir.join("spec.json")).ok().flatten()?;
        let spec = Rc::new(spec);
        let pidfd = Rc::new(fds.take(Fd::Pidfd)?);
        let mut ports = Vec::new();
        if exited.is_none() {
            // What can't be had again (a port that someone took in between) costs the port, not the container.
            ports = self.networks.hold_ports(&spec).unwrap_or_default();
            if let Some(netns) = fds.take(Fd::Netns)
                && let Err(e) = self.networks.reconnect(&spec, &netns)
            {
                eprintln!("supervisor: {e}");
            }
            self.running.borrow_mut().insert(id.clone(), Running { spec, pid, pidfd });
        }
        let mut begun = Begun { pid, notes: Vec::new(), fds };
        let mut s = started(&mut begun);
        s.ports = ports;
        Some(HostEvent::Adopted { id, started: s })
    }
}

/// Removes the cgroup that a container's record names. What stays is reported when the same name is made again.
fn remove_cgroup(dir: &Path) {
    let Ok(Some(record)) = read_json::<CgroupRecord>(&dir.join("cgroup.json")) else { return };
    if let Ok(cgroup) = CgroupPath::from_record(&record.name, &record.directories) {
        if let Err(e) = cgroup.kill() {
            eprintln!("supervisor: {e}");
        }
        if let Err(e) = cgroup.remove() {
            eprintln!("supervisor: {e}");
        }
    }
}

/// `cgroup.json`: where a container's cgroup is, for whoever removes it.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct CgroupRecord {
    pub(crate) name: String,
    pub(crate) directories: Vec<PathBuf>,
}

/// Waits until the process has executed; what it reports instead is the failure.
async fn await_exec(spec: &ContainerSpec, fds: &mut Fds) -> Result<(), StepFailure> {
    let Some(status) = fds.take(Fd::Status) else { return Ok(()) };
    let bytes = read_to_end(status, 256)
        .await
        .map_err(|e| StepFailure::environment(format!("start {}", spec.name), &e))?;
    match rcompose_runtime::read_status(&bytes) {
        None => Ok(()),
        Some(child) => Err(child_failure(spec, &child)),
    }
}

async fn read_to_end(fd: OwnedFd, limit: usize) -> io::Result<Vec<u8>> {
    rustix::io::ioctl_fionbio(&fd, true)?;
    let pipe = Receiver::from_owned_fd_unchecked(fd)?;
    let mut out = Vec::new();
    loop {
        pipe.readable().await?;
        let mut chunk = [0u8; 512];
        match pipe.try_read(&mut chunk) {
            Ok(0) => return Ok(out),
            Ok(n) => {
                let room = limit.saturating_sub(out.len());
                out.extend_from_slice(&chunk[..n.min(room)]);
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
}

impl Host for LocalHost {
    async fn run(&self, op: &LocalOp) -> Result<(), StepFailure> {
        match op {
            LocalOp::CreateNetwork { spec } => self.create_network(spec),
            LocalOp::RemoveNetwork { name } => self.remove_network(name),
            LocalOp::CreateVolume { spec } => {
                self.change_file(|f| {
                    f.volumes.insert(spec.name.clone());
                })?;
                volumes::create(&self.dirs, spec)
            }
            LocalOp::RemoveVolume { name } => {
                volumes::remove(&self.dirs, name)?;
                self.change_file(|f| {
                    f.volumes.remove(name);
                })
            }
            // The planner has named a predecessor's anonymous volumes in the spec already.
            LocalOp::CreateContainer { spec, .. } => self.create_container(spec).await,
            LocalOp::RemoveContainer { id, volumes } => self.remove_container(id, *volumes),
            LocalOp::RenameContainer { id, name } => {
                let path = self.container_dir(id).join("spec.json");
                if let Some(mut spec) = read_json::<ContainerSpec>(&path)? {
                    spec.name.clone_from(name);
                    write_json(&path, &spec)?;
                }
                Ok(())
            }
            LocalOp::StartContainer { .. }
            | LocalOp::WaitFor { .. }
            | LocalOp::StopContainer { .. }
            | LocalOp::KillContainer { .. }
            | LocalOp::PauseContainer { .. }
            | LocalOp::UnpauseContainer { .. } => {
                let message = format!("{op:?} is the supervisor's");
                Err(StepFailure::new(FailureKind::Internal, message))
            }
        }
    }

    async fn start(
        &self,
        spec: &ContainerSpec,
        attach: Option<Option<(u16, u16)>>,
    ) -> Result<Started, StepFailure> {
        let spec = Rc::new(spec.clone());
        self.check_mounts(&spec)?;
        let ports = self.networks.hold_ports(&spec)?;
        let result = async {
            self.write_etc(&spec)?;
            let mut begun = self.keeper.create(&spec.id, attach).await?;
            let pidfd = begun.fds.take(Fd::Pidfd).ok_or_else(crate::link::keeper_gone)?;
            let entry = Running { spec: spec.clone(), pid: begun.pid, pidfd: Rc::new(pidfd) };
            self.running.borrow_mut().insert(spec.id.clone(), entry);
            self.release_process(&spec, &mut begun.fds).await?;
            Ok(started(&mut begun))
        }
        .await;
        match result {
            Ok(mut s) => {
                s.ports = ports;
                Ok(s)
            }
            Err(failure) => {
                self.release(&spec).await;
                Err(failure)
            }
        }
    }

    async fn release(&self, spec: &ContainerSpec) {
        self.running.borrow_mut().remove(&spec.id);
        if self.networks.disconnect(&spec.id) {
            self.settle_rules_soon();
        }
        remove_cgroup(&self.container_dir(&spec.id));
    }

    async fn signal(&self, id: &ContainerId, signal: Signal) -> Result<SignalOutcome, StepFailure> {
        let (pid, pidfd, own_ns) = match self.running.borrow().get(id) {
            Some(r) => (r.pid, r.pidfd.clone(), r.spec.pid == NsMode::Own),
            None => return Ok(SignalOutcome::Gone),
        };
        if signal != Signal::KILL && own_ns && !handles(pid, signal) {
            return Ok(SignalOutcome::Ineffective);
        }
        send(&pidfd, signal)
    }

    async fn freeze(&self, id: &ContainerId, frozen: bool) -> Result<(), StepFailure> {
        let record: Option<CgroupRecord> = read_json(&self.container_dir(id).join("cgroup.json"))?;
        let fail = |e: &dyn std::error::Error| {
            StepFailure::environment(
                format!("{} container {}", if frozen { "pause" } else { "unpause" }, id.short()),
                e,
            )
        };
        let Some(record) = record else {
            return Err(StepFailure::new(
                FailureKind::User,
                format!("container {} is not running", id.short()),
            ));
        };
        let cgroup = CgroupPath::from_record(&record.name, &record.directories).map_err(|e| fail(&e))?;
        if frozen { cgroup.freeze() } else { cgroup.thaw() }.map_err(|e| fail(&e))
    }

    async fn exec(&self, spec: &ContainerSpec, exec: &ExecSpec) -> Result<Started, StepFailure> {
        let mut begun = self.keeper.exec(&spec.id, exec, None).await?;
        await_exec(spec, &mut begun.fds).await?;
        if let Some(pidfd) = begun.fds.take(Fd::Pidfd) {
            self.execs.borrow_mut().insert(begun.pid, pidfd);
        }
        Ok(started(&mut begun))
    }

    async fn signal_exec(&self, pid: i32, signal: Signal) -> Result<(), StepFailure> {
        match self.execs.borrow().get(&pid) {
            Some(pidfd) => send(pidfd, signal).map(drop),
            None => Ok(()),
        }
    }

    async fn probe(&self, spec: &ContainerSpec, argv: &[String], timeout: Duration) -> ProbeOutcome {
        let (exit, ended) = oneshot::channel();
        let exec = ExecSpec { argv: argv.to_vec(), ..ExecSpec::default() };
        let failed =
            |f: StepFailure| ProbeOutcome { exit_code: f.exit_code.unwrap_or(-1), output: f.message };
        let mut begun = match self.keeper.exec(&spec.id, &exec, Some(exit)).await {
            Ok(b) => b,
            Err(f) => return failed(f),
        };
        if let Err(f) = await_exec(spec, &mut begun.fds).await {
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

    async fn next_event(&self) -> Option<HostEvent> {
        loop {
            let found = self.found.borrow_mut().pop();
            let Some(f) = found else { break };
            let ended = f.exited.clone().map(|n| (f.id.clone(), f.pid, n));
            let event = self.adopt(f);
            if let Some((id, pid, n)) = ended {
                // Adopt first, so that its log is completed; the end follows through the same queue.
                let end =
                    HostEvent::ContainerExited { id, pid, code: n.code, at: n.at, oom_killed: n.oom_killed };
                self.late.borrow_mut().push(end);
            }
            if event.is_some() {
                return event;
            }
        }
        if let Some(late) = self.late.borrow_mut().pop() {
            return Some(late);
        }
        let event = self.events.lock().await.recv().await;
        if let Some(HostEvent::ExecExited { pid, .. }) = &event {
            self.execs.borrow_mut().remove(pid);
        }
        event
    }

    async fn observe(&self) -> Result<Observed, StepFailure> {
        let record = crate::records::read_project(&self.dirs, &self.project)?;
        let mut observed = record.map(|r| r.observed).unwrap_or_default();
        let found = self.found.borrow();
        for (id, c) in &mut observed.containers {
            if !found.iter().any(|f| f.id == *id) {
                let dir = self.container_dir(id);
                settle_dead(&dir, &mut c.state)?;
                write_json(&dir.join("state.json"), &c.state)?;
            }
        }
        Ok(observed)
    }

    fn claim(&self, plan: &Plan) -> Result<bool, StepFailure> {
        for step in &plan.steps {
            if let LocalOp::CreateNetwork { spec } = &step.op
                && !claims::take(&self.dirs, &self.project, spec)?
            {
                let file = self.file.borrow();
                let keep: Vec<_> = file.networks.values().collect();
                claims::sweep(&self.dirs, &self.project, &keep)?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn generation(&self) -> u64 {
        self.file.borrow().generation
    }

    fn advance(&self) -> Result<(), StepFailure> {
        self.change_file(|f| f.generation += 1)
    }

    fn keep_meta(&self, working_dir: &Path, config_files: &[PathBuf]) {
        let meta = ProjectMeta { working_dir: working_dir.to_owned(), config_files: config_files.to_vec() };
        self.file.borrow_mut().meta = meta;
    }

    fn save_state(&self, id: &ContainerId, state: &ContainerState) -> Result<(), StepFailure> {
        write_json(&self.container_dir(id).join("state.json"), state)?;
        Ok(())
    }

    fn log_path(&self, id: &ContainerId) -> PathBuf {
        self.dirs.log_file(&self.project, id)
    }

    fn forget(&self, id: &ContainerId) {
        if let Err(e) = self.keeper.tell(&ToKeeper::Forget { id: id.clone() }) {
            eprintln!("supervisor: {e}");
        }
    }

    fn seal(&self) -> bool {
        let run = self.dirs.project_run(&self.project);
        let Ok(lock) = fs::File::create(run.join("start.lock")) else { return false };
        if rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
            return false;
        }
        // From here on nobody can connect: who wants to, waits for this lock and then finds no socket.
        if let Err(e) = self.clean_up(&run) {
            eprintln!("supervisor: {e}");
        }
        if let Err(e) = self.keeper.tell(&ToKeeper::Finish) {
            eprintln!("supervisor: {e}");
        }
        self.seal.set(Some(lock.into()));
        true
    }

    fn keeper_pid(&self) -> i32 {
        self.keeper_pid
    }
}

impl LocalHost {
    /// Removes the socket, and the directories of a project of which nothing is left.
    fn clean_up(&self, run: &Path) -> Result<(), StateError> {
        remove_file(&run.join("sock"))?;
        let empty = {
            let file = self.file.borrow();
            file.networks.is_empty()
                && file.volumes.iter().all(|v| !self.dirs.volume(v).exists())
                && list_dir(&self.dirs.project(&self.project).join("containers"))?.is_empty()
        };
        let left_volumes = !self.file.borrow().volumes.is_empty();
        let bare = self.file.borrow().networks.is_empty()
            && list_dir(&self.dirs.project(&self.project).join("containers"))?.is_empty();
        if empty || (bare && left_volumes) {
            remove_tree(&self.dirs.project(&self.project))?;
            remove_tree(run)?;
        }
        Ok(())
    }
}

fn send(pidfd: &OwnedFd, signal: Signal) -> Result<SignalOutcome, StepFailure> {
    let fail = |e: &dyn std::error::Error| StepFailure::environment(format!("send {signal}"), e);
    let sig = rustix::process::Signal::from_named_raw(signal.number());
    let Some(sig) = sig else {
        let message = format!("{signal} can't be sent");
        return Err(StepFailure::new(FailureKind::Unsupported, message));
    };
    match rustix::process::pidfd_send_signal(pidfd, sig) {
        Ok(()) => Ok(SignalOutcome::Sent),
        Err(rustix::io::Errno::SRCH) => Ok(SignalOutcome::Gone),
        Err(e) => Err(fail(&e)),
    }
}

/// Whether a container's PID 1 can be reached by a signal: it catches or blocks it (proc_pid_status(5)).
fn handles(pid: i32, signal: Signal) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return true };
    let bit = 1u64 << (signal.number() - 1);
    let has = |key: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(key));
        line.and_then(|v| u64::from_str_radix(v.trim(), 16).ok()).is_none_or(|m| m & bit != 0)
    };
    has("SigCgt:") || has("SigBlk:")
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
                match pipe.try_read(&mut chunk) {
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
