use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rcompose_engine::{FrameBuffer, FrameError, encode_frame, send_frame_bytes};
use rcompose_model::ProjectName;
use rustix::process::Pid;

use super::children::Children;
use crate::Dirs;
use crate::wire::{Fds, FromKeeper, ToKeeper};

/// A supervisor that dies this soon after its start counts as broken.
const SHORT_LIFE: Duration = Duration::from_secs(2);
/// So many broken ones in a row, and the keeper gives up.
const MOST_BROKEN: u32 = 5;

/// Runs as a project's keeper. The listening socket is standard input. Returns the exit status.
///
/// Everything it says goes to standard error, which is the project's `keeper.log`.
pub fn keeper_main(dirs: Dirs, project: ProjectName) -> i32 {
    match keep(dirs, project) {
        Ok(()) => 0,
        Err(e) => {
            eprintln!("keeper: {e}");
            1
        }
    }
}

type Fault = Box<dyn std::error::Error>;

struct Keeper {
    dirs: Dirs,
    project: ProjectName,
    listener: OwnedFd,
    /// Which file the listener's socket is.
    socket: Option<(u64, u64)>,
    children: Children,
    supervisor: Option<Supervisor>,
    broken: u32,
    finishing: bool,
}

struct Supervisor {
    pid: i32,
    socket: UnixStream,
    buffer: FrameBuffer,
    born: Instant,
}

fn keep(dirs: Dirs, project: ProjectName) -> Result<(), Fault> {
    if rustix::process::setsid().is_err() {
        // Already a session leader, when started by hand from a shell's job control: as good.
    }
    rustix::process::set_child_subreaper(rustix::process::getpid().into())?;
    let mut mask = SigSet::empty();
    for s in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        mask.add(s);
    }
    mask.thread_block()?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    let run = dirs.project_run(&project);
    fs::create_dir_all(&run)?;
    let socket = socket_file(&run);
    let lock = File::create(run.join("keeper.lock"))?;
    // A former keeper may be in its last moments: wait for its end.
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)?;
    let listener = std::io::stdin().as_fd().try_clone_to_owned()?;
    std::env::set_current_dir("/")?;
    let mut keeper = Keeper {
        children: Children::new(dirs.clone(), project.clone()),
        dirs,
        project,
        listener,
        socket,
        supervisor: None,
        broken: 0,
        finishing: false,
    };
    keeper.spawn_supervisor()?;
    keeper.run(&signals)
}

/// Device and number of the socket in a project's run directory.
fn socket_file(run: &Path) -> Option<(u64, u64)> {
    let sock = fs::symlink_metadata(run.join("sock")).ok()?;
    Some((sock.dev(), sock.ino()))
}

impl Keeper {
    fn run(&mut self, signals: &SignalFd) -> Result<(), Fault> {
        loop {
            let (signalled, spoke) = {
                let mut fds = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
                if let Some(s) = &self.supervisor {
                    fds.push(PollFd::new(s.socket.as_fd(), PollFlags::POLLIN));
                }
                match poll(&mut fds, PollTimeout::NONE) {
                    Err(nix::errno::Errno::EINTR) => continue,
                    other => other?,
                };
                let ready = |f: &PollFd<'_>| f.revents().is_some_and(|r| !r.is_empty());
                (ready(&fds[0]), fds.get(1).is_some_and(ready))
            };
            if spoke {
                self.listen()?;
            }
            if signalled {
                // SIGTERM and the like are for the supervisor's plans to handle; containers end by `down`.
                while signals.read_signal()?.is_some() {}
                self.reap()?;
            }
            if self.finishing && self.supervisor.is_none() && self.children.is_empty() {
                return Ok(());
            }
        }
    }

