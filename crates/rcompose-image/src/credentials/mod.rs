//! Who we are to a registry: docker's `config.json` and the helper programs that it names.

mod config;
mod environment;
mod helper;

pub use config::{DockerConfig, Stored};
pub use environment::AuthConfig;

use std::io;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Where credentials come from.
#[derive(Debug, Clone, Default)]
pub enum AuthSource {
    /// None.
    #[default]
    Anonymous,
    /// These.
    Basic {
        /// User.
        username: String,
        /// Password or access token.
        password: String,
    },
    /// `config.json` in this directory (`$DOCKER_CONFIG`, `~/.docker`), with the helper programs that it names.
    DockerConfig(PathBuf),
    /// `$DOCKER_AUTH_CONFIG`; for registries that it doesn't name, the other source.
    Environment(AuthConfig, Box<AuthSource>),
}

/// What a registry is told.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// Nothing.
    None,
    /// User and password.
    Basic(String, String),
    /// A refresh token, to be exchanged for an access token.
    Identity(String),
    /// An access token, sent as it is.
    Access(String),
}

/// Without the secrets.
impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic(..) => "Basic",
            Self::Identity(_) => "Identity",
            Self::Access(_) => "Access",
        })
    }
}

/// Why credentials can't be had or kept.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The configuration.
    #[error("failed to {doing} {}", path.display())]
    Io {
        /// What we were doing.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The configuration.
    #[error("{} is malformed: {why}", path.display())]
    Malformed {
        /// The configuration.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A helper can't be run.
    #[error("failed to run the credential helper {program}")]
    Helper {
        /// Its name in `$PATH`.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A helper doesn't do it.
    #[error("the credential helper {program} says: {said}")]
    HelperSays {
        /// Its name in `$PATH`.
        program: String,
        /// Its words.
        said: String,
    },
}

impl AuthSource {
    /// What to tell a registry (`docker.io`, `localhost:5000`). Runs helpers: may block.
    pub fn credential(&self, registry: &str) -> Result<Credential, CredentialError> {
        match self {
            Self::Anonymous => Ok(Credential::None),
            Self::Basic { username, password } => Ok(Credential::Basic(username.clone(), password.clone())),
            Self::DockerConfig(dir) => DockerConfig::open(dir).get(registry),
            Self::Environment(auths, others) => match auths.get(registry) {
                Some(credential) => Ok(credential),
                None => others.credential(registry),
            },
        }
    }
}

/// docker's key for its own registry (registry.IndexServer); others are called by their host.
pub(crate) fn key(registry: &str) -> &str {
    match registry {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" => "https://index.docker.io/v1/",
        other => other,
    }
}

/// User and password of an `auth`; the error says what is wrong.
pub(crate) fn decoded(auth: &str) -> Result<Credential, &'static str> {
    const WRONG: &str = "an `auth` is no base64 of user:password";
    let plain = STANDARD.decode(auth.trim()).map_err(|_| WRONG)?;
    let plain = String::from_utf8(plain).map_err(|_| WRONG)?;
    let (user, password) = plain.split_once(':').ok_or(WRONG)?;
    Ok(Credential::Basic(user.to_owned(), password.trim_matches('\0').to_owned()))
}

/// What is kept under a registry's key, or else under an address of the same host.
pub(crate) fn entry_of<'a, V>(
    mut entries: impl Iterator<Item = (&'a String, V)> + Clone,
    key: &str,
) -> Option<V> {
    let exact = entries.clone().find(|(k, _)| *k == key);
    exact.or_else(|| entries.find(|(k, _)| hostname(k) == hostname(key))).map(|(_, v)| v)
}

/// Host and port of a key, which may be an address with scheme and path (docker cli, credentials.ConvertToHostname).
pub(crate) fn hostname(key: &str) -> &str {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    bare.split('/').next().unwrap_or_default()
}
