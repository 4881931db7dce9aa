use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `os/architecture[/variant]` in Go's words (OCI image spec, image-index.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// GOOS, `linux`.
    pub os: String,
    /// GOARCH, `amd64`.
    pub architecture: String,
    /// CPU variant, `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// Why a text is not a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a platform: write os/architecture, such as linux/amd64")]
pub struct PlatformError(String);

impl Platform {
    /// The platform of this program.
    pub fn host() -> Self {
        Self::normalised("linux", std::env::consts::ARCH, None)
    }

    /// Uses the names that docker uses for an architecture's other spellings (containerd, platforms/database.go).
    fn normalised(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let arch = architecture.to_ascii_lowercase();
        let variant = variant.map(str::to_ascii_lowercase).filter(|v| !v.is_empty());
        let (arch, variant) = match (arch.as_str(), variant.as_deref()) {
            ("x86_64" | "x86-64" | "amd64", v) => ("amd64", v.filter(|v| *v != "v1")),
            ("aarch64" | "arm64", Some("8" | "v8" | "v8.0")) => ("arm64", None),
            ("aarch64" | "arm64", Some("9" | "v9.0")) => ("arm64", Some("v9")),
            ("aarch64" | "arm64", v) => ("arm64", v),
            ("armhf", _) => ("arm", Some("v7")),
            ("armel", _) => ("arm", Some("v6")),
            ("arm", None | Some("7")) => ("arm", Some("v7")),
            ("arm", Some("5")) => ("arm", Some("v5")),
            ("arm", Some("6")) => ("arm", Some("v6")),
            ("arm", Some("8")) => ("arm", Some("v8")),
            ("i386" | "x86", _) => ("386", None),
            ("powerpc64le" | "powerpc64", v) => ("ppc64le", v),
            (other, v) => (other, v),
        };
        Self {
            os: os.to_ascii_lowercase(),
            architecture: arch.to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    /// Whether an image made for `image` is one of this platform; without a variant, of any.
    pub fn accepts(&self, image: &Self) -> bool {
        let image = Self::normalised(&image.os, &image.architecture, image.variant.as_deref());
        self.os == image.os
            && self.architecture == image.architecture
            && (self.variant.is_none() || self.variant == image.variant)
    }

    /// How well an image made for `image` stands for this platform, 0 being best; `None` if it can't. A processor runs
    /// what is made for its lower variants, and for the smaller architecture beside it (containerd, platforms/compare.go).
    pub fn rank(&self, image: &Self) -> Option<usize> {
        let image = Self::normalised(&image.os, &image.architecture, image.variant.as_deref());
        if self.os != image.os {
            return None;
        }
        let fitting = self.fitting();
        let at = fitting.iter().position(|(a, v)| *a == image.architecture && *v == image.variant);
        // Last comes one of a variant that nobody has asked about.
        at.or_else(|| self.accepts(&image).then_some(fitting.len()))
    }

    /// As [`Self::rank`], but of the same architecture.
    pub fn rank_within(&self, image: &Self) -> Option<usize> {
        let image = Self::normalised(&image.os, &image.architecture, image.variant.as_deref());
        self.rank(&image).filter(|_| self.architecture == image.architecture)
    }

    /// Architectures and variants whose programs this platform runs, best first.
    fn fitting(&self) -> Vec<(String, Option<String>)> {
        let variant = self.variant.as_deref();
        let major = |v: &str| v.trim_start_matches('v').parse::<u32>().ok();
        let below = |v: Option<&str>, least: u32| {
            let number = v.and_then(major).map_or(least, |n| n.min(NUMBERS));
            (least..number).rev().map(|n| Some(format!("v{n}")))
        };
        let mut all = vec![(self.architecture.clone(), self.variant.clone())];
        match self.architecture.as_str() {
            "amd64" => {
                let lower = below(variant, 1).map(|v| v.filter(|v| v != "v1"));
                all.extend(lower.map(|v| ("amd64".to_owned(), v)));
                all.push(("386".to_owned(), None));
            }
            "arm" => all.extend(below(variant, 5).map(|v| ("arm".to_owned(), v))),
            "arm64" => {
                let (number, minor) =
                    variant.unwrap_or("v8").split_once('.').unwrap_or((variant.unwrap_or("v8"), "0"));
                let (Some(number), Ok(mut minor)) = (major(number), minor.parse::<u32>()) else { return all };
                let mut add = |v: String| all.push(("arm64".to_owned(), Some(v).filter(|v| v != "v8")));
                let name =
                    |n: u32, minor: u32| if minor == 0 { format!("v{n}") } else { format!("v{n}.{minor}") };
                if number == 9 {
                    (0..minor.min(NUMBERS)).rev().for_each(|m| add(name(9, m)));
                    // v9.0 came from v8.5.
                    minor = minor.min(NUMBERS) + 5;
                    add(name(8, minor));
                }
                (0..minor.min(2 * NUMBERS)).rev().for_each(|m| add(name(8, m)));
                let small = ["v8", "v7", "v6", "v5"].map(|v| ("arm".to_owned(), Some(v.to_owned())));
                all.extend(small);
            }
            _ => {}
        }
        all
    }
}

/// Architectures that stand for `linux/…` alone (containerd, platforms/database.go).
const KNOWN: [&str; 24] = [
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "armbe",
    "arm64",
    "arm64be",
    "loong64",
    "mips",
    "mipsle",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "ppc",
    "ppc64",
    "ppc64le",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
];

/// Variants and arm64's minor versions have one digit; one that has more is not counted down from.
const NUMBERS: u32 = 10;

impl FromStr for Platform {
    type Err = PlatformError;
    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let wrong = || PlatformError(text.to_owned());
        let parts: Vec<&str> = text.split('/').collect();
        let plain =
            |p: &&str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !parts.iter().all(plain) {
            return Err(wrong());
        }
        match parts.as_slice() {
            ["linux"] => Ok(Self::host()),
            [arch] => Some(Self::normalised("linux", arch, None))
                .filter(|p| KNOWN.contains(&p.architecture.as_str()))
                .ok_or_else(wrong),
            [os, arch] => Ok(Self::normalised(os, arch, None)),
            [os, arch, variant] => Ok(Self::normalised(os, arch, Some(variant))),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        for (text, want) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("arm64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("Linux/ARM/v6", "linux/arm/v6"),
        ] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), want);
        }
        for text in ["", "a/b/c/d", "linux/", "windows", "foo", "linux/a md64"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }
    #[test]
    fn what_stands_for_a_platform() {
        for (wanted, want) in [
            ("linux/amd64", "linux/amd64 linux/386 linux/amd64/v2 linux/amd64/v3"),
            ("linux/amd64/v2", "linux/amd64/v2 linux/amd64 linux/386"),
            ("linux/amd64/v3", "linux/amd64/v3 linux/amd64/v2 linux/amd64 linux/386"),
            // Not as many as the number says.
            ("linux/amd64/v4294967295", "linux/amd64/v3 linux/amd64/v2 linux/amd64 linux/386"),
            (
                "linux/arm64/v9.4294967295",
                "linux/arm64/v9 linux/arm64/v8.2 linux/arm64 linux/arm/v8 linux/arm/v7 linux/arm/v6 linux/arm/v5",
            ),
            ("linux/arm/v7", "linux/arm/v7 linux/arm/v6 linux/arm/v5"),
            (
                "linux/arm64",
                "linux/arm64 linux/arm/v8 linux/arm/v7 linux/arm/v6 linux/arm/v5 linux/arm64/v8.2 linux/arm64/v9",
            ),
            (
                "linux/arm64/v8.2",
                "linux/arm64/v8.2 linux/arm64 linux/arm/v8 linux/arm/v7 linux/arm/v6 linux/arm/v5",
            ),
            (
                "linux/arm64/v9",
                "linux/arm64/v9 linux/arm64/v8.2 linux/arm64 linux/arm/v8 linux/arm/v7 linux/arm/v6 linux/arm/v5",
            ),
            ("linux/386", "linux/386"),
            ("linux/s390x", "linux/s390x"),
            ("windows/amd64", "windows/amd64"),
        ] {
            let wanted: Platform = wanted.parse().unwrap();
            let all = [
                "linux/386",
                "linux/amd64/v2",
                "linux/amd64/v3",
                "linux/amd64/v1",
                "linux/arm/v5",
                "linux/arm/v6",
                "linux/arm/v7",
                "linux/arm/v8",
                "linux/arm64/v8.2",
                "linux/arm64/v9.0",
                "linux/arm64/v8",
                "linux/s390x",
                "windows/amd64",
            ];
            let all = all.map(|p| p.parse::<Platform>().unwrap());
            let mut fit: Vec<(usize, String)> =
                all.iter().filter_map(|p| Some((wanted.rank(p)?, p.to_string()))).collect();
            fit.sort_by_key(|(rank, _)| *rank);
            assert_eq!(fit.into_iter().map(|(_, p)| p).collect::<Vec<_>>().join(" "), want, "{wanted}");
        }
        let amd64: Platform = "linux/amd64".parse().unwrap();
        assert_eq!(amd64.rank_within(&"linux/386".parse().unwrap()), None);
        assert!(!amd64.accepts(&"linux/386".parse().unwrap()));
    }
}
