//! Between this process's terminal (or pipes) and the ends of a process in a container.

use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal as Number;
use rcompose_model::Signal;
use rcompose_supervisor::{Client, Response};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

use crate::failure::Failure;
use crate::signals::Signals;

/// After a pipe said it takes something, it takes this much without blocking (pipe(7), PIPE_BUF).
const WRITE_UNIT: usize = 4096;

/// Signals that are passed on to the process.
const FORWARDED: [Number; 6] =
    [Number::SIGINT, Number::SIGTERM, Number::SIGHUP, Number::SIGQUIT, Number::SIGUSR1, Number::SIGUSR2];

/// Makes the signals that the relay cares about come by a descriptor.
pub(crate) fn signals() -> Result<Signals, Failure> {
    let mut all = FORWARDED.to_vec();
    all.push(Number::SIGWINCH);
    Signals::new(&all)
}

/// The terminal in raw mode; as before when dropped.
pub(crate) struct RawMode {
    saved: Termios,
}

impl RawMode {
    pub(crate) fn enter() -> io::Result<Self> {
        let saved = tcgetattr(io::stdin())?;
        let mut raw = saved.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Drain, &raw)?;
        Ok(Self { saved })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        if tcsetattr(io::stdin(), OptionalActions::Drain, &self.saved).is_err() {
            // The terminal has gone.
        }
    }
}

/// Rows and columns of the terminal, for a process that gets one.
pub(crate) fn terminal_size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(io::stdin()).or_else(|_| tcgetwinsize(io::stdout())).ok()?;
    Some((size.ws_row, size.ws_col))
}

/// A process gets a terminal when both ends of ours are one.
pub(crate) fn has_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// The ends of a process.
#[derive(Debug)]
pub(crate) struct Ends {
    console: bool,
    /// Where it reads: the pipe, or the terminal.
    input: Option<OwnedFd>,
    output: Option<OwnedFd>,
    errors: Option<OwnedFd>,
}

impl Ends {
    /// Of the descriptors that came with `Attached` or `ExecStarted`.
    pub(crate) fn new(tty: bool, stdin: bool, fds: Vec<OwnedFd>) -> Result<Self, Failure> {
        let mut fds = fds.into_iter();
        let ends = if tty {
            let console = fds.next();
            let input = console.as_ref().map(|c| c.try_clone()).transpose();
            let input = input.map_err(|e| Failure::io("attach the terminal", &e))?;
            Self { console: true, input, output: console, errors: None }
        } else {
            let input = if stdin { fds.next() } else { None };
            Self { console: false, input, output: fds.next(), errors: fds.next() }
        };
        for fd in ends.input.iter().chain(&ends.output) {
            rustix::io::ioctl_fionbio(fd, true)
                .map_err(|e| Failure::io("attach to the process", &io::Error::from(e)))?;
        }
        Ok(ends)
    }

    fn resize(&self) {
        if let (true, Some(console), Ok(size)) = (self.console, &self.output, tcgetwinsize(io::stdin()))
            && tcsetwinsize(console, size).is_err()
        {
            // It ended just now.
        }
    }
}

