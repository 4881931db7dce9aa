use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Digest;

/// The name of an image, by docker's rules (distribution/reference): `nginx` is `docker.io/library/nginx:latest`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text does not name an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing there.
    #[error("an image name is empty")]
    Empty,
    /// Upper case in the repository.
    #[error("image name `{0}` has upper-case letters: write `{1}`")]
    UpperCase(String, String),
    /// The repository is longer than 255 characters.
    #[error("image name `{0}` is longer than 255 characters")]
    TooLong(String),
    /// A 64-digit hexadecimal name is an id.
    #[error("`{0}` is an image id, not a name")]
    Id(String),
    /// A part of the repository that docker's grammar doesn't have.
    #[error("image name `{name}` is malformed at `{part}`")]
    Name {
        /// The whole text.
        name: String,
        /// The part.
        part: String,
    },
    /// The tag.
    #[error("image name `{name}` has a malformed tag `{tag}`")]
    Tag {
        /// The whole text.
        name: String,
        /// The tag.
        tag: String,
    },
    /// The digest.
    #[error("image name `{name}` has a malformed digest")]
    Digest {
        /// The whole text.
        name: String,
        /// What is wrong with it.
        #[source]
        source: crate::DigestError,
    },
}

const HUB: &str = "docker.io";

impl Reference {
    /// The registry, `docker.io` or `localhost:5000`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within the registry, `library/nginx`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag, if there is one. A name without tag and digest has `latest`.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest of the manifest that the name is bound to.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The host to speak to.
    pub fn registry_host(&self) -> &str {
        if self.domain == HUB { "registry-1.docker.io" } else { &self.domain }
    }

    /// Without tag and digest, in the short form: `nginx`, `localhost:5000/a`.
    pub fn familiar_name(&self) -> String {
        match (self.domain.as_str(), self.path.strip_prefix("library/")) {
            (HUB, Some(short)) if !short.contains('/') => short.to_owned(),
            (HUB, _) => self.path.clone(),
            (domain, _) => format!("{domain}/{}", self.path),
        }
    }

    /// The full form: `docker.io/library/nginx:latest`.
    pub fn canonical(&self) -> String {
        format!("{}/{}{}", self.domain, self.path, self.suffix())
    }

