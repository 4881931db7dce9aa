use serde::{Deserialize, Serialize};

/// A signal by number, Linux numbering for x86-64 and arm64 (`signal(7)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signal(i32);

/// Not a signal's name or number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid signal: {0}")]
pub struct SignalError(String);

const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

impl Signal {
    /// SIGTERM.
    pub const TERM: Self = Self(15);
    /// SIGKILL.
    pub const KILL: Self = Self(9);
    /// SIGINT.
    pub const INT: Self = Self(2);
    /// SIGHUP.
    pub const HUP: Self = Self(1);

    /// Reads `TERM`, `SIGTERM`, `sigterm`, `15`, `RTMIN+3`.
    pub fn parse(text: &str) -> Result<Self, SignalError> {
        let err = || SignalError(text.to_owned());
        if let Ok(n) = text.parse::<i32>() {
            return if (1..=64).contains(&n) { Ok(Self(n)) } else { Err(err()) };
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Some(i) = NAMES.iter().position(|n| *n == name) {
            return Ok(Self(i as i32 + 1));
        }
        let (base, rest, sign) = if let Some(r) = name.strip_prefix("RTMIN") {
            (34, r, 1)
        } else if let Some(r) = name.strip_prefix("RTMAX") {
            (64, r, -1)
        } else {
            return match name {
                "IOT" => Ok(Self(6)),
                "CLD" => Ok(Self(17)),
                "POLL" => Ok(Self(29)),
                _ => Err(err()),
            };
        };
        let offset = match rest.strip_prefix(if sign > 0 { '+' } else { '-' }) {
            Some(d) => d.parse::<i32>().map_err(|_| err())?,
            None if rest.is_empty() => 0,
            None => return Err(err()),
        };
        let n = base + sign * offset;
        if (34..=64).contains(&n) { Ok(Self(n)) } else { Err(err()) }
    }

    /// Takes a number known to be a signal (1–64).
    pub fn from_number(n: i32) -> Option<Self> {
        (1..=64).contains(&n).then_some(Self(n))
    }

    /// The kernel's number.
    pub fn number(self) -> i32 {
        self.0
    }
}

impl std::fmt::Display for Signal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match NAMES.get((self.0 - 1) as usize) {
            Some(name) => write!(f, "SIG{name}"),
            None => write!(f, "SIGRTMIN+{}", self.0 - 34),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (text, n) in [("TERM", 15), ("SIGINT", 2), ("sigusr1", 10), ("9", 9), ("SIGRTMIN+3", 37)] {
            assert_eq!(Signal::parse(text).unwrap().number(), n);
        }
        for bad in ["", "0", "65", "SIGFOO", "RTMIN-1"] {
            assert!(Signal::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Signal::TERM.to_string(), "SIGTERM");
    }
}
