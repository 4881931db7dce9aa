//! Processes of a cgroup: listing, freezing, killing, and the end of it.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};

use super::limits::write;
use super::path::{CgroupError, CgroupPath};

/// How long a frozen or emptied cgroup may take to say so.
const PATIENCE: Duration = Duration::from_secs(5);

impl CgroupPath {
    fn any(&self) -> Option<&Path> {
        self.v2
            .as_deref()
            .or_else(|| self.controller("pids").map(|(path, _)| path))
            .or_else(|| Some(&self.v1.first()?.1))
    }

    /// Every process in it.
    pub fn pids(&self) -> Result<Vec<Pid>, CgroupError> {
        let Some(path) = self.any() else { return Ok(Vec::new()) };
        let path = path.join("cgroup.procs");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)).collect()),
            // Removed already, or being removed.
            Err(error) if is_gone(&error) => Ok(Vec::new()),
            Err(error) => Err(CgroupError::path("read", path)(error)),
        }
    }

    /// SIGKILL to all, forks in flight included.
    pub fn kill(&self) -> Result<(), CgroupError> {
        if let Some(path) =
            self.v2.as_deref().map(|path| path.join("cgroup.kill")).filter(|path| path.exists())
        {
            return match fs::write(&path, "1") {
                // Somebody else has ended it meanwhile.
                Err(error) if is_gone(&error) => Ok(()),
                done => done.map_err(CgroupError::path("write", path)),
            };
        }
        // Before Linux 5.14, or without v2: again until a pass finds nobody new.
        let mut known = Vec::new();
        loop {
            let pids: Vec<Pid> = self.pids()?.into_iter().filter(|pid| !known.contains(pid)).collect();
            if pids.is_empty() {
                return Ok(());
            }
            for pid in pids {
                match kill_process(pid, Signal::KILL) {
                    Ok(()) | Err(rustix::io::Errno::SRCH) => known.push(pid),
                    Err(errno) => {
                        return Err(CgroupError::path("kill processes of", self.name.clone())(errno.into()));
                    }
                }
            }
        }
    }

    /// Stops every process where it is; returns when they are stopped.
    pub fn freeze(&self) -> Result<(), CgroupError> {
        self.set_frozen(true)
    }

    /// Lets them run again.
    pub fn thaw(&self) -> Result<(), CgroupError> {
        self.set_frozen(false)
    }

    fn set_frozen(&self, frozen: bool) -> Result<(), CgroupError> {
        // The v2 freezer is there beside v1 hierarchies, too.
        let path = self.v2.as_deref().ok_or(CgroupError::NoController("freezer"))?;
        write(path, "cgroup.freeze", if frozen { "1" } else { "0" })?;
        self.wait_for(path, if frozen { "frozen 1" } else { "frozen 0" })
    }

    /// Waits until `cgroup.events` has this line: the kernel notifies by POLLPRI (cgroups(7)).
    fn wait_for(&self, directory: &Path, line: &str) -> Result<(), CgroupError> {
        let path = directory.join("cgroup.events");
        let fail = |error: io::Error| CgroupError::path("watch", path.clone())(error);
        let mut file = File::open(&path).map_err(fail)?;
        let start = Instant::now();
        loop {
            let mut text = String::new();
            file.rewind().map_err(fail)?;
            file.read_to_string(&mut text).map_err(fail)?;
            if text.lines().any(|own| own == line) {
                return Ok(());
            }
            let left = PATIENCE.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Err(fail(io::ErrorKind::TimedOut.into()));
            }
            let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
            match poll(&mut [PollFd::new(&file, PollFlags::PRI)], Some(&left)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(fail(errno.into())),
            }
        }
    }

    /// Removes the directories, and those above that `name` introduced and nobody else uses. Processes must have ended.
    pub fn remove(&self) -> Result<(), CgroupError> {
        if let Some(path) = self.v2.as_deref().filter(|path| path.exists()) {
            match self.wait_for(path, "populated 0") {
                // Two remove it at once; the rest is still to go.
                Err(CgroupError::Path { source, .. }) if is_gone(&source) => {}
                waited => waited?,
            }
        }
        let mut result = Ok(());
        for directory in self.directories() {
            match fs::remove_dir(directory) {
                Ok(()) => {}
                Err(error) if is_gone(&error) => {}
                // The others are still to go.
                Err(error) => {
                    result = Err(CgroupError::path("remove cgroup", directory)(error));
                    continue;
                }
            }
            for above in directory.ancestors().skip(1).take(self.name.components().count() - 1) {
                match fs::remove_dir(above) {
                    Ok(()) => {}
                    Err(error) if is_gone(&error) => {}
                    // Others may live there, or come there just now: then it stays.
                    Err(_) => break,
                }
            }
        }
        result
    }
}

/// Removed, or being removed (a file that was open before has no device then).
fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV))
}
