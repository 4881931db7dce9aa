//! What a container is like from inside, on the real kernel.

mod common;

use common::{Box, status, wait};
use rcompose_runtime::*;
use std::io::Read;
use std::os::fd::AsFd;

fn output(script: &str) -> String {
    let ended = Box::new(script).run();
    assert_eq!(ended.error, None);
    ended.output.trim().to_owned()
}

#[test]
fn exit_codes() {
    assert_eq!(Box::new("exit 7").run().code, 7);
    assert_eq!(Box::new("sh -c 'kill -9 $$'; exit $?").run().code, 137);
}

#[test]
fn commands_that_can_not_run() {
    let ended = Box::with(&["nosuch"]).run();
    let error = ended.error.unwrap();
    assert_eq!((ended.code, error.exit_code()), (127, 127));
    assert_eq!(error.to_string(), "exec: \"nosuch\": executable file not found in $PATH");
    let ended = Box::with(&["/bin/none"]).run();
    assert_eq!(ended.error.unwrap().to_string(), "exec: \"/bin/none\": no such file or directory");
    for name in ["notexec", "/bin", "/etc/passwd"] {
        let ended = Box::with(&[name]).run();
        assert_eq!((ended.code, ended.error.unwrap().exit_code()), (126, 126), "{name}");
    }
}

#[test]
fn confinement() {
    let script = "grep -E 'CapEff|CapBnd|Seccomp:|NoNewPrivs|SigIgn|SigBlk' /proc/self/status | awk '{print $2}'; ls /proc/self/fd | grep -c .";
    assert_eq!(
        output(script).split_whitespace().collect::<Vec<_>>(),
        ["0000000000000000", "0000000000000000", "00000000a80425fb", "00000000a80425fb", "0", "2", "4"]
    );
    assert!(output("unshare -U true").contains("Operation not permitted"));
    assert!(
        output("mount -t tmpfs x /tmp").contains("permitted")
            || output("mount -t tmpfs x /tmp").contains("denied")
    );
    assert_eq!(output("cat /proc/timer_list; ls /sys/firmware; cat /proc/keys /proc/interrupts"), "");
    assert!(output("echo 1 > /proc/sys/kernel/hostname").contains("Read-only"));
    assert!(output("echo 1 > /proc/irq/default_smp_affinity").contains("Read-only"));
}

#[test]
fn devices_and_mounts() {
    let listed = output("ls /dev | tr '\\n' ' ' 2>/dev/null; ls /dev");
    for name in [
        "null", "zero", "full", "random", "urandom", "tty", "pts", "shm", "mqueue", "ptmx", "stdin", "fd",
        "core",
    ] {
        assert!(listed.split_whitespace().any(|own| own == name), "{name} in {listed}");
    }
    assert_eq!(output("stat -c %a /dev/null /dev/shm /tmp"), "666\n1777\n755");
    assert_eq!(output("readlink /dev/ptmx"), "pts/ptmx");
    assert!(output("cat /proc/mounts").starts_with("overlay / overlay rw"));
    assert!(output("cat /proc/self/cgroup").lines().any(|line| line.ends_with(":/")));
    assert!(output("ip addr show lo").contains("UP"));
    assert!(output("ps; true").lines().count() <= 3);
}

#[test]
fn host_names_users_directories() {
    let mut container = Box::new(
        "hostname; id -u; id -g; id -G; grep CapEff /proc/self/status; stat -c %u .; touch x; echo $PWD",
    );
    container.spec.set_hostname(Some("box".into()));
    let process = container.process();
    process.set_cwd("/srv/new/dir".into());
    process.user_mut().set_uid(1000).set_gid(1000).set_additional_gids(Some(vec![7]));
    process.set_capabilities(Some(for_user(&docker_capabilities(), 1000)));
    let ended = container.run();
    let lines: Vec<_> = ended.output.lines().collect();
    assert_eq!(lines[..5], ["box", "1000", "1000", "1000 7", "CapEff:\t0000000000000000"]);
    assert_eq!(lines[5], "0");
    assert_eq!(lines.last(), Some(&"/srv/new/dir"));
}

#[test]
fn injected_files_binds_and_links() {
    let mut container =
        Box::new("cat /etc/hosts /data/in; echo x > /data/in; echo y > /rw/out; cat /etc/resolv.conf");
    let lower = container.path("lower");
    std::os::unix::fs::symlink("/run/else/resolv.conf", lower.join("etc/resolv.conf")).unwrap();
    std::os::unix::fs::symlink("../../../../../../../../rwtarget", lower.join("rw")).unwrap();
    let host = container.path("host");
    std::fs::create_dir_all(&host).unwrap();
    std::fs::write(host.join("in"), "bound\n").unwrap();
    let mut mounts = container.spec.mounts().clone().unwrap();
    for (target, options) in [("/data", "rbind,ro"), ("/rw", "rbind,rprivate")] {
        let mut mount = oci_spec::runtime::Mount::default();
        mount.set_destination(target.into()).set_source(Some(host.clone())).set_typ(Some("bind".into()));
        mount.set_options(Some(options.split(',').map(str::to_owned).collect()));
        mounts.push(mount);
    }
    container.spec.set_mounts(Some(mounts));
    container.request = |request| {
        for path in ["/etc/hosts", "/etc/resolv.conf"] {
            request.files.push(InjectedFile { path: path.into(), source: "/etc/hostname".into() });
        }
    };
    let name = std::fs::read_to_string("/etc/hostname").unwrap();
    let ended = container.run();
    assert_eq!(ended.error, None);
    let output = ended.output;
    assert!(output.starts_with(&format!("{name}bound\n")), "{output}");
    assert!(output.contains("Read-only") && output.ends_with(&name), "{output}");
    assert_eq!(std::fs::read_to_string(host.join("out")).unwrap(), "y\n");
    assert!(!std::path::Path::new("/rwtarget").exists());
}

