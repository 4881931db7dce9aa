//! What a container uses.

use std::fs;
use std::path::Path;

use super::path::{CgroupError, CgroupPath};

/// Use at one moment. `None`: nothing here counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of memory, page cache included.
    pub memory_bytes: Option<u64>,
    /// Bytes of page cache that could go at once; docker's `stats` shows memory without them.
    pub inactive_file_bytes: Option<u64>,
    /// The limit in bytes, if there is one.
    pub memory_limit_bytes: Option<u64>,
    /// Processor time, in nanoseconds.
    pub cpu_nanoseconds: Option<u64>,
    /// Tasks.
    pub pids: Option<u64>,
}

impl CgroupPath {
    /// Reads the counters.
    pub fn stats(&self) -> Result<Stats, CgroupError> {
        let mut stats = Stats::default();
        if let Some((path, v1)) = self.controller("memory") {
            let (usage, limit, inactive) = if v1 {
                ("memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file")
            } else {
                ("memory.current", "memory.max", "inactive_file")
            };
            stats.memory_bytes = number(path, usage)?;
            // v1 says "no limit" by the largest number of whole pages.
            stats.memory_limit_bytes = number(path, limit)?.filter(|limit| *limit < 1 << 62);
            stats.inactive_file_bytes = field(path, "memory.stat", inactive)?;
        }
        match self.controller("cpuacct") {
            Some((path, true)) => stats.cpu_nanoseconds = number(path, "cpuacct.usage")?,
            Some((path, false)) => {
                stats.cpu_nanoseconds = field(path, "cpu.stat", "usage_usec")?.map(|us| us * 1000)
            }
            None => {}
        }
        if let Some((path, _)) = self.controller("pids") {
            stats.pids = number(path, "pids.current")?;
        }
        Ok(stats)
    }

    /// How many processes the kernel killed here for want of memory.
    pub fn oom_kills(&self) -> Result<u64, CgroupError> {
        let kills = match self.controller("memory") {
            Some((path, true)) => field(path, "memory.oom_control", "oom_kill")?,
            Some((path, false)) => field(path, "memory.events", "oom_kill")?,
            None => None,
        };
        Ok(kills.unwrap_or(0))
    }
}

fn read(directory: &Path, file: &str) -> Result<Option<String>, CgroupError> {
    let path = directory.join(file);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CgroupError::path("read", path)(error)),
    }
}

fn number(directory: &Path, file: &str) -> Result<Option<u64>, CgroupError> {
    Ok(read(directory, file)?.and_then(|text| text.trim().parse().ok()))
}

fn field(directory: &Path, file: &str, key: &str) -> Result<Option<u64>, CgroupError> {
    Ok(read(directory, file)?.and_then(|text| {
        text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
    }))
}
