//! One project from its first `up` to its `down`.

use std::time::Duration;

use rcompose_e2e::Project;

use crate::{GRACE, POLITE};

fn two(name: &str) -> Option<Project> {
    Project::new(
        name,
        &format!(
            "services:
  web:
    image: busybox:latest
    command: {POLITE}
    environment: {{COLOUR: '${{COLOUR:-red}}'}}
  other:
    image: busybox:latest
    command: {POLITE}
"
        ),
    )
}

#[test]
fn up_ps_logs_exec_down() {
    let Some(p) = two("life-basic") else { return };
    p.run("up -d").ok().within(Duration::from_secs(20));
    let all = p.ps();
    assert_eq!(all.len(), 2, "{all:?}");
    assert_eq!(all[0]["Name"], "life-basic-other-1");
    assert_eq!(all[0]["Service"], "other");
    assert_eq!(all[1]["State"], "running");
    assert_eq!(all[1]["Project"], "life-basic");
    p.run("ps").ok().out("NAME").out("life-basic-web-1").out("busybox:latest").out("Up ");
    p.run("ps --services").ok().out("web\n").out("other\n");
    p.await_log("web", "up\n");
    p.await_log("other", "up\n");
    p.run("logs web").ok().out("web-1  | up\n").not_out("other-1");
    p.run("logs --no-log-prefix other").ok().out("up\n").not_out("|");
    p.run("exec -T web echo in-there").ok().out("in-there\n");
    p.run("exec -T -e A=b -w /tmp web sh -c pwd").ok().out("/tmp\n");
    p.run("exec -T -e COLOUR web sh -c set").ok().not_out("COLOUR=");
    p.run("exec -T -u nobody web id -u").ok().out("65534\n");
    p.sh("web", "exit 7").code_is(7);
    p.run("exec -T web no-such-command").code_is(127);
    p.run("images").ok().out("busybox");
    p.run("down").ok().within(GRACE);
    p.run("ps -a").ok().not_out("life-basic");
    p.nothing_left(true);
}

