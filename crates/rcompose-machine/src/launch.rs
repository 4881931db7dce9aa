//! Reaching a project's supervisor, and starting keeper and supervisor when there is none.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rcompose_model::ProjectName;

use crate::files::{make_dir, make_room};
use crate::{Dirs, LaunchError, StateError};

/// Connects to the project's supervisor; `None` when none runs.
pub fn connect_existing(dirs: &Dirs, project: &ProjectName) -> Result<Option<UnixStream>, LaunchError> {
    let run = dirs.project_run(project);
    if !run.exists() {
        return Ok(None);
    }
    let _turn = start_lock(&run)?;
    try_connect(&run)
}

/// Connects to the project's supervisor; starts one, with its keeper, when none runs.
///
/// `exe` is this program. The socket listens, and this client waits in its queue, before the new process is there.
pub fn connect(dirs: &Dirs, project: &ProjectName, exe: &Path) -> Result<UnixStream, LaunchError> {
    let run = dirs.project_run(project);
    for room in [dirs.projects(), dirs.run.join("projects")] {
        make_room(&room)?;
    }
    let _turn = start_lock(&run)?;
    // A project of which nothing was left takes its directories with it: they may have gone just now.
    make_dir(&run)?;
    make_dir(&dirs.project(project))?;
    if let Some(stream) = try_connect(&run)? {
        return Ok(stream);
    }
    let (listener, socket) = listen(&run)?;
    // Before there is a process that could be killed: whoever waits in the queue of a listener that is closed reads the
    // end, as with any supervisor that dies, instead of being refused.
    let stream = UnixStream::connect(&socket).map_err(|source| LaunchError::Socket {
        doing: "connect to",
        path: run.join("sock"),
        source,
    })?;
    let log_path = dirs.project(project).join("keeper.log");
    let log = File::options().create(true).append(true).open(&log_path);
    let log = log.map_err(|e| StateError::write(&log_path, e))?;
    Command::new(exe)
        .arg("__keeper")
        .arg(project.as_str())
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stdout(Stdio::null())
        .stderr(Stdio::from(log))
        .spawn()
        .map_err(|source| LaunchError::Spawn { exe: exe.to_owned(), source })?;
    Ok(stream)
}

/// Only one process at a time looks whether there is a supervisor, starts one, or (the supervisor) ends.
fn start_lock(run: &Path) -> Result<File, LaunchError> {
    let path = run.join("start.lock");
    loop {
        let file = match File::create(&path) {
            Ok(f) => f,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                make_dir(run)?;
                continue;
            }
            Err(e) => return Err(StateError::write(&path, e).into()),
        };
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)
            .map_err(|e| StateError::write(&path, e.into()))?;
        // The file may have been removed with its project while we waited: then the lock is nobody's.
        let same = |a: &fs::Metadata, b: &fs::Metadata| {
            use std::os::unix::fs::MetadataExt;
            (a.dev(), a.ino()) == (b.dev(), b.ino())
        };
        if let (Ok(ours), Ok(now)) = (file.metadata(), fs::metadata(&path))
            && same(&ours, &now)
        {
            return Ok(file);
        }
    }
}

/// A socket's path may be 107 bytes long (unix(7)); a longer one is reached through a descriptor of its directory.
fn short_path(run: &Path) -> Result<(PathBuf, Option<File>), LaunchError> {
    let path = run.join("sock");
    if path.as_os_str().len() < 100 {
        return Ok((path, None));
    }
    use std::os::fd::AsRawFd;
    let dir = File::open(run).map_err(|e| StateError::read(run, e))?;
    Ok((format!("/proc/self/fd/{}/sock", dir.as_raw_fd()).into(), Some(dir)))
}

fn try_connect(run: &Path) -> Result<Option<UnixStream>, LaunchError> {
    let (path, _dir) = short_path(run)?;
    match UnixStream::connect(&path) {
        Ok(s) => Ok(Some(s)),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(None),
        Err(source) => Err(LaunchError::Socket { doing: "connect to", path: run.join("sock"), source }),
    }
}

fn listen(run: &Path) -> Result<(UnixListener, PathBuf), LaunchError> {
    let (path, dir) = short_path(run)?;
    crate::files::remove_file(&run.join("sock"))?;
    let listener = UnixListener::bind(&path).map_err(|source| LaunchError::Socket {
        doing: "listen on",
        path: run.join("sock"),
        source,
    })?;
    // The descriptor in the path must stay open until the client has connected.
    std::mem::forget(dir);
    Ok((listener, path))
}

/// Waits until a process has ended, at most so long. For `down`: what is left after it is nothing.
pub fn wait_for_end(pid: i32, patience: Duration) {
    let Some(pid) = rustix::process::Pid::from_raw(pid) else { return };
    let Ok(fd) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) else { return };
    let mut fds = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
    let timeout = rustix::event::Timespec::try_from(patience).ok();
    if rustix::event::poll(&mut fds, timeout.as_ref()).is_err() {
        // Interrupted: the end was near anyway.
    }
}
