//! The pieces of work.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Options;
use super::engine::Engine;
use super::report::{Report, Unit};

/// Image of all services.
pub(super) const IMAGE: &str = "benchbox:latest";

/// A service that ends on SIGTERM at once.
const POLITE: &str = r#"["sh","-c","trap 'exit 0' TERM; echo up; while :; do sleep 1 & wait; done"]"#;
/// A service whose PID 1 ignores SIGTERM.
const STUBBORN: &str = r#"["sleep","1000"]"#;

struct Round<'a> {
    engine: &'a Engine,
    folder: &'a Path,
    report: &'a mut Report,
    projects: Vec<PathBuf>,
}

/// Everything that is wanted, once.
pub(super) fn round(engine: &Engine, folder: &Path, options: &Options, report: &mut Report) -> Result<()> {
    let mut round = Round { engine, folder, report, projects: Vec::new() };
    let result = round.all(options);
    if result.is_err() {
        for dir in &round.projects {
            // The first error is the one to tell.
            drop(engine.compose(dir, "down -v -t 0"));
        }
    }
    result
}

impl Round<'_> {
    fn all(&mut self, options: &Options) -> Result<()> {
        if options.wants("up") {
            options.sizes.iter().try_for_each(|n| self.up(*n))?;
        }
        if options.wants("run") {
            self.run()?;
        }
        if options.wants("chain") {
            self.chains()?;
        }
        if options.wants("stubborn") {
            self.stubborn()?;
        }
        if options.wants("config") {
            let dir = self.project("config", &flat(100, POLITE))?;
            self.time("config -q, 100 services", &dir, "config -q")?;
            let dir = self.project("config1000", &flat(1_000, POLITE))?;
            self.time("config -q, 1000 services", &dir, "config -q")?;
        }
        if options.wants("build") {
            self.build()?;
        }
        Ok(())
    }

    fn project(&mut self, name: &str, compose: &str) -> Result<PathBuf> {
        let dir = self.folder.join(format!("bench-{name}"));
        fs::create_dir_all(&dir).context("make the project's folder")?;
        fs::write(dir.join("compose.yaml"), compose).context("write compose.yaml")?;
        self.projects.push(dir.clone());
        Ok(dir)
    }

    fn time(&mut self, work: &str, dir: &Path, words: &str) -> Result<()> {
        let took = self.engine.compose(dir, words)?.took;
        self.report.add(work, self.engine.name(), Unit::Milliseconds, took.as_secs_f64() * 1e3);
        Ok(())
    }

    fn up(&mut self, n: usize) -> Result<()> {
        let dir = self.project(&format!("flat{n}"), &flat(n, POLITE))?;
        self.time(&format!("up -d, {n} services"), &dir, "up -d")?;
        self.time(&format!("up -d again, {n}"), &dir, "up -d")?;
        self.time(&format!("ps, {n}"), &dir, "ps")?;
        self.time(&format!("logs, {n}"), &dir, "logs")?;
        self.time(&format!("exec true, {n}"), &dir, "exec -T s0 true")?;
        self.report.add(&format!("memory, {n}"), self.engine.name(), Unit::Mebibytes, self.engine.memory());
        self.time(&format!("down, {n}"), &dir, "down -t 10")
    }

    fn run(&mut self) -> Result<()> {
        let dir = self.project("run", &flat(1, POLITE))?;
        // The first one makes the network.
        self.engine.compose(&dir, "run --rm -T s0 true")?;
        self.time("run --rm true", &dir, "run --rm -T s0 true")?;
        self.engine.compose(&dir, "down")?;
        Ok(())
    }

    fn chains(&mut self) -> Result<()> {
        let done = chain(5, "service_completed_successfully", "", r#"["true"]"#);
        let dir = self.project("completed", &done)?;
        self.time("chain of 5, completed", &dir, "up -d")?;
        self.engine.compose(&dir, "down")?;
        let probe = "    healthcheck: {test: [CMD, 'true'], interval: 1s, timeout: 1s}\n    init: true\n";
        let dir = self.project("healthy", &chain(3, "service_healthy", probe, STUBBORN))?;
        self.time("chain of 3, healthy, --wait", &dir, "up -d --wait")?;
        self.engine.compose(&dir, "down")?;
        Ok(())
    }

    fn stubborn(&mut self) -> Result<()> {
        let dir = self.project("stubborn", &flat(10, STUBBORN))?;
        self.engine.compose(&dir, "up -d")?;
        self.time("down, 10 that ignore SIGTERM", &dir, "down")
    }

    fn build(&mut self) -> Result<()> {
        let dir = self.project("build", "services:\n  s0: {build: .}\n")?;
        let mut dockerfile = format!("FROM {IMAGE}\nCOPY stamp /stamp\n");
        for i in 0..10 {
            writeln!(dockerfile, "RUN echo {i} > /file{i}").context("format")?;
        }
        fs::write(dir.join("Dockerfile"), dockerfile).context("write Dockerfile")?;
        // Another content each time, so that nothing after it comes from a cache.
        fs::write(dir.join("stamp"), format!("{:?}", std::time::SystemTime::now())).context("write stamp")?;
        self.time("build of 10 RUN steps, cold", &dir, "build")?;
        self.time("build of 10 RUN steps, cached", &dir, "build")?;
        self.engine.compose(&dir, "down --rmi all")?;
        Ok(())
    }
}

fn flat(n: usize, command: &str) -> String {
    let service = |i| format!("  s{i}: {{image: {IMAGE}, command: {command}}}\n");
    format!("services:\n{}", (0..n).map(service).collect::<String>())
}

fn chain(n: usize, condition: &str, extra: &str, command: &str) -> String {
    let service = |i: usize| {
        let after = match i.checked_sub(1) {
            Some(before) => format!("    depends_on: {{s{before}: {{condition: {condition}}}}}\n"),
            None => String::new(),
        };
        format!("  s{i}:\n    image: {IMAGE}\n    command: {command}\n{extra}{after}")
    };
    format!("services:\n{}", (0..n).map(service).collect::<String>())
}
