use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use oci_spec::runtime::LinuxNamespaceType;
use rcompose_engine::{FailureKind, StepFailure};
use rcompose_model::{Origin, Recursive, RestartPolicy, ServiceName, Signal};
use rcompose_plan::{
    ContainerId, ContainerSpec, DnsSettings, ImageRef, MountSource, MountSpec, NetNs, NsMode,
};
use rcompose_runtime::cgroup::CgroupPath;
use rcompose_runtime::{CreateError, CreateRequest, InjectedFile, Rootfs, read_status};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, unmount};

use super::network::{BuildNet, resolv_conf};
use super::terminal::{self, open_terminal};
use super::wire::{Kind, send};
use super::{BuildNetwork, BuildStep};
use crate::Dirs;
use crate::bundle::{self, Places};
use crate::files::{make_dir, remove_tree, write_atomic};
use crate::records::list_dir;

/// Runs as a build's helper: steps come in on standard input, output and statuses go out on standard output, until
/// the end of the input. Returns the exit status.
pub fn build_helper_main(dirs: &Dirs) -> i32 {
    match serve(dirs) {
        Ok(()) => 0,
        // The builder was killed before it heard of its step.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => 1,
        Err(e) => {
            eprintln!("build: {e}");
            1
        }
    }
}

fn serve(dirs: &Dirs) -> io::Result<()> {
    // Ctrl-C is the builder's to handle: it closes our input.
    drop(rustix::process::setsid().map_err(io::Error::from));
    private_mounts()?;
    if let Err(e) = sweep(dirs) {
        eprintln!("build: {e}");
    }
    let mut net = None;
    let mut input = io::stdin().lock();
    let mut number = 0u64;
    loop {
        let mut head = [0u8; 4];
        match input.read_exact(&mut head) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            other => other?,
        }
        let mut json = vec![0; u32::from_le_bytes(head) as usize];
        input.read_exact(&mut json)?;
        let step: BuildStep = serde_json::from_slice(&json)?;
        number += 1;
        if !run(dirs, &step, number, &mut net)? {
            return Ok(());
        }
    }
}

/// What is mounted from now on goes with this process, however it ends.
fn private_mounts() -> io::Result<()> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?;
    // The host's later mounts still arrive: a cache may be on one.
    let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", slave)?;
    Ok(())
}

/// Where a step's cgroup is if it isn't where they usually are; the step's own files hide it while it runs.
const CGROUP: &str = "cgroup";

/// Removes what helpers left that were killed: their steps died with them. What can't be removed is told, and stays for
/// the next one.
fn sweep(dirs: &Dirs) -> Result<(), StepFailure> {
    let all = dirs.run.join("build-files");
    for name in list_dir(&all)? {
        let pid = name.split('-').next().and_then(|p| p.parse::<u32>().ok());
        if pid.is_none_or(|p| fs::exists(format!("/proc/{p}")).unwrap_or(true)) {
            continue;
        }
        if let Err(e) = clear(dirs, &all.join(&name), &name) {
            eprintln!("build: {e}");
        }
    }
    Ok(())
}

/// Removes what one of them left of a step.
fn clear(dirs: &Dirs, files: &Path, name: &str) -> Result<(), StepFailure> {
    let usual = || format!("rcompose-{}/build/{name}", dirs.root_hash());
    CgroupPath::new(&fs::read_to_string(files.join(CGROUP)).unwrap_or_else(|_| usual()))
        .and_then(|c| c.kill().and_then(|()| c.remove()))
        .map_err(|e| StepFailure::environment("remove a killed build's cgroup", &e))?;
    Ok(remove_tree(files)?)
}

