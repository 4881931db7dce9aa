//! Builds that are interrupted or killed leave nothing behind.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rcompose_e2e::{Deadline, Project};
use rustix::process::Signal;

const PATIENCE: Duration = Duration::from_secs(10);

/// The processes that a process has started.
fn children(parent: i32) -> Vec<i32> {
    let of = |entry: std::fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let ppid: i32 = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        (ppid == parent).then_some(pid)
    };
    std::fs::read_dir("/proc").unwrap().flatten().filter_map(of).collect()
}

/// What there is of a helper: its process, its files, its cgroups.
fn traces(root: &Path, helper: i32, argument: &str) -> Vec<String> {
    let mut all = Vec::new();
    if Path::new(&format!("/proc/{helper}/exe")).exists() {
        all.push(format!("process {helper}"));
    }
    let out = |command: &mut Command| String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned();
    all.extend(
        out(Command::new("pgrep").args(["-f", argument])).lines().map(|l| format!("step's process {l}")),
    );
    let name = format!("{helper}-*");
    let mut find = Command::new("find");
    find.arg("/sys/fs/cgroup").arg(root.join("run")).args([
        "-name",
        &name,
        "-o",
        "-name",
        &helper.to_string(),
    ]);
    all.extend(out(&mut find).lines().map(str::to_owned));
    all
}

fn interrupted(name: &str, number: u32, signal: Signal) {
    let Some(p) = Project::empty(name) else { return };
    p.file(
        "Dockerfile",
        &format!("FROM busybox:latest\nRUN echo it run\"\"s; sleep {number} & sleep {number}\n"),
    );
    let mut build = p.cmd("image build --no-cache --progress plain .").start().unwrap();
    build.wait_for("it runs", PATIENCE).unwrap();
    let helpers = children(build.pid());
    assert_eq!(helpers.len(), 1);
    build.signal(signal).unwrap();
    let done = build.end().unwrap();
    assert_ne!(done.code(), 0, "{}", done.describe());
    let deadline = Deadline::after(PATIENCE);
    let argument = format!("^sleep {number}");
    loop {
        let left = traces(p.root(), helpers[0], &argument);
        if left.is_empty() {
            return;
        }
        assert!(!deadline.passed(), "{signal:?} leaves {left:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn with_its_helper_below_another_cgroup() {
    let Some(p) = Project::empty("build-killed-below") else { return };
    p.file("Dockerfile", "FROM busybox:latest\nRUN echo it run\"\"s; sleep 98704\n");
    let parent = format!("rc-killed-{}", std::process::id());
    let mut build = p
        .cmd(&format!("image build --no-cache --progress plain --cgroup-parent {parent}/x ."))
        .start()
        .unwrap();
    build.wait_for("it runs", PATIENCE).unwrap();
    let [helper] = children(build.pid())[..] else { panic!("not one helper") };
    let kill = |pid| {
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
    };
    let there = || {
        let found = Command::new("find").args(["/sys/fs/cgroup", "-name", &parent]).output().unwrap();
        !found.stdout.is_empty()
    };
    // Afterwards another test's build may have removed it already.
    assert!(there());
    // The helper first: it would clear up.
    kill(helper);
    kill(build.pid());
    drop(build.end());
    let deadline = Deadline::after(PATIENCE);
    while Path::new(&format!("/proc/{helper}")).exists() && !deadline.passed() {
        std::thread::sleep(Duration::from_millis(20));
    }
    p.file("Dockerfile", "FROM busybox:latest\nRUN true\n");
    p.run("image build --no-cache -q .").ok();
    assert!(!there(), "the next build leaves {parent}");
}

#[test]
fn by_control_c() {
    interrupted("build-int", 98_701, Signal::INT);
}

#[test]
fn by_a_friendly_kill() {
    interrupted("build-term", 98_702, Signal::TERM);
}

#[test]
fn by_kill_9() {
    interrupted("build-kill", 98_703, Signal::KILL);
}