#[test]
fn read_only_root() {
    let mut container = Box::new("touch /x; pwd");
    container.spec.root_mut().as_mut().unwrap().set_readonly(Some(true));
    container.process().set_cwd("/srv/dir".into());
    let output = container.run().output;
    assert!(output.contains("Read-only") && output.ends_with("/srv/dir\n"), "{output}");
}

#[test]
fn terminal() {
    let mut container = Box::new("tty; stat -c %t:%T /dev/console; echo > /dev/tty && echo controlled");
    container.request = |request| request.terminal = Some(WinSize { rows: 24, columns: 80 });
    let ended = container.run();
    assert!(
        ended.output.starts_with("/dev/pts/0\r\n88:0\r\n") && ended.output.contains("controlled"),
        "{}",
        ended.output
    );
    let mut failing = Box::new("true");
    failing.process().set_cwd("/bin/sh".into());
    failing.request = |request| request.terminal = Some(WinSize { rows: 24, columns: 80 });
    let ended = failing.run();
    assert_eq!(ended.error.unwrap().stage, Stage::WorkingDirectory);
}

#[test]
fn init_forwards_and_reaps() {
    let mut container = Box::new(
        "trap 'exit 9' TERM; (sleep 0.01 &) ; echo $$; ps | grep -c '[Z]'; while :; do sleep 0.05; done",
    );
    container.request = |request| request.init = true;
    let (created, mut reader) = container.start();
    assert_eq!(status(&created), None);
    let mut first = [0; 1];
    reader.read_exact(&mut first).unwrap();
    assert_eq!(first, *b"2");
    rustix::process::pidfd_send_signal(&created.pidfd, rustix::process::Signal::TERM).unwrap();
    assert_eq!(wait(created.pid), 9);
    let mut missing = Box::with(&["nosuch"]);
    missing.request = |request| request.init = true;
    let ended = missing.run();
    assert_eq!((ended.code, ended.error.unwrap().exit_code()), (127, 127));
}

#[test]
fn exec_into_a_container() {
    let container = Box::with(&["sleep", "100"]);
    let (created, _reader) = container.start();
    assert_eq!(status(&created), None);
    let run = |script: &str, terminal: Option<WinSize>| {
        let mut process = container.spec.process().clone().unwrap();
        process.set_args(Some(["sh", "-c", script].map(str::to_owned).to_vec()));
        let (mut reader, writer) = std::io::pipe().unwrap();
        let filter = container.filter();
        let executed = exec(&ExecRequest {
            target: created.pidfd.as_fd(),
            target_pid: created.pid,
            process: &process,
            stdin: None,
            stdout: Some(writer.as_fd()),
            stderr: Some(writer.as_fd()),
            terminal,
            cgroup: &container.cgroup,
            seccomp: Some(&filter),
            pdeathsig: true,
        })
        .unwrap();
        drop(writer);
        let mut output = Vec::new();
        match &executed.console {
            Some(console) => drop(std::fs::File::from(console.try_clone().unwrap()).read_to_end(&mut output)),
            None => drop(reader.read_to_end(&mut output).unwrap()),
        }
        (wait(executed.pid), String::from_utf8(output).unwrap())
    };
    let (code, output) = run("cat /proc/1/cmdline; grep CapEff /proc/self/status; exit 5", None);
    assert_eq!(code, 5);
    assert!(output.starts_with("sleep") && output.contains("a80425fb"), "{output}");
    assert!(run("tty", Some(WinSize { rows: 1, columns: 1 })).1.starts_with("/dev/pts/0"));
    assert!(container.cgroup.stats().unwrap().memory_bytes.unwrap() > 0);
    let recorded: Vec<std::path::PathBuf> = container.cgroup.directories().map(Into::into).collect();
    let name = format!("rcompose-test/{}", recorded[0].file_name().unwrap().to_str().unwrap());
    let again = rcompose_runtime::cgroup::CgroupPath::from_record(&name, &recorded).unwrap();
    assert!(again.directories().eq(container.cgroup.directories()));
    container.cgroup.freeze().unwrap();
    container.cgroup.thaw().unwrap();
    assert_eq!(container.cgroup.pids().unwrap(), [created.pid]);
    container.cgroup.kill().unwrap();
    assert_eq!(wait(created.pid), 137);
}