/// What systemd as PID 1 wants: a real-time signal.
#[test]
fn real_time_signals() {
    let compose = "services:
  web:
    image: busybox:latest
    command: ['sh', '-c', \"trap 'echo four' 38; trap 'exit 9' 37; echo up; while :; do sleep 0.05; done\"]
    stop_signal: SIGRTMIN+3
";
    let Some(p) = Project::new("life-realtime", compose) else { return };
    p.run("up -d").ok();
    p.await_log("web", "up\n");
    p.run("kill -s RTMIN+4").ok();
    p.await_log("web", "four\n");
    p.run("stop").ok().within(GRACE);
    assert_eq!(p.property("web", "ExitCode"), "9");
}

#[test]
fn second_up_changes_nothing() {
    let Some(p) = two("life-again") else { return };
    p.run("up -d").ok();
    let before = (p.property("web", "ID"), p.property("other", "ID"));
    p.run("up -d").ok();
    assert_eq!(before, (p.property("web", "ID"), p.property("other", "ID")));
    p.run("up -d --force-recreate other").ok();
    assert_eq!(before.0, p.property("web", "ID"));
    assert_ne!(before.1, p.property("other", "ID"));
}

#[test]
fn only_what_changed_is_recreated() {
    let Some(p) = two("life-change") else { return };
    p.run("up -d").ok();
    let before = (p.property("web", "ID"), p.property("other", "ID"));
    let p = p.env("COLOUR", "blue");
    p.run("up -d").ok();
    assert_ne!(before.0, p.property("web", "ID"));
    assert_eq!(before.1, p.property("other", "ID"));
    p.sh("web", "echo $COLOUR").ok().out("blue\n");
}

#[test]
fn dry_run_says_and_does_nothing() {
    let Some(p) = two("life-dry") else { return };
    let shown = p.run("up -d --dry-run").ok();
    let text = format!("{}{}", shown.stdout, shown.stderr);
    assert!(text.contains("web") && text.contains("other"), "{}", shown.describe());
    assert!(p.ps().is_empty());
    p.nothing_left(true);
}

#[test]
fn stop_start_restart_kill() {
    let Some(p) = two("life-verbs") else { return };
    // A process that has not come to its trap yet is killed, not asked.
    let ready = |starts: usize| {
        let begun = std::time::Instant::now();
        while p.run("logs --no-log-prefix web").ok().stdout.matches("up\n").count() < starts {
            assert!(begun.elapsed() < Duration::from_secs(10), "web has not started {starts} times");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    p.run("up -d").ok();
    ready(1);
    let id = p.property("web", "ID");
    p.run("stop web").ok().within(GRACE);
    assert_eq!(p.property("web", "State"), "exited");
    assert_eq!(p.property("web", "ExitCode"), "0");
    assert_eq!(p.property("other", "State"), "running");
    p.run("exec -T web true").code_is(1).err("not running");
    p.run("start web").ok();
    assert_eq!(p.property("web", "State"), "running");
    ready(2);
    p.run("restart web").ok();
    assert_eq!(p.property("web", "State"), "running");
    assert_eq!(p.property("web", "ID"), id);
    ready(3);
    p.run("kill other").ok();
    assert_eq!(p.property("other", "ExitCode"), "137");
}

#[test]
fn replicas_come_and_go() {
    let Some(p) = two("life-scale") else { return };
    p.run("up -d --scale web=3").ok();
    let names = |p: &Project| -> Vec<String> {
        let web = p.ps().into_iter().filter(|c| c["Service"] == "web");
        web.map(|c| c["Name"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(names(&p), ["life-scale-web-1", "life-scale-web-2", "life-scale-web-3"]);
    p.run("up -d --scale web=1").ok();
    assert_eq!(names(&p), ["life-scale-web-1"]);
}

#[test]
fn down_needs_no_file() {
    let Some(p) = two("life-nofile") else { return };
    p.run("up -d").ok();
    std::fs::remove_file(p.dir().join("compose.yaml")).unwrap();
    p.cmd("-p life-nofile down").env_remove("COMPOSE_PROJECT_NAME").run().unwrap().ok();
    p.nothing_left(true);
}

#[test]
fn orphans_are_named_and_removed_when_asked() {
    let Some(p) = two("life-orphan") else { return };
    p.run("up -d").ok();
    p.file("compose.yaml", &format!("services:\n  web: {{image: busybox:latest, command: {POLITE}}}\n"));
    p.run("up -d").ok().err("orphan");
    assert_eq!(p.ps().len(), 2);
    p.run("up -d --remove-orphans").ok();
    assert_eq!(p.ps().len(), 1);
}

#[test]
fn profiles_choose() {
    let Some(p) = Project::new(
        "life-profiles",
        &format!(
            "services:
  always: {{image: busybox:latest, command: {POLITE}}}
  rare: {{image: busybox:latest, command: {POLITE}, profiles: [debug]}}
"
        ),
    ) else {
        return;
    };
    p.run("config --services").ok().out("always").not_out("rare");
    p.run("up -d").ok();
    assert_eq!(p.ps().len(), 1);
    p.run("--profile debug up -d").ok();
    assert_eq!(p.ps().len(), 2);
    p.run("--profile debug down").ok();
    p.nothing_left(true);
}

#[test]
fn config_shows_what_was_understood() {
    let Some(p) = two("life-config") else { return };
    p.file(".env", "COLOUR=green\n");
    let json = p.run("config --format json").ok();
    let value: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(value["name"], "life-config");
    assert_eq!(value["services"]["web"]["environment"]["COLOUR"], "green");
    p.run("config").ok().out("COLOUR: green");
    p.run("config -q").ok();
}

/// The names of Compose 1, by the flag or by the variable.
#[test]
fn names_with_underscores() {
    let Some(p) = two("life-names") else { return };
    p.run("--compatibility up -d web").ok().err("Container life-names_web_1  Started");
    p.await_log("web", "up\n");
    p.run("logs web").ok().out("web_1  | up\n");
    p.file(".env", "COMPOSE_COMPATIBILITY=1\n");
    p.run("up -d").ok().err("Container life-names_other_1  Started").err("life-names_web_1  Running");
    p.run("ps").ok().out("life-names_other_1").out("life-names_web_1");
    p.run("run --rm -d web").ok().out("life-names_web_run_");
    p.run("down").ok();
    p.nothing_left(true);
}