    fn spawn_supervisor(&mut self) -> Result<(), Fault> {
        let (ours, theirs) = UnixStream::pair()?;
        let exe = std::env::current_exe().ok().filter(|p| p.exists());
        let exe = exe.unwrap_or_else(|| "/proc/self/exe".into());
        let child = Command::new(exe)
            .arg("__supervisor")
            .arg(self.project.as_str())
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(self.listener.try_clone()?))
            .spawn()?;
        let supervisor = Supervisor {
            pid: i32::try_from(child.id())?,
            socket: ours,
            buffer: FrameBuffer::default(),
            born: Instant::now(),
        };
        self.supervisor = Some(supervisor);
        let hello = FromKeeper::Hello {
            pid: rustix::process::getpid().as_raw_nonzero().get(),
            containers: self.children.ids(),
        };
        self.say(&hello, &Fds::default())?;
        for (message, fds) in self.children.adoptions()? {
            self.say(&message, &fds)?;
        }
        Ok(())
    }

    fn say(&mut self, message: &FromKeeper, fds: &Fds) -> Result<(), Fault> {
        let Some(s) = &self.supervisor else { return Ok(()) };
        let bytes = encode_frame(message)?;
        let mut sent = 0;
        while sent < bytes.len() {
            let with = if sent == 0 { fds.borrowed() } else { Vec::new() };
            match send_frame_bytes(s.socket.as_fd(), &bytes[sent..], &with) {
                Ok(n) => sent += n,
                // It died: its successor hears of everything from the records and `Adopted`.
                Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => return Ok(()),
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    fn listen(&mut self) -> Result<(), Fault> {
        let Some(s) = &mut self.supervisor else { return Ok(()) };
        let got = match s.buffer.fill(&s.socket) {
            // Killed before it had read all that we said (unix(7)): an end, too.
            Err(FrameError::Socket(rustix::io::Errno::CONNRESET)) => 0,
            other => other?,
        };
        if got == 0 {
            // Its end is reaped by SIGCHLD; until then its socket must not wake us again.
            let pid = Pid::from_raw(s.pid);
            if let Some(pid) = pid {
                rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty())?;
            }
            return self.supervisor_ended();
        }
        while let Some(request) =
            self.supervisor.as_mut().map(|s| s.buffer.take::<ToKeeper>()).transpose()?.flatten()
        {
            match request {
                ToKeeper::Create { seq, id, attached, size } => {
                    let attach = attached.then_some(size);
                    let (answer, fds) = self.children.create(seq, &id, attach);
                    self.say(&answer, &fds)?;
                }
                ToKeeper::Exec { seq, id, spec } => {
                    let (answer, fds) = self.children.exec(seq, &id, &spec);
                    self.say(&answer, &fds)?;
                }
                ToKeeper::Forget { id } => self.children.forget(&id),
                ToKeeper::Finish => self.finishing = true,
            }
        }
        Ok(())
    }

    fn reap(&mut self) -> Result<(), Fault> {
        use rustix::process::{WaitOptions, wait};
        loop {
            let (pid, status) = match wait(WaitOptions::NOHANG) {
                Ok(Some(r)) => r,
                Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(()),
                Err(e) => return Err(e.into()),
            };
            let pid = pid.as_raw_nonzero().get();
            if self.supervisor.as_ref().is_some_and(|s| s.pid == pid) {
                self.supervisor_ended()?;
                continue;
            }
            let code = status.exit_status().or_else(|| status.terminating_signal().map(|s| 128 + s));
            if let Some(message) = self.children.ended(pid, code.unwrap_or(255)) {
                self.say(&message, &Fds::default())?;
            }
        }
    }

    fn supervisor_ended(&mut self) -> Result<(), Fault> {
        let Some(s) = self.supervisor.take() else { return Ok(()) };
        if self.finishing {
            return Ok(());
        }
        self.broken = if s.born.elapsed() < SHORT_LIFE { self.broken + 1 } else { 0 };
        if self.broken >= MOST_BROKEN {
            return Err(
                format!("the supervisor of {} died {MOST_BROKEN} times in a row", self.project).into()
            );
        }
        // Killed while it cleared up behind the last container: nobody reaches us by our socket any more, and another
        // keeper may be waiting for our end in the same directories. It finishes what is left to do.
        let sealed = socket_file(&self.dirs.project_run(&self.project)) != self.socket;
        let gone = sealed || !self.dirs.project(&self.project).exists();
        if gone && self.children.is_empty() {
            self.finishing = true;
            return Ok(());
        }
        self.children.end_unborn()?;
        self.spawn_supervisor()
    }
}
