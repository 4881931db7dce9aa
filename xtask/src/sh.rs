//! Running other programs, said before it is done.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The repository. `cargo run` says where it is; a path compiled in would be that of whichever clone filled a shared
/// target folder first.
pub(crate) fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    here.parent().unwrap_or(&here).to_owned()
}

/// The cargo that runs us, else the one of the search path; in the repository. It doesn't hear which package we are:
/// build scripts ask for that (ring's does), and would make everything anew after a cargo called by hand.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let ours = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
        if name.to_str().is_some_and(|n| ours.iter().any(|o| n.starts_with(o))) {
            command.env_remove(name);
        }
    }
    command.current_dir(root());
    command
}

/// Our own folder for what is made: `target`.
pub(crate) fn target_dir() -> PathBuf {
    root().join("target")
}

/// Where cargo puts what it builds.
pub(crate) fn cargo_target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(d) => root().join(d),
        None => target_dir(),
    }
}

/// A line about what happens now.
pub(crate) fn say(text: &str) {
    println!("xtask: {text}");
}

/// Prints a command and runs it in the repository with our own streams; an error unless it succeeds.
pub(crate) fn run(program: impl AsRef<OsStr>, args: &[&str]) -> Result<()> {
    let mut command = Command::new(program);
    command.current_dir(root());
    run_command(command, args)
}

/// The same with cargo.
pub(crate) fn run_cargo(args: &[&str]) -> Result<()> {
    run_command(cargo(), args)
}

fn run_command(mut command: Command, args: &[&str]) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    println!("$ {name} {}", args.join(" "));
    let status = command.args(args).status().with_context(|| format!("run {name}"))?;
    if !status.success() {
        bail!("`{name} {}` failed: {status}", args.join(" "));
    }
    Ok(())
}

/// Standard output of a command that succeeds, else `None`.
pub(crate) fn ask(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs cargo; every line of its output goes on to ours and to `each`. Returns whether it succeeded.
pub(crate) fn cargo_lines(args: &[&str], env: &[(&str, &Path)], mut each: impl FnMut(&str)) -> Result<bool> {
    println!("$ cargo {}", args.join(" "));
    // Both streams in one pipe, so that their order stays; the runner's lines and the tests' words belong together.
    let (reader, writer) = std::io::pipe().context("make a pipe")?;
    let mut command = cargo();
    command.args(args).envs(env.iter().copied());
    command.stdout(writer.try_clone().context("copy the pipe")?).stderr(writer);
    let mut child = command.spawn().context("run cargo")?;
    // Its copy of the pipe's end would keep us reading for ever.
    drop(command);
    let mut lines = BufReader::new(reader);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).context("read cargo's output")? > 0 {
        let text = String::from_utf8_lossy(&line);
        print!("{text}");
        each(text.trim_end());
        line.clear();
    }
    Ok(child.wait().context("wait for cargo")?.success())
}