/// Runs one step and says how it ended. False: the builder has gone, the step was killed.
fn run(dirs: &Dirs, step: &BuildStep, number: u64, net: &mut Option<BuildNet>) -> io::Result<bool> {
    let (root, pid) = (dirs.root_hash(), std::process::id());
    let name = match step.cgroup_parent.as_deref().map(|p| p.trim_matches('/')).filter(|p| !p.is_empty()) {
        Some(parent) => format!("{parent}/rcompose-{root}-build-{pid}-{number}"),
        None => format!("rcompose-{root}/build/{pid}-{number}"),
    };
    let files = dirs.run.join("build-files").join(format!("{pid}-{number}"));
    let cgroup =
        CgroupPath::new(&name).map_err(|e| StepFailure::environment("find a build step's cgroup", &e));
    let result = cgroup.as_ref().map_err(Clone::clone).and_then(|cgroup| {
        if step.network == BuildNetwork::Default && net.is_none() {
            *net = Some(BuildNet::make(dirs)?);
        }
        make_dir(&files)?;
        if step.cgroup_parent.is_some() {
            write_atomic(&files.join(CGROUP), name.as_bytes(), 0o600)?;
        }
        memory(&files)?;
        run_in(step, net.as_mut(), &files, cgroup)
    });
    // The builder goes on while the rest is cleared away.
    let mut output = io::stdout().lock();
    let told = match &result {
        Ok(Some(code)) => send(&mut output, Kind::Exit, code.to_string().as_bytes()),
        Ok(None) => Ok(()),
        Err(failure) => send(&mut output, Kind::Failure, &serde_json::to_vec(failure)?),
    };
    drop(output);
    if let Ok(cgroup) = &cgroup
        && let Err(e) = cgroup.kill().and_then(|()| cgroup.remove())
    {
        eprintln!("build: {e}");
    }
    if let Some(net) = net.as_mut().filter(|_| step.insecure) {
        net.renew();
    }
    match unmount(&files, UnmountFlags::DETACH) {
        // It never came to that.
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
        Err(e) => eprintln!("build: failed to unmount {}: {e}", files.display()),
    }
    if let Err(e) = remove_tree(&files) {
        eprintln!("build: {e}");
    }
    told.map(|()| !matches!(result, Ok(None)))
}

/// What a step gets to see of secrets isn't written to a disk.
fn memory(files: &Path) -> Result<(), StepFailure> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("rcompose", files, "tmpfs", flags, Some(c"mode=700"))
        .map_err(|e| StepFailure::environment("make a place for a build step's files", &e))
}

