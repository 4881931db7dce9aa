//! From a container's record to an OCI runtime spec.

mod confine;
mod devices;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use confine::all_capabilities;
pub(crate) use confine::{capabilities, filter};
use oci_spec::runtime::{
    LinuxCpu, LinuxDeviceCgroup, LinuxDeviceType, LinuxMemory, LinuxNamespace, LinuxNamespaceType, LinuxPids,
    LinuxResources, Mount, PosixRlimit, PosixRlimitBuilder, PosixRlimitType, Process, Spec, User,
};
use rcompose_engine::{ExecSpec, FailureKind, StepFailure};
use rcompose_model::{Propagation, Recursive, Resources, ServiceName};
use rcompose_plan::{ContainerSpec, MountSource, NetNs, NsMode};
use rcompose_runtime::users::{ResolvedUser, UserError};
use rcompose_runtime::{default_spec, for_user};

use crate::places::{ImagePart, image_part};

pub(crate) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const DEFAULT_SHM: u64 = 64 << 20;
/// The period of `cpus`, microseconds: docker's.
const CPU_PERIOD: u64 = 100_000;

/// Where the parts of a container are on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// The directory that is, or becomes, the overlay's upper one.
    pub(crate) upper: PathBuf,
    /// Real path of each mount that shows a directory or file of the host, in the spec's order;
    /// `None` where there is nothing on the host. An image that may be written to has a directory here, with `upper` and
    /// `work` in it.
    pub(crate) mounts: Vec<Option<PathBuf>>,
    /// Secrets and configs as files, in the spec's order.
    pub(crate) files: Vec<PathBuf>,
    /// Namespaces of other containers that are joined: kind and `/proc/PID/ns/…`.
    pub(crate) joined: Vec<(LinuxNamespaceType, PathBuf)>,
}

fn place(spec: &ContainerSpec, attribute: &str, message: String) -> StepFailure {
    let origin = spec.attribute_origins.get(attribute).unwrap_or(&spec.origin);
    StepFailure::new(FailureKind::Compose, message).at(origin)
}

/// The whole spec.
pub(crate) fn oci_spec(spec: &ContainerSpec, places: &Places) -> Result<Spec, StepFailure> {
    let user = resolve_user(&spec.user, spec, Some(&places.upper))?;
    let granted = capabilities(spec)?;
    let mut oci = default_spec();
    let mut process = oci.process().clone().unwrap_or_default();
    process
        .set_args(Some(spec.argv.clone()))
        .set_env(Some(environment(&spec.env, &user, &hostname(spec), spec.tty)))
        .set_cwd(cwd(&spec.cwd))
        .set_terminal(Some(spec.tty))
        .set_user(oci_user(&user, spec, Some(&places.upper))?)
        .set_capabilities(Some(for_user(&granted, user.uid)))
        .set_no_new_privileges(Some(spec.security.no_new_privileges))
        .set_rlimits(rlimits(spec))
        .set_oom_score_adj(spec.resources.oom_score_adj);
    oci.set_process(Some(process));
    oci.set_hostname(Some(hostname(spec)).filter(|_| spec.uts == NsMode::Own));
    oci.set_domainname(Some(spec.domainname.clone()).filter(|d| !d.is_empty()));
    if let Some(root) = oci.root_mut() {
        root.set_readonly(Some(spec.read_only));
    }
    oci.set_mounts(Some(mounts(spec, places, oci.mounts().clone().unwrap_or_default())?));
    linux(&mut oci, spec, places)?;
    Ok(oci)
}

/// The process of an exec, in the container's terms.
pub(crate) fn exec_process(
    spec: &ContainerSpec,
    exec: &ExecSpec,
    upper: &Path,
) -> Result<Process, StepFailure> {
    let user_text = exec.user.as_deref().unwrap_or(&spec.user);
    let user = resolve_user(user_text, spec, Some(upper))?;
    let granted = if exec.privileged { all_capabilities() } else { capabilities(spec)? };
    let mut env = spec.env.clone();
    for (k, v) in &exec.env {
        env.retain(|(name, _)| name != k);
        env.extend(v.clone().map(|v| (k.clone(), v)));
    }
    let mut process = Process::default();
    process
        .set_args(Some(exec.argv.clone()))
        .set_env(Some(environment(&env, &user, &hostname(spec), exec.tty.is_some())))
        .set_cwd(cwd(exec.cwd.as_deref().unwrap_or(&spec.cwd)))
        .set_terminal(Some(exec.tty.is_some()))
        .set_user(oci_user(&user, spec, Some(upper))?)
        .set_capabilities(Some(for_user(&granted, user.uid)))
        .set_rlimits(rlimits(spec))
        .set_no_new_privileges(Some(spec.security.no_new_privileges))
        .set_oom_score_adj(spec.resources.oom_score_adj);
    Ok(process)
}

