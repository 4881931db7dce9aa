use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageNameError {
    /// Nothing stands where the repository belongs.
    #[error("the repository's name is missing")]
    Missing,
    /// Upper case in the repository.
    #[error("the repository's name {0} must be in lower case")]
    UpperCase(String),
    /// A letter that names don't have.
    #[error("a name has letters and digits, with . _ __ or - between them")]
    Name,
    /// An id where a name belongs.
    #[error("64 hexadecimal digits are an image's id, not its name")]
    Id,
    /// Too long.
    #[error("a name has at most 255 characters")]
    TooLong,
    /// Behind the colon.
    #[error("a tag has letters, digits, _ . and -, at most 128, and begins with none of . and -")]
    Tag,
    /// Behind the at sign.
    #[error("a digest is sha256: and 64 hexadecimal digits")]
    Digest,
}

/// The name of an image as it is written, which docker can read (distribution/reference, `regexp.go`): `nginx`,
/// `ghcr.io/a/b:1@sha256:…`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageName(String);

impl ImageName {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ImageName {
    type Err = ImageNameError;
    fn from_str(text: &str) -> Result<Self, ImageNameError> {
        check(text).map(|()| Self(text.to_owned()))
    }
}

impl TryFrom<String> for ImageName {
    type Error = ImageNameError;
    fn try_from(text: String) -> Result<Self, ImageNameError> {
        check(&text).map(|()| Self(text))
    }
}

impl From<ImageName> for String {
    fn from(name: ImageName) -> Self {
        name.0
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check(text: &str) -> Result<(), ImageNameError> {
    use ImageNameError as E;
    let (rest, digest) = text.split_once('@').map_or((text, None), |(rest, digest)| (rest, Some(digest)));
    // What stands behind the last colon is a tag, unless it is a registry's port with a path behind it.
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    let (domain, path) = match name.split_once('/') {
        Some((first, path)) if is_domain(first) => (Some(first), path),
        _ => (None, name),
    };
    if path.is_empty() {
        return Err(E::Missing);
    }
    if path.chars().any(|c| c.is_ascii_uppercase()) {
        return Err(E::UpperCase(path.to_owned()));
    }
    if !path.split('/').all(is_component) {
        return Err(E::Name);
    }
    if domain.is_none() && digest.is_none() && path.len() == 64 && path.bytes().all(|b| b.is_ascii_hexdigit())
    {
        return Err(E::Id);
    }
    if domain.map_or(0, |d| d.len() + 1) + path.len() > 255 {
        return Err(E::TooLong);
    }
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err(E::Tag);
    }
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Err(E::Digest);
    }
    Ok(())
}

/// Docker takes the first part for a registry if it looks like a host.
fn is_domain(first: &str) -> bool {
    let looks = first.contains(['.', ':']) || first == "localhost" || first.chars().any(char::is_uppercase);
    let (host, port) = match first.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (first, None),
    };
    let v6 = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let label = |l: &str| {
        !l.is_empty()
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let host_ok =
        v6.map_or_else(|| host.split('.').all(label), |v6| v6.parse::<std::net::Ipv6Addr>().is_ok());
    looks && host_ok && port.is_none_or(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()))
}

fn is_component(part: &str) -> bool {
    let word = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = part.as_bytes();
    if !bytes.first().is_some_and(|b| word(*b)) || !bytes.last().is_some_and(|b| word(*b)) {
        return false;
    }
    part.split(|c: char| c.is_ascii() && word(c as u8))
        .all(|between| matches!(between, "" | "." | "_" | "__") || between.bytes().all(|b| b == b'-'))
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
}

fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else { return false };
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return false,
    };
    hex.len() == length && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn references() {
        let digest = format!("a@sha256:{}", "0".repeat(64));
        for good in [
            "nginx",
            "nginx:1.27-alpine",
            "library/nginx",
            "ghcr.io/a/b__c/d--e.f:T_1",
            "localhost/x",
            "localhost:5000/x:y",
            "Registry:5000/x",
            "[::1]:5000/x",
            &digest,
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let id = "0".repeat(64);
        let long = "a".repeat(256);
        for (bad, why) in [
            ("Nginx", "lower case"),
            ("a/B:1", "lower case"),
            ("", "missing"),
            ("a b", "a name has"),
            ("a:", "a tag has"),
            ("a:-x", "a tag has"),
            ("a/-b", "a name has"),
            ("a___b", "a name has"),
            ("https://a/b", "a name has"),
            ("a@sha256:12", "a digest is"),
            (&id, "an image's id"),
            (&long, "255"),
        ] {
            let got = check(bad).unwrap_err().to_string();
            assert!(got.contains(why), "{bad}: {got}");
        }
    }
}
