//! `post_start` and `pre_stop`.

use std::time::Duration;

use rcompose_e2e::Project;
use rustix::process::Signal;

use crate::POLITE;

#[test]
fn commands_around_a_containers_life() {
    let compose = format!(
        "services:
  web:
    image: busybox:latest
    command: {POLITE}
    user: '1000'
    environment: {{COLOUR: red, SHADE: dark}}
    volumes: [./out:/out]
    post_start:
      - command: chmod 0777 /out
        user: root
      - command: [sh, -c, 'echo \"$$(id -u) $$PWD $$COLOUR $$MORE $${{SHADE-none}}\" > /out/started']
        working_dir: /tmp
        environment: [MORE=less, SHADE]
      - command: sh -c 'grep CapEff /proc/self/status > /out/caps'
        privileged: true
        user: root
    pre_stop:
      - command: cp /out/started /out/stopped
      - command: [\"false\"]
      - command: touch /out/never
  after:
    image: busybox:latest
    command: [cat, /out/caps]
    volumes: [./out:/out]
    depends_on: [web]
"
    );
    let Some(p) = Project::new("hooks-order", &compose) else { return };
    p.run("up -d").ok();
    let read = |name: &str| std::fs::read_to_string(p.dir().join("out").join(name)).unwrap_or_default();
    assert_eq!(read("started"), "1000 /tmp red less none\n");
    let own = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let own = own.lines().find(|l| l.starts_with("CapEff:")).unwrap_or_default();
    p.await_log("after", &format!("{own}\n"));
    assert_eq!(read("stopped"), "");
    p.run("restart web").ok().err("service \"web\": pre_stop[1]: the command exited with status 1");
    assert_eq!(read("stopped"), "1000 /tmp red less none\n");
    std::fs::remove_file(p.dir().join("out/stopped")).unwrap();
    p.run("down").ok().err("pre_stop[1]");
    assert_eq!(read("stopped"), "1000 /tmp red less none\n");
    assert!(!p.dir().join("out/never").exists());
    p.nothing_left(true);
}

#[test]
fn who_looks_at_the_output_sees_that_of_the_commands() {
    let compose = format!(
        "services: {{web: {{image: busybox:latest, command: {POLITE}, post_start: [{{command: echo from the hook}}]}}}}\n"
    );
    let Some(p) = Project::new("hooks-seen", &compose) else { return };
    let mut up = p.start("up");
    up.wait_for("web-1 ->  | from the hook", Duration::from_secs(20)).unwrap();
    up.signal(Signal::INT).unwrap();
    up.end().unwrap().code_is(130);
    p.run("up -d").ok().not_out("from the hook").not_err("from the hook");
    p.run("down").ok();
    p.nothing_left(true);
}

#[test]
fn what_fails_after_the_start_fails_up() {
    let compose = format!(
        "services:
  web:
    image: busybox:latest
    command: {POLITE}
    post_start:
      - command: [sh, -c, 'echo the table is missing >&2; exit 5']
  after:
    image: busybox:latest
    command: \"true\"
    depends_on: [web]
"
    );
    let Some(p) = Project::new("hooks-fail", &compose) else { return };
    p.run("up -d")
        .code_is(1)
        .err("service \"web\": post_start[0]: the command exited with status 5")
        .err("the table is missing")
        .err("compose.yaml:6:9");
    p.run("ps -a --format {{.Service}}-{{.State}}").ok().out("web-running").out("after-created");
    p.run("down").ok();
    p.nothing_left(true);
}

#[test]
fn commands_before_the_first_start() {
    let compose = format!(
        "services:
  web:
    image: busybox:latest
    command: {POLITE}
    environment: {{COLOUR: red}}
    volumes: [data:/data, /own]
    pre_start:
      - command: [sh, -c, 'echo \"$$COLOUR $$(hostname | wc -c)\" > /data/first; touch /own/first; nslookup other > /data/dns']
      - command: [sh, -c, 'cp /data/first /data/second; test ! -e /data/fail || {{ echo no luck; exit 4; }}']
        user: root
    depends_on: [other]
  other: {{image: busybox:latest, command: {POLITE}}}
volumes: {{data: }}
"
    );
    let Some(p) = Project::new("hooks-before", &compose) else { return };
    p.run("up -d").ok().err("Container hooks-before-web-pre_start-1  Removed");
    p.sh("web", "cat /data/second; ls /own; grep -c Address /data/dns").ok().out("red 13\nfirst\n2\n");
    assert_eq!(p.ps().len(), 2);
    p.run("up -d").ok().not_err("pre_start");
    p.sh("web", "touch /data/fail").ok();
    p.run("up -d --force-recreate")
        .code_is(1)
        .err("container hooks-before-web-pre_start-1 didn't complete successfully: exit 4")
        .err("compose.yaml:9:9")
        .err("no luck");
    p.run("run --rm --no-deps -T web rm /data/fail").ok();
    p.run("up -d").ok().err("Container hooks-before-web-1  Started");
    p.run("stop web").ok();
    p.sh("other", "true").ok();
    p.run("start web").ok().err("Container hooks-before-web-pre_start-1  Removed");
    p.sh("web", "cat /data/second").ok().out("red 13\n");
    p.run("start web").ok().not_err("pre_start");
    p.run("restart web").ok().not_err("pre_start");
    p.run("down -v").ok();
    p.nothing_left(true);
}
