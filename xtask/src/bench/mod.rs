//! `cargo xtask bench`: the same work by rcompose and, if it runs here, docker compose, beside the kernel's floor.
//!
//! Engines take turns inside each round, so that noise hits them alike: the ratios count, not the times.

mod engine;
mod floor;
mod images;
mod report;
mod work;

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};

use self::engine::Engine;
use self::images::Images;
use self::report::Report;
use crate::sh::{say, target_dir};
use crate::{bases, binary, packages};

/// What to measure.
#[derive(Debug)]
struct Options {
    runs: usize,
    sizes: Vec<usize>,
    only: Option<Vec<String>>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self { runs: 3, sizes: vec![1, 10, 30], only: None };
        let mut args = args.iter();
        while let Some(flag) = args.next() {
            let value = args.next().with_context(|| format!("{flag} needs a value"))?;
            let words = || value.split(',').map(str::to_owned);
            match flag.as_str() {
                "--runs" => options.runs = value.parse().context("--runs needs a number")?,
                "--sizes" => {
                    let sizes: Result<_, _> = words().map(|w| w.parse()).collect();
                    options.sizes = sizes.context("--sizes needs numbers")?;
                }
                "--only" => options.only = Some(words().collect()),
                _ => bail!("unknown option {flag}"),
            }
        }
        Ok(options)
    }

    fn wants(&self, work: &str) -> bool {
        self.only.as_ref().is_none_or(|o| o.iter().any(|w| w == work))
    }
}

pub(crate) fn bench(args: &[String]) -> Result<()> {
    let options = Options::parse(args)?;
    ensure!(crate::sh::ask("id", &["-u"]).is_some_and(|u| u.trim() == "0"), "run the bench as root");
    packages::install(packages::FOR_CI)?;
    let base = bases::make()?;
    let bin = binary::build()?;
    let home = target_dir().join("bench");
    let work = home.join("work");
    if work.exists() {
        fs::remove_dir_all(&work).context("clear the work folder")?;
    }
    fs::create_dir_all(&work).context("make the work folder")?;
    let mut engines = vec![Engine::rcompose(&bin, &home.join("root"))];
    match Engine::docker() {
        Some(docker) => engines.insert(0, docker),
        None => say("no docker compose with an engine answers here: rcompose alone"),
    }
    for engine in &engines {
        engine.import(&base.join("busybox.tar"), work::IMAGE)?;
    }

    let images = options.wants("images").then(|| {
        say("preparing a registry and its images");
        // Of docker's own cache of builds nothing is to be removed.
        Images::prepare(engines.last().context("there is always rcompose")?, &base.join("debian.tar"), &work)
    });
    let images = images.transpose()?;
    let mut report = Report::default();
    for round in 1..=options.runs {
        say(&format!("round {round} of {}", options.runs));
        if options.wants("up") {
            floor::measure(&base.join("busybox.tar"), &home, &options.sizes, &mut report)?;
        }
        for engine in &engines {
            let folder = work.join(engine.name());
            work::round(engine, &folder, &options, &mut report)
                .with_context(|| format!("bench of {}", engine.name()))?;
            if let Some(images) = &images {
                images.round(engine, &mut report).with_context(|| format!("bench of {}", engine.name()))?;
            }
        }
    }
    drop(images);
    for engine in &engines {
        engine.clean_up(work::IMAGE)?;
    }
    fs::remove_dir_all(&work).context("remove the work folder")?;

    println!("\n{}", report.table());
    let stamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let file = home.join(format!("{stamp}.json"));
    fs::write(&file, format!("{:#}\n", report.json())).context("write the results")?;
    say(&format!("all values in {}", file.display()));
    Ok(())
}
