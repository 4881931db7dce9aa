use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Not a list of CPUs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} isn't a list of CPUs, like 0-2,4")]
pub struct CpuSetError(String);

/// CPUs by their numbers, in the kernel's list format (cpuset(7)): `0-2,4`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CpuSet(Vec<(u16, u16)>);

impl CpuSet {
    /// First and last of each range, as they are written.
    pub fn ranges(&self) -> &[(u16, u16)] {
        &self.0
    }
}

impl FromStr for CpuSet {
    type Err = CpuSetError;
    fn from_str(text: &str) -> Result<Self, CpuSetError> {
        // As many as a kernel can be built for.
        const MAX: u16 = 8192;
        let number =
            |t: &str| t.trim().parse::<u16>().ok().filter(|n| *n < MAX && !t.trim().starts_with('+'));
        let range = |t: &str| match t.split_once('-') {
            Some((a, b)) => Some((number(a)?, number(b)?)).filter(|(a, b)| a <= b),
            None => number(t).map(|n| (n, n)),
        };
        let ranges: Option<Vec<(u16, u16)>> = text.split(',').map(range).collect();
        ranges.map(Self).ok_or_else(|| CpuSetError(text.to_owned()))
    }
}

impl TryFrom<String> for CpuSet {
    type Error = CpuSetError;
    fn try_from(text: String) -> Result<Self, CpuSetError> {
        text.parse()
    }
}

impl From<CpuSet> for String {
    fn from(set: CpuSet) -> Self {
        set.to_string()
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (first, last)) in self.0.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::CpuSet;

    #[test]
    fn lists() {
        for (text, want) in [("0", "0"), ("0-2,4", "0-2,4"), ("1, 3-3", "1,3")] {
            assert_eq!(text.parse::<CpuSet>().unwrap().to_string(), want);
        }
        for bad in ["", "a", "3-1", "0,", "-1", "0-", "9999", "+1", "0x1"] {
            assert!(bad.parse::<CpuSet>().is_err(), "{bad}");
        }
    }
}
