//! Nothing is left: the machine after `down` is the machine before `up`. A test program of its own, with one test, since it compares the whole
//! machine.

use std::time::Duration;

use rcompose_e2e::{Machine, Project, free_port, processes_of};
use rustix::process::{Pid, Signal, kill_process};

fn compose(port: u16) -> String {
    format!(
        "services:
  web:
    build: .
    command: [sh, -c, \"trap 'exit 0' TERM; while :; do sleep 1 & wait $$!; done\"]
    ports: ['{port}:80', '127.0.0.1:0:81']
    networks: [front, back]
    volumes: ['data:/data', '/loose']
    tmpfs: [/run]
    mem_limit: 64m
    pids_limit: 50
    healthcheck: {{test: [CMD, 'true'], interval: 100ms}}
  db:
    image: busybox:latest
    command: [sleep, '1000']
    init: true
    networks: [back]
    deploy: {{replicas: 3}}
networks: {{front: {{}}, back: {{}}}}
volumes: {{data: {{}}}}
"
    )
}

#[track_caller]
fn same(before: &Machine, when: &str) {
    let patience = Duration::from_secs(2);
    let difference = Machine::settled(before, patience).expect("the machine can be looked at");
    assert!(difference.is_empty(), "{when}:\n  {}", difference.join("\n  "));
}

#[test]
fn machine_is_as_before() {
    let Some(p) = Project::new("trace", &compose(free_port().expect("a free port"))) else { return };
    p.file("Dockerfile", "FROM busybox:latest\nRUN echo built > /built\n");
    let before = Machine::at_rest().expect("nobody else is at work here");

    p.run("build").ok();
    same(&before, "after build");

    p.run("up -d --wait").ok();
    let during = Machine::look().expect("the machine can be looked at").difference(&before);
    assert!(during.iter().any(|l| l.starts_with("+ process")), "the snapshot sees nothing: {during:?}");
    p.run("exec -T web true").ok();
    p.run("run --rm -T db true").ok();
    p.run("down -v").ok();
    same(&before, "after up and down");
    p.nothing_left(true);

    p.run("up -d").ok();
    for verb in ["__keeper", "__supervisor"] {
        for pid in processes_of(p.root(), p.name(), verb) {
            let pid = Pid::from_raw(pid).expect("a pid");
            // The supervisor may have gone with its keeper.
            kill_process(pid, Signal::KILL).unwrap_or_else(|e| println!("{verb}: {e}"));
        }
    }
    p.run("down -v").ok();
    same(&before, "after the keeper's death and down");
    p.nothing_left(true);

    p.file("Dockerfile", "FROM busybox:latest\nRUN exit 1\n");
    p.run("build").code_is(1);
    same(&before, "after a failed build");

    p.file("compose.yaml", "services: {web: {image: 'busybox:latest', command: [no-such-thing]}}\n");
    p.run("up -d").code_is(1);
    p.run("down").ok();
    same(&before, "after a failed up");
    p.run("image rm trace-web").ok();
}
