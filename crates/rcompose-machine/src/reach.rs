//! Whether a signal reaches the first process of a container.

use std::fs;

use rcompose_model::Signal;

/// The number of `rt_sigtimedwait` (syscalls(2)).
const SIGTIMEDWAIT: &str = if cfg!(target_arch = "x86_64") { "128" } else { "137" };

/// Whether a container's PID 1 can be reached by a signal: it catches it, blocks it, or waits for signals this very
/// moment (`tini` and the like do). Everything else the kernel doesn't deliver to a first process
/// (pid_namespaces(7), proc_pid_status(5)). `true` if that can't be told.
pub fn handles_signal(pid: i32, signal: Signal) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return true };
    let bit = 1u64 << (signal.number() - 1);
    let has = |key: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(key));
        line.and_then(|v| u64::from_str_radix(v.trim(), 16).ok()).is_none_or(|m| m & bit != 0)
    };
    has("SigCgt:") || has("SigBlk:") || waits_for_signals(pid)
}

/// While a process is in sigwait(3), the kernel shows what it waits for as neither caught nor blocked.
fn waits_for_signals(pid: i32) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/syscall")) {
        Ok(call) => call.split_whitespace().next() == Some(SIGTIMEDWAIT),
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiter_is_reached_and_a_sleeper_is_not() {
        let spawn = |code: &str| {
            let mut child = std::process::Command::new("python3");
            let child = child.args(["-c", code]).stdout(std::process::Stdio::piped());
            let mut child = child.spawn().unwrap();
            let mut said = [0u8; 3];
            std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut said).unwrap();
            child
        };
        let wait = "import signal,sys; signal.pthread_sigmask(signal.SIG_BLOCK,[15]); print('ok',flush=True); signal.sigwait([15])";
        let sleep = "import time; print('ok',flush=True); time.sleep(9)";
        for (code, reached) in [(wait, true), (sleep, false)] {
            let mut child = spawn(code);
            assert_eq!(handles_signal(child.id() as i32, Signal::TERM), reached, "{code}");
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}
