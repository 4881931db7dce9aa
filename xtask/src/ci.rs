//! `cargo xtask ci`: everything that must hold before a change lands.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::sh::{cargo_lines, say};
use crate::{bases, binary, packages, sh};

/// What the test runner said.
#[derive(Debug, Default)]
struct Tally {
    /// Its result lines, each after the name of what was tested.
    results: Vec<String>,
    /// Tests that said they can't run here.
    skipped: Vec<String>,
    /// Tests that failed.
    failed: Vec<String>,
    passed: u64,
    ignored: u64,
    broken: u64,
    current: String,
}

impl Tally {
    fn read(&mut self, line: &str) {
        let trimmed = line.trim_start();
        if let Some(what) = trimmed.strip_prefix("Running ").or(trimmed.strip_prefix("Doc-tests ")) {
            // "Running tests/a.rs (target/debug/deps/a-0123456789abcdef)" or "Doc-tests name"
            self.current = match what.split_once("deps/") {
                Some((_, file)) => file.rsplit_once('-').map_or(file, |(name, _)| name).to_owned(),
                None => format!("{} (doc)", what.trim()),
            };
        } else if let Some(result) = trimmed.strip_prefix("test result: ") {
            let number = |word: &str| {
                let part = result.split(['.', ';']).map(str::trim).find(|p| p.ends_with(word));
                part.and_then(|p| p.split(' ').next()).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0)
            };
            self.passed += number("passed");
            self.broken += number("failed");
            self.ignored += number("ignored");
            if !result.starts_with("ok. 0 passed; 0 failed; 0 ignored") {
                self.results.push(format!("{}: {trimmed}", self.current));
            }
        } else if let Some(name) = trimmed.strip_prefix("test ").and_then(|t| t.strip_suffix(" ... FAILED")) {
            self.failed.push(format!("{}: {name}", self.current));
        } else if let Some(at) = line.find("SKIP ") {
            // The runner may have begun a line of its own: "test name ... SKIP name: reason".
            self.skipped.push(line[at + 5..].to_owned());
        }
    }

    /// The last words: skips, failures, then the runner's own lines and their sum in the same form.
    fn close(&self) {
        println!();
        say(&format!("{} tests said that they can't run here", self.skipped.len()));
        for line in &self.skipped {
            println!("  SKIP {line}");
        }
        for line in &self.failed {
            println!("  FAILED {line}");
        }
        println!();
        for line in &self.results {
            println!("{line}");
        }
        let verdict = if self.broken == 0 { "ok" } else { "FAILED" };
        let skipped = self.skipped.len() as u64;
        println!(
            "test result: {verdict}. {} passed; {} failed; {} ignored; {skipped} skipped",
            self.passed.saturating_sub(skipped),
            self.broken,
            self.ignored,
        );
    }
}

pub(crate) fn ci() -> Result<()> {
    let begun = Instant::now();
    packages::install(packages::FOR_CI)?;
    sh::run_cargo(&["fmt", "--all", "--check"])?;
    sh::run_cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    let base = bases::make()?;
    let bin = binary::build()?;
    let mut tally = Tally::default();
    let env: [(&str, &Path); 2] = [("RCOMPOSE_BIN", &bin), ("RCOMPOSE_E2E_BASE", &base)];
    // Both go to their end: one run shows everything that is broken.
    let inside = &["test", "--workspace", "--exclude", "rcompose-e2e", "--no-fail-fast"];
    let good_inside = cargo_lines(inside, &env, |l| tally.read(l))?;
    let whole = &["test", "--package", "rcompose-e2e", "--no-fail-fast"];
    let good_whole = cargo_lines(whole, &env, |l| tally.read(l))?;
    say(&format!("everything took {:.0?}", begun.elapsed()));
    tally.close();
    if !good_inside || !good_whole {
        bail!("tests failed");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn counts_what_the_runner_says() {
        let mut tally = Tally::default();
        for line in [
            "     Running unittests src/lib.rs (/x/target/debug/deps/rcompose_plan-0a1b2c3d4e5f6071)",
            "test a ... ok",
            "test b ... SKIP b: needs root",
            "ok",
            "test c ... FAILED",
            "test result: FAILED. 2 passed; 1 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "   Doc-tests rcompose_model",
            "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ] {
            tally.read(line);
        }
        assert_eq!((tally.passed, tally.broken, tally.ignored), (2, 1, 3));
        assert_eq!(tally.skipped, ["b: needs root"]);
        assert_eq!(tally.failed, ["rcompose_plan: c"]);
        assert_eq!(tally.results.len(), 1);
        assert!(tally.results[0].starts_with("rcompose_plan: test result: FAILED."));
    }
}
