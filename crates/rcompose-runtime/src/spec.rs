//! What Docker gives a container that asks for nothing special.

use oci_spec::runtime::{
    Linux, LinuxDeviceCgroup, LinuxDeviceType, LinuxNamespace, LinuxNamespaceType, LinuxResources, Mount,
    Process, Root, Spec,
};

use crate::capabilities::{docker_capabilities, for_user};

const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Six namespaces, fourteen capabilities, the usual mounts, masked and read-only paths, device rules.
/// Left to the caller: arguments, environment, user, hostname, and what the service wants otherwise.
pub fn default_spec() -> Spec {
    let mut process = Process::default();
    process
        .set_args(None)
        .set_env(None)
        .set_rlimits(None)
        .set_no_new_privileges(Some(false))
        .set_capabilities(Some(for_user(&docker_capabilities(), 0)));
    let mut linux = Linux::default();
    let mut resources = LinuxResources::default();
    resources.set_devices(Some(device_rules()));
    linux
        .set_namespaces(Some(namespaces()))
        .set_resources(Some(resources))
        .set_masked_paths(Some(MASKED.map(str::to_owned).to_vec()))
        .set_readonly_paths(Some(READ_ONLY.map(str::to_owned).to_vec()))
        .set_devices(None);
    let mut root = Root::default();
    root.set_readonly(Some(false));
    let mut spec = Spec::default();
    spec.set_process(Some(process))
        .set_root(Some(root))
        .set_hostname(None)
        .set_mounts(Some(mounts()))
        .set_linux(Some(linux));
    spec
}

fn namespaces() -> Vec<LinuxNamespace> {
    use LinuxNamespaceType as T;
    [T::Mount, T::Pid, T::Network, T::Uts, T::Ipc, T::Cgroup]
        .map(|kind| {
            let mut namespace = LinuxNamespace::default();
            namespace.set_typ(kind);
            namespace
        })
        .to_vec()
}

fn mounts() -> Vec<Mount> {
    [
        ("/proc", "proc", "proc", "nosuid,noexec,nodev"),
        ("/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
        ("/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
        ("/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"),
        ("/sys/fs/cgroup", "cgroup", "cgroup", "ro,nosuid,noexec,nodev"),
        ("/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"),
        ("/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=67108864"),
    ]
    .map(|(target, kind, source, options)| {
        let mut mount = Mount::default();
        mount
            .set_destination(target.into())
            .set_typ(Some(kind.to_owned()))
            .set_source(Some(source.into()))
            .set_options(Some(options.split(',').map(str::to_owned).collect()));
        mount
    })
    .to_vec()
}

/// Everything denied but making nodes, and using the harmless ones.
fn device_rules() -> Vec<LinuxDeviceCgroup> {
    let rule = |allow, kind, major, minor, access: &str| {
        let mut rule = LinuxDeviceCgroup::default();
        rule.set_allow(allow)
            .set_typ(kind)
            .set_major(major)
            .set_minor(minor)
            .set_access(Some(access.to_owned()));
        rule
    };
    let (character, block) = (Some(LinuxDeviceType::C), Some(LinuxDeviceType::B));
    let mut rules = vec![
        rule(false, Some(LinuxDeviceType::A), None, None, "rwm"),
        rule(true, character, None, None, "m"),
        rule(true, block, None, None, "m"),
    ];
    // null, zero, full, random, urandom; tty, console, ptmx; every terminal.
    for (major, minor) in [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)] {
        rules.push(rule(true, character, Some(major), Some(minor), "rwm"));
    }
    rules.push(rule(true, character, Some(136), None, "rwm"));
    rules
}
