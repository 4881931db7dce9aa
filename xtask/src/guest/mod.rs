//! `cargo xtask guest`: a project on Debian's own, older kernel and with version 2 of control groups alone, in a virtual
//! machine. Developers' machines tend to be newer than users'.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::sh::{ask, run, say, target_dir};
use crate::{bases, binary, packages};

/// What a machine with Debian's kernel would load by itself.
const MODULES: &[&str] = &[
    "overlay",
    "bridge",
    "veth",
    "dummy",
    "macvlan",
    "nf_tables",
    "nft_chain_nat",
    "nft_nat",
    "nft_masq",
    "nft_ct",
    "nft_redir",
    "nft_reject_inet",
    "nft_fib_inet",
    "nft_limit",
    "nft_numgen",
    "binfmt_misc",
];

/// The guest is emulated: minutes are normal on a busy machine. Seconds.
const PATIENCE: &str = "900";

pub(crate) fn guest() -> Result<()> {
    packages::install(packages::FOR_GUEST)?;
    let bin = binary::build()?;
    let busybox = bases::make()?.join("busybox.tar");
    let dir = target_dir().join("guest");
    let kernel = kernel(&dir)?;
    let memory = initial(&dir, &kernel, &bin, &busybox)?;
    boot(&kernel, &memory)
}

/// The unpacked package of Debian's kernel, fetched once.
fn kernel(dir: &Path) -> Result<PathBuf> {
    let kernel = dir.join("kernel");
    if kernel.join("boot").exists() {
        return Ok(kernel);
    }
    let depends = ask("apt-cache", &["depends", "linux-image-amd64"]).unwrap_or_default();
    let package = depends.lines().find_map(|l| l.trim().strip_prefix("Depends: "));
    let package = package.context("apt-cache knows no linux-image-amd64: is this Debian?")?;
    fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    println!("$ apt-get download {package}");
    let status = Command::new("apt-get").args(["-qq", "download", package]).current_dir(dir).status();
    ensure!(status.context("run apt-get")?.success(), "apt-get could not fetch {package}");
    let found = fs::read_dir(dir)?.filter_map(|e| Some(e.ok()?.path()));
    let deb = found.filter(|p| p.extension().is_some_and(|e| e == "deb")).max().context("no package came")?;
    let partial = dir.join("kernel.partial");
    run("dpkg", &["-x", utf8(&deb)?, utf8(&partial)?])?;
    run("depmod", &["-b", utf8(&partial)?, &release(&partial)?])?;
    fs::rename(&partial, &kernel).context("keep the kernel")?;
    Ok(kernel)
}

fn release(kernel: &Path) -> Result<String> {
    let entry = fs::read_dir(kernel.join("lib/modules"))?.next().context("a kernel without modules")??;
    Ok(entry.file_name().to_string_lossy().into_owned())
}

/// The archive that the guest starts from: busybox, the modules in the order in which they go in, our binary.
fn initial(dir: &Path, kernel: &Path, bin: &Path, busybox: &Path) -> Result<PathBuf> {
    let root = dir.join("root");
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("remove {}", root.display()))?;
    }
    for name in ["modules", "new", "run"] {
        fs::create_dir_all(root.join(name)).context("make the guest's folders")?;
    }
    run("tar", &["-xf", utf8(busybox)?, "-C", utf8(&root)?])?;
    fs::copy(busybox, root.join("busybox.tar")).context("copy busybox.tar")?;
    fs::copy(bin, root.join("bin/rcompose")).context("copy the binary")?;
    fs::write(root.join("check.sh"), include_str!("check.sh")).context("write check.sh")?;
    fs::write(root.join("init"), include_str!("init")).context("write init")?;
    fs::set_permissions(root.join("init"), fs::Permissions::from_mode(0o755)).context("init's mode")?;
    let release = release(kernel)?;
    let mut order: Vec<String> = Vec::new();
    for module in MODULES {
        let args = ["-d", utf8(kernel)?, "-S", &release, "--show-depends", module];
        // One that the kernel has built in has no file. Options may follow.
        let listed = ask("modprobe", &args).unwrap_or_default();
        let files = listed.lines().filter_map(|l| l.strip_prefix("insmod ")?.split_whitespace().next());
        for path in files.map(Path::new) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !order.contains(&name) {
                fs::copy(path, root.join("modules").join(&name)).with_context(|| format!("copy {name}"))?;
                order.push(name);
            }
        }
    }
    fs::write(root.join("order"), order.join("\n") + "\n").context("write the modules' order")?;
    let archive = dir.join("initial.cpio");
    let pack =
        format!("cd '{}' && find . | cpio --quiet -o -H newc > '{}'", root.display(), archive.display());
    run("sh", &["-c", &pack])?;
    Ok(archive)
}

fn boot(kernel: &Path, memory: &Path) -> Result<()> {
    let image = kernel.join(format!("boot/vmlinuz-{}", release(kernel)?));
    // Emulated: the timer may be late on a busy machine, and that is no fault of the guest's.
    let line = "console=ttyS0 quiet loglevel=3 panic=-1 no_timer_check";
    let machine =
        ["-accel", "tcg,thread=multi", "-cpu", "max", "-m", "3072", "-smp", "2", "-nographic", "-no-reboot"];
    let what = ["-kernel", utf8(&image)?, "-initrd", utf8(memory)?, "-append", line];
    say(&format!("booting {}", image.display()));
    let mut child = Command::new("timeout")
        .args([PATIENCE, "qemu-system-x86_64"])
        .args(machine)
        .args(what)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("run qemu")?;
    let out = child.stdout.take().context("qemu's output")?;
    let (mut passed, mut failed) = (false, 0);
    for line in BufReader::new(out).split(b'\n') {
        let line = line.context("read qemu's output")?;
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        println!("{line}");
        passed |= line == "guest: passed";
        failed += usize::from(line.starts_with("guest: FAILED"));
    }
    child.wait().context("wait for qemu")?;
    if !passed || failed > 0 {
        bail!("the guest didn't pass: {failed} checks failed");
    }
    Ok(())
}

fn utf8(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} isn't UTF-8", path.display()))
}
