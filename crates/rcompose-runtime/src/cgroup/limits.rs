//! Limits of an OCI spec, written in each version's terms.

use std::fs;
use std::path::Path;

use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxResources};

use super::devices;
use super::path::{CgroupError, CgroupPath};
use crate::error::Warning;

pub(super) fn apply(cgroup: &CgroupPath, resources: &LinuxResources) -> Result<Vec<Warning>, CgroupError> {
    let mut warnings = Vec::new();
    if let Some(memory) = resources.memory() {
        apply_memory(cgroup, memory, &mut warnings)?;
    }
    if let Some(cpu) = resources.cpu() {
        apply_cpu(cgroup, cpu)?;
    }
    if let Some(pids) = resources.pids() {
        let limit = pids.limit();
        let value = if limit > 0 { limit.to_string() } else { "max".to_owned() };
        let known = cgroup.controller("pids").is_some();
        if known || limit > 0 {
            write(need(cgroup, "pids")?.0, "pids.max", &value)?;
        }
    }
    if let Some(weight) = resources.block_io().as_ref().and_then(|block| block.weight()) {
        let (path, v1) = need(cgroup, "blkio")?;
        let (file, value) = if v1 {
            ("blkio.weight", u64::from(weight))
        } else {
            // runc's conversion from 10..1000 to 1..10000.
            ("io.weight", 1 + (u64::from(weight).max(10) - 10) * 9999 / 990)
        };
        if path.join(file).exists() {
            write(path, file, &value.to_string())?;
        } else {
            warnings.push(Warning("this kernel has no block I/O weights".into()));
        }
    }
    if let Some(rules) = resources.devices() {
        devices::apply(cgroup, rules)?;
    }
    for (file, value) in resources.unified().iter().flatten() {
        let path = cgroup.v2.as_deref().ok_or(CgroupError::NoController("unified settings"))?;
        write(path, file, value)?;
    }
    Ok(warnings)
}

fn need<'a>(cgroup: &'a CgroupPath, controller: &'static str) -> Result<(&'a Path, bool), CgroupError> {
    cgroup.controller(controller).ok_or(CgroupError::NoController(controller))
}

pub(super) fn write(directory: &Path, file: &str, value: &str) -> Result<(), CgroupError> {
    let path = directory.join(file);
    fs::write(&path, value).map_err(CgroupError::path("write", path))
}

fn apply_memory(
    cgroup: &CgroupPath,
    memory: &LinuxMemory,
    warnings: &mut Vec<Warning>,
) -> Result<(), CgroupError> {
    let (swappiness, no_killer) = (memory.swappiness(), memory.disable_oom_killer() == Some(true));
    let only_v1 = swappiness.is_some() || no_killer;
    let limited = memory.limit().is_some() || memory.swap().is_some() || memory.reservation().is_some();
    if !limited && !only_v1 {
        return Ok(());
    }
    let (path, v1) = need(cgroup, "memory")?;
    if v1 {
        if let Some(swappiness) = swappiness {
            write(path, "memory.swappiness", &swappiness.to_string())?;
        }
        if no_killer {
            write(path, "memory.oom_control", "1")?;
        }
    } else if only_v1 {
        // Docker discards them with a warning, too.
        warnings
            .push(Warning("swappiness and the OOM killer can't be set here: cgroup v2 has neither".into()));
    }
    let text = |value: i64| if value < 0 && !v1 { "max".to_owned() } else { value.to_string() };
    if v1 {
        const SWAP: &str = "memory.memsw.limit_in_bytes";
        let swap = memory.swap().filter(|swap| *swap != 0);
        let accounted = path.join(SWAP).exists();
        if swap.is_some() && !accounted {
            warnings.push(Warning("swap can't be limited here: the kernel doesn't account it".into()));
        }
        let mut values = Vec::new();
        values
            .extend(memory.limit().filter(|limit| *limit != 0).map(|limit| ("memory.limit_in_bytes", limit)));
        values.extend(swap.filter(|_| accounted).map(|swap| (SWAP, swap)));
        // memory must never be above memory+swap: going up, the latter comes first.
        if let (2, Ok(now)) = (values.len(), fs::read_to_string(path.join(SWAP))) {
            let now: i64 = now.trim().parse().unwrap_or(i64::MAX);
            if values[1].1 < 0 || values[1].1 > now {
                values.swap(0, 1);
            }
        }
        for (file, value) in values {
            write(path, file, &text(value))?;
        }
        if let Some(reservation) = memory.reservation() {
            write(path, "memory.soft_limit_in_bytes", &text(reservation))?;
        }
    } else {
        if let Some(limit) = memory.limit().filter(|limit| *limit != 0) {
            write(path, "memory.max", &text(limit))?;
        }
        if let Some(swap) = memory.swap().filter(|swap| *swap != 0) {
            // The spec counts memory and swap together, v2 counts swap alone.
            let alone = if swap < 0 { swap } else { (swap - memory.limit().unwrap_or(0).max(0)).max(0) };
            if path.join("memory.swap.max").exists() {
                write(path, "memory.swap.max", &text(alone))?;
            } else {
                warnings.push(Warning("swap can't be limited here: the kernel doesn't account it".into()));
            }
        }
        if let Some(reservation) = memory.reservation() {
            write(path, "memory.low", &text(reservation))?;
        }
    }
    Ok(())
}

fn apply_cpu(cgroup: &CgroupPath, cpu: &LinuxCpu) -> Result<(), CgroupError> {
    let period = cpu.period().filter(|period| *period != 0);
    let quota = cpu.quota().filter(|quota| *quota != 0);
    if cpu.shares().is_some() || period.is_some() || quota.is_some() {
        let (path, v1) = need(cgroup, "cpu")?;
        if let Some(shares) = cpu.shares().filter(|shares| *shares != 0) {
            let (file, value) = if v1 { ("cpu.shares", shares) } else { ("cpu.weight", weight(shares)) };
            write(path, file, &value.to_string())?;
        }
        if v1 {
            if let Some(period) = period {
                write(path, "cpu.cfs_period_us", &period.to_string())?;
            }
            if let Some(quota) = quota {
                write(path, "cpu.cfs_quota_us", &quota.to_string())?;
            }
        } else if quota.is_some() || period.is_some() {
            let quota = quota.filter(|quota| *quota > 0).map_or("max".to_owned(), |quota| quota.to_string());
            write(path, "cpu.max", &format!("{quota} {}", period.unwrap_or(100_000)))?;
        }
    }
    for (file, value) in [("cpuset.cpus", cpu.cpus()), ("cpuset.mems", cpu.mems())] {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            write(need(cgroup, "cpuset")?.0, file, value)?;
        }
    }
    Ok(())
}

/// Shares (2..262144, 1024 by default) to weight (1..10000, 100 by default): runc's curve through the three points.
fn weight(shares: u64) -> u64 {
    if shares <= 2 {
        return 1;
    }
    if shares >= 262_144 {
        return 10_000;
    }
    let log = (shares as f64).log2();
    10f64.powf((log * log + 125.0 * log) / 612.0 - 7.0 / 34.0).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights() {
        assert_eq!([0, 2, 1024, 262_144].map(weight), [1, 1, 100, 10_000]);
    }
}
