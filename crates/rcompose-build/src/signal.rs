//! STOPSIGNAL's names (moby/sys/signal).

use crate::BuildError;
use crate::dockerfile::words::nearest;

const NAMES: [&str; 36] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE",
    "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU",
    "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
];

/// A name, with or without SIG, `RTMIN+3`, `RTMAX-3`, or a number.
pub(crate) fn check(signal: &str) -> Result<(), BuildError> {
    let upper = signal.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = |prefix, sign| {
        let rest: Option<&str> = name.strip_prefix(prefix);
        rest.and_then(|r| r.strip_prefix(sign))
            .is_some_and(|n| n.parse::<u8>().is_ok_and(|n| (1..=15).contains(&n)))
    };
    let number = signal.parse::<u32>().is_ok_and(|n| n > 0);
    if number || NAMES.contains(&name) || real_time("RTMIN", '+') || real_time("RTMAX", '-') {
        return Ok(());
    }
    let error = BuildError::input(format!("unknown signal `{signal}`"));
    Err(match nearest(name, NAMES) {
        Some(near) => error.help(format!("did you mean `SIG{near}`?")),
        None => error.help("give a name such as SIGTERM or a number"),
    })
}
