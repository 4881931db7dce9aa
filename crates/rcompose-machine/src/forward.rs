//! Whether the host forwards packets: one switch for all projects and builds, and for whoever else has networks here.
//!
//! It is switched on with the first network and back off with the last one of this installation, unless somebody has
//! come meanwhile who found it on and counts on it (Docker's engine, virtual machines, another installation).

use std::fs::File;
use std::io;
use std::path::Path;

use rcompose_engine::StepFailure;
use rcompose_plan::NetworkSpec;
use rustix::fs::{FlockOperation, flock};

use crate::files::{remove_file, write_atomic};
use crate::{Dirs, StateError, claims, etc};

const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";
/// Whose lock is for the switch: of this network namespace too, there with any kernel, and nobody but root opens it. The
/// switch itself is everybody's to read, and so to lock: for ever, and no project would start or stop.
const LOCK: &str = "/proc/sys/net/ipv4/tcp_fastopen_key";

/// Lets the host forward for a network whose subnet is taken already. What it is to go back to is recorded first.
pub(crate) fn switch_on(dirs: &Dirs) -> Result<(), StepFailure> {
    let _turn = turn()?;
    if etc::host_file(IP_FORWARD)?.trim() == "1" {
        return Ok(());
    }
    let failed = |e| StepFailure::environment("let the host forward packets", &e);
    let others = rcompose_network::who_may_forward().map_err(failed)?;
    write_atomic(&dirs.run.join("ip_forward"), others.join("\n").as_bytes(), 0o600)?;
    rcompose_network::enable_ip_forward().map(drop).map_err(failed)
}

/// Gives back what a network had, whose rules are gone; with the last one the host forwards no more, if it didn't before.
pub(crate) fn give_back(dirs: &Dirs, network: &NetworkSpec) -> Result<(), StepFailure> {
    let _turn = turn()?;
    if !claims::give_back(dirs, network)? {
        return Ok(());
    }
    let marker = dirs.run.join("ip_forward");
    let before = match std::fs::read_to_string(&marker) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(StateError::read(&marker, e).into()),
    };
    let failed = |e| StepFailure::environment("let the host forward as before", &e);
    let now = rcompose_network::who_may_forward().map_err(failed)?;
    let mut new = now.iter().filter(|name| !before.lines().any(|b| b == *name)).peekable();
    if new.peek().is_none() {
        rcompose_network::restore_ip_forward().map_err(failed)?;
    } else if new.all(|name| rcompose_network::is_project_table(name)) {
        // Another installation goes on, which doesn't know how it was before: the next time here.
        return Ok(());
    }
    Ok(remove_file(&marker)?)
}

/// One at a time, of all installations: between finding that no network is left and switching off nobody may find the
/// switch on. The switch itself bears no two writers either: while somebody else has the lock on links, the kernel takes
/// each one's value back and tries again (`devinet_sysctl_forward`), and those who cross can end with a host that
/// forwards but whose links don't.
fn turn() -> Result<File, StateError> {
    let path = Path::new(LOCK);
    let lock = File::open(path).map_err(|e| StateError::read(path, e))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|e| StateError::read(path, e.into()))?;
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_root_can_make_others_wait() {
        let mode = std::fs::metadata(LOCK).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{mode:o}");
    }

    /// Threads of one process, too: each has a lock of its own.
    #[test]
    fn one_at_a_time() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIP: needs root");
            return;
        }
        let inside = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let _turn = turn().unwrap();
                        assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        std::thread::yield_now();
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    }
                });
            }
        });
    }
}
