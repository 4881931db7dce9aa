//! Base images: root file systems made here, once, for where the registry doesn't answer, and for the tests.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rcompose_e2e::Run;

use crate::sh::{ask, say, target_dir};

/// Debian's base image in examples and tests.
pub(crate) const DEBIAN: &str = "debian:bookworm";
const SUITE: &str = "bookworm";
const CA_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
const LOCAL_CAS: &str = "/usr/local/share/ca-certificates";
/// How long a registry may take to give us a base image before we make it.
const PULL_PATIENCE: Duration = Duration::from_secs(90);

/// Makes the tarballs that aren't there yet; returns their folder (`debian.tar`, `busybox.tar`).
pub(crate) fn make() -> Result<PathBuf> {
    let dir = target_dir().join("xtask/base");
    fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    once(&dir.join("busybox.tar"), busybox)?;
    debian_tar(&dir)?;
    Ok(dir)
}

fn debian_tar(dir: &Path) -> Result<PathBuf> {
    let tar = dir.join("debian.tar");
    once(&tar, debian)?;
    Ok(tar)
}

/// Makes a file under another name first, so that an interrupted run leaves nothing that looks whole.
fn once(tar: &Path, make: impl Fn(&Path) -> Result<()>) -> Result<()> {
    if tar.exists() {
        return Ok(());
    }
    let partial = tar.with_extension("partial.tar");
    make(&partial)?;
    fs::rename(&partial, tar).with_context(|| format!("rename to {}", tar.display()))
}

/// Debian's minimal system, with what this host needs to reach the world: its CA bundle, its apt sources and settings.
fn debian(tar: &Path) -> Result<()> {
    say(&format!("making a base system for {DEBIAN} with mmdebstrap"));
    let begun = Instant::now();
    let mut args = vec!["--variant=minbase".to_owned()];
    args.extend(apt_settings().into_iter().map(|f| format!("--aptopt={}", f.display())));
    args.push("--customize-hook=mkdir -p \"$1/etc/ssl/certs\"".to_owned());
    args.push(format!("--customize-hook=copy-in {CA_BUNDLE} /etc/ssl/certs"));
    // A later `apt-get install ca-certificates` makes the bundle anew, from here too.
    if Path::new(LOCAL_CAS).is_dir() {
        args.push("--customize-hook=mkdir -p \"$1/usr/local/share\"".to_owned());
        args.push(format!("--customize-hook=copy-in {LOCAL_CAS} /usr/local/share"));
    }
    // Debian's pip has a bundle of its own and looks at this file for another.
    args.push(format!("--customize-hook=printf '[global]\\ncert = {CA_BUNDLE}\\n' > \"$1/etc/pip.conf\""));
    args.extend([SUITE.to_owned(), tar.display().to_string()]);
    args.extend(apt_sources().into_iter().map(|f| f.display().to_string()));
    println!("$ mmdebstrap {}", args.join(" "));
    let status = Command::new("mmdebstrap").args(&args).stdin(Stdio::null()).status();
    if !status.context("run mmdebstrap")?.success() {
        bail!("mmdebstrap failed");
    }
    say(&format!("made it in {:.0?}", begun.elapsed()));
    Ok(())
}

/// Files of this host that say where the suite's packages are; none on another distribution: then mmdebstrap's own.
fn apt_sources() -> Vec<PathBuf> {
    let mut files = files_in("/etc/apt/sources.list.d");
    files.push("/etc/apt/sources.list".into());
    let is_ours = |f: &PathBuf| {
        let known = f.extension().is_some_and(|e| e == "list" || e == "sources");
        let text = fs::read_to_string(f).unwrap_or_default();
        let mut lines = text.lines().filter(|l| !l.trim_start().starts_with('#'));
        // Third parties' archives name other suites or hosts; the base is Debian alone.
        known && lines.clone().any(|l| l.contains("debian")) && lines.any(|l| l.contains(SUITE)) && {
            let others = ["cloud", "docker", "nodesource", "pgdg", "postgresql"];
            !others.iter().any(|o| text.contains(o))
        }
    };
    files.retain(is_ours);
    files
}

/// This host's settings for fetching packages: proxies, time checks.
fn apt_settings() -> Vec<PathBuf> {
    let mut files = files_in("/etc/apt/apt.conf.d");
    files.push("/etc/apt/apt.conf".into());
    let matters = |text: &str| ["Proxy", "Check-", "Verify-"].iter().any(|w| text.contains(w));
    files.retain(|f| fs::read_to_string(f).is_ok_and(|t| t.contains("Acquire") && matters(&t)));
    files
}

fn files_in(dir: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = match fs::read_dir(dir) {
        Ok(entries) => entries.flatten().map(|e| e.path()).collect(),
        Err(_) => Vec::new(),
    };
    files.sort();
    files
}

/// A root file system of one static program under its many names.
fn busybox(tar: &Path) -> Result<()> {
    say("making a base system of busybox");
    let work = tar.with_extension("d");
    if work.exists() {
        fs::remove_dir_all(&work).context("clear the work folder")?;
    }
    for dir in ["bin", "etc", "tmp", "proc", "sys", "dev", "var", "root", "home"] {
        fs::create_dir_all(work.join(dir)).context("make the folders")?;
    }
    fs::copy("/bin/busybox", work.join("bin/busybox")).context("copy busybox")?;
    let applets = ask("/bin/busybox", &["--list"]).context("ask busybox for its names")?;
    for applet in applets.lines().filter(|a| *a != "busybox") {
        symlink("busybox", work.join("bin").join(applet)).with_context(|| format!("link {applet}"))?;
    }
    let users = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n";
    fs::write(work.join("etc/passwd"), users).context("write passwd")?;
    fs::write(work.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n").context("write group")?;
    let status = Command::new("tar")
        .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "-C"])
        .arg(&work)
        .arg("-cf")
        .arg(tar)
        .arg(".")
        .status();
    if !status.context("run tar")?.success() {
        bail!("tar failed");
    }
    fs::remove_dir_all(&work).context("remove the work folder")
}

/// Sees to it that an installation has Debian's base image: pulled where the registry answers, else made here and imported.
///
/// `rcompose` is the binary in that installation, without arguments.
pub(crate) fn provide_debian(rcompose: &Run) -> Result<()> {
    let quietly = |run: Run| run.run().is_ok_and(|f| f.code() == 0);
    if quietly(rcompose.clone().args(["image", "inspect", DEBIAN])) {
        return Ok(());
    }
    let pull = rcompose.clone().args(["image", "pull", DEBIAN]).limit(PULL_PATIENCE);
    println!("$ {}", pull.line());
    match pull.run() {
        Ok(f) if f.code() == 0 => return Ok(()),
        Ok(f) => print!("{}", f.stderr),
        Err(e) => println!("{e:#}"),
    }
    say(&format!("the registry of {DEBIAN} doesn't answer: an own base system takes its place"));
    let dir = target_dir().join("xtask/base");
    fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    let tar = debian_tar(&dir)?;
    let import = rcompose.clone().args(["image", "import", &tar.display().to_string(), DEBIAN]);
    println!("$ {}", import.line());
    let done = import.limit(Duration::from_secs(180)).run()?;
    if done.code() != 0 {
        bail!("{}", done.describe());
    }
    print!("{}{}", done.stdout, done.stderr);
    Ok(())
}
