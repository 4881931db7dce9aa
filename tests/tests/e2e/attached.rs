//! `up` in the foreground.

use std::time::Duration;

use rcompose_e2e::Project;
use rustix::process::Signal;

use crate::POLITE;

#[test]
fn ctrl_c_stops_everything_and_keeps_it() {
    let Some(p) = Project::new(
        "attached-int",
        &format!(
            "services:\n  a: {{image: busybox:latest, command: {POLITE}}}\n  b: {{image: busybox:latest, command: {POLITE}}}\n"
        ),
    ) else {
        return;
    };
    let mut up = p.start("up");
    up.wait_for("a-1  | up", Duration::from_secs(20)).unwrap();
    up.wait_for("b-1  | up", Duration::from_secs(20)).unwrap();
    up.signal(Signal::INT).unwrap();
    up.end().unwrap().code_is(130).within(Duration::from_secs(30));
    let all = p.ps();
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(all.iter().all(|c| c["State"] == "exited"), "{all:?}");
    p.run("down").ok();
    p.nothing_left(true);
}

#[test]
fn ends_with_its_last_container() {
    let Some(p) = Project::new(
        "attached-end",
        "services:\n  once: {image: busybox:latest, command: [sh, -c, 'echo one; echo two >&2; exit 4']}\n",
    ) else {
        return;
    };
    p.run("up").ok().out("once-1  | one\n").err("once-1  | two\n").out("exited with code 4");
    assert_eq!(p.property("once", "ExitCode"), "4");
}

#[test]
fn status_from_one_service() {
    let Some(p) = Project::new(
        "attached-from",
        &format!(
            "services:
  tests: {{image: busybox:latest, command: [sh, -c, 'exit 6']}}
  server: {{image: busybox:latest, command: {POLITE}}}
"
        ),
    ) else {
        return;
    };
    p.run("up --exit-code-from tests").code_is(6);
    assert_eq!(p.property("server", "State"), "exited");
}

#[test]
fn logs_follow_and_end() {
    let Some(p) = Project::new(
        "attached-logs",
        "services:\n  talker: {image: busybox:latest, command: [sh, -c, 'for i in 1 2 3; do echo line $$i; sleep 0.3; done; printf unfinished']}\n",
    ) else {
        return;
    };
    p.run("up -d").ok();
    p.run("logs -f").ok().out("talker-1  | line 1\n").out("line 3\n").out("unfinished");
    let tail = p.run("logs --tail 2 --no-log-prefix").ok();
    assert_eq!(tail.stdout.trim_end(), "line 3\nunfinished");
}
