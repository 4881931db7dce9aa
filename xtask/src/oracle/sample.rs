//! Where Compose files are found, and with which arguments they are read.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::sh::root;

/// One call of `config`.
pub(crate) struct Sample {
    /// For the report; `group/name` for our own.
    pub(crate) name: String,
    /// Where it lies, for its goldens.
    pub(crate) home: PathBuf,
    /// Where it is run: its home, or a copy with what git can't hold.
    pub(crate) directory: PathBuf,
    /// The command line, with `config`.
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    /// Why it differs on purpose: `difference.txt`.
    pub(crate) excuse: Option<String>,
    /// One of ours, with goldens.
    pub(crate) owned: bool,
}

/// All samples of the directories, or ours.
pub(crate) fn all(dirs: &[PathBuf], scratch: &Path) -> Result<Vec<Sample>> {
    let ours = root().join("compose-samples");
    let mut out = Vec::new();
    if dirs.is_empty() {
        find(&ours, true, scratch, &mut out)?;
    }
    for dir in dirs {
        let dir = dir.canonicalize().with_context(|| format!("find {}", dir.display()))?;
        find(&dir, dir.starts_with(&ours), scratch, &mut out)?;
    }
    Ok(out)
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let read = fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))?;
    let mut out: Vec<PathBuf> = read.flatten().map(|e| e.path()).collect();
    out.sort();
    Ok(out)
}

/// A sample in our form is a folder with goldens or with the file `args`, or `compose-samples/GROUP/NAME`. Elsewhere
/// every Compose file counts.
fn find(dir: &Path, owned: bool, scratch: &Path, out: &mut Vec<Sample>) -> Result<()> {
    let marks = ["model.json", "diagnostics.txt", "args", "difference.txt"];
    let depth = dir.strip_prefix(root().join("compose-samples")).map_or(0, |d| d.components().count());
    // A new sample has no goldens yet.
    if marks.iter().any(|m| dir.join(m).is_file()) || owned && depth == 2 {
        out.push(sample(dir, owned, scratch)?);
    } else if entries(dir)?.iter().any(|e| is_compose_file(e)) {
        loose(dir, out)?;
    } else {
        for entry in entries(dir)?.iter().filter(|e| e.is_dir()) {
            find(entry, owned, scratch, out)?;
        }
    }
    Ok(())
}

fn is_compose_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.starts_with("compose") || name.starts_with("docker-compose");
    stem && (name.ends_with(".yaml") || name.ends_with(".yml")) && path.is_file()
}

fn sample(dir: &Path, owned: bool, scratch: &Path) -> Result<Sample> {
    let text = |name: &str| fs::read_to_string(dir.join(name)).ok();
    let lines =
        |name: &str| -> Vec<String> { text(name).unwrap_or_default().lines().map(str::to_owned).collect() };
    let mut args = lines("args");
    if !args.iter().any(|a| a == "config") {
        args.push("config".into());
    }
    let env =
        lines("env").iter().filter_map(|l| l.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect();
    let parts: Vec<_> = dir.components().rev().take(2).map(|c| c.as_os_str().to_string_lossy()).collect();
    let name = parts.iter().rev().map(|p| p.to_string()).collect::<Vec<_>>().join("/");
    let directory = match text("generate") {
        Some(recipe) => copy(dir, &scratch.join(&name), &recipe)?,
        None => dir.to_owned(),
    };
    let excuse = text("difference.txt");
    Ok(Sample { name, home: dir.to_owned(), directory, args, env, excuse, owned })
}

/// A copy with what git shouldn't hold: each line of the recipe is `FILE COUNT`, and says that `@FILL@` in the file
/// stands for so many letters.
fn copy(from: &Path, to: &Path, recipe: &str) -> Result<PathBuf> {
    fs::create_dir_all(to).with_context(|| format!("make {}", to.display()))?;
    for entry in entries(from)?.iter().filter(|e| e.is_file()) {
        let target = to.join(entry.file_name().unwrap_or_default());
        fs::copy(entry, &target).with_context(|| format!("copy {}", entry.display()))?;
    }
    for line in recipe.lines() {
        let (file, count) = line.split_once(' ').with_context(|| format!("understand {line:?}"))?;
        let file = to.join(file);
        let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        let fill = "a".repeat(count.parse().with_context(|| format!("understand {line:?}"))?);
        fs::write(&file, text.replace("@FILL@", &fill)).context("fill a file")?;
    }
    Ok(to.to_owned())
}

/// Every Compose file below a directory.
fn loose(dir: &Path, out: &mut Vec<Sample>) -> Result<()> {
    for entry in entries(dir)? {
        if entry.is_dir() {
            loose(&entry, out)?;
        } else if is_compose_file(&entry) {
            out.push(Sample {
                name: entry.display().to_string(),
                home: dir.to_owned(),
                directory: dir.to_owned(),
                args: vec!["-f".into(), entry.display().to_string(), "config".into()],
                env: Vec::new(),
                excuse: None,
                owned: false,
            });
        }
    }
    Ok(())
}
