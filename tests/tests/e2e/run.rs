//! `run`: the command's own status, streams and traces.

use std::time::Duration;

use rcompose_e2e::Project;
use rustix::process::Signal;

use crate::POLITE;

fn tool(name: &str) -> Option<Project> {
    Project::new(
        name,
        &format!(
            "services:
  tool:
    image: busybox:latest
    command: [\"echo\", \"the command\"]
    environment: {{A: from the file}}
    depends_on: [helper]
  helper:
    image: busybox:latest
    command: {POLITE}
"
        ),
    )
}

#[test]
fn status_is_the_commands_own() {
    let Some(p) = tool("run-status") else { return };
    p.run("run --rm -T tool").ok().out("the command\n");
    p.run("run --rm -T tool sh -c true").ok();
    p.cmd_args(["run", "--rm", "-T", "tool", "sh", "-c", "exit 5"]).run().unwrap().code_is(5);
    // The dependency runs on; of the one-off containers nothing is left.
    let all = p.ps();
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all[0]["Service"], "helper");
}

#[test]
fn command_that_cannot_run() {
    let Some(p) = tool("run-missing") else { return };
    // A tenth of a second, unless something waits for what doesn't come.
    let soon = Duration::from_secs(4);
    p.run("run --rm -T --no-deps tool no-such-thing").code_is(127).err("no-such-thing").within(soon);
    p.run("run --rm -T --no-deps tool /etc/passwd").code_is(126).err("/etc/passwd").within(soon);
    assert!(p.ps().is_empty());
}

#[test]
fn streams_stay_apart_and_input_arrives() {
    let Some(p) = tool("run-streams") else { return };
    let both = ["run", "--rm", "-T", "--no-deps", "tool", "sh", "-c", "echo out; echo err >&2"];
    p.cmd_args(both).run().unwrap().ok().out("out\n").not_out("err").err("err\n");
    let cat = p.cmd("run --rm -T --no-deps tool cat").stdin("through\nit\n").run().unwrap().ok();
    assert_eq!(cat.stdout, "through\nit\n");
    let much = "0123456789abcdef\n".repeat(100_000);
    let count = p.cmd("run --rm -T --no-deps tool wc -c").stdin(much).run().unwrap().ok();
    assert_eq!(count.stdout.trim(), "1700000");
}

#[test]
fn environment_entrypoint_directory_user() {
    let Some(p) = tool("run-options") else { return };
    let echo = ["tool", "sh", "-c", "echo $A"];
    let run = |options: &[&str]| {
        let args = ["run", "--rm", "-T", "--no-deps"].iter().chain(options).chain(&echo);
        p.cmd_args(args.copied().collect::<Vec<_>>()).run().unwrap().ok().stdout
    };
    assert_eq!(run(&[]), "from the file\n");
    assert_eq!(run(&["-e", "A=from the line"]), "from the line\n");
    p.run("run --rm -T --no-deps --entrypoint id --user 65534 tool -u").ok().out("65534\n");
    p.run("run --rm -T --no-deps -w /tmp tool pwd").ok().out("/tmp\n");
}

#[test]
fn without_rm_it_is_kept() {
    let Some(p) = tool("run-kept") else { return };
    p.run("run -T --no-deps tool true").ok();
    let all = p.ps();
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all[0]["State"], "exited");
    p.run("down").ok();
    p.nothing_left(true);
}

#[test]
fn signal_reaches_the_process_and_rm_still_removes() {
    let Some(p) = tool("run-signal") else { return };
    p.file("out/ready", "");
    let out = format!("{}:/out", p.dir().join("out").display());
    let line = "trap 'echo it > /out/got; exit 3' INT TERM; echo ready; while :; do sleep 1 & wait $!; done";
    let args = ["run", "--rm", "-T", "--no-deps", "-v", &out, "tool", "sh", "-c", line];
    let mut run = p.cmd_args(args).start().unwrap();
    run.wait_for("ready", Duration::from_secs(10)).unwrap();
    run.signal(Signal::INT).unwrap();
    run.end().unwrap().code_is(130);
    assert!(p.dir().join("out/got").exists());
    assert!(p.ps().is_empty());
}

/// Nothing waits for the disk on behalf of what is thrown away; what stays is synchronised as it asks.
#[test]
fn only_what_is_thrown_away_is_volatile() {
    let compose = format!("services:\n  web:\n    image: busybox:latest\n    command: {}\n", crate::POLITE);
    let Some(p) = Project::new("run-thrown", &compose) else { return };
    p.run("run --rm -T web grep ^overlay./.overlay /proc/mounts").ok().out("volatile");
    p.run("run -T web grep ^overlay./.overlay /proc/mounts").ok().not_out("volatile");
    p.run("up -d").ok();
    p.run("exec -T web grep ^overlay./.overlay /proc/mounts").ok().out("upperdir").not_out("volatile");
    p.file("Dockerfile", "FROM busybox:latest\nRUN grep ^overlay./.overlay.*volatile /proc/mounts\n");
    p.run("image build -q .").ok();
}
