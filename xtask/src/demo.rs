//! `cargo xtask demo`: an app and its PostgreSQL come up, answer, are tested, and go away without a trace.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rcompose_e2e::{Machine, Run, examples, free_port, get, post};

use crate::sh::{say, target_dir};
use crate::{bases, binary, packages};

const PORT: u16 = 8000;

struct Demo {
    bin: PathBuf,
    root: PathBuf,
    port: u16,
}

pub(crate) fn demo() -> Result<()> {
    ensure!(ask_uid() == Some(0), "the demo makes containers as root: run it as root");
    packages::install(packages::FOR_DEMO)?;
    let bin = binary::build()?;
    let port = if is_free(PORT) { PORT } else { free_port()? };
    let demo = Demo { bin, root: target_dir().join("demo-root"), port };
    let begun = Instant::now();
    println!("\n$ cd examples/app-postgres");
    if port != PORT {
        println!("$ export APP_PORT={port}    # {PORT} is taken");
    }
    // What a demo that was killed has left.
    demo.quiet(&["--profile", "test", "down", "-v", "-t", "0"])?;
    bases::provide_debian(&demo.command())?;
    let before = Machine::look()?;
    if let Err(e) = demo.show(&before) {
        say("it went wrong; cleaning up");
        demo.step(&["logs", "--tail", "20"])
            .and_then(|()| demo.step(&["down", "-v", "-t", "0"]))
            .unwrap_or_else(|second| say(&format!("and so did this: {second:#}")));
        return Err(e);
    }
    say(&format!("all of it in {:.1?}", begun.elapsed()));
    Ok(())
}

impl Demo {
    fn show(&self, before: &Machine) -> Result<()> {
        self.step(&["build"])?;
        self.step(&["up", "-d", "--wait"])?;
        self.ask("/health")?;
        self.add("Roadside Picnic")?;
        self.step(&["ps"])?;
        self.step(&["logs", "--tail", "4"])?;
        self.step(&["run", "--rm", "test", "-k", "validation"])?;
        self.fails(&["run", "--rm", "--entrypoint", "sh", "test", "-c", "exit 3"], 3)?;
        self.step(&["down"])?;
        say("down keeps the volume: the third book must still be there");
        self.step(&["up", "-d", "--wait"])?;
        let books = self.ask("/books")?;
        ensure!(books.contains("Roadside Picnic"), "the book is lost");
        self.step(&["down", "-v"])?;
        self.nothing_left(before)
    }

    /// The binary in the demo's own installation and directory, at its port.
    fn command(&self) -> Run {
        let mut run = Run::new(&self.bin)
            .dir(examples().join("app-postgres"))
            .env("RCOMPOSE_ROOT", &self.root)
            .env("APP_PORT", self.port.to_string())
            .limit(Duration::from_secs(300));
        for name in ["COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES", "COMPOSE_ENV_FILES"] {
            run = run.env_remove(name);
        }
        run
    }

    /// Types a command: its streams are ours.
    fn typed(&self, args: &[&str]) -> Result<i32> {
        let run = self.command().args(args);
        println!("\n$ {}", run.line());
        let status = run.command().stdin(Stdio::null()).status().context("run rcompose")?;
        Ok(status.code().unwrap_or(128))
    }

    fn step(&self, args: &[&str]) -> Result<()> {
        self.fails(args, 0)
    }

    /// Types a command that must end with this status.
    fn fails(&self, args: &[&str], code: i32) -> Result<()> {
        let status = self.typed(args)?;
        ensure!(status == code, "rcompose {} ended with status {status}, not {code}", args.join(" "));
        if code != 0 {
            println!("$ echo $?\n{status}");
        }
        Ok(())
    }

    fn quiet(&self, args: &[&str]) -> Result<()> {
        let done = self.command().args(args).run()?;
        ensure!(done.code() == 0, "{}", done.describe());
        Ok(())
    }

    fn ask(&self, path: &str) -> Result<String> {
        println!("\n$ curl http://127.0.0.1:{}{path}", self.port);
        let answer = get(self.port, path)?;
        print!("{}", answer.body);
        ensure!(answer.status == 200, "the app answers with status {}", answer.status);
        Ok(answer.body)
    }

    fn add(&self, title: &str) -> Result<()> {
        let body = format!("{{\"title\": \"{title}\"}}");
        println!("\n$ curl http://127.0.0.1:{}/books -d '{body}'", self.port);
        let answer = post(self.port, "/books", &body)?;
        print!("{}", answer.body);
        ensure!(answer.status == 201, "the app answers with status {}", answer.status);
        Ok(())
    }

    fn nothing_left(&self, before: &Machine) -> Result<()> {
        let left = Machine::settled(before, Duration::from_secs(2))?;
        if !left.is_empty() {
            bail!("something is left or missing:\n  {}", left.join("\n  "));
        }
        for place in ["lib/projects", "run/projects"] {
            let dir = self.root.join(place).join("app-postgres");
            ensure!(!dir.exists(), "{} is left", dir.display());
        }
        let after = Machine::look()?;
        say(&format!(
            "nothing is left: {} links, {} routes, {} firewall lines, {} mounts as before; no cgroup, no process, no record",
            after.count("link"),
            after.count("route"),
            after.count("rule"),
            after.count("mount"),
        ));
        Ok(())
    }
}

fn is_free(port: u16) -> bool {
    std::net::TcpListener::bind(("0.0.0.0", port)).is_ok()
}

fn ask_uid() -> Option<u32> {
    crate::sh::ask("id", &["-u"])?.trim().parse().ok()
}