fn run_in(
    step: &BuildStep,
    net: Option<&mut BuildNet>,
    files: &Path,
    cgroup: &CgroupPath,
) -> Result<Option<i32>, StepFailure> {
    write_files(step, files, net.as_deref().map(BuildNet::gateway))?;
    let joined = match net {
        Some(net) if step.network == BuildNetwork::Default => {
            let netns = net.namespace()?.as_raw_fd();
            vec![(LinuxNamespaceType::Network, PathBuf::from(format!("/proc/self/fd/{netns}")))]
        }
        _ => Vec::new(),
    };
    let spec = container(step)?;
    let places =
        Places { upper: step.upper.clone(), mounts: contents(step, files)?, files: Vec::new(), joined };
    let mut oci = bundle::oci_spec(&spec, &places).map_err(|mut f| {
        // Nobody has named it so.
        let named = format!("{}: ", bundle::named(&spec.service));
        f.message = f.message.replacen(&named, "", 1);
        f
    })?;
    // A step's variables are the Dockerfile's; the name of a machine that is gone tomorrow isn't one of them.
    if !step.env.iter().any(|(name, _)| name == "HOSTNAME")
        && let Some(env) = oci.process_mut().as_mut().and_then(|p| p.env_mut().as_mut())
    {
        env.retain(|variable| !variable.starts_with("HOSTNAME="));
    }
    if let Some(mems) = &step.cpuset_mems {
        let mut cpu =
            oci.linux().as_ref().and_then(|l| l.resources().as_ref()?.cpu().clone()).unwrap_or_default();
        cpu.set_mems(Some(mems.to_string()));
        if let Some(resources) = oci.linux_mut().as_mut().and_then(|l| l.resources_mut().as_mut()) {
            resources.set_cpu(Some(cpu));
        }
    }
    let user = oci.process().as_ref().map(|p| (p.user().uid(), p.user().gid())).unwrap_or_default();
    let fail = |e: rustix::io::Errno| StepFailure::environment("run a build step", &e);
    let stdin = stdin(step, files)?;
    let (out_read, out_write) = pipe(user).map_err(fail)?;
    let (err_read, err_write) = pipe(user).map_err(fail)?;
    let filter = bundle::filter(&spec, false)?;
    // What a killed build leaves is made again; what is finished, the store brings to the disk.
    remove_tree(&step.work.join("work/incompat"))?;
    let rootfs = Rootfs::Overlay {
        lowers: step.lowers.clone(),
        upper: step.upper.clone(),
        work: step.work.clone(),
        ephemeral: true,
    };
    let on_terminal = |e: io::Error| StepFailure::environment("open a shell on the terminal", &e);
    let terminal = step.terminal.as_deref().map(open_terminal).transpose().map_err(on_terminal)?;
    let request = CreateRequest {
        id: spec.id.as_str(),
        spec: &oci,
        rootfs: &rootfs,
        stdin: stdin.as_ref().map(AsFd::as_fd),
        stdout: Some(out_write.as_fd()),
        stderr: Some(err_write.as_fd()),
        terminal: terminal.as_ref().map(|(_, size)| *size),
        init: false,
        cgroup,
        files: ["hosts", "resolv.conf"]
            .map(|f| InjectedFile { path: Path::new("/etc").join(f), source: files.join(f) })
            .to_vec(),
        seccomp: filter.as_ref(),
        pdeathsig: true,
    };
    let created = match rcompose_runtime::create(&request) {
        Ok(c) => c,
        Err(CreateError::Child(c)) => return Err(child_failure(&c, &step.upper)),
        Err(e) => return Err(StepFailure::environment("run a build step", &e)),
    };
    drop((out_write, err_write));
    let connected = match step.network {
        BuildNetwork::None => rcompose_network::loopback_up(&created.netns)
            .map_err(|e| StepFailure::environment("bring up loopback", &e)),
        _ => Ok(()),
    };
    let pid = created.pid;
    if let Err(failure) = connected {
        drop(created);
        reap(pid)?;
        return Err(failure);
    }
    rustix::io::write(&created.go, b"g").map_err(fail)?;
    let mut status = Vec::new();
    fs::File::from(created.status)
        .read_to_end(&mut status)
        .map_err(|e| StepFailure::environment("run a build step", &e))?;
    if let Some(child) = read_status(&status) {
        reap(pid)?;
        return Err(child_failure(&child, &step.upper));
    }
    let relayed = match (&terminal, &created.console) {
        (Some((terminal, _)), Some(console)) => terminal::relay(&created.pidfd, console, terminal),
        _ => relay(&created.pidfd, [out_read, err_read]),
    };
    let finished = relayed.map_err(|e| StepFailure::environment("read a build step's output", &e))?;
    if !finished {
        cgroup.kill().map_err(|e| StepFailure::environment("end a build step", &e))?;
    }
    let code = reap(pid)?;
    Ok(finished.then_some(code))
}

fn reap(pid: rustix::process::Pid) -> Result<i32, StepFailure> {
    use rustix::process::{WaitOptions, waitpid};
    let ended = waitpid(Some(pid), WaitOptions::empty())
        .map_err(|e| StepFailure::environment("wait for a build step", &e))?;
    let code = ended.and_then(|(_, s)| s.exit_status().or_else(|| s.terminating_signal().map(|n| 128 + n)));
    Ok(code.unwrap_or(255))
}

fn child_failure(child: &rcompose_runtime::ChildError, upper: &Path) -> StepFailure {
    let mut f = StepFailure::new(FailureKind::User, child.to_string());
    f.exit_code = Some(child.exit_code());
    crate::under::explained(f, child, upper)
}

