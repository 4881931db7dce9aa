use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::{Deadline, Finished, Run, Running, Setting, processes_of, skip};

/// The folder `examples`.
pub fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// The folder `compose-samples`.
pub fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../compose-samples")
}

/// A project of one test: its directory, its name, its environment. Dropped, it is taken down with everything.
#[derive(Debug)]
pub struct Project {
    setting: &'static Setting,
    name: String,
    dir: PathBuf,
    env: Vec<(String, String)>,
}

impl Project {
    /// A project of this (unique) name in an empty directory. `None`, and said so, where end-to-end tests can't run.
    pub fn empty(name: &str) -> Option<Self> {
        let setting = match Setting::get() {
            Ok(s) => s,
            Err(reason) => {
                skip(name, reason);
                return None;
            }
        };
        let dir = setting.projects.join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir).unwrap_or_else(|e| panic!("clear {}: {e}", dir.display()));
        }
        fs::create_dir_all(&dir).unwrap_or_else(|e| panic!("make {}: {e}", dir.display()));
        let project = Self { setting, name: name.to_owned(), dir, env: Vec::new() };
        // What a run that was killed has left.
        project.clear();
        Some(project)
    }

    /// A project with this `compose.yaml`.
    pub fn new(name: &str, compose: &str) -> Option<Self> {
        let project = Self::empty(name)?;
        project.file("compose.yaml", compose);
        Some(project)
    }

    /// A project that is a copy of a folder.
    pub fn copy_of(name: &str, folder: &Path) -> Option<Self> {
        let project = Self::empty(name)?;
        copy_tree(folder, &project.dir);
        Some(project)
    }

    /// With a variable in the environment of every command.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.env.push((name.to_owned(), value.to_string()));
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `RCOMPOSE_ROOT`.
    pub fn root(&self) -> &Path {
        &self.setting.root
    }

    /// Writes a file of the project; makes its folders.
    pub fn file(&self, path: &str, content: &str) {
        let path = self.dir.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).unwrap_or_else(|e| panic!("make {}: {e}", parent.display()));
        }
        fs::write(&path, content).unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
    }

    /// A command of rcompose in this project, words separated by spaces.
    pub fn cmd(&self, words: &str) -> Run {
        self.cmd_args(words.split_whitespace())
    }

    /// A command of rcompose in this project.
    pub fn cmd_args<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Run {
        let mut run = self.setting.command().dir(&self.dir).env("COMPOSE_PROJECT_NAME", &self.name);
        for (name, value) in &self.env {
            run = run.env(name, value);
        }
        run.args(args)
    }

    /// Runs a command of rcompose to its end.
    #[track_caller]
    pub fn run(&self, words: &str) -> Finished {
        finish(&self.cmd(words))
    }

    /// Runs a shell line in a running service.
    #[track_caller]
    pub fn sh(&self, service: &str, line: &str) -> Finished {
        finish(&self.cmd_args(["exec", "-T", service, "sh", "-c", line]))
    }

    /// Starts a command of rcompose and returns while it runs.
    #[track_caller]
    pub fn start(&self, words: &str) -> Running {
        self.cmd(words).start().unwrap_or_else(|e| panic!("{e:#}"))
    }

    /// Follows a service's log until it contains a text: `up -d` returns before a container has said anything.
    #[track_caller]
    pub fn await_log(&self, service: &str, text: &str) {
        let mut logs = self.start(&format!("logs -f --no-log-prefix {service}"));
        logs.wait_for(text, Duration::from_secs(10)).unwrap_or_else(|e| panic!("{e:#}"));
    }

    /// `ps -a --format json`: one object for each container, by name.
    #[track_caller]
    pub fn ps(&self) -> Vec<Value> {
        let all = self.run("ps -a --format json").ok();
        let parse = |l: &str| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"));
        let mut all: Vec<Value> = all.stdout.lines().map(parse).collect();
        all.sort_by_key(|c| c["Name"].as_str().map(str::to_owned));
        all
    }

    /// The lines of `ps -a --format json`, whatever its status: for projects whose file is broken.
    pub fn ps_unchecked(&self) -> Vec<String> {
        let by_name =
            self.setting.command().dir("/").args(["-p", &self.name, "ps", "-a", "--format", "json"]);
        by_name.run().map(|f| f.stdout.lines().map(str::to_owned).collect()).unwrap_or_default()
    }

    /// A property of a service's first container, as text (`State`, `Health`, `ID`, `ExitCode` …).
    #[track_caller]
    pub fn property(&self, service: &str, key: &str) -> String {
        let all = self.ps();
        let one = all.iter().find(|c| c["Service"] == service);
        let one = one.unwrap_or_else(|| panic!("no container of {service} in {all:?}"));
        match &one[key] {
            Value::String(s) => s.clone(),
            other => other.to_string(),
        }
    }

    /// The pid of this project's keeper or supervisor. A supervisor that was killed has a follower in a moment.
    #[track_caller]
    pub fn process(&self, verb: &str) -> i32 {
        let deadline = Deadline::after(Duration::from_secs(10));
        loop {
            let all = processes_of(self.root(), &self.name, verb);
            if let [one] = all[..] {
                return one;
            }
            assert!(!deadline.passed(), "one {verb} of {}: {all:?}", self.name);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Nothing of the project may be left in the installation: records, sockets, and with `volumes` the data, too.
    #[track_caller]
    pub fn nothing_left(&self, volumes: bool) {
        for place in ["lib/projects", "run/projects"] {
            let dir = self.root().join(place).join(&self.name);
            assert!(!dir.exists(), "{} is left", dir.display());
        }
        let left: Vec<String> = fs::read_dir(self.root().join("lib/volumes"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.file_name().to_string_lossy().into_owned())
            .filter(|n| n.starts_with(&format!("{}_", self.name)))
            .collect();
        assert!(!volumes || left.is_empty(), "volumes are left: {left:?}");
        for verb in ["__keeper", "__supervisor"] {
            let left = processes_of(self.root(), &self.name, verb);
            let about = |pid: &i32| {
                let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
                format!("{pid}: {} {}", read("stat").trim(), read("syscall").trim())
            };
            assert!(left.is_empty(), "{verb} is left: {:?}", left.iter().map(about).collect::<Vec<_>>());
        }
    }

    fn clear(&self) {
        let down = self.cmd("down -v -t 0 --remove-orphans").limit(Duration::from_secs(60));
        // By the name alone when the file is broken, as some tests want it.
        let by_name = self
            .setting
            .command()
            .dir("/")
            .args(["-p", &self.name, "down", "-v", "-t", "0"])
            .limit(Duration::from_secs(60));
        if !down.run().is_ok_and(|f| f.code() == 0) {
            drop(by_name.run());
        }
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        self.clear();
    }
}

#[track_caller]
fn finish(run: &Run) -> Finished {
    run.run().unwrap_or_else(|e| panic!("{e:#}"))
}

fn copy_tree(from: &Path, to: &Path) {
    let fail = |e: std::io::Error| -> ! { panic!("copy {} to {}: {e}", from.display(), to.display()) };
    fs::create_dir_all(to).unwrap_or_else(|e| fail(e));
    for entry in fs::read_dir(from).unwrap_or_else(|e| fail(e)) {
        let entry = entry.unwrap_or_else(|e| fail(e));
        let target = to.join(entry.file_name());
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            copy_tree(&entry.path(), &target);
        } else if let Err(e) = fs::copy(entry.path(), &target) {
            fail(e);
        }
    }
}
