//! SIGKILL at any moment, and two at once.

use std::thread;
use std::time::Duration;

use rcompose_e2e::{Deadline, Project, processes_of};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::POLITE;

fn three(name: &str) -> Option<Project> {
    Project::new(
        name,
        &format!(
            "services:
  a: {{image: busybox:latest, command: {POLITE}, volumes: ['data:/data']}}
  b: {{image: busybox:latest, command: {POLITE}, depends_on: [a]}}
  c: {{image: busybox:latest, command: {POLITE}, depends_on: [b]}}
volumes: {{data: {{}}}}
"
        ),
    )
}

/// Kills a process and waits until it is gone.
fn kill(pid: i32) {
    let pid = Pid::from_raw(pid).unwrap();
    let fd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    let mut fds = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
    let limit = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
    assert_eq!(rustix::event::poll(&mut fds, Some(&limit)).unwrap(), 1, "it lives");
}

fn all_run(p: &Project) {
    let all = p.ps();
    assert_eq!(all.len(), 3, "{all:?}");
    assert!(all.iter().all(|c| c["State"] == "running"), "{all:?}");
}

#[test]
fn containers_survive_the_supervisor() {
    let Some(p) = three("chaos-supervisor") else { return };
    p.run("up -d").ok();
    p.sh("a", "echo kept > /data/file").ok();
    let id = p.property("a", "ID");
    let old = p.process("__supervisor");
    kill(old);
    // The keeper has another one soon; whoever asks meanwhile waits for it.
    all_run(&p);
    assert_eq!(p.property("a", "ID"), id);
    assert_ne!(p.process("__supervisor"), old);
    p.sh("a", "cat /data/file").ok().out("kept\n");
    p.await_log("a", "up\n");
    p.run("up -d").ok();
    assert_eq!(p.property("a", "ID"), id);
    p.run("down -v").ok();
    p.nothing_left(true);
}

#[test]
fn no_output_is_lost_with_the_supervisor() {
    let Some(p) = Project::new(
        "chaos-logs",
        "services:\n  talker: {image: busybox:latest, command: [sh, -c, 'i=0; while [ $$i -lt 3000 ]; do i=$$((i+1)); echo line $$i; [ $$((i%100)) = 0 ] && sleep 0.05; done; echo end; exit 12']}\n",
    ) else {
        return;
    };
    p.run("up -d").ok();
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(200));
        for pid in processes_of(p.root(), p.name(), "__supervisor") {
            kill(pid);
        }
    }
    let deadline = Deadline::after(Duration::from_secs(20));
    while p.property("talker", "State") == "running" && !deadline.passed() {
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(p.property("talker", "ExitCode"), "12");
    let logs = p.run("logs --no-log-prefix").ok();
    let wanted: Vec<String> = (1..=3000).map(|i| format!("line {i}")).chain(["end".to_owned()]).collect();
    let got: Vec<&str> = logs.stdout.lines().collect();
    assert_eq!(got.len(), wanted.len(), "lines in the log");
    assert!(got.iter().zip(&wanted).all(|(a, b)| a == b), "lines are out of order");
}

#[test]
fn up_converges_after_the_keepers_death() {
    let Some(p) = three("chaos-keeper") else { return };
    p.run("up -d").ok();
    p.sh("a", "echo kept > /data/file").ok();
    kill(p.process("__keeper"));
    p.run("up -d").ok();
    all_run(&p);
    p.sh("a", "cat /data/file").ok().out("kept\n");
    p.run("down -v").ok();
    p.nothing_left(true);
}

#[test]
fn down_clears_up_after_the_keepers_death() {
    let Some(p) = three("chaos-keeper-down") else { return };
    p.run("up -d").ok();
    kill(p.process("__keeper"));
    p.run("down -v").ok();
    p.nothing_left(true);
}

#[test]
fn killed_command_leaves_nothing_that_up_cannot_finish() {
    let Some(p) = three("chaos-cli") else { return };
    // At some moments of its life, from before its first step to after its last.
    for delay in [1, 3, 6, 10, 15, 25, 40, 80] {
        let up = p.start("up -d");
        thread::sleep(Duration::from_millis(delay));
        kill(up.pid());
        drop(up);
        p.run("up -d").ok();
        all_run(&p);
        p.run("down -v").ok();
        p.nothing_left(true);
    }
}

#[test]
fn killed_command_leaves_nothing_that_down_cannot_clear() {
    let Some(p) = three("chaos-cli-down") else { return };
    for delay in [2, 5, 9, 14, 20, 35, 60] {
        let up = p.start("up -d");
        thread::sleep(Duration::from_millis(delay));
        kill(up.pid());
        drop(up);
        p.run("down -v").ok();
        p.nothing_left(true);
    }
}

#[test]
fn up_makes_anew_what_was_killed_while_being_removed() {
    let Some(p) = three("chaos-removing") else { return };
    p.run("up -d").ok();
    let id = p.property("b", "ID");
    kill(p.process("__keeper"));
    let containers = p.root().join("lib/projects").join(p.name()).join("containers");
    let found = std::fs::read_dir(containers).unwrap().map(|e| e.unwrap());
    let dir = found.into_iter().find(|e| e.file_name().to_string_lossy().starts_with(&id)).unwrap().path();
    let state = std::fs::read_to_string(dir.join("state.json")).unwrap();
    let removing = state.replacen("\"running\"", "\"removing\"", 1);
    assert_ne!(state, removing);
    std::fs::write(dir.join("state.json"), removing).unwrap();
    p.run("up -d").ok();
    all_run(&p);
    p.run("down -v").ok();
    p.nothing_left(true);
}

#[test]
fn up_and_down_go_on_when_the_supervisor_or_the_keeper_dies_in_the_middle() {
    let Some(p) = three("chaos-middle") else { return };
    for verb in ["__supervisor", "__keeper"] {
        for delay in [5, 10, 20, 25, 30, 35, 40, 50, 60, 80] {
            let in_the_middle = |command: &str| {
                let command = p.start(command);
                thread::sleep(Duration::from_millis(delay));
                for pid in processes_of(p.root(), p.name(), verb) {
                    kill(pid);
                }
                command.end().unwrap().ok();
            };
            in_the_middle("up -d");
            // A keeper that was killed after the last step took everything with it.
            p.run("up -d").ok();
            all_run(&p);
            in_the_middle("down -v");
            p.nothing_left(true);
        }
    }
}

#[test]
fn two_ups_at_once_both_succeed() {
    let Some(p) = three("chaos-two") else { return };
    for _ in 0..5 {
        let (first, second) = (p.start("up -d"), p.start("up -d"));
        let (first, second) = (first.end().unwrap(), second.end().unwrap());
        first.ok();
        second.ok();
        all_run(&p);
        p.run("down -v").ok();
        p.nothing_left(true);
    }
}

#[test]
fn up_and_down_at_once_end_in_one_of_both() {
    let Some(p) = three("chaos-updown") else { return };
    for _ in 0..3 {
        let (up, down) = (p.start("up -d"), p.start("down -v"));
        up.end().unwrap();
        down.end().unwrap().ok();
        p.run("down -v").ok();
        p.nothing_left(true);
    }
}
