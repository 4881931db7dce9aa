//! `cargo xtask oracle`: what `docker compose config` says beside what rcompose says, over any Compose files.
//!
//! Docker compose needs no engine for this, only its plugin. `--write` keeps its answers as the samples' goldens, so
//! that the tests need neither.

mod answer;
mod compare;
mod sample;
mod write;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, bail, ensure};

use self::answer::{Answer, Engine};
use self::compare::Difference;
use self::sample::Sample;
use crate::sh::cargo_target_dir;

/// Runs at the same time.
const WORKERS: usize = 3;

pub(crate) fn oracle(args: &[String]) -> Result<()> {
    let write = args.iter().any(|a| a == "--write");
    let dirs: Vec<PathBuf> = args.iter().filter(|a| *a != "--write").map(PathBuf::from).collect();
    ensure!(!dirs.iter().any(|d| d.to_string_lossy().starts_with('-')), "the only option is --write");
    let scratch = cargo_target_dir().join("oracle");
    let docker = Engine::docker(scratch.join("answers"))?;
    let rcompose = Engine::rcompose(crate::binary::debug()?);
    let samples = sample::all(&dirs, &scratch.join("samples"))?;
    ensure!(!samples.is_empty(), "there is no Compose file");

    let findings = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(sample) = samples.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = one(sample, &docker, &rcompose, write);
                    findings.lock().unwrap_or_else(|e| e.into_inner()).push((sample, found));
                }
            });
        }
    });
    let mut findings = findings.into_inner().unwrap_or_else(|e| e.into_inner());
    findings.sort_by_key(|(s, _)| &s.name);
    report(&findings)
}

/// Compares one sample, and writes its goldens.
fn one(sample: &Sample, docker: &Engine, rcompose: &Engine, write: bool) -> Result<Vec<Difference>> {
    let (theirs, ours) = (docker.ask(sample)?, rcompose.ask(sample)?);
    let found = compare::differences(&theirs, &ours);
    if write && sample.owned {
        let golden: &Answer = if found.is_empty() || sample.excuse.is_some() { &ours } else { &theirs };
        write::goldens(sample, golden)?;
    }
    match (&sample.excuse, found.is_empty()) {
        (Some(_), false) => Ok(Vec::new()),
        (Some(_), true) => Ok(vec![Difference::needless_excuse()]),
        (None, _) => Ok(found),
    }
}

fn report(findings: &[(&Sample, Result<Vec<Difference>>)]) -> Result<()> {
    let (mut differ, mut excused) = (0, 0);
    for (sample, found) in findings {
        excused += usize::from(sample.excuse.is_some());
        match found {
            Ok(found) if found.is_empty() => continue,
            Ok(found) => {
                println!("{}", sample.name);
                found.iter().for_each(|d| println!("  {d}"));
            }
            Err(e) => println!("{}\n  {e:#}", sample.name),
        }
        differ += 1;
    }
    println!("{} compared, {excused} differ on purpose, {differ} differ without a reason", findings.len());
    if differ > 0 {
        bail!("rcompose and docker compose differ");
    }
    Ok(())
}
