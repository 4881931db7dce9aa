//! A step on the user's terminal: a shell where a RUN has failed.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rcompose_runtime::WinSize;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

/// Opens the terminal of the builder, which isn't ours.
pub(super) fn open_terminal(path: &Path) -> io::Result<(File, WinSize)> {
    let terminal = open(path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    let size = rustix::termios::tcgetwinsize(&terminal)?;
    Ok((terminal.into(), WinSize { rows: size.ws_row, columns: size.ws_col }))
}

/// Copies both ways until the process has ended; false when the builder has gone.
pub(super) fn relay(pidfd: &OwnedFd, console: &OwnedFd, terminal: &File) -> io::Result<bool> {
    let builder = io::stdin();
    loop {
        let mut fds = [
            PollFd::from_borrowed_fd(console.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(terminal.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(builder.as_fd(), PollFlags::empty()),
        ];
        match poll(&mut fds, None) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        let [output, typed, ended, gone] = fds.map(|f| f.revents());
        if output.contains(PollFlags::IN) {
            copy(console.as_fd(), terminal.as_fd())?;
            continue;
        }
        if gone.intersects(PollFlags::HUP | PollFlags::ERR) {
            return Ok(false);
        }
        if !ended.is_empty() {
            return Ok(true);
        }
        if !typed.is_empty() && !copy(terminal.as_fd(), console.as_fd())? {
            return Ok(false);
        }
        if output.intersects(PollFlags::HUP | PollFlags::ERR) {
            // All of its ends are closed: the process is about to end.
            poll(&mut [PollFd::new(pidfd, PollFlags::IN)], None)?;
            return Ok(true);
        }
    }
}

/// False at the end.
fn copy(from: impl AsFd, to: impl AsFd) -> io::Result<bool> {
    let mut chunk = [0u8; 4096];
    let n = match rustix::io::read(from, &mut chunk) {
        Ok(0) | Err(Errno::IO) => return Ok(false),
        Err(Errno::INTR | Errno::AGAIN) => return Ok(true),
        other => other?,
    };
    let mut rest = &chunk[..n];
    while !rest.is_empty() {
        match rustix::io::write(&to, rest) {
            Err(Errno::INTR) => {}
            other => rest = &rest[other?..],
        }
    }
    Ok(true)
}
