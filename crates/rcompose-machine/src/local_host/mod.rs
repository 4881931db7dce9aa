//! This machine, for one project's supervisor.

mod cleanup;
mod containers;
mod foresee;
mod host;
mod lives;
mod networks;
mod probe;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;

use rcompose_engine::{HostEvent, StepFailure};
use rcompose_model::ProjectName;
use rcompose_plan::{ContainerId, ContainerSpec};
use tokio::sync::mpsc;

pub(crate) use self::containers::CgroupRecord;
use crate::Dirs;
use crate::files::make_dir;
use crate::link::{Found, KeeperLink};
use crate::net::Networks;
use crate::records::ProjectFile;
use crate::wire::FromKeeper;

/// This machine, for one project.
pub struct LocalHost {
    dirs: Dirs,
    project: ProjectName,
    keeper: Rc<KeeperLink>,
    keeper_pid: i32,
    events: tokio::sync::Mutex<mpsc::UnboundedReceiver<HostEvent>>,
    file: RefCell<ProjectFile>,
    networks: Rc<Networks>,
    /// Rules of ended containers are about to be taken back.
    settling: Rc<Cell<bool>>,
    running: RefCell<BTreeMap<ContainerId, Running>>,
    execs: RefCell<HashMap<i32, OwnedFd>>,
    /// Containers that the keeper still has; the others' records say more than is true.
    found: RefCell<Vec<Found>>,
    /// Events of adopted containers that have ended meanwhile.
    late: RefCell<Vec<HostEvent>>,
    seal: Cell<Option<OwnedFd>>,
    filling: tokio::sync::Mutex<()>,
}

struct Running {
    spec: Rc<ContainerSpec>,
    pid: i32,
    pidfd: Rc<OwnedFd>,
}

/// A supervisor whose keeper is killed dies that moment, too: it must not go on with what it was doing while the next
/// ones are at work on the same containers (PR_SET_PDEATHSIG in prctl(2)).
fn die_with(keeper: i32) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    if rustix::process::getppid().map(|p| p.as_raw_nonzero().get()) == Some(keeper) {
        Ok(())
    } else {
        Err(io::Error::other("the keeper is gone"))
    }
}

impl LocalHost {
    /// Meets the keeper over its socket. Call it inside a current-thread tokio runtime's local set.
    pub async fn connect(dirs: Dirs, project: ProjectName, socket: OwnedFd) -> io::Result<Self> {
        let keeper = KeeperLink::new(socket)?;
        let lost = || io::Error::other("the keeper said nothing");
        let (hello, _) = keeper.recv().await.map_err(io::Error::other)?.ok_or_else(lost)?;
        let FromKeeper::Hello { pid: keeper_pid, containers } = hello else { return Err(lost()) };
        die_with(keeper_pid)?;
        let mut found = Vec::new();
        while found.len() < containers.len() {
            let (message, fds) = keeper.recv().await.map_err(io::Error::other)?.ok_or_else(lost)?;
            if let FromKeeper::Adopted { id, pid, exited, .. } = message {
                found.push(Found { id, pid, exited, fds });
            }
        }
        let (sender, events) = mpsc::unbounded_channel();
        let reader = keeper.clone();
        tokio::task::spawn_local(async move {
            // Its end closes the event queue; that is how the supervisor learns of it.
            drop(reader.read_all(sender).await);
        });
        let file = ProjectFile::read(&dirs, &project).map_err(io::Error::other)?.unwrap_or_default();
        let networks = Networks::new(dirs.clone(), project.clone(), &file.networks);
        let host = Self {
            dirs,
            project,
            keeper,
            keeper_pid,
            events: tokio::sync::Mutex::new(events),
            file: RefCell::new(file),
            networks: Rc::new(networks),
            settling: Rc::default(),
            running: RefCell::default(),
            execs: RefCell::default(),
            found: RefCell::new(found),
            late: RefCell::default(),
            seal: Cell::new(None),
            filling: tokio::sync::Mutex::new(()),
        };
        host.sweep().map_err(|e| io::Error::other(e.to_string()))?;
        Ok(host)
    }

    fn container_dir(&self, id: &ContainerId) -> PathBuf {
        self.dirs.container(&self.project, id)
    }

    fn change_file(&self, change: impl FnOnce(&mut ProjectFile)) -> Result<(), StepFailure> {
        let mut file = self.file.borrow_mut();
        change(&mut file);
        make_dir(&self.dirs.project(&self.project))?;
        file.write(&self.dirs, &self.project)?;
        Ok(())
    }
}
