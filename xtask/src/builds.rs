//! `cargo xtask builds`: realistic Dockerfiles built and run.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rcompose_e2e::{Machine, Run, examples};

use crate::sh::{say, target_dir};
use crate::{bases, binary, packages};

/// How long one build may take: some fetch a whole compiler.
const PATIENCE: Duration = Duration::from_secs(900);

/// Builds and runs the named folders of examples/builds, or all of them.
pub(crate) fn builds(names: &[String]) -> Result<()> {
    packages::install(packages::FOR_DEMO)?;
    let bin = binary::build()?;
    let all = folders()?;
    if let Some(unknown) = names.iter().find(|n| !all.iter().any(|f| f.ends_with(n))) {
        bail!("there is no examples/builds/{unknown}");
    }
    let root = target_dir().join("builds-root");
    let chosen = all.iter().filter(|f| names.is_empty() || names.iter().any(|n| f.ends_with(n)));
    bases::provide_debian(&Run::new(&bin).env("RCOMPOSE_ROOT", &root))?;
    let before = Machine::look()?;
    let (mut passed, mut failed) = (0, 0);
    for folder in chosen {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let begun = Instant::now();
        let rcompose = Run::new(&bin)
            .dir(folder)
            .env("RCOMPOSE_ROOT", &root)
            .env("COMPOSE_PROJECT_NAME", format!("builds-{name}"))
            .limit(PATIENCE);
        match one(folder, &rcompose) {
            Ok(again) => {
                passed += 1;
                let all = begun.elapsed();
                println!("ok      {name}: {all:.1?}, built again in {:.0} ms", again.as_secs_f64() * 1e3);
            }
            Err(e) => {
                failed += 1;
                println!("FAILED  {name}: {e:#}");
            }
        }
    }
    let left = Machine::settled(&before, Duration::from_secs(2))?;
    ensure!(left.is_empty(), "something is left or missing:\n  {}", left.join("\n  "));
    say(&format!("{passed} of {} builds made what they should; nothing is left", passed + failed));
    ensure!(failed == 0, "{failed} failed");
    Ok(())
}

fn folders() -> Result<Vec<PathBuf>> {
    let dir = examples().join("builds");
    let entries = fs::read_dir(&dir).with_context(|| format!("read {}", dir.display()))?;
    let mut all: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect();
    all.sort();
    Ok(all)
}

/// How long the second build took, for which nothing is left to do.
fn one(folder: &Path, rcompose: &Run) -> Result<Duration> {
    let run = |words: &str| -> Result<String> {
        let done = rcompose.clone().args(words.split_whitespace()).run()?;
        ensure!(done.code() == 0, "{}", done.describe());
        Ok(done.stdout)
    };
    run("down -v -t 0")?;
    run("build")?;
    let begun = Instant::now();
    run("build")?;
    let again = begun.elapsed();
    let said = run("run --rm -T check");
    run("down -v -t 0")?;
    let want = fs::read_to_string(folder.join("expected.txt")).context("read expected.txt")?;
    let said = said?;
    ensure!(said == want, "check printed\n{said}and not\n{want}");
    Ok(again)
}
