//! `cargo xtask conformance`: what docker builds of tests/dockerfiles beside what rcompose builds.
//!
//! Needs a docker engine that runs. `--write` keeps docker's outcomes, so that the tests need none. `--random` compares
//! Dockerfiles made at random instead; a word with a slash is a directory of further samples, which are compared and kept
//! nowhere.

mod random;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use rcompose_e2e::{Dockerfile, Picture, Run, Tree, base_archive, differences};
use serde_json::{Value, json};

use crate::bases;
use crate::sh::cargo_target_dir;

pub(crate) fn conformance(args: &[String]) -> Result<()> {
    if let [flag, rest @ ..] = args
        && flag == "--random"
    {
        return random_ones(rest);
    }
    let write = args.iter().any(|a| a == "--write");
    let (others, names): (Vec<&String>, Vec<&String>) =
        args.iter().filter(|a| *a != "--write").partition(|a| a.contains('/'));
    ensure!(!names.iter().any(|n| n.starts_with('-')), "the only options are --write and --random");
    if !others.is_empty() {
        ensure!(!write && names.is_empty(), "a directory is compared by itself");
        return directories(&others);
    }
    let Bench { scratch, base, rcompose } = Bench::new()?;

    let (mut compared, mut excused, mut differ) = (0, 0, 0);
    for sample in Dockerfile::all()?.iter().filter(|s| names.is_empty() || names.contains(&&s.name)) {
        let theirs = docker(sample, &scratch, &base).with_context(|| sample.name.clone())?;
        let ours = sample.build(&rcompose, &scratch, &base).with_context(|| sample.name.clone())?;
        let mut found = differences(&theirs, &ours);
        if theirs.get("fails").is_some() && !sample.refused() {
            found.push(format!("docker refuses it: {}, which its build.json doesn't say", theirs["fails"]));
        }
        if theirs.get("fails").is_none() && sample.refused() {
            found.push("docker takes it, though its build.json says that it is refused".to_owned());
        }
        compared += 1;
        if write {
            let outcome = if sample.excuse().is_some() { &ours } else { &theirs };
            let text = format!("{outcome:#}\n");
            fs::write(sample.home.join("expect.json"), text).context("write what is expected")?;
            let lints = format!("{:#}\n", check(sample)?);
            fs::write(sample.home.join("check.json"), lints).context("write what the check says")?;
        }
        match (sample.excuse(), found.as_slice()) {
            (Some(_), [_, ..]) => excused += 1,
            (None, []) => {}
            (Some(_), []) => {
                differ += 1;
                println!("{}\n  needs no reason to differ any more", sample.name);
            }
            (None, found) => {
                differ += 1;
                println!("{}", sample.name);
                found.iter().for_each(|line| println!("  {line}"));
            }
        }
    }
    println!("{compared} compared, {excused} differ on purpose, {differ} differ without a reason");
    if differ > 0 {
        bail!("rcompose and docker differ");
    }
    Ok(())
}

/// Both engines, each with the base image.
struct Bench {
    scratch: PathBuf,
    base: Tree,
    rcompose: Run,
}

impl Bench {
    fn new() -> Result<Self> {
        let scratch = cargo_target_dir().join("conformance");
        // Steps that an older binary cached would tell of that one.
        if scratch.exists() {
            fs::remove_dir_all(&scratch).context("clear the work folder")?;
        }
        fs::create_dir_all(&scratch).context("make the work folder")?;
        let archive = scratch.join("base.tar");
        base_archive(&bases::make()?.join("busybox.tar"), &archive)?;
        let base = Picture::read(&archive)?.tree;
        let load = Run::new("docker").args(["load".as_ref(), "-i".as_ref(), archive.as_os_str()]).run()?;
        ensure!(load.code() == 0, "docker doesn't load the base image: {}", load.describe());
        let rcompose = Run::new(crate::binary::debug()?).env("RCOMPOSE_ROOT", scratch.join("root"));
        let words = ["image".as_ref(), "load".as_ref(), "-i".as_ref(), archive.as_os_str()];
        let load = rcompose.clone().args(words).run()?;
        ensure!(load.code() == 0, "{}", load.describe());
        Ok(Self { scratch, base, rcompose })
    }
}