    /// The same repository bound to a manifest, without a tag.
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// The same repository with another tag, if that is one.
    pub fn with_tag(&self, tag: &str) -> Option<Self> {
        valid_tag(tag).then(|| Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// Whether both name the same repository.
    pub fn same_repository(&self, other: &Self) -> bool {
        self.domain == other.domain && self.path == other.path
    }

    fn suffix(&self) -> String {
        let tag = self.tag.as_ref().map(|t| format!(":{t}")).unwrap_or_default();
        tag + &self.digest.map(|d| format!("@{d}")).unwrap_or_default()
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let name = text.to_owned();
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        if text.len() == 64 && Digest::from_hex(text).is_ok() {
            return Err(ReferenceError::Id(name));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest =
                    digest.parse().map_err(|source| ReferenceError::Digest { name: name.clone(), source })?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        // A colon after the last slash begins the tag; one before it, the port.
        let (rest, tag) = match rest.rfind(':') {
            Some(at) if !rest[at..].contains('/') => (&rest[..at], Some(&rest[at + 1..])),
            _ => (rest, None),
        };
        if let Some(tag) = tag
            && !valid_tag(tag)
        {
            return Err(ReferenceError::Tag { name, tag: tag.to_owned() });
        }
        let (domain, path) = split_domain(rest);
        if path.bytes().any(|b| b.is_ascii_uppercase()) {
            // `My/App`: hardly a registry called `My`.
            let wrong = if domain.contains(['.', ':']) { path } else { rest };
            let right = name.replacen(wrong, &wrong.to_ascii_lowercase(), 1);
            return Err(ReferenceError::UpperCase(name, right));
        }
        let malformed = |part: &str| ReferenceError::Name { name: name.clone(), part: part.to_owned() };
        if !valid_domain(domain) {
            return Err(malformed(domain));
        }
        if let Some(part) = path.split('/').find(|part| !valid_component(part)) {
            return Err(malformed(part));
        }
        let path = match domain == HUB && !path.contains('/') {
            true => format!("library/{path}"),
            false => path.to_owned(),
        };
        if path.len() > 255 {
            return Err(ReferenceError::TooLong(name));
        }
        let tag = match (tag, digest) {
            (None, None) => Some("latest".to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        Ok(Self { domain: domain.to_owned(), path, tag, digest })
    }
}

/// The first part is a registry if it has a dot, a colon or an upper-case letter, or is `localhost`.
fn split_domain(rest: &str) -> (&str, &str) {
    match rest.split_once('/') {
        Some(("index.docker.io", path)) => (HUB, path),
        Some((first, path))
            if first == "localhost"
                || first.contains(['.', ':'])
                || first.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            (first, path)
        }
        _ => (HUB, rest),
    }
}

fn valid_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=128).contains(&tag.len())
        && tag.bytes().enumerate().all(|(i, b)| word(b) || (i > 0 && (b == b'.' || b == b'-')))
}

fn valid_domain(domain: &str) -> bool {
    let (host, port) = match domain.strip_prefix('[') {
        Some(v6) => match v6.split_once(']') {
            Some((address, "")) => return valid_v6(address),
            Some((address, port)) if valid_v6(address) => ("v6", port.strip_prefix(':')),
            _ => return false,
        },
        None => match domain.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (domain, None),
        },
    };
    let label = |l: &str| {
        !l.is_empty()
            && !l.starts_with('-')
            && !l.ends_with('-')
            // docker takes underscores, which names of hosts may not have but do.
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    host.split('.').all(label) && port.is_none_or(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()))
}

fn valid_v6(address: &str) -> bool {
    address.parse::<std::net::Ipv6Addr>().is_ok()
}

/// `[a-z0-9]+` joined by `.`, `_`, `__` or any number of `-`.
fn valid_component(part: &str) -> bool {
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let mut rest = part.as_bytes();
    loop {
        let word = rest.iter().take_while(|b| alnum(**b)).count();
        if word == 0 {
            return false;
        }
        rest = &rest[word..];
        let gap = rest.iter().take_while(|b| !alnum(**b)).count();
        match &rest[..gap] {
            [] => return rest.is_empty(),
            b"." | b"_" | b"__" => {}
            dashes if dashes.iter().all(|b| *b == b'-') => {}
            _ => return false,
        }
        rest = &rest[gap..];
    }
}

/// The short form: `nginx:latest`.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.familiar_name(), self.suffix())
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.canonical())
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn accepted() {
        for (text, canonical, familiar) in [
            ("nginx", "docker.io/library/nginx:latest", "nginx:latest"),
            ("a/b:1.2", "docker.io/a/b:1.2", "a/b:1.2"),
            ("docker.io/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
            ("index.docker.io/library/nginx:1", "docker.io/library/nginx:1", "nginx:1"),
            ("localhost/a", "localhost/a:latest", "localhost/a:latest"),
            ("localhost:5000/a/b", "localhost:5000/a/b:latest", "localhost:5000/a/b:latest"),
            ("127.0.0.1:5000/a:T", "127.0.0.1:5000/a:T", "127.0.0.1:5000/a:T"),
            ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"),
            ("ghcr.io/x/y__z-a.b:v1", "ghcr.io/x/y__z-a.b:v1", "ghcr.io/x/y__z-a.b:v1"),
            ("my---app", "docker.io/library/my---app:latest", "my---app:latest"),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(
                (reference.canonical().as_str(), reference.to_string().as_str()),
                (canonical, familiar)
            );
            assert_eq!(canonical.parse(), Ok(reference));
        }
        let bound: Reference = format!("nginx@{D}").parse().unwrap();
        assert_eq!((bound.tag(), bound.to_string()), (None, format!("nginx@{D}")));
        let both: Reference = format!("nginx:1@{D}").parse().unwrap();
        assert_eq!(both.tag(), Some("1"));
    }

    #[test]
    fn refused() {
        for text in
            ["", "a:", "a/", "/a", "a//b", "a_-b", "a..b", ".a", "a:b:c", "a@sha256:1", "-a.b/c", "a b", "é"]
        {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
        assert_eq!(
            "Nginx:1".parse::<Reference>().unwrap_err().to_string(),
            "image name `Nginx:1` has upper-case letters: write `nginx:1`"
        );
        assert_eq!(
            "My/App:V1".parse::<Reference>().unwrap_err().to_string(),
            "image name `My/App:V1` has upper-case letters: write `my/app:V1`"
        );
        assert!(matches!(D[7..].parse::<Reference>(), Err(ReferenceError::Id(_))));
    }

    /// Made with github.com/distribution/reference v0.6.0.
    #[test]
    fn as_docker_reads_them() {
        for (text, canonical, familiar) in [
            ("nginx", "docker.io/library/nginx:latest", "nginx:latest"),
            ("nginx:1", "docker.io/library/nginx:1", "nginx:1"),
            ("a/b:1.2", "docker.io/a/b:1.2", "a/b:1.2"),
            ("docker.io/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
            ("index.docker.io/library/nginx:1", "docker.io/library/nginx:1", "nginx:1"),
            ("localhost/a", "localhost/a:latest", "localhost/a:latest"),
            ("localhost", "docker.io/library/localhost:latest", "localhost:latest"),
            ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"),
            ("localhost:5000/a/b", "localhost:5000/a/b:latest", "localhost:5000/a/b:latest"),
            ("127.0.0.1:5000/a:T", "127.0.0.1:5000/a:T", "127.0.0.1:5000/a:T"),
            ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"),
            ("[::1]/a", "[::1]/a:latest", "[::1]/a:latest"),
            ("[2001:db8::1]:5000/a", "[2001:db8::1]:5000/a:latest", "[2001:db8::1]:5000/a:latest"),
            ("ghcr.io/x/y__z-a.b:v1", "ghcr.io/x/y__z-a.b:v1", "ghcr.io/x/y__z-a.b:v1"),
            ("my---app", "docker.io/library/my---app:latest", "my---app:latest"),
            ("a_b", "docker.io/library/a_b:latest", "a_b:latest"),
            ("a__b", "docker.io/library/a__b:latest", "a__b:latest"),
            ("a.b/c", "a.b/c:latest", "a.b/c:latest"),
            ("Foo/bar", "Foo/bar:latest", "Foo/bar:latest"),
            ("FOO.com/bar", "FOO.com/bar:latest", "FOO.com/bar:latest"),
            ("foo:TAG", "docker.io/library/foo:TAG", "foo:TAG"),
            ("foo:_x", "docker.io/library/foo:_x", "foo:_x"),
            (
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85",
                "docker.io/library/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85:latest",
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85:latest",
            ),
            ("a:5000/b", "a:5000/b:latest", "a:5000/b:latest"),
            ("a:5000", "docker.io/library/a:5000", "a:5000"),
            ("host.name:99999/b", "host.name:99999/b:latest", "host.name:99999/b:latest"),
            ("docker.io/library/x/y", "docker.io/library/x/y:latest", "library/x/y:latest"),
            ("docker.io/x/y", "docker.io/x/y:latest", "x/y:latest"),
            ("registry-1.docker.io/x", "registry-1.docker.io/x:latest", "registry-1.docker.io/x:latest"),
            ("a.b.c.d/e:f", "a.b.c.d/e:f", "a.b.c.d/e:f"),
            ("xn--n3h.com/x", "xn--n3h.com/x:latest", "xn--n3h.com/x:latest"),
            ("a/b/c/d/e", "docker.io/a/b/c/d/e:latest", "a/b/c/d/e:latest"),
            ("x.y", "docker.io/library/x.y:latest", "x.y:latest"),
            ("x.y:1", "docker.io/library/x.y:1", "x.y:1"),
            ("under_score.com/x", "under_score.com/x:latest", "under_score.com/x:latest"),
            ("docker.io", "docker.io/library/docker.io:latest", "docker.io:latest"),
            ("library/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
            ("docker.io/library", "docker.io/library/library:latest", "library:latest"),
            ("index.docker.io/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
            ("Localhost/a", "Localhost/a:latest", "Localhost/a:latest"),
        ] {
            let reference: Reference = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            let got = (reference.canonical(), reference.to_string());
            assert_eq!((got.0.as_str(), got.1.as_str()), (canonical, familiar), "{text}");
        }
        for text in [
            "[fe80::1%25eth0]:5000/a",
            "a___b",
            "a..b",
            "a-b-/c",
            "-a",
            "a-",
            "_a",
            "a_",
            "A",
            "a/B",
            "Foo.io/Bar",
            ".foo",
            "foo:.x",
            "foo:-x",
            "",
            "/a",
            "a/",
            "a//b",
            "a:b:c",
            "a:",
            "a@",
            "a@sha256:1",
            "a@md5:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "a@SHA256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
            "a b",
            " a",
            "é",
            "a:port/b",
            "http://x/y",
            "-x.com/a",
            "x-.com/a",
            "x..com/a",
            "com./a",
            "a+b",
            "a%b",
            "docker.io/",
            "localhost/",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
        let long = |n: usize| "a".repeat(n);
        for (text, fine) in [
            (format!("foo:{}", long(128)), true),
            (format!("foo:{}", long(129)), false),
            (long(247), true),
            (long(248), false),
            (format!("a/{}", long(254)), false),
            (format!("x.io/{}", long(255)), true),
            (format!("x.io/{}", long(256)), false),
            (D[7..].to_owned(), false),
            (D[7..70].to_owned(), true),
            (format!("x/{}", &D[7..]), true),
            (format!("a@{D}:1"), false),
            (format!("a/b@{D}@{D}"), false),
            (format!("a@{}", D.to_uppercase()), false),
        ] {
            assert_eq!(text.parse::<Reference>().is_ok(), fine, "{text}");
        }
    }
}