fn pipe(owner: (u32, u32)) -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let (uid, gid) = (rustix::fs::Uid::from_raw(owner.0), rustix::fs::Gid::from_raw(owner.1));
    rustix::fs::fchown(&write, Some(uid), Some(gid))?;
    Ok((read, write))
}

fn stdin(step: &BuildStep, files: &Path) -> Result<Option<OwnedFd>, StepFailure> {
    let Some(bytes) = &step.stdin else { return Ok(None) };
    let path = files.join("stdin");
    write_atomic(&path, bytes, 0o600)?;
    let file = fs::File::open(&path).map_err(|e| crate::StateError::read(&path, e))?;
    Ok(Some(file.into()))
}

/// The sources of the mounts.
fn contents(step: &BuildStep, files: &Path) -> Result<Vec<Option<PathBuf>>, StepFailure> {
    let mut sources = Vec::new();
    for (number, m) in step.mounts.iter().enumerate() {
        let Some(bytes) = &m.content else {
            sources.push(m.source.clone().or_else(|| m.writes.clone()));
            continue;
        };
        let path = files.join(format!("content{number}"));
        write_atomic(&path, bytes, 0o600)?;
        let set = std::os::unix::fs::chown(&path, Some(m.uid), Some(m.gid))
            .and_then(|()| fs::set_permissions(&path, PermissionsExt::from_mode(m.mode)));
        set.map_err(|e| crate::StateError::write(&path, e))?;
        sources.push(Some(path));
    }
    Ok(sources)
}

fn write_files(step: &BuildStep, files: &Path, gateway: Option<Ipv4Addr>) -> Result<(), StepFailure> {
    let mut hosts =
        format!("127.0.0.1\tlocalhost {}\n::1\tlocalhost ip6-localhost ip6-loopback\n", step.hostname);
    for (name, address) in &step.extra_hosts {
        match address.as_str() {
            // This machine, as the step sees it.
            "host-gateway" => {
                let gateway = gateway.filter(|_| step.network == BuildNetwork::Default);
                hosts.push_str(&format!("{}\t{name}\n", gateway.unwrap_or(Ipv4Addr::LOCALHOST)));
            }
            address => hosts.push_str(&format!("{address}\t{name}\n")),
        }
    }
    if step.network == BuildNetwork::Host {
        hosts.push_str(&crate::etc::host_file("/etc/hosts")?);
    }
    let resolv = match step.network {
        BuildNetwork::Default => resolv_conf()?,
        BuildNetwork::Host => crate::etc::host_file("/etc/resolv.conf")?,
        BuildNetwork::None => String::new(),
    };
    write_atomic(&files.join("hosts"), hosts.as_bytes(), 0o644)?;
    write_atomic(&files.join("resolv.conf"), resolv.as_bytes(), 0o644)?;
    Ok(())
}

/// Copies the output until the process has ended and its pipes are empty; false when the builder has gone.
fn relay(pidfd: &OwnedFd, pipes: [OwnedFd; 2]) -> io::Result<bool> {
    for p in &pipes {
        rustix::io::ioctl_fionbio(p, true)?;
    }
    let input = io::stdin();
    let mut open = [true, true];
    loop {
        let mut fds = vec![
            PollFd::new(pidfd, PollFlags::IN),
            PollFd::from_borrowed_fd(input.as_fd(), PollFlags::empty()),
        ];
        let readers: Vec<usize> = (0..2).filter(|i| open[*i]).collect();
        fds.extend(readers.iter().map(|i| PollFd::new(&pipes[*i], PollFlags::IN)));
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        let ended = !fds[0].revents().is_empty();
        let gone = fds[1].revents().intersects(PollFlags::HUP | PollFlags::ERR);
        drop(fds);
        for i in 0..2 {
            let kind = if i == 0 { Kind::Stdout } else { Kind::Stderr };
            while open[i] {
                let mut chunk = [0u8; 16384];
                match rustix::io::read(&pipes[i], &mut chunk) {
                    Ok(0) => open[i] = false,
                    Ok(n) => match send(&mut io::stdout().lock(), kind, &chunk[..n]) {
                        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(false),
                        other => other?,
                    },
                    Err(rustix::io::Errno::AGAIN) => break,
                    Err(rustix::io::Errno::INTR) => {}
                    Err(e) => return Err(e.into()),
                }
            }
        }
        io::stdout().flush()?;
        if ended {
            return Ok(true);
        }
        if gone {
            return Ok(false);
        }
    }
}