/// Each folder of some directories as a sample of its own.
fn directories(directories: &[&String]) -> Result<()> {
    let bench = Bench::new()?;
    let mut tally = Tally::default();
    for directory in directories {
        let mut homes = Vec::new();
        for entry in fs::read_dir(directory).with_context(|| format!("read {directory}"))? {
            homes.push(entry?.path());
        }
        homes.sort();
        for home in homes {
            tally.compare(&bench, &home)?;
        }
    }
    tally.end()
}

/// `--random COUNT [FIRST]`: Dockerfiles by their numbers. Those that differ stay in target/conformance/random.
fn random_ones(args: &[String]) -> Result<()> {
    let number =
        |n: usize| args.get(n).map(|a| a.parse::<u64>().with_context(|| format!("{a} isn't a number")));
    let (count, first) = (number(0).transpose()?.unwrap_or(100), number(1).transpose()?.unwrap_or(0));
    let bench = Bench::new()?;
    let mut tally = Tally::default();
    for number in first..first + count {
        let home = bench.scratch.join("random").join(number.to_string());
        random::write(number, &home.join("context"))?;
        if tally.compare(&bench, &home)? {
            fs::remove_dir_all(&home).context("remove a sample")?;
        }
    }
    tally.end()
}

/// How samples that have no expected outcome came out.
#[derive(Default)]
struct Tally {
    alike: u32,
    /// Of those.
    refused: u32,
    differ: u32,
}

impl Tally {
    /// Builds one by both, and shows where they differ; whether they are alike.
    fn compare(&mut self, bench: &Bench, home: &Path) -> Result<bool> {
        let sample = Dockerfile::at(home)?;
        let theirs = docker(&sample, &bench.scratch, &bench.base)?;
        let ours = sample.build(&bench.rcompose, &bench.scratch, &bench.base)?;
        let found = differences(&theirs, &ours);
        if found.is_empty() {
            self.alike += 1;
            self.refused += u32::from(theirs.get("fails").is_some());
            return Ok(true);
        }
        self.differ += 1;
        println!("{}", sample.context().display());
        found.iter().for_each(|line| println!("  {line}"));
        Ok(false)
    }

    fn end(&self) -> Result<()> {
        println!("{} alike, {} of them refused by both; {} differ", self.alike, self.refused, self.differ);
        ensure!(self.differ == 0, "rcompose and docker differ");
        Ok(())
    }
}

/// docker's outcome.
fn docker(sample: &Dockerfile, scratch: &Path, base: &Tree) -> Result<Value> {
    let mut build = Command::new("docker");
    build.args(sample.docker_args()).current_dir(sample.context());
    let built = build.stdin(Stdio::null()).output().context("run docker build")?;
    if !built.status.success() {
        let text = String::from_utf8_lossy(&built.stderr);
        let line = text.lines().rev().find(|l| l.starts_with("ERROR")).unwrap_or_default();
        // What comes before names things by random numbers.
        return Ok(json!({ "fails": line.rsplit(": ").next().unwrap_or_default() }));
    }
    let (archive, image) = (scratch.join("docker.tar"), sample.image());
    let save = Run::new("docker").args(["save".as_ref(), "-o".as_ref(), archive.as_os_str(), image.as_ref()]);
    let saved = save.run()?;
    ensure!(saved.code() == 0, "{}", saved.describe());
    let facts = Picture::read(&archive)?.facts(base);
    fs::remove_file(&archive).context("remove the archive")?;
    let remove = Run::new("docker").args(["image", "rm", "-f", &image]).run()?;
    ensure!(remove.code() == 0, "{}", remove.describe());
    Ok(facts)
}

/// What docker's linter says, a line each: its line, the rule and its words.
fn check(sample: &Dockerfile) -> Result<Value> {
    let mut args = sample.docker_args();
    args.insert(1, "--call=check,format=json".to_owned());
    let checked =
        Command::new("docker").args(args).current_dir(sample.context()).stdin(Stdio::null()).output();
    let checked = checked.context("run docker build --check")?;
    let Ok(answer) = serde_json::from_slice::<Value>(&checked.stdout) else {
        return Ok(json!({"fails": true}));
    };
    let line = |w: &Value| {
        let first = &w["location"]["ranges"][0]["start"]["line"];
        let [rule, detail] = ["ruleName", "detail"].map(|k| w[k].as_str().unwrap_or_default());
        json!(format!("{first} {rule}: {detail}"))
    };
    let warnings = answer["warnings"].as_array().into_iter().flatten();
    Ok(json!({"warnings": warnings.map(line).collect::<Vec<_>>(), "fails": !answer["buildError"].is_null()}))
}