pub(crate) fn hostname(spec: &ContainerSpec) -> String {
    if spec.hostname.is_empty() { spec.id.short().to_owned() } else { spec.hostname.clone() }
}

fn cwd(text: &str) -> PathBuf {
    if text.is_empty() { "/".into() } else { text.into() }
}

/// PATH, HOSTNAME, TERM and HOME as docker sets them, unless given.
fn environment(env: &[(String, String)], user: &ResolvedUser, hostname: &str, tty: bool) -> Vec<String> {
    let has = |name: &str| env.iter().any(|(k, _)| k == name);
    let mut out = Vec::with_capacity(env.len() + 4);
    if !has("PATH") {
        out.push(format!("PATH={DEFAULT_PATH}"));
    }
    if !has("HOSTNAME") {
        out.push(format!("HOSTNAME={hostname}"));
    }
    if tty && !has("TERM") {
        out.push("TERM=xterm".to_owned());
    }
    out.extend(env.iter().map(|(k, v)| format!("{k}={v}")));
    if !has("HOME") {
        out.push(format!("HOME={}", user.home));
    }
    out
}

fn image_file(spec: &ContainerSpec, upper: Option<&Path>, path: &str) -> Result<String, StepFailure> {
    rcompose_runtime::users::read_file_in_layers(&spec.image.layers, upper, path)
        .map(Option::unwrap_or_default)
        .map_err(|e| StepFailure::environment(format!("read /{path} of image {}", spec.image.reference), &e))
}

fn resolve_user(text: &str, spec: &ContainerSpec, upper: Option<&Path>) -> Result<ResolvedUser, StepFailure> {
    let (passwd, group) = match text {
        // Root needs no entry, but its home is where passwd says.
        "" => (image_file(spec, upper, "etc/passwd")?, String::new()),
        _ => (image_file(spec, upper, "etc/passwd")?, image_file(spec, upper, "etc/group")?),
    };
    rcompose_runtime::users::resolve(&passwd, &group, text).map_err(|e| user_failure(spec, &e))
}

/// Whether the image knows the users and groups of a container that is not made yet.
pub(crate) fn check_users(spec: &ContainerSpec) -> Result<(), StepFailure> {
    let user = resolve_user(&spec.user, spec, None)?;
    oci_user(&user, spec, None).map(drop)
}

fn user_failure(spec: &ContainerSpec, e: &UserError) -> StepFailure {
    let mut f = place(spec, "user", format!("service \"{}\": {e}", spec.service));
    f.exit_code = Some(126);
    f
}

fn oci_user(user: &ResolvedUser, spec: &ContainerSpec, upper: Option<&Path>) -> Result<User, StepFailure> {
    let mut gids = user.additional_gids.clone();
    if !spec.groups.is_empty() {
        let group = image_file(spec, upper, "etc/group")?;
        for g in &spec.groups {
            let gid = rcompose_runtime::users::resolve_group(&group, g)
                .map_err(|e| place(spec, "group_add", format!("service \"{}\": {e}", spec.service)))?;
            gids.push(gid);
        }
    }
    if !gids.contains(&user.gid) {
        gids.insert(0, user.gid);
    }
    let mut out = User::default();
    out.set_uid(user.uid).set_gid(user.gid).set_additional_gids(Some(gids));
    Ok(out)
}

fn rlimits(spec: &ContainerSpec) -> Option<Vec<PosixRlimit>> {
    let list: Vec<_> = spec
        .ulimits
        .iter()
        .filter_map(|u| {
            let typ = PosixRlimitType::from_str(&format!("RLIMIT_{}", u.name.to_ascii_uppercase())).ok()?;
            let value = |v: i64| u64::try_from(v).unwrap_or(u64::MAX);
            PosixRlimitBuilder::default().typ(typ).soft(value(u.soft)).hard(value(u.hard)).build().ok()
        })
        .collect();
    (!list.is_empty()).then_some(list)
}

fn mount(destination: &str, kind: &str, source: &Path, options: Vec<String>) -> Mount {
    let mut m = Mount::default();
    m.set_destination(destination.into())
        .set_typ(Some(kind.to_owned()))
        .set_source(Some(source.to_owned()))
        .set_options(Some(options));
    m
}

fn image_mount(target: &str, part: ImagePart) -> Mount {
    match part {
        ImagePart::Path(path) => {
            mount(target, "bind", &path, vec!["bind".into(), "rprivate".into(), "ro".into()])
        }
        ImagePart::Layers(layers) => {
            let options = lowers(&layers).chain(["ro".to_owned()]).collect();
            mount(target, "overlay", Path::new("overlay"), options)
        }
    }
}

