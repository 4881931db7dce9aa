//! Whether a signal reaches the first process of a container.

use std::fs;
use std::time::Duration;

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

/// Until this age a process without a handler may be on its way to one.
const YOUNG: Duration = Duration::from_secs(5);
/// How long one that is on its way is waited for, and how often it is looked at.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(3);

/// As [`handles_signal`], but a young process that is still at work (an interpreter that starts, say) is given the time
/// to come to its handler. One that sleeps has come to where it wanted to be: there is nothing to wait for.
///
/// The kernel tells nobody when a handler is installed: this is the one place that has to look again and again.
pub(crate) async fn comes_to_handle(pid: i32, signal: Signal) -> bool {
    let begun = tokio::time::Instant::now();
    let (mut before, mut still) = (None, 0);
    loop {
        if handles_signal(pid, signal) {
            return true;
        }
        let Some(now) = Look::at(pid) else { return false };
        still = if now.asleep && before.as_ref() == Some(&now.used) { still + 1 } else { 0 };
        // A read may be one from a slow disk; those other calls are for waiting only.
        let enough = if WAITING.contains(&system_call(pid)) { 1 } else { 10 };
        if still >= enough || now.age > YOUNG || begun.elapsed() > PATIENCE {
            // It may have come to its handler between the two looks.
            return handles_signal(pid, signal);
        }
        before = Some(now.used);
        tokio::time::sleep(LOOK).await;
    }
}

/// System calls in which a process waits for something to happen (x86-64: poll, select, nanosleep, pause, wait4, accept,
/// futex, clock_nanosleep, epoll_wait, waitid, pselect6, ppoll, epoll_pwait, accept4, rt_sigsuspend).
const WAITING: &[i64] = if cfg!(target_arch = "x86_64") {
    &[7, 23, 35, 34, 61, 43, 202, 230, 232, 247, 270, 271, 281, 288, 130]
} else {
    &[]
};

/// The system call that a process is in; -1 if in none, or if that can't be told.
fn system_call(pid: i32) -> i64 {
    let call = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    call.split_whitespace().next().and_then(|c| c.parse().ok()).unwrap_or(-1)
}

/// What a process is doing (proc_pid_stat(5)).
struct Look {
    asleep: bool,
    /// Time in user and kernel mode, and page faults: anything that shows it did something.
    used: [u64; 4],
    age: Duration,
}

impl Look {
    fn at(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let number = |i: usize| fields.get(i).and_then(|f| f.parse::<u64>().ok());
        let uptime = fs::read_to_string("/proc/uptime").ok()?;
        let uptime: f64 = uptime.split(' ').next()?.parse().ok()?;
        // Fields 3 (state), 10 and 12 (faults), 14 and 15 (times), 22 (start, in ticks of 1/100 s).
        let started = number(19)? as f64 / 100.0;
        Some(Self {
            asleep: *fields.first()? == "S",
            used: [number(7)?, number(9)?, number(11)?, number(12)?],
            age: Duration::try_from_secs_f64((uptime - started).max(0.0)).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Python that has said "ok" runs its own code: what the start of a process blocks is behind it.
    fn python(code: &str) -> std::process::Child {
        let mut child = std::process::Command::new("python3")
            .args(["-c", &format!("import signal,time\nprint('ok',flush=True)\n{code}")])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = [0u8; 3];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut said).unwrap();
        child
    }

    #[test]
    fn who_comes_to_a_handler_is_reached() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let waits = "signal.pthread_sigmask(signal.SIG_BLOCK,[15])\nsignal.sigwait([15])";
        let late = "end=time.monotonic()+0.3\nwhile time.monotonic()<end: pass\nsignal.signal(15,lambda *a: None)\ntime.sleep(9)";
        for (code, reached) in [(waits, true), (late, true), ("time.sleep(9)", false)] {
            let mut child = python(code);
            let got = runtime.block_on(comes_to_handle(child.id() as i32, Signal::TERM));
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(got, reached, "{code}");
        }
    }
}
