//! What a container is kept from: devices, namespaces, system calls, memory's rules.

use std::path::Path;

use rcompose_e2e::Project;

use crate::POLITE;

fn one(name: &str, attributes: &str) -> Option<Project> {
    let service = format!("services:\n  box:\n    image: busybox:latest\n    command: {POLITE}\n");
    Project::new(name, &format!("{service}{attributes}"))
}

#[test]
fn namespaces_and_devices() {
    let Some(p) = one(
        "confine-places",
        "    cgroup: host
    ipc: none
    cap_add: [MKNOD]
    device_cgroup_rules: ['c 10:200 rwm']
",
    ) else {
        return;
    };
    p.run("up -d").ok().not_err("honoured");
    let own = std::fs::read_link("/proc/self/ns/cgroup").unwrap();
    p.sh("box", "readlink /proc/self/ns/cgroup; readlink /proc/1/ns/cgroup").ok().out(own.to_str().unwrap());
    p.sh("box", "grep -c -e /dev/shm -e /dev/mqueue /proc/mounts").out("0\n");
    // The tunnel's device is allowed by the rule, FUSE's by none.
    p.sh("box", "mknod /tmp/tun c 10 200 && exec 3<>/tmp/tun").ok();
    p.sh("box", "mknod /tmp/fuse c 10 229 && exec 3<>/tmp/fuse").code_is(1).err("Operation not permitted");
    p.run("down").ok();
    p.nothing_left(true);
}

#[test]
fn memory_rules_of_the_first_cgroups() {
    let Some(p) =
        one("confine-memory", "    oom_kill_disable: true\n    mem_swappiness: 7\n    mem_limit: 64m\n")
    else {
        return;
    };
    let up = p.run("up -d").ok();
    let containers = p.root().join("lib/projects/confine-memory/containers");
    let container = std::fs::read_dir(containers).unwrap().next().unwrap().unwrap().path();
    let record = std::fs::read(container.join("cgroup.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    let directories = record["directories"].as_array().unwrap().iter();
    let mut memory =
        directories.map(|d| Path::new(d.as_str().unwrap())).filter(|d| d.join("memory.swappiness").exists());
    if let Some(directory) = memory.next() {
        let read = |file: &str| std::fs::read_to_string(directory.join(file)).unwrap();
        assert_eq!(read("memory.swappiness"), "7\n");
        assert!(read("memory.oom_control").contains("oom_kill_disable 1"), "{}", read("memory.oom_control"));
        p.run("check --strict").ok();
    } else {
        up.err("cgroup v2 has neither");
        p.run("check --strict").code_is(1).out("needs cgroup v1");
    }
}

#[test]
fn system_calls() {
    let Some(p) =
        one("confine-calls", "    security_opt: ['seccomp:./profile.json', no-new-privileges:true]\n")
    else {
        return;
    };
    p.file(
        "profile.json",
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
            {"names": ["symlink", "symlinkat"], "action": "SCMP_ACT_ERRNO", "includes": {"caps": ["CAP_SYS_ADMIN"]}}]}"#,
    );
    p.run("up -d").ok().not_err("honoured");
    p.sh("box", "mkdir /tmp/x").code_is(1).err("No space left on device");
    p.sh("box", "ln -s a /tmp/y && unshare -U true").ok();
    p.sh("box", "grep NoNewPrivs /proc/1/status /proc/self/status")
        .ok()
        .out("/proc/1/status:NoNewPrivs:\t1\n");
    let id = p.property("box", "ID");
    p.file("profile.json", r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#);
    p.run("up -d").ok();
    assert_ne!(id, p.property("box", "ID"));
    p.sh("box", "mkdir /tmp/x").ok();
    p.file("profile.json", r#"{"defaultAction": "#);
    p.run("up -d").code_is(1).err("profile.json can't be used: EOF while parsing").err("compose.yaml:5:");
}

#[test]
fn without_walls() {
    let Some(p) = one(
        "confine-open",
        "    security_opt: [seccomp=unconfined, systempaths=unconfined, label=disable, apparmor=unconfined]\n",
    ) else {
        return;
    };
    p.run("up -d").ok().not_err("honoured");
    p.sh("box", "grep Seccomp: /proc/1/status").ok().out("Seccomp:\t0\n");
    p.sh("box", "grep -c -e ' /proc/sys ' -e ' /sys/firmware ' /proc/mounts").out("0\n");
}