/// One option for each: together they'd soon be longer than an option can be.
fn lowers(layers: &[PathBuf]) -> impl Iterator<Item = String> {
    layers.iter().map(|l| format!("lowerdir+={}", l.display()))
}

/// Layers of which nothing changes, whatever is written.
fn written_mount(target: &str, layers: &[PathBuf], writes: &Path) -> Mount {
    let own = |name: &str| writes.join(name).display().to_string();
    let more = [
        format!("upperdir={}", own("upper")),
        format!("workdir={}", own("work")),
        "index=off".to_owned(),
        "metacopy=off".to_owned(),
        "rw".to_owned(),
    ];
    mount(target, "overlay", Path::new("overlay"), lowers(layers).chain(more).collect())
}

fn mounts(spec: &ContainerSpec, places: &Places, defaults: Vec<Mount>) -> Result<Vec<Mount>, StepFailure> {
    let taken = |target: &Path| spec.mounts.iter().any(|m| Path::new(&m.target) == target);
    let mut out: Vec<Mount> = Vec::with_capacity(defaults.len() + spec.mounts.len() + spec.files.len());
    for mut m in defaults {
        if taken(m.destination()) {
            continue;
        }
        let target = m.destination().clone();
        if spec.ipc == NsMode::Bare && (target == Path::new("/dev/shm") || target == Path::new("/dev/mqueue"))
        {
            continue;
        }
        if target == Path::new("/dev/shm") && spec.shm_size != 0 && spec.shm_size != DEFAULT_SHM {
            let options = m.options().iter().flatten().filter(|o| !o.starts_with("size=")).cloned();
            let options = options.chain([format!("size={}", spec.shm_size)]).collect();
            m.set_options(Some(options));
        }
        if spec.privileged && (target == Path::new("/sys") || target == Path::new("/sys/fs/cgroup")) {
            let options = m.options().iter().flatten().filter(|o| *o != "ro").cloned().collect();
            m.set_options(Some(options));
        }
        if spec.ipc == NsMode::Host && target == Path::new("/dev/mqueue") {
            m = mount("/dev/mqueue", "bind", Path::new("/dev/mqueue"), vec!["bind".into()]);
        }
        if spec.ipc == NsMode::Host && target == Path::new("/dev/shm") {
            m = mount("/dev/shm", "bind", Path::new("/dev/shm"), vec!["bind".into()]);
        }
        out.push(m);
    }
    for (m, real) in spec.mounts.iter().zip(&places.mounts) {
        let ro = if m.read_only { "ro" } else { "rw" };
        match (&m.source, real) {
            (MountSource::Tmpfs { size, mode, options }, _) => {
                let mut o: Vec<String> = options.clone();
                for default in ["nosuid", "nodev", "noexec"] {
                    let opposite = default.trim_start_matches("no");
                    if !o.iter().any(|x| x == opposite || x == default) {
                        o.push(default.to_owned());
                    }
                }
                if let Some(s) = size {
                    o.push(format!("size={s}"));
                }
                let mode = mode.map_or_else(|| "1777".to_owned(), |m| format!("{m:o}"));
                if !o.iter().any(|x| x.starts_with("mode=")) {
                    o.push(format!("mode={mode}"));
                }
                o.push(ro.to_owned());
                out.push(mount(&m.target, "tmpfs", Path::new("tmpfs"), o));
            }
            (MountSource::Bind { propagation, recursive, .. }, Some(path)) => {
                let propagation = propagation.unwrap_or(Propagation::RPrivate).as_str();
                let bind = if *recursive == Recursive::Disabled { "bind" } else { "rbind" };
                // What lies below is as the mount itself, unless the file says otherwise.
                let ro = match (m.read_only, recursive) {
                    (true, Recursive::Enabled | Recursive::ReadOnly) => "rro",
                    _ => ro,
                };
                out.push(mount(&m.target, "bind", path, vec![bind.into(), propagation.into(), ro.into()]));
            }
            (MountSource::Image { layers, .. }, Some(writes)) => {
                out.push(written_mount(&m.target, layers, writes));
            }
            (MountSource::Image { layers, subpath }, None) => {
                let part = image_part(layers, subpath.as_deref()).map_err(|e| {
                    StepFailure::environment(format!("find what is mounted at {}", m.target), &e)
                })?;
                out.extend(part.map(|part| image_mount(&m.target, part)));
            }
            (MountSource::Volume { .. }, Some(path)) => {
                out.push(mount(&m.target, "bind", path, vec!["rbind".into(), "rprivate".into(), ro.into()]));
            }
            // The supervisor has refused a mount without a source before.
            (_, None) => {}
        }
    }
    for (f, path) in spec.files.iter().zip(&places.files) {
        out.push(mount(&f.target, "bind", path, vec!["bind".into(), "rprivate".into(), "ro".into()]));
    }
    Ok(out)
}

