//! The static release binary.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::sh::{ask, cargo_target_dir, say};

/// The musl target of this machine, added if need be; `None`, and said so, where it can't be had.
pub(crate) fn target() -> Option<String> {
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    if is_installed(&target) {
        return Some(target);
    }
    println!("$ rustup target add {target}");
    let added = Command::new("rustup").args(["target", "add", &target]).status();
    if added.is_ok_and(|s| s.success()) && is_installed(&target) {
        return Some(target);
    }
    say(&format!("the target {target} can't be added: building for this machine's own, not a static binary"));
    None
}

fn is_installed(target: &str) -> bool {
    let Some(dir) = ask("rustc", &["--print", "target-libdir", "--target", target]) else { return false };
    let dir = PathBuf::from(dir.trim());
    let std = |e: std::io::Result<std::fs::DirEntry>| {
        e.is_ok_and(|e| e.file_name().to_string_lossy().starts_with("libstd-"))
    };
    std::fs::read_dir(dir).is_ok_and(|mut entries| entries.any(std))
}

/// Builds the binary and tells where it is.
pub(crate) fn build() -> Result<PathBuf> {
    let target = target();
    let mut args = vec!["build", "--release", "--package", "rcompose"];
    let mut command = crate::sh::cargo();
    if let Some(t) = &target {
        args.extend(["--target", t]);
        // Some crates compile a little C without the C library; the host's compiler does for that.
        let name = format!("CC_{}", t.replace('-', "_"));
        if std::env::var_os(&name).is_none() {
            command.env(name, "gcc");
        }
    }
    println!("$ cargo {}", args.join(" "));
    let status = command.args(&args).status().context("run cargo")?;
    if !status.success() {
        bail!("the release build failed");
    }
    let dir = cargo_target_dir().join(target.unwrap_or_default());
    let binary = dir.join("release/rcompose");
    let meta = std::fs::metadata(&binary).with_context(|| format!("find {}", binary.display()))?;
    say(&format!("{} ({:.1} MB)", binary.display(), meta.len() as f64 / 1e6));
    Ok(binary)
}

/// The debug binary, or the one that `RCOMPOSE_BIN` names: for comparisons, where speed doesn't matter.
pub(crate) fn debug() -> Result<PathBuf> {
    if let Some(bin) = std::env::var_os("RCOMPOSE_BIN") {
        return Ok(bin.into());
    }
    let args = ["build", "--quiet", "--package", "rcompose"];
    println!("$ cargo {}", args.join(" "));
    let built = crate::sh::cargo().args(args).status().context("run cargo")?;
    if !built.success() {
        bail!("the build failed");
    }
    Ok(cargo_target_dir().join("debug/rcompose"))
}
