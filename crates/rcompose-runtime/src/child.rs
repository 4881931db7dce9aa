//! The child from clone3 to exec. Raw system calls only; no allocation, no locks, no way back.

use crate::error::{At, Failure, Stage};
use crate::finish::{self, Wires};
use crate::init;
use crate::ops::{Op, Slots};
use crate::process::Prepared;
use crate::sys::{self, sys};

/// Everything the child knows.
pub(crate) struct Child<'a> {
    pub(crate) ops: &'a [Op],
    pub(crate) slots: Slots,
    pub(crate) process: &'a Prepared,
    pub(crate) wires: Wires,
    /// A tiny init stays as the parent of the process.
    pub(crate) init: bool,
    /// A new container, in difference to one more process in one.
    pub(crate) container: bool,
}

impl Child<'_> {
    pub(crate) fn run(mut self) -> ! {
        let failure = match self.prepare() {
            Ok(()) if self.init => init::serve(self.process, self.wires),
            Ok(()) => finish::execute(self.process),
            Err(failure) => failure,
        };
        let mut buffer = [0u8; 205];
        let length = failure.encode(&mut buffer);
        // If the caller is gone nobody wants to know.
        let _ = sys::write_all(self.wires.status, &buffer[..length]);
        sys::exit(match (failure.stage, failure.errno) {
            (Stage::Exec, libc::ENOENT | libc::ENOTDIR) => 127,
            (Stage::Exec, _) => 126,
            _ => 128,
        })
    }

    fn prepare(&mut self) -> Result<(), Failure<'static>> {
        // The lifetime of details is that of the program, which outlives the child.
        self.steps().map_err(|failure| Failure { detail: leak(failure.detail), ..failure })
    }

    fn steps(&mut self) -> Result<(), Failure<'_>> {
        reset_signals().at(Stage::Init, b"signals")?;
        // Until exec this is a copy of the caller with all it knows: nobody may look into it (CVE-2016-9962).
        sys::prctl(libc::PR_SET_DUMPABLE, 0, 0).at(Stage::Init, b"dumpable")?;
        sys!(SYS_umask, 0).at(Stage::Init, b"umask")?;
        if self.wires.caller >= 0 {
            finish::die_with(self.wires.caller)?;
        }
        for op in self.ops {
            op.run(&mut self.slots)?;
        }
        finish::become_process(self.process, &mut self.wires, self.container)
    }
}

/// Details point into the prepared program or into constants, neither of which is freed in the child.
fn leak(detail: &[u8]) -> &'static [u8] {
    // SAFETY: the child never returns, so nothing it was given is dropped before it ends.
    unsafe { std::slice::from_raw_parts(detail.as_ptr(), detail.len()) }
}

/// Ignored signals would stay ignored over exec (Rust ignores SIGPIPE), and so would a mask.
fn reset_signals() -> sys::Result {
    // struct sigaction of the kernel: SIG_DFL, no flags, no mask.
    let default = [0u64; 4];
    for signal in 1..=64 {
        match sys!(SYS_rt_sigaction, signal, default.as_ptr(), 0, 8) {
            // SIGKILL and SIGSTOP.
            Ok(_) | Err(libc::EINVAL) => {}
            Err(errno) => return Err(errno),
        }
    }
    let none = 0u64;
    sys!(SYS_rt_sigprocmask, libc::SIG_SETMASK, std::ptr::from_ref(&none), 0, 8).map(drop)
}
