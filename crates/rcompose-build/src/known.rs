//! Build arguments that are for the builder itself (Dockerfile reference, "Predefined ARGs" and "BuildKit built-in build args").

use crate::{BuildError, BuildRequest};

pub(crate) const CHECK: &str = "BUILDKIT_DOCKERFILE_CHECK";
pub(crate) const CACHE_NAMESPACE: &str = "BUILDKIT_CACHE_MOUNT_NS";
pub(crate) const EPOCH: &str = "SOURCE_DATE_EPOCH";
pub(crate) const HOSTNAME: &str = "BUILDKIT_SANDBOX_HOSTNAME";
pub(crate) const SYNTAX: &str = "BUILDKIT_SYNTAX";
pub(crate) const SCAN_CONTEXT: &str = "BUILDKIT_SBOM_SCAN_CONTEXT";
pub(crate) const SCAN_STAGE: &str = "BUILDKIT_SBOM_SCAN_STAGE";
const INLINE_CACHE: &str = "BUILDKIT_INLINE_CACHE";
const KEEP_GIT_DIR: &str = "BUILDKIT_CONTEXT_KEEP_GIT_DIR";
const MULTI_PLATFORM: &str = "BUILDKIT_MULTI_PLATFORM";

/// Given to RUN without ARG, and not part of the cache key or the history.
pub(crate) fn is_proxy(name: &str) -> bool {
    ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"]
        .contains(&name.to_uppercase().as_str())
}

/// The last second of the year 9999: later dates can't be written (RFC 3339).
pub(crate) const LAST_SECOND: u64 = 253_402_300_799;

/// Needs no ARG.
pub(crate) fn is_known(name: &str) -> bool {
    is_proxy(name) || name == EPOCH || name.starts_with("BUILDKIT_")
}

/// An ARG that says what is scanned for packages; RUN doesn't see it.
pub(crate) fn is_for_scans(name: &str) -> bool {
    [SCAN_CONTEXT, SCAN_STAGE].contains(&name)
}

impl BuildRequest {
    /// The value of an argument that is given and isn't empty.
    pub(crate) fn known(&self, name: &str) -> Option<&str> {
        self.args.get(name)?.as_deref().filter(|v| !v.is_empty())
    }

    /// Takes up the arguments that stand for other fields. `SOURCE_DATE_EPOCH` may need the Dockerfile.
    pub fn with_known_arguments(mut self) -> Self {
        self.inline_cache |= self.known(INLINE_CACHE).and_then(parse_bool) == Some(true);
        self
    }

    /// The same, dated.
    pub(crate) fn dated(&self, seconds: Option<u64>) -> Self {
        let mut dated = Self { source_date_epoch: seconds, ..self.clone() };
        // Who asks for the argument sees what came of it.
        dated.args.insert(EPOCH.to_owned(), Some(seconds.map(|s| s.to_string()).unwrap_or_default()));
        dated
    }

    /// `BUILDKIT_CONTEXT_KEEP_GIT_DIR`: a repository as the context has its `.git`.
    pub fn keeps_git_dir(&self) -> bool {
        self.known(KEEP_GIT_DIR).and_then(parse_bool) == Some(true)
    }

    /// `BUILDKIT_MULTI_PLATFORM`: whether the result looks as if there were several platforms, or mustn't.
    ///
    /// Errors: it is neither true nor false.
    pub fn multi_platform(&self) -> Result<Option<bool>, BuildError> {
        let read = |text| {
            parse_bool(text).ok_or_else(|| {
                BuildError::input(format!("invalid {MULTI_PLATFORM} `{text}`")).help("write true or false")
            })
        };
        self.known(MULTI_PLATFORM).map(read).transpose()
    }
}

/// Whether it is docker's own frontend, wherever it is kept: this builder stands for it.
pub(crate) fn is_own_frontend(syntax: &str) -> bool {
    let image = syntax.split(' ').next().unwrap_or_default();
    let image = image.split('@').next().unwrap_or_default();
    let name = match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    };
    ["docker/dockerfile", "docker/dockerfile-upstream"]
        .iter()
        .any(|own| name.strip_suffix(own).is_some_and(|host| host.is_empty() || host.ends_with('/')))
}

/// True or false, as docker's tools read it in options (Go's `strconv.ParseBool`).
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(name: &str, value: &str) -> BuildRequest {
        BuildRequest { args: [(name.to_owned(), Some(value.to_owned()))].into(), ..BuildRequest::default() }
    }

    #[test]
    fn fields() {
        let with = |name, value| given(name, value).with_known_arguments();
        for (value, want) in [("1", true), ("true", true), ("0", false), ("x", false), ("", false)] {
            assert_eq!(with(INLINE_CACHE, value).inline_cache, want, "{value}");
            assert_eq!(given(KEEP_GIT_DIR, value).keeps_git_dir(), want, "{value}");
        }
        let multi = |value| given(MULTI_PLATFORM, value).multi_platform();
        assert_eq!(
            [multi("1").unwrap(), multi("f").unwrap(), multi("").unwrap()],
            [Some(true), Some(false), None]
        );
        assert!(multi("x").is_err());
    }

    #[test]
    fn frontends() {
        for own in [
            "docker/dockerfile:1",
            "docker.io/docker/dockerfile",
            "docker/dockerfile-upstream:master-labs",
            "docker/dockerfile@sha256:00 more",
            "mirror.example:5000/docker/dockerfile:1.7-labs",
        ] {
            assert!(is_own_frontend(own), "{own}");
        }
        for other in ["a/b", "me/dockerfile:1", "notdocker/dockerfile", "docker/dockerfiles"] {
            assert!(!is_own_frontend(other), "{other}");
        }
    }
}
