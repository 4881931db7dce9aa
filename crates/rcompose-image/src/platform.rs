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
        let (arch, variant) = match (arch.as_str(), variant) {
            ("x86_64" | "x86-64" | "amd64", v) => ("amd64", v.filter(|v| *v != "v1")),
            ("aarch64" | "arm64", v) => ("arm64", v.filter(|v| !matches!(*v, "8" | "v8"))),
            ("armhf", _) => ("arm", Some("v7")),
            ("armel", _) => ("arm", Some("v6")),
            ("arm", None | Some("7")) => ("arm", Some("v7")),
            ("arm", Some("5")) => ("arm", Some("v5")),
            ("arm", Some("6")) => ("arm", Some("v6")),
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

    /// Whether an image made for `image` can stand for this platform.
    pub fn accepts(&self, image: &Self) -> bool {
        let image = Self::normalised(&image.os, &image.architecture, image.variant.as_deref());
        self.os == image.os
            && self.architecture == image.architecture
            && (self.variant.is_none() || self.variant == image.variant)
    }
}

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
            [arch] if !matches!(*arch, "windows" | "darwin" | "freebsd") => {
                Ok(Self::normalised("linux", arch, None))
            }
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
        for text in ["", "a/b/c/d", "linux/", "windows", "linux/a md64"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }
}
