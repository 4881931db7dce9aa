//! What RUN may take of the machine, and docker's flags of old.

use rcompose_e2e::Project;

/// Cgroup v1 has a directory for each controller.
const SHOW: &str = "cd /sys/fs/cgroup; for f in memory/memory.limit_in_bytes memory.max cpuset/cpuset.cpus cpuset.cpus; do \
                    if [ -e $f ]; then echo \"${f##*/} is $(cat $f)\"; fi; done";

#[test]
fn limits_of_run() {
    let Some(p) =
        Project::new("build-limits", "services:\n  a: {build: .}\n  b: {build: {dockerfile: Greedy}}\n")
    else {
        return;
    };
    p.file("Dockerfile", &format!("FROM busybox:latest\nRUN {SHOW}\n"));
    p.run("image build --no-cache --progress plain --cgroup-parent x/y -m 64m --resource cpuset-cpus=0 .")
        .ok()
        .err(" is 67108864\n")
        .err("cpuset.cpus is 0\n");
    // What it may take is no part of what it does.
    p.run("image build --progress plain .").ok().err("CACHED");
    p.run("--progress plain build --no-cache --memory 48m a").ok().err(" is 50331648\n");
    p.file("Greedy", "FROM busybox:latest\nRUN awk 'BEGIN { x = \"a\"; while (1) x = x x }'\n");
    p.run("image build -f Greedy --resource memory=32m --resource memory-swap=32m .")
        .code_is(1)
        .err("it took more memory than the 33554432 bytes it may");
}

#[test]
fn flags_of_old() {
    let Some(p) = Project::new("build-flags", "services: {}\n") else { return };
    p.file("Dockerfile", "FROM busybox:latest\nRUN true\n");
    p.file("Hosts", "FROM busybox:latest\nRUN cat /etc/hosts\n");
    p.run("image build --rm=false --force-rm --compress=true -D --no-cache=false --policy disabled=true -q=true .")
        .ok()
        .out("sha256:");
    p.run("image build --squash --isolation default --security-opt a .")
        .ok()
        .err("warning: experimental flag squash is removed with BuildKit.")
        .err("warning: isolation flag is deprecated with BuildKit.")
        .err("warning: security-opt flag is deprecated.");
    p.run(
        "image build --no-cache --progress plain --platform local --add-host a.x:1.2.3.4,b.x=::5 -f Hosts .",
    )
    .ok()
    .err("1.2.3.4\ta.x")
    .err("::5\tb.x");
    p.file("id", "old");
    p.run("image build --iidfile id --target nowhere .").code_is(1);
    assert!(!p.dir().join("id").exists());
    for (flags, said) in [
        ("--policy filename=x.rego", "builds have no policies"),
        ("--resource memory", "invalid resource `memory`"),
        ("--cpu-shares x", "for the resource cpu-shares"),
        ("--ulimit nofile=5:3", "the soft limit is above the hard one"),
        ("--ulimit nofiles=5", "there is no limit `nofiles`"),
        ("--no-cache --no-cache-filter a", "--no-cache and --no-cache-filter cannot be used together"),
        ("-q --progress plain", "--progress plain and --quiet cannot be used together"),
        ("--allow nonsense", "unknown entitlement `nonsense`"),
        ("--label =a", "the name is empty"),
        ("--no-cache=maybe", "unexpected value 'maybe'"),
    ] {
        p.run(&format!("image build {flags} .")).code_is(1).err(said);
    }
}
