//! Health and the conditions of `depends_on`.

use std::time::Duration;

use rcompose_e2e::Project;

use crate::POLITE;

#[test]
fn dependants_wait_for_health_and_completion() {
    let Some(p) = Project::new(
        "health-chain",
        &format!(
            "services:
  last:
    image: busybox:latest
    command: {POLITE}
    depends_on:
      slow: {{condition: service_healthy}}
      once: {{condition: service_completed_successfully}}
  slow:
    image: busybox:latest
    command: [sh, -c, \"trap 'exit 0' TERM; sleep 1; date +%s%N | cut -c1-13; touch /ready; while :; do sleep 1 & wait $$!; done\"]
    healthcheck: {{test: [CMD, test, -e, /ready], interval: 100ms, retries: 50}}
  once:
    image: busybox:latest
    command: [sh, -c, 'sleep 0.5; echo done']
"
        ),
    ) else {
        return;
    };
    p.run("up -d --wait").ok().within(Duration::from_secs(20));
    assert_eq!(p.property("slow", "Health"), "healthy");
    assert_eq!(p.property("once", "ExitCode"), "0");
    assert_eq!(p.property("last", "State"), "running");
    p.sh("slow", "test -e /ready").ok();
    p.run("ps").ok().out("(healthy)");
}

#[test]
fn failed_dependency_stops_the_way_up() {
    let Some(p) = Project::new(
        "health-failed",
        &format!(
            "services:
  app:
    image: busybox:latest
    command: {POLITE}
    depends_on: {{migrate: {{condition: service_completed_successfully}}}}
  migrate:
    image: busybox:latest
    command: [sh, -c, 'echo cannot; exit 3']
"
        ),
    ) else {
        return;
    };
    p.run("up -d").code_is(1).err("migrate").err("exit 3");
    assert_eq!(p.property("app", "State"), "created");
    p.run("down").ok();
    p.nothing_left(true);
}

#[test]
fn health_never_reached_says_why() {
    let Some(p) = Project::new(
        "health-never",
        &format!(
            "services:
  app:
    image: busybox:latest
    command: {POLITE}
    depends_on: {{db: {{condition: service_healthy}}}}
  db:
    image: busybox:latest
    command: [sh, -c, \"trap 'exit 0' TERM; echo last words; while :; do sleep 1 & wait $$!; done\"]
    healthcheck: {{test: [CMD-SHELL, 'echo the disk is missing; exit 1'], interval: 100ms, retries: 3}}
"
        ),
    ) else {
        return;
    };
    p.run("up -d")
        .code_is(1)
        .err("db")
        .err("unhealthy")
        .err("the disk is missing")
        .err("last words")
        .within(Duration::from_secs(20));
    assert_eq!(p.property("db", "Health"), "unhealthy");
}

#[test]
fn restart_policy_counts() {
    let Some(p) = Project::new(
        "health-restart",
        "services:
  box:
    image: busybox:latest
    command: [sh, -c, 'echo try; exit 9']
    restart: on-failure:2
",
    ) else {
        return;
    };
    p.run("up -d").ok();
    p.run("logs -f --no-log-prefix").ok();
    // One run, and two more.
    let logs = p.run("logs --no-log-prefix").ok();
    assert_eq!(logs.stdout.matches("try\n").count(), 3, "{}", logs.describe());
    assert_eq!(p.property("box", "State"), "exited");
    assert_eq!(p.property("box", "ExitCode"), "9");
}
