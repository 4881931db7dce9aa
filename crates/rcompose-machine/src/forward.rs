//! Whether the host forwards packets: one switch for all projects and builds, and for whoever else has networks here.
//!
//! It is switched on with the first network and back off with the last one of this installation, unless somebody has
//! come meanwhile who found it on and counts on it (Docker's engine, virtual machines, another installation).

use std::fs::File;
use std::io;

use rcompose_engine::StepFailure;
use rcompose_plan::NetworkSpec;
use rustix::fs::{FlockOperation, flock};

use crate::files::{make_dir, remove_file, write_atomic};
use crate::{Dirs, StateError, claims, etc};

const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

/// Lets the host forward for a network whose subnet is taken already. What it is to go back to is recorded first.
pub(crate) fn switch_on(dirs: &Dirs) -> Result<(), StepFailure> {
    let _turn = turn(dirs)?;
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
    let _turn = turn(dirs)?;
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

/// Between finding that no network is left and switching off, nobody may find the switch on.
fn turn(dirs: &Dirs) -> Result<File, StateError> {
    let dir = dirs.claims();
    make_dir(&dir)?;
    let lock = File::open(&dir).map_err(|e| StateError::read(&dir, e))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|e| StateError::write(&dir, e.into()))?;
    Ok(lock)
}