/// What the relay asks the command about.
pub(crate) trait Peer {
    /// A response from the supervisor; the status if the process ended by it.
    fn response(&mut self, response: Response) -> Result<Option<i32>, Failure>;
    /// A signal for the process.
    fn signal(&mut self, client: &mut Client, signal: Signal) -> Result<(), Failure>;
    /// The supervisor ended before the process. Another one may know its end: a connection that will tell.
    fn reconnect(&mut self) -> Result<Client, Failure> {
        Err(lost())
    }
    /// When [`Self::overdue`] is to be called.
    fn deadline(&self) -> Option<Instant> {
        None
    }
    /// The deadline passed.
    fn overdue(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

/// One direction with what was read and isn't written yet.
#[derive(Default)]
struct Flow {
    buffer: Vec<u8>,
    ended: bool,
}

impl Flow {
    /// Reads once. At the end, or when the other side is gone, the flow ends.
    fn read(&mut self, from: BorrowedFd<'_>) {
        let mut chunk = [0u8; 32768];
        match rustix::io::read(from, &mut chunk[..]) {
            Ok(0) => self.ended = true,
            Ok(n) => self.buffer.extend_from_slice(&chunk[..n]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // A terminal whose last process has gone reads as EIO: its end.
            Err(_) => self.ended = true,
        }
    }

    /// Writes once; false when nobody reads any more.
    fn write(&mut self, to: BorrowedFd<'_>) -> bool {
        let n = self.buffer.len().min(WRITE_UNIT);
        match rustix::io::write(to, &self.buffer[..n]) {
            Ok(n) => drop(self.buffer.drain(..n)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => {
                self.buffer.clear();
                return false;
            }
        }
        true
    }
}

/// Passes bytes and signals on until the process has ended; its status.
pub(crate) fn relay(
    client: &mut Client,
    mut ends: Ends,
    signals: &Signals,
    peer: &mut dyn Peer,
) -> Result<i32, Failure> {
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let _raw = match ends.console && stdin.is_terminal() {
        true => Some(RawMode::enter().map_err(|e| Failure::io("set the terminal to raw mode", &e))?),
        false => None,
    };
    ends.resize();
    let (mut inward, mut outward, mut errors) = (Flow::default(), Flow::default(), Flow::default());
    let mut code = None;
    loop {
        while let Some((response, _)) = client.buffered()? {
            code = peer.response(response)?.or(code);
        }
        if inward.ended && inward.buffer.is_empty() && !ends.console {
            ends.input = None;
        }
        let mut set = Set::default();
        let socket = code.is_none().then(|| set.add(client.as_fd(), PollFlags::IN));
        let signal = set.add(signals.as_fd(), PollFlags::IN);
        let from_in = (ends.input.is_some() && inward.buffer.is_empty() && !inward.ended && code.is_none())
            .then(|| set.add(stdin.as_fd(), PollFlags::IN));
        let to_in = ends.input.as_ref().filter(|_| !inward.buffer.is_empty() && code.is_none());
        let to_in = to_in.map(|fd| set.add(fd.as_fd(), PollFlags::OUT));
        let out = set.flow(&outward, ends.output.as_ref(), stdout.as_fd());
        let err = set.flow(&errors, ends.errors.as_ref(), stderr.as_fd());
        // The process has ended: what it wrote is there by now, and nothing else is waited for.
        let pending = !outward.buffer.is_empty() || !errors.buffer.is_empty();
        let patience = match (code, pending) {
            (Some(_), false) => Some(Duration::ZERO),
            _ => peer.deadline().map(|d| d.saturating_duration_since(Instant::now())),
        };
        let ready = set.wait(patience)?;
        let is = |i: Option<usize>| i.is_some_and(|i| ready[i]);
        if let (Some(code), false) = (code, pending)
            && !is(out)
            && !is(err)
        {
            return Ok(code);
        }
        if peer.deadline().is_some_and(|d| d <= Instant::now()) {
            peer.overdue()?;
        }
        if ready[signal] {
            while let Some(s) = signals.take()? {
                match Signal::from_number(s as i32) {
                    _ if s == Number::SIGWINCH => ends.resize(),
                    Some(s) if code.is_none() => peer.signal(client, s)?,
                    _ => {}
                }
            }
        }
        if is(from_in) {
            inward.read(stdin.as_fd());
        }
        if is(to_in)
            && let Some(fd) = &ends.input
            && !inward.write(fd.as_fd())
        {
            ends.input = None;
        }
        step(&mut outward, &mut ends.output, stdout.as_fd(), is(out));
        step(&mut errors, &mut ends.errors, stderr.as_fd(), is(err));
        if is(socket) && !client.fill().unwrap_or(false) {
            *client = peer.reconnect()?;
        }
    }
}

/// The supervisor ended before its answer.
pub(crate) fn lost() -> Failure {
    Failure::new(
        rcompose_engine::FailureKind::Internal,
        "the project's supervisor closed the connection before the process ended",
    )
}

/// Moves a flow on: written first, read when all is written. Without a reader the container's end is closed, so that
/// the process there notices as it would here.
fn step(flow: &mut Flow, from: &mut Option<OwnedFd>, to: BorrowedFd<'_>, ready: bool) {
    if !ready {
        return;
    }
    if flow.buffer.is_empty() {
        if let Some(fd) = from {
            flow.read(fd.as_fd());
        }
        if flow.ended {
            *from = None;
        }
    } else if !flow.write(to) {
        *from = None;
    }
}

/// Descriptors to wait for.
#[derive(Default)]
struct Set<'a> {
    fds: Vec<PollFd<'a>>,
}

impl<'a> Set<'a> {
    fn add(&mut self, fd: BorrowedFd<'a>, what: PollFlags) -> usize {
        self.fds.push(PollFd::from_borrowed_fd(fd, what));
        self.fds.len() - 1
    }

    fn flow(&mut self, flow: &Flow, from: Option<&'a OwnedFd>, to: BorrowedFd<'a>) -> Option<usize> {
        match (flow.buffer.is_empty(), from) {
            (false, _) => Some(self.add(to, PollFlags::OUT)),
            (true, Some(fd)) => Some(self.add(fd.as_fd(), PollFlags::IN)),
            (true, None) => None,
        }
    }

    /// Which of them have something to say, ends and errors included.
    fn wait(mut self, patience: Option<Duration>) -> Result<Vec<bool>, Failure> {
        let timeout = patience.and_then(|d| Timespec::try_from(d).ok());
        match poll(&mut self.fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(Failure::io("wait for the process", &io::Error::from(e))),
        }
        Ok(self.fds.iter().map(|f| !f.revents().is_empty()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::pipe;

    #[test]
    fn a_flow_keeps_what_it_has_until_it_is_written() {
        let (from, writer) = pipe().unwrap();
        let (reader, to) = pipe().unwrap();
        let bytes = vec![b'x'; 3 * WRITE_UNIT + 5];
        rustix::io::write(&writer, &bytes).unwrap();
        drop(writer);
        let (mut flow, mut from) = (Flow::default(), Some(from));
        let mut got = 0;
        while from.is_some() {
            step(&mut flow, &mut from, to.as_fd(), true);
            let mut chunk = [0u8; WRITE_UNIT];
            rustix::io::ioctl_fionbio(&reader, true).unwrap();
            got += rustix::io::read(&reader, &mut chunk[..]).unwrap_or(0);
        }
        assert!(flow.ended && flow.buffer.is_empty());
        assert_eq!(got, bytes.len());
    }

    #[test]
    fn without_a_reader_the_process_loses_its_end() {
        let (from, writer) = pipe().unwrap();
        let (reader, to) = pipe().unwrap();
        drop(reader);
        rustix::io::write(&writer, b"x").unwrap();
        let (mut flow, mut from) = (Flow::default(), Some(from));
        step(&mut flow, &mut from, to.as_fd(), true);
        step(&mut flow, &mut from, to.as_fd(), true);
        assert!(from.is_none());
        assert_eq!(rustix::io::write(&writer, b"y"), Err(Errno::PIPE));
    }

    #[test]
    fn descriptors_find_their_places() {
        let fds = || {
            let (a, b) = pipe().unwrap();
            vec![a, b]
        };
        let ends = Ends::new(false, false, fds()).unwrap();
        assert!(ends.input.is_none() && ends.output.is_some() && ends.errors.is_some());
        let mut three = fds();
        three.extend(fds().pop());
        assert!(Ends::new(false, true, three).unwrap().input.is_some());
    }
}