fn linux(oci: &mut Spec, spec: &ContainerSpec, places: &Places) -> Result<(), StepFailure> {
    use LinuxNamespaceType as T;
    let mut linux = oci.linux().clone().unwrap_or_default();
    let joined = |t: T| places.joined.iter().find(|(k, _)| *k == t).map(|(_, p)| p.clone());
    let mut namespaces = Vec::new();
    for t in [T::Mount, T::Pid, T::Network, T::Uts, T::Ipc, T::Cgroup] {
        let of_host = match t {
            T::Network => spec.net == NetNs::Host,
            T::Pid => spec.pid == NsMode::Host,
            T::Ipc => spec.ipc == NsMode::Host,
            T::Uts => spec.uts == NsMode::Host,
            T::Cgroup => match &spec.cgroup {
                Some(mode) => *mode == NsMode::Host,
                None => spec.privileged,
            },
            _ => false,
        };
        if of_host {
            continue;
        }
        let mut n = LinuxNamespace::default();
        n.set_typ(t).set_path(joined(t));
        namespaces.push(n);
    }
    linux.set_namespaces(Some(namespaces));
    let sysctls = spec.sysctls.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    linux.set_sysctl(Some(sysctls));
    let mut resources = linux.resources().clone().unwrap_or_default();
    limits(&mut resources, &spec.resources);
    if spec.privileged || spec.security.system_paths {
        linux.set_masked_paths(None).set_readonly_paths(None);
    }
    let mut nodes = Vec::new();
    if spec.privileged {
        let mut all = LinuxDeviceCgroup::default();
        all.set_allow(true).set_typ(Some(LinuxDeviceType::A)).set_access(Some("rwm".into()));
        resources.set_devices(Some(vec![all]));
    }
    let mut rules = resources.devices().clone().unwrap_or_default();
    for text in &spec.devices {
        let (device, rule) = devices::device(spec, text)?;
        nodes.push(device);
        rules.push(rule);
    }
    rules.extend(spec.device_rules.iter().map(devices::rule));
    resources.set_devices(Some(rules));
    linux.set_resources(Some(resources));
    if !nodes.is_empty() {
        linux.set_devices(Some(nodes));
    }
    oci.set_linux(Some(linux));
    Ok(())
}

fn limits(out: &mut LinuxResources, r: &Resources) {
    let mut memory = LinuxMemory::default();
    let signed = |v: u64| i64::try_from(v).unwrap_or(i64::MAX);
    memory.set_limit(r.memory.map(signed));
    // As docker: without a word on swap, as much swap as memory.
    memory.set_swap(r.memory_swap.or_else(|| r.memory.map(|m| signed(m.saturating_mul(2)))));
    memory.set_reservation(r.memory_reservation.map(signed));
    memory.set_swappiness(r.memory_swappiness);
    if r.oom_kill_disable {
        memory.set_disable_oom_killer(Some(true));
    }
    out.set_memory(Some(memory));
    let mut cpu = LinuxCpu::default();
    cpu.set_shares(r.cpu_shares);
    match r.cpus {
        Some(cpus) if cpus > 0.0 => {
            #[expect(clippy::cast_possible_truncation, reason = "a count of CPUs times 100,000 fits")]
            let quota = (cpus * CPU_PERIOD as f64).round() as i64;
            cpu.set_quota(Some(quota)).set_period(Some(CPU_PERIOD));
        }
        _ => {
            cpu.set_quota(r.cpu_quota).set_period(r.cpu_period);
        }
    }
    cpu.set_cpus(r.cpuset.as_ref().map(ToString::to_string));
    out.set_cpu(Some(cpu));
    if let Some(limit) = r.pids.filter(|p| *p != 0) {
        let mut pids = LinuxPids::default();
        pids.set_limit(limit);
        out.set_pids(Some(pids));
    }
}

/// Says whose command a failure in the child is about.
pub(crate) fn command_place(spec: &ContainerSpec) -> &rcompose_model::Origin {
    ["command", "entrypoint", "image", "build"]
        .iter()
        .find_map(|a| spec.attribute_origins.get(a))
        .unwrap_or(&spec.origin)
}

/// `service "web"`, for messages.
pub(crate) fn named(service: &ServiceName) -> String {
    format!("service \"{service}\"")
}
