use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::sched::{CloneFlags, setns, unshare};
use rustix::fs::statfs;
use rustix::mount::{UnmountFlags, mount_bind, unmount};

use crate::NetError;

/// `NSFS_MAGIC` (linux/magic.h): the file system type of a pinned namespace.
const NSFS_MAGIC: u64 = 0x6e73_6673;

/// The calling thread's network namespace. `thread-self`, since the main thread may be in another one.
const OWN: &str = "/proc/thread-self/ns/net";

/// Runs `f` with the calling thread inside another network namespace, and returns to the first one after it,
/// also when `f` panics (setns(2); the namespace is a property of a thread). `f` must not await or hand work to
/// other threads: those stay where they are. A socket belongs for ever to the namespace it was opened in.
pub fn in_netns<T>(netns: impl AsFd, f: impl FnOnce() -> Result<T, NetError>) -> Result<T, NetError> {
    let home = Home::remember()?;
    setns(netns.as_fd(), CloneFlags::CLONE_NEWNET)
        .map_err(|e| NetError::kernel("enter a network namespace", e))?;
    let result = f();
    home.go_back()?;
    result
}

/// The calling thread's present network namespace.
pub fn current_netns() -> Result<OwnedFd, NetError> {
    File::open(OWN).map(Into::into).map_err(|e| NetError::kernel("open the current network namespace", e))
}

/// Makes a new network namespace that lives as long as the descriptor (and whoever else is in it). The calling
/// thread stays where it was.
pub fn new_netns() -> Result<OwnedFd, NetError> {
    let home = Home::remember()?;
    unshare(CloneFlags::CLONE_NEWNET).map_err(|e| NetError::kernel("make a network namespace", e))?;
    let fd = current_netns();
    home.go_back()?;
    fd
}

/// Opens the namespace that is pinned at `pin`. An ordinary file there is refused.
pub fn open_network(pin: &Path) -> Result<OwnedFd, NetError> {
    let fail = |source| NetError::File {
        action: "open the network namespace pinned at",
        path: pin.to_owned(),
        source,
    };
    if !is_pinned(pin).map_err(fail)? {
        return Err(fail(io::ErrorKind::NotFound.into()));
    }
    File::open(pin).map(Into::into).map_err(fail)
}

/// Whether a namespace is pinned at `pin`. A missing file is a plain no.
pub(crate) fn is_pinned(pin: &Path) -> io::Result<bool> {
    match statfs(pin) {
        Ok(stat) => Ok(u64::try_from(stat.f_type).is_ok_and(|t| t == NSFS_MAGIC)),
        Err(rustix::io::Errno::NOENT) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Makes a new network namespace and pins it by a bind mount on `pin`, so that it lives without a process.
pub(crate) fn pin_new(pin: &Path) -> Result<OwnedFd, NetError> {
    let fail = |action| move |source| NetError::File { action, path: pin.to_owned(), source };
    if let Some(parent) = pin.parent() {
        fs::create_dir_all(parent).map_err(fail("make the directory of"))?;
    }
    File::create(pin).map_err(fail("make"))?;
    let home = Home::remember()?;
    unshare(CloneFlags::CLONE_NEWNET).map_err(|e| NetError::kernel("make a network namespace", e))?;
    let made = current_netns().and_then(|fd| {
        mount_bind(OWN, pin).map_err(|e| fail("pin a network namespace at")(e.into())).map(|()| fd)
    });
    home.go_back()?;
    made
}

/// Undoes [`pin_new`]: the namespace dies with its last user, its links, routes and rules with it. Nothing there
/// is fine; several mounts on top of each other are all taken away.
pub(crate) fn unpin(pin: &Path) -> Result<(), NetError> {
    let fail = |action| move |source| NetError::File { action, path: pin.to_owned(), source };
    while is_pinned(pin).map_err(fail("look at"))? {
        unmount(pin, UnmountFlags::DETACH).map_err(|e| fail("unmount")(e.into()))?;
    }
    match fs::remove_file(pin) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(fail("remove")(e)),
        _ => Ok(()),
    }
}

/// The way back. Dropping it goes back too, for a panic between.
struct Home(Option<OwnedFd>);

impl Home {
    fn remember() -> Result<Self, NetError> {
        Ok(Self(Some(current_netns()?)))
    }

    fn go_back(mut self) -> Result<(), NetError> {
        match self.0.take() {
            Some(fd) => setns(fd, CloneFlags::CLONE_NEWNET).map_err(|e| NetError::Stranded(e.into())),
            None => Ok(()),
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(fd) = self.0.take() {
            // Only reached while unwinding or after a refused unshare: there is nobody to tell.
            let _ = setns(fd, CloneFlags::CLONE_NEWNET);
        }
    }
}
