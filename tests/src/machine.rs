use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::Deadline;

/// Everything of the machine that a project may change and must put back: one line for each thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine(BTreeSet<String>);

impl Machine {
    /// Looks at links, routes, the firewall, mounts, cgroups and processes.
    ///
    /// Processes and cgroups count if they are rcompose's: others come and go on a living machine.
    pub fn look() -> Result<Self> {
        let mut all = BTreeSet::new();
        let mut add = |kind: &str, lines: Vec<String>| {
            all.extend(lines.into_iter().map(|l| format!("{kind}: {l}")));
        };
        add("link", links()?);
        add("route", lines_of("ip", &["route", "show", "table", "all"])?);
        add("rule", firewall()?);
        let mounts = fs::read_to_string("/proc/self/mountinfo").context("read /proc/self/mountinfo")?;
        add("mount", mounts.lines().map(str::to_owned).collect());
        add("cgroup", cgroups());
        add("process", processes());
        Ok(Self(all))
    }

    /// Looks until two looks in a row see the same: what ended a moment ago is gone by then.
    pub fn at_rest() -> Result<Self> {
        let deadline = Deadline::after(Duration::from_secs(10));
        let mut last = Self::look()?;
        loop {
            std::thread::sleep(Duration::from_millis(300));
            let now = Self::look()?;
            if now == last {
                return Ok(now);
            }
            if deadline.passed() {
                bail!("the machine doesn't come to rest:\n  {}", now.difference(&last).join("\n  "));
            }
            last = now;
        }
    }

    /// Looks until the machine is as before, at most so long; what differs in the end.
    ///
    /// Removing a network is one umount: a worker of the kernel clears the namespace a moment later.
    pub fn settled(before: &Self, patience: Duration) -> Result<Vec<String>> {
        let deadline = Deadline::after(patience);
        loop {
            let difference = Self::look()?.difference(before);
            if difference.is_empty() || deadline.passed() {
                return Ok(difference);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What is there now and was not before, and the other way round.
    pub fn difference(&self, before: &Self) -> Vec<String> {
        let new = self.0.difference(&before.0).map(|l| format!("+ {l}"));
        let gone = before.0.difference(&self.0).map(|l| format!("- {l}"));
        new.chain(gone).collect()
    }

    /// So many links, rules, mounts, cgroups and processes.
    pub fn count(&self, kind: &str) -> usize {
        self.0.iter().filter(|l| l.split_once(": ").is_some_and(|(k, _)| k == kind)).count()
    }
}

fn lines_of(program: &str, args: &[&str]) -> Result<Vec<String>> {
    let output = Command::new(program).args(args).output().with_context(|| format!("run {program}"))?;
    if !output.status.success() {
        bail!("{program} {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

/// Names and kinds of the links: `2: eth0@if5: <UP> …` → `eth0`. State and counters change by themselves.
fn links() -> Result<Vec<String>> {
    let all = lines_of("ip", &["-o", "link", "show"])?;
    let name = |l: &String| Some(l.split(": ").nth(1)?.split('@').next()?.to_owned());
    Ok(all.iter().filter_map(name).collect())
}

/// The rule set as one line for each line in it; counters left out.
fn firewall() -> Result<Vec<String>> {
    let all = lines_of("nft", &["--stateless", "list", "ruleset"])?;
    let mut place = Vec::new();
    let mut lines = Vec::new();
    for line in all.iter().map(|l| l.trim()).filter(|l| !l.is_empty()) {
        lines.push(format!("{} {line}", place.join(" / ")));
        if line.ends_with('{') {
            place.push(line.trim_end_matches(" {").to_owned());
        } else if line == "}" {
            place.pop();
        }
    }
    Ok(lines)
}

fn cgroups() -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(dir) = left.pop() {
        if dir.to_string_lossy().contains("rcompose") {
            found.push(dir.display().to_string());
        }
        // A cgroup may go while we look.
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        left.extend(entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
    }
    found
}

/// Processes of rcompose: its own (by their hidden verbs) and those in its cgroups. Without their numbers: in another project's
/// containers processes come and go.
fn processes() -> Vec<String> {
    let ours = |pid: i32| {
        let dir = PathBuf::from(format!("/proc/{pid}"));
        let args = fs::read(dir.join("cmdline")).unwrap_or_default();
        let args = String::from_utf8_lossy(&args).replace('\0', " ");
        let groups = fs::read_to_string(dir.join("cgroup")).unwrap_or_default();
        let hidden = ["__keeper", "__supervisor", "__build-helper"].iter().any(|v| args.contains(v));
        (hidden || groups.contains("/rcompose-")).then(|| args.trim().to_owned())
    };
    all_processes().into_iter().filter_map(ours).collect()
}

fn all_processes() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
}

/// Processes of one project's hidden verb (`__keeper`, `__supervisor`) in an installation with this `RCOMPOSE_ROOT`.
pub fn processes_of(root: &Path, project: &str, verb: &str) -> Vec<i32> {
    let wanted = format!("RCOMPOSE_ROOT={}", root.display());
    let is_it = |pid: &i32| {
        let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let args = read("cmdline");
        let args: Vec<&[u8]> = args.split(|b| *b == 0).collect();
        args.contains(&verb.as_bytes())
            && args.contains(&project.as_bytes())
            && read("environ").split(|b| *b == 0).any(|v| v == wanted.as_bytes())
    };
    all_processes().into_iter().filter(is_it).collect()
}
