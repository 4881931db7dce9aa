use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Not a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} isn't a platform: os/architecture, like linux/amd64")]
pub struct PlatformError(String);

/// `os[/architecture[/variant]]`, the words as they are written: `linux/amd64`, `arm64`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Platform(String);

impl Platform {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Platform {
    type Err = PlatformError;
    fn from_str(text: &str) -> Result<Self, PlatformError> {
        const SYSTEMS: [&str; 4] = ["linux", "windows", "darwin", "freebsd"];
        let parts: Vec<&str> = text.split('/').collect();
        let word = |p: &&str| {
            !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        };
        let known = |p: &str| {
            let p = p.to_ascii_lowercase();
            SYSTEMS.contains(&p.as_str()) || ARCHITECTURES.contains(&p.as_str())
        };
        let good = parts.iter().all(word)
            && match parts.as_slice() {
                [one] => known(one),
                [os, _] | [os, _, _] => SYSTEMS.contains(&os.to_ascii_lowercase().as_str()),
                _ => false,
            };
        if good { Ok(Self(text.to_owned())) } else { Err(PlatformError(text.to_owned())) }
    }
}

/// What may stand alone for `linux/…` (containerd, `platforms/database.go`).
const ARCHITECTURES: [&str; 19] = [
    "386", "aarch64", "amd64", "arm", "arm64", "armel", "armhf", "i386", "loong64", "mips64le", "ppc64le",
    "riscv64", "s390x", "x86", "x86-64", "x86_64", "mips64", "ppc64", "wasm",
];

impl TryFrom<String> for Platform {
    type Error = PlatformError;
    fn try_from(text: String) -> Result<Self, PlatformError> {
        text.parse()
    }
}

impl From<Platform> for String {
    fn from(platform: Platform) -> Self {
        platform.0
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Platform;

    #[test]
    fn platforms() {
        for good in ["linux/amd64", "linux", "arm64", "linux/arm/v7", "Linux/x86_64", "windows/amd64"] {
            assert_eq!(good.parse::<Platform>().unwrap().as_str(), good);
        }
        for bad in ["", "foo", "a/b", "linux/", "linux/a/b/c", "linux/a b"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }
}
