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
    if now.iter().all(|name| before.lines().any(|b| b == name)) {
        rcompose_network::restore_ip_forward().map_err(failed)?;
    }
    Ok(remove_file(&marker)?)
}

/// One at a time, of all installations: between finding that no network is left and switching off nobody may find the
/// switch on. The switch itself bears no two writers either: while somebody else has the lock on links, the kernel takes
/// each one's value back and tries again (`devinet_sysctl_forward`), and those who cross can end with a host that
/// forwards but whose links don't.
fn turn() -> Result<File, StateError> {
    let path = Path::new(IP_FORWARD);
    let switch = File::open(path).map_err(|e| StateError::read(path, e))?;
    flock(&switch, FlockOperation::LockExclusive).map_err(|e| StateError::read(path, e.into()))?;
    Ok(switch)
}
