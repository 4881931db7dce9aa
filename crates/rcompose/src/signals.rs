//! Signals as something to poll for.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::failure::Failure;

/// Signals that come by a descriptor instead of ending the program, until dropped.
///
/// Processes inherit the mask (`signal(7)`): start them within [`Self::lifted`].
#[derive(Debug)]
pub(crate) struct Signals {
    fd: SignalFd,
    set: SigSet,
}

impl Signals {
    pub(crate) fn new(signals: &[Signal]) -> Result<Self, Failure> {
        let failed = |e: nix::Error| Failure::io("receive signals", &e);
        let set: SigSet = signals.iter().copied().collect();
        let fd =
            SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).map_err(failed)?;
        set.thread_block().map_err(failed)?;
        Ok(Self { fd, set })
    }

    /// Ctrl-C, a hang-up of the terminal, a friendly kill.
    pub(crate) fn ending() -> Result<Self, Failure> {
        Self::new(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP])
    }

    /// The next signal that has come.
    pub(crate) fn take(&self) -> Result<Option<Signal>, Failure> {
        let info = self.fd.read_signal().map_err(|e| Failure::io("receive signals", &e))?;
        Ok(info.and_then(|i| Signal::try_from(i32::try_from(i.ssi_signo).ok()?).ok()))
    }

    /// Does something while the signals have their usual effect.
    pub(crate) fn lifted<T>(&self, f: impl FnOnce() -> T) -> Result<T, Failure> {
        let failed = |e: nix::Error| Failure::io("receive signals", &e);
        self.set.thread_unblock().map_err(failed)?;
        let value = f();
        self.set.thread_block().map_err(failed)?;
        Ok(value)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        if self.set.thread_unblock().is_err() {
            // It can only fail for a wrong argument.
        }
    }
}
