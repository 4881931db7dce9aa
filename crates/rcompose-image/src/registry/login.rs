use super::endpoint::{self, Endpoint};
use super::error::{About, Failed};
use super::{RegistryError, RegistryOptions, Tries, candidates};
use crate::Reference;
use crate::credentials::{AuthSource, Credential};

/// A registry has taken who we are.
#[derive(Debug, Clone)]
pub struct LoggedIn {
    /// What to keep: the token that the registry gave instead of a password, or what it was told.
    pub credential: Credential,
}

/// Tries a user and a password, or with `AuthSource::DockerConfig` what is kept. Needs a tokio runtime.
pub async fn login(registry: &str, options: &RegistryOptions) -> Result<LoggedIn, RegistryError> {
    let host = registry.to_owned();
    let any: Reference = format!("{host}/login").parse().map_err(|_| RegistryError::NoRegistry {
        host: host.clone(),
        why: "it is no name of a host".to_owned(),
    })?;
    let about = About { image: String::new(), host: host.clone(), logged_in: true, sends: false };
    let refused = |failed: Failed| match failed {
        Failed::Answer(source) if matches!(source.status, 401 | 403) => {
            RegistryError::LoginRefused { host: host.clone(), source }
        }
        other => about.error(other),
    };
    let mut first = None;
    for candidate in candidates(&any, options, false).await? {
        let credential = candidate.credential.clone();
        let waits = endpoint::Waits { silence: options.silence, uploads: false };
        let (base, certificates) = (&candidate.base, candidate.certificates);
        let http = endpoint::client(base, &candidate.host, candidate.insecure, certificates, waits)?;
        let tries = Tries::new(options.retries);
        let result = match Endpoint::hello(candidate.base, http, credential.clone(), tries).await {
            Ok(endpoint) => endpoint.login().await,
            Err(e) => Err(e),
        };
        match result.map_err(refused) {
            Ok(Some(token)) if matches!(options.auth, AuthSource::Basic { .. }) => {
                return Ok(LoggedIn { credential: Credential::Identity(token) });
            }
            Ok(_) => return Ok(LoggedIn { credential }),
            Err(e @ (RegistryError::Unreachable { .. } | RegistryError::Tls(_))) => {
                first.get_or_insert(e);
            }
            Err(e) => return Err(e),
        }
    }
    Err(first.unwrap_or(RegistryError::NoRegistry { host, why: "it was not asked".to_owned() }))
}
