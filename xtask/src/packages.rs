//! System packages: what is missing is named, then installed.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::sh::say;

/// Something that must be there, and the Debian package that brings it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Need {
    package: &'static str,
    file: &'static str,
}

const fn need(package: &'static str, file: &'static str) -> Need {
    Need { package, file }
}

/// For the demo: to make base images and to look at the machine.
pub(crate) const FOR_DEMO: &[Need] = &[
    need("mmdebstrap", "/usr/bin/mmdebstrap"),
    need("debian-archive-keyring", "/usr/share/keyrings/debian-archive-keyring.gpg"),
    need("ca-certificates", "/etc/ssl/certs/ca-certificates.crt"),
    need("busybox-static", "/bin/busybox"),
    need("iproute2", "/sbin/ip"),
    need("nftables", "/usr/sbin/nft"),
];

/// For the tests, too: a registry to pull from, and other tools' opinion of our images.
pub(crate) const FOR_CI: &[Need] = &[
    FOR_DEMO[0],
    FOR_DEMO[1],
    FOR_DEMO[2],
    FOR_DEMO[3],
    FOR_DEMO[4],
    FOR_DEMO[5],
    need("docker-registry", "/usr/bin/docker-registry"),
    need("skopeo", "/usr/bin/skopeo"),
    need("umoci", "/usr/bin/umoci"),
    need("openssl", "/usr/bin/openssl"),
    need("procps", "/usr/bin/pgrep"),
    need("git", "/usr/bin/git"),
    need("openssh-server", "/usr/sbin/sshd"),
];

/// For an emulated machine with Debian's kernel.
pub(crate) const FOR_GUEST: &[Need] = &[
    FOR_DEMO[0],
    FOR_DEMO[1],
    FOR_DEMO[2],
    FOR_DEMO[3],
    need("qemu-system-x86", "/usr/bin/qemu-system-x86_64"),
    need("kmod", "/sbin/modprobe"),
    need("cpio", "/bin/cpio"),
];

fn is_there(need: &Need) -> bool {
    let path = Path::new(need.file);
    if need.package != "busybox-static" {
        return path.exists();
    }
    // The package `busybox` has the same file, but it needs the C library, which the image won't have.
    std::fs::read(path).is_ok_and(|data| is_static(&data))
}

/// An ELF file (64 bit, little endian; elf(5)) without a PT_INTERP segment.
fn is_static(elf: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    let word = |at: usize, len: usize| {
        let bytes = elf.get(at..at + len)?;
        Some(bytes.iter().rev().fold(0_u64, |all, b| all << 8 | u64::from(*b)))
    };
    let segments = || {
        let (start, size, count) = (word(32, 8)?, word(54, 2)?, word(56, 2)?);
        (0..count).map(|i| word(usize::try_from(start + i * size).ok()?, 4)).collect::<Option<Vec<u64>>>()
    };
    elf.starts_with(b"\x7fELF\x02\x01") && segments().is_some_and(|all| !all.contains(&u64::from(PT_INTERP)))
}

/// Installs what is missing.
pub(crate) fn install(needs: &[Need]) -> Result<()> {
    let missing: Vec<&str> = needs.iter().filter(|n| !is_there(n)).map(|n| n.package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    say(&format!("system packages are missing: {}", missing.join(" ")));
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("no apt-get here: install them by hand ({})", missing.join(" "));
    }
    if !apt("install", &missing)? {
        say("the package lists may be old");
        if !apt("update", &[])? || !apt("install", &missing)? {
            bail!("apt-get could not install {}", missing.join(" "));
        }
    }
    // Debian starts what it installs; the tests start servers of their own, on ports of their own.
    for (package, service) in
        [("docker-registry", "docker-registry.service"), ("openssh-server", "ssh.service")]
    {
        if missing.contains(&package) && Path::new("/run/systemd/system").exists() {
            say(&format!("the package {package} starts a service: switching it off"));
            crate::sh::run("systemctl", &["disable", "--now", service])?;
        }
    }
    Ok(())
}

fn apt(verb: &str, packages: &[&str]) -> Result<bool> {
    let mut args = vec!["-qq", "-o", "DPkg::Lock::Timeout=120", verb];
    if verb == "install" {
        args.extend(["-y", "--no-install-recommends"]);
    }
    args.extend(packages);
    println!("$ apt-get {}", args.join(" "));
    let status = Command::new("apt-get").args(&args).env("DEBIAN_FRONTEND", "noninteractive").status();
    Ok(status.context("run apt-get")?.success())
}

#[cfg(test)]
mod tests {
    use super::is_static;

    #[test]
    fn tells_static_programs_from_dynamic_ones() {
        let own = std::fs::read("/proc/self/exe").unwrap();
        assert!(!is_static(b"#!/bin/sh"));
        assert!(!is_static(&own[..40]));
        assert_eq!(is_static(&own), cfg!(target_feature = "crt-static"));
    }
}
