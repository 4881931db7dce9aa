//! Which devices a container may use: rules in v1's files, or a small eBPF program on the v2 directory.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use super::limits::write;
use super::path::{CgroupError, CgroupPath};
use crate::sys::sys;

pub(super) fn apply(cgroup: &CgroupPath, rules: &[LinuxDeviceCgroup]) -> Result<(), CgroupError> {
    if rules.is_empty() {
        return Ok(());
    }
    match cgroup.controller("devices") {
        Some((path, true)) => {
            for rule in rules {
                let file = if rule.allow() { "devices.allow" } else { "devices.deny" };
                let all = rule.typ().unwrap_or_default() == LinuxDeviceType::A;
                let text = if all { "a".to_owned() } else { rule.to_string() };
                write(path, file, &text)?;
            }
            Ok(())
        }
        Some((path, false)) => {
            let directory = File::open(path).map_err(CgroupError::path("open", path))?;
            attach(&directory, &program(rules))
        }
        None => Err(CgroupError::NoController("devices")),
    }
}

/// One eBPF instruction, as `struct bpf_insn`.
fn insn(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> u64 {
    u64::from_ne_bytes({
        let mut bytes = [0u8; 8];
        bytes[0] = code;
        bytes[1] = dst | src << 4;
        bytes[2..4].copy_from_slice(&off.to_ne_bytes());
        bytes[4..].copy_from_slice(&imm.to_ne_bytes());
        bytes
    })
}

/// `struct bpf_cgroup_dev_ctx`: access << 16 | type, major, minor. The last rule that fits decides, so they are asked
/// from the last to the first; nothing fits: no.
fn program(rules: &[LinuxDeviceCgroup]) -> Vec<u64> {
    const LDX_W: u8 = 0x61;
    const MOV_X: u8 = 0xbf;
    const MOV_K: u8 = 0xb7;
    const AND_K: u8 = 0x57;
    const RSH_K: u8 = 0x77;
    const JNE_K: u8 = 0x55;
    const EXIT: u8 = 0x95;
    // r2 = type, r3 = access, r4 = major, r5 = minor.
    let mut code = vec![
        insn(LDX_W, 2, 1, 0, 0),
        insn(MOV_X, 3, 2, 0, 0),
        insn(AND_K, 2, 0, 0, 0xffff),
        insn(RSH_K, 3, 0, 0, 16),
        insn(LDX_W, 4, 1, 4, 0),
        insn(LDX_W, 5, 1, 8, 0),
    ];
    for rule in rules.iter().rev() {
        let mut tests: Vec<Vec<u64>> = Vec::new();
        match rule.typ().unwrap_or_default() {
            LinuxDeviceType::A | LinuxDeviceType::P => {}
            LinuxDeviceType::B => tests.push(vec![insn(JNE_K, 2, 0, 0, 1)]),
            LinuxDeviceType::C | LinuxDeviceType::U => tests.push(vec![insn(JNE_K, 2, 0, 0, 2)]),
        }
        let access = rule.access().as_deref().unwrap_or("rwm");
        let mask = [('m', 1), ('r', 2), ('w', 4)]
            .into_iter()
            .filter(|(c, _)| access.contains(*c))
            .fold(0, |m, (_, b)| m | b);
        if mask != 7 && mask != 0 {
            if rule.allow() {
                // All that is asked must be allowed.
                tests.push(vec![
                    insn(MOV_X, 1, 3, 0, 0),
                    insn(AND_K, 1, 0, 0, !mask),
                    insn(JNE_K, 1, 0, 0, 0),
                ]);
            } else {
                // Any of it being denied is enough: the jump over the verdict is taken when none is.
                const JEQ_K: u8 = 0x15;
                tests.push(vec![
                    insn(MOV_X, 1, 3, 0, 0),
                    insn(AND_K, 1, 0, 0, mask),
                    insn(JEQ_K, 1, 0, 0, 0),
                ]);
            }
        }
        for (register, number) in [(4, rule.major()), (5, rule.minor())] {
            if let Some(number) = number.filter(|number| *number >= 0) {
                tests.push(vec![insn(JNE_K, register, 0, 0, number as i32)]);
            }
        }
        let mut block = vec![insn(MOV_K, 0, 0, 0, i32::from(rule.allow())), insn(EXIT, 0, 0, 0, 0)];
        let decides_all = tests.is_empty();
        for mut test in tests.into_iter().rev() {
            // The last instruction of each test is the jump over the rest of the block.
            if let Some(last) = test.last_mut() {
                let mut bytes = last.to_ne_bytes();
                bytes[2..4].copy_from_slice(&(block.len() as i16).to_ne_bytes());
                *last = u64::from_ne_bytes(bytes);
            }
            test.extend(block);
            block = test;
        }
        code.extend(block);
        if decides_all {
            // Earlier rules are never asked, and the verifier refuses code that can't be reached.
            return code;
        }
    }
    code.extend([insn(MOV_K, 0, 0, 0, 0), insn(EXIT, 0, 0, 0, 0)]);
    code
}

/// bpf(2), BPF_PROG_LOAD.
fn load(code: &[u64]) -> io::Result<OwnedFd> {
    const PROG_LOAD: usize = 5;
    const TYPE_CGROUP_DEVICE: u64 = 15;
    let license = c"Apache";
    // union bpf_attr: type and count, instructions, licence; the rest zero.
    let attr = [
        TYPE_CGROUP_DEVICE | (code.len() as u64) << 32,
        code.as_ptr() as u64,
        license.as_ptr() as u64,
        0,
        0,
        0,
    ];
    let fd =
        sys!(SYS_bpf, PROG_LOAD, attr.as_ptr(), size_of_val(&attr)).map_err(io::Error::from_raw_os_error)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

fn attach(directory: &File, code: &[u64]) -> Result<(), CgroupError> {
    const PROG_ATTACH: usize = 8;
    const CGROUP_DEVICE: u32 = 6;
    let program =
        load(code).map_err(|source| CgroupError::Devices { action: "load the device filter", source })?;
    let attr = [directory.as_raw_fd() as u32, program.as_raw_fd() as u32, CGROUP_DEVICE, 0];
    sys!(SYS_bpf, PROG_ATTACH, attr.as_ptr(), size_of_val(&attr)).map(drop).map_err(|errno| {
        CgroupError::Devices {
            action: "attach the device filter",
            source: io::Error::from_raw_os_error(errno),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_takes_the_program() {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let Some((_, own)) = super::super::layout::parse(&mounts, &own).v2 else {
            println!("skipped: no cgroup v2 here");
            return;
        };
        let directory = own.join(format!("rcompose-devices-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let rule = |allow, minor, access: &str| {
            let mut rule = LinuxDeviceCgroup::default();
            rule.set_allow(allow).set_typ(Some(LinuxDeviceType::C)).set_major(Some(1)).set_minor(minor);
            rule.set_access(Some(access.into()));
            rule
        };
        let mut deny = LinuxDeviceCgroup::default();
        deny.set_allow(false);
        let rules = [deny, rule(true, Some(3), "rw"), rule(true, Some(5), "rw"), rule(false, Some(5), "w")];
        attach(&File::open(&directory).unwrap(), &program(&rules)).unwrap();
        let run = |script: &str| {
            let enter = format!("echo 0 > {}/cgroup.procs && {script}", directory.display());
            std::process::Command::new("sh").args(["-c", &enter]).status().unwrap().success()
        };
        let seen = [
            "head -c1 /dev/null",
            "head -c1 /dev/zero >/dev/null",
            "(echo >/dev/zero) 2>/dev/null",
            "head -c1 /dev/full >/dev/null 2>&1",
        ]
        .map(run);
        std::fs::remove_dir(&directory).unwrap();
        assert_eq!(seen, [true, true, false, false]);
    }
}
