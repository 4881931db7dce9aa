//! Who we are to a registry.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::PathBuf;

use docker_credential::{CredentialRetrievalError as Failure, DockerCredential};

use super::PullError;
use super::error::About;
use crate::Reference;

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
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Credential {
    None,
    Basic(String, String),
    /// A refresh token, to be exchanged for an access token.
    Identity(String),
}

impl AuthSource {
    /// Runs helpers: may block.
    pub(super) fn credential(&self, reference: &Reference, about: &About) -> Result<Credential, PullError> {
        let dir = match self {
            Self::Anonymous => return Ok(Credential::None),
            Self::Basic { username, password } => {
                return Ok(Credential::Basic(username.clone(), password.clone()));
            }
            Self::DockerConfig(dir) => dir,
        };
        let failed = |source| PullError::Credentials { host: about.host.clone(), source };
        let file = match File::open(dir.join("config.json")) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Credential::None),
            file => file.map_err(|_| failed(Failure::ConfigReadError))?,
        };
        // docker's key for its own registry (registry.IndexServer).
        let key = match reference.domain() {
            "docker.io" => "https://index.docker.io/v1/",
            domain => domain,
        };
        match docker_credential::get_credential_from_reader(BufReader::new(file), key) {
            Ok(DockerCredential::UsernamePassword(user, password)) => Ok(Credential::Basic(user, password)),
            Ok(DockerCredential::IdentityToken(token)) => Ok(Credential::Identity(token)),
            Err(Failure::NoCredentialConfigured | Failure::ConfigNotFound) => Ok(Credential::None),
            // The words that helpers say it with (docker-credential-helpers, credentials/error.go).
            Err(Failure::HelperFailure { stdout, .. }) if stdout.contains("credentials not found") => {
                Ok(Credential::None)
            }
            Err(e) => Err(failed(e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(config: &str, image: &str) -> Result<Credential, PullError> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), config).unwrap();
        let about = About { image: image.into(), host: "h".into() };
        AuthSource::DockerConfig(dir.path().to_owned()).credential(&image.parse().unwrap(), &about)
    }

    #[test]
    fn from_docker_config() {
        // user:pass
        let auths = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dXNlcjpwYXNz"},"ghcr.io":{"identitytoken":"t"},
            "localhost:5000":{"auth":"dXNlcjpwYXNz"}}}"#;
        let basic = Credential::Basic("user".into(), "pass".into());
        assert_eq!(credential(auths, "nginx").unwrap(), basic);
        assert_eq!(credential(auths, "localhost:5000/a").unwrap(), basic);
        assert_eq!(credential(auths, "ghcr.io/a/b").unwrap(), Credential::Identity("t".into()));
        assert_eq!(credential(auths, "quay.io/a/b").unwrap(), Credential::None);
        assert_eq!(credential("{}", "nginx").unwrap(), Credential::None);
        assert!(matches!(credential("{", "nginx"), Err(PullError::Credentials { .. })));
        let helper = r#"{"credsStore":"no-such-helper-anywhere"}"#;
        assert!(matches!(credential(helper, "nginx"), Err(PullError::Credentials { .. })));
        let about = About { image: "nginx".into(), host: "h".into() };
        let nowhere = AuthSource::DockerConfig("/nonexistent".into());
        assert_eq!(nowhere.credential(&"nginx".parse().unwrap(), &about).unwrap(), Credential::None);
    }
}