#[test]
fn joined_namespaces() {
    let first = Box::with(&["sleep", "100"]);
    let (created, _reader) = first.start();
    assert_eq!(status(&created), None);
    let mut second = Box::new("readlink /proc/self/ns/net; readlink /proc/self/ns/ipc; cat /proc/1/cmdline");
    let mut namespaces = second.spec.linux().as_ref().unwrap().namespaces().clone().unwrap();
    let pid = created.pid.as_raw_nonzero();
    use oci_spec::runtime::LinuxNamespaceType as T;
    for namespace in &mut namespaces {
        for (kind, name) in [(T::Network, "net"), (T::Ipc, "ipc"), (T::Pid, "pid")] {
            if namespace.typ() == kind {
                namespace.set_path(Some(format!("/proc/{pid}/ns/{name}").into()));
            }
        }
    }
    second.spec.linux_mut().as_mut().unwrap().set_namespaces(Some(namespaces));
    let ended = second.run();
    assert_eq!(ended.error, None);
    for name in ["net", "ipc"] {
        let link = std::fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
        assert!(ended.output.contains(link.to_str().unwrap()), "{}", ended.output);
    }
    assert!(ended.output.contains("sleep\0"));
    first.cgroup.kill().unwrap();
    wait(created.pid);
}

#[test]
fn limits() {
    let mut container = Box::new("ulimit -n; tail /dev/zero");
    let mut resources = container.spec.linux().as_ref().unwrap().resources().clone().unwrap();
    let mut memory = oci_spec::runtime::LinuxMemory::default();
    memory.set_limit(Some(32 << 20));
    let mut pids = oci_spec::runtime::LinuxPids::default();
    pids.set_limit(50);
    let mut cpu = oci_spec::runtime::LinuxCpu::default();
    cpu.set_quota(Some(50_000)).set_shares(Some(512)).set_cpus(Some("0".into()));
    resources.set_memory(Some(memory)).set_pids(Some(pids)).set_cpu(Some(cpu));
    container.spec.linux_mut().as_mut().unwrap().set_resources(Some(resources));
    let limit = oci_spec::runtime::PosixRlimitBuilder::default()
        .typ(oci_spec::runtime::PosixRlimitType::RlimitNofile)
        .soft(100u64)
        .hard(200u64)
        .build()
        .unwrap();
    container.process().set_rlimits(Some(vec![limit]));
    let ended = container.run();
    assert!(ended.output.starts_with("100\n"));
    assert_eq!(ended.code, 137);
    assert!(container.cgroup.oom_kills().unwrap() >= 1);
}

#[test]
fn given_up() {
    let container = Box::new("true");
    let (created, _reader) = container.create();
    let (pid, read_end) = (created.pid, created.status.try_clone().unwrap());
    drop(created);
    let mut bytes = Vec::new();
    std::fs::File::from(read_end).read_to_end(&mut bytes).unwrap();
    assert_eq!(read_status(&bytes).unwrap().stage, Stage::Abandoned);
    assert_eq!(wait(pid), 128);
}

/// What a supervisor leaves that is killed between the two steps of removing a cgroup.
#[test]
fn a_killed_cgroup_is_made_anew() {
    let container = Box::new("true");
    container.cgroup.create(None).unwrap();
    container.cgroup.kill().unwrap();
    assert_eq!(container.run().code, 0);
}

/// Two who find what a killed one left: for each it is gone, with what was above it.
#[test]
fn a_cgroup_is_removed_by_two_at_once() {
    for _ in 0..200 {
        let name = format!("rcompose-two-{}/x/y", std::process::id());
        let cgroup = cgroup::CgroupPath::new(&name).unwrap();
        cgroup.create(None).unwrap();
        let at_once = std::sync::Barrier::new(2);
        let remove = || {
            at_once.wait();
            cgroup.kill().unwrap();
            cgroup.remove().unwrap();
            cgroup.directories().all(|d| !d.ancestors().nth(2).unwrap().exists())
        };
        std::thread::scope(|scope| {
            let both = [scope.spawn(remove), scope.spawn(remove)];
            assert!(both.into_iter().all(|one| one.join().unwrap()));
        });
    }
}

#[test]
fn the_container_dies_with_its_caller() {
    let container = Box::new("sleep 100");
    let (send, receive) = std::sync::mpsc::channel();
    // PR_SET_PDEATHSIG is about the thread that cloned.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (created, reader) = container.start();
            assert_eq!(status(&created), None);
            send.send((created.pid, reader)).unwrap();
        });
    });
    let (pid, _reader) = receive.recv().unwrap();
    assert_eq!(wait(pid), 137);
}

#[test]
fn sysctls_and_no_new_privileges() {
    let mut container =
        Box::new("cat /proc/sys/net/ipv4/ip_unprivileged_port_start; grep NoNewPrivs /proc/self/status");
    let linux = container.spec.linux_mut().as_mut().unwrap();
    linux.set_sysctl(Some([("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned())].into()));
    container.process().set_no_new_privileges(Some(true));
    assert_eq!(container.run().output, "0\nNoNewPrivs:\t1\n");
}
