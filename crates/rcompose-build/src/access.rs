//! Secrets of a build that log in where something is fetched (BuildKit, source/git and source/http).

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::{BuildError, SecretSource};

/// What logs in at a repository.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct GitAccess {
    /// The `Authorization` header.
    pub header: Option<String>,
    /// The socket of an SSH agent.
    pub agent: Option<PathBuf>,
}

/// Nothing of what nobody may see.
impl fmt::Debug for GitAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitAccess")
            .field("header", &self.header.is_some())
            .field("agent", &self.agent)
            .finish()
    }
}

impl GitAccess {
    /// The secrets that are looked for, each also with `.HOST` behind it.
    pub const SECRETS: [&str; 2] = ["GIT_AUTH_HEADER", "GIT_AUTH_TOKEN"];

    /// Of what a build is given, what is for this repository: a secret for its host before one for all.
    ///
    /// Errors: the secret can't be read.
    pub fn of(
        repository: &str,
        secrets: &BTreeMap<String, SecretSource>,
        ssh: &BTreeMap<String, PathBuf>,
    ) -> Result<Self, BuildError> {
        let agent = ssh.get("default").cloned();
        let Some(host) = host(repository) else { return Ok(Self { header: None, agent }) };
        for suffix in [format!(".{host}"), String::new()] {
            for name in Self::SECRETS {
                let id = format!("{name}{suffix}");
                let Some(secret) = secrets.get(&id) else { continue };
                let value = text(&id, secret)?;
                let header = match name {
                    "GIT_AUTH_TOKEN" => {
                        format!("basic {}", STANDARD.encode(format!("x-access-token:{value}")))
                    }
                    _ => value,
                };
                return Ok(Self { header: Some(header), agent });
            }
        }
        Ok(Self { header: None, agent })
    }
}

/// The `Authorization` header for a file: `HTTP_AUTH_TOKEN_HOST`, `HTTP_AUTH_HEADER_HOST`.
pub(crate) fn of_file(
    url: &str,
    secrets: &BTreeMap<String, SecretSource>,
) -> Result<Option<String>, BuildError> {
    let Some(host) = host(url) else { return Ok(None) };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    for (prefix, before) in [("HTTP_AUTH_TOKEN_", "Bearer "), ("HTTP_AUTH_HEADER_", "")] {
        let id = format!("{prefix}{}", name.trim_matches(['[', ']']));
        if let Some(secret) = secrets.get(&id) {
            return Ok(Some(format!("{before}{}", text(&id, secret)?)));
        }
    }
    Ok(None)
}

/// Host and port of an address by HTTP.
fn host(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let authority = rest.split(['/', '?', '#']).next()?;
    Some(authority.rsplit_once('@').map_or(authority, |(_, host)| host))
}

fn text(id: &str, secret: &SecretSource) -> Result<String, BuildError> {
    let bytes = match secret {
        SecretSource::Value(bytes) => bytes.clone(),
        SecretSource::File(file) => {
            std::fs::read(file).map_err(|e| BuildError::io("read the secret in", file, e))?
        }
    };
    // Files end with a line's end, which no header may have in it.
    let text = String::from_utf8(bytes).ok().map(|t| t.trim_end().to_owned());
    text.filter(|t| !t.contains(char::is_control))
        .ok_or_else(|| BuildError::input(format!("the secret `{id}` isn't one line of text")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(all: &[(&str, &str)]) -> BTreeMap<String, SecretSource> {
        all.iter().map(|(id, v)| ((*id).to_owned(), SecretSource::Value((*v).into()))).collect()
    }

    #[test]
    fn of_the_host_first() {
        let header = |url: &str, all: &[(&str, &str)]| {
            GitAccess::of(url, &secrets(all), &BTreeMap::new()).unwrap().header
        };
        let (token, of_host) = (("GIT_AUTH_TOKEN", "a\n"), ("GIT_AUTH_HEADER.x.y:80", "Bearer b"));
        let basic = Some("basic eC1hY2Nlc3MtdG9rZW46YQ==".to_owned());
        assert_eq!(header("https://x.y/r.git", &[token, of_host]), basic);
        assert_eq!(header("http://u@x.y:80/r.git", &[token, of_host]).as_deref(), Some("Bearer b"));
        assert_eq!(header("git@x.y:80", &[token, of_host]), None);
        let file = |url: &str| of_file(url, &secrets(&[("HTTP_AUTH_TOKEN_x.y", "t")])).unwrap();
        assert_eq!(file("http://x.y:8080/f").as_deref(), Some("Bearer t"));
        assert_eq!(file("http://z/f"), None);
        assert!(of_file("http://z", &secrets(&[("HTTP_AUTH_HEADER_z", "a\nb")])).is_err());
    }
}