fn container(step: &BuildStep) -> Result<ContainerSpec, StepFailure> {
    let service = ServiceName::new("build").map_err(|e| StepFailure::environment("name a build step", &e))?;
    let bind = |path: &Path| MountSource::Bind {
        path: path.to_owned(),
        create: false,
        propagation: None,
        recursive: Recursive::Enabled,
    };
    let mounts = step.mounts.iter().map(|m| MountSpec {
        source: match &m.source {
            None if m.content.is_some() => bind(Path::new("")),
            None if !m.layers.is_empty() => MountSource::Image { layers: m.layers.clone(), subpath: None },
            Some(path) => bind(path),
            // As BuildKit: set-user-ID bits mean nothing there, all else does.
            None => {
                MountSource::Tmpfs { size: m.size, mode: None, options: vec!["exec".into(), "dev".into()] }
            }
        },
        target: m.target.clone(),
        read_only: m.read_only,
    });
    Ok(ContainerSpec {
        id: ContainerId::derive(&[&step.upper.to_string_lossy()]),
        name: "a build step".to_owned(),
        service,
        number: 1,
        oneoff: true,
        auto_remove: true,
        config_hash: String::new(),
        image: ImageRef { reference: "the stage".into(), id: String::new(), layers: step.lowers.clone() },
        argv: step.argv.clone(),
        env: step.env.clone(),
        user: step.user.clone(),
        groups: Vec::new(),
        cwd: step.cwd.clone(),
        hostname: step.hostname.clone(),
        domainname: String::new(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        mounts: mounts.collect(),
        files: Vec::new(),
        net: if step.network == BuildNetwork::Host { NetNs::Host } else { NetNs::Own },
        endpoints: Vec::new(),
        ports: Vec::new(),
        exposed: Vec::new(),
        extra_hosts: Vec::new(),
        dns: DnsSettings::default(),
        health: None,
        restart: RestartPolicy::No,
        stop_signal: Signal::TERM,
        stop_grace: Duration::ZERO,
        resources: step.resources.clone(),
        ulimits: step
            .ulimits
            .iter()
            .map(|(name, soft, hard)| rcompose_model::Ulimit { name: name.clone(), soft: *soft, hard: *hard })
            .collect(),
        read_only: false,
        cap_add: Vec::new(),
        cap_drop: Vec::new(),
        privileged: step.insecure,
        security: rcompose_model::Security::default(),
        logging: rcompose_model::Logging::Nothing,
        shm_size: step.shm_size.unwrap_or(0),
        sysctls: BTreeMap::new(),
        devices: Vec::new(),
        device_rules: Vec::new(),
        tty: step.terminal.is_some(),
        stdin_open: false,
        init: false,
        pid: NsMode::Own,
        ipc: NsMode::Own,
        cgroup: None,
        uts: NsMode::Own,
        cgroup_parent: None,
        post_start: Vec::new(),
        pre_stop: Vec::new(),
        origin: Origin::default(),
        attribute_origins: Default::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that can't be removed keeps nobody from the others.
    #[test]
    fn sweeps_what_it_can() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = Dirs::under(dir.path());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let left = |n| dirs.run.join("build-files").join(format!("{}-{n}", child.id()));
        for n in [1, 2] {
            fs::create_dir_all(left(n)).unwrap();
        }
        fs::write(left(1).join(CGROUP), "../no/name").unwrap();
        sweep(&dirs).unwrap();
        assert!(left(1).exists() && !left(2).exists());
    }
}
