use oci_client::errors::{OciDistributionError, OciErrorCode};

use crate::{Digest, ImageError, Platform};

/// Why an image could not be pulled.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// No answer from the registry, or from the server that it sends us to.
    #[error("registry {host} can't be reached")]
    Unreachable {
        /// Whom we wanted to speak to.
        host: String,
        /// Why.
        #[source]
        source: Box<OciDistributionError>,
    },
    /// The registry doesn't have it.
    #[error("image {0} is not in its registry")]
    NotFound(String),
    /// The registry says no. Registries say so of images that don't exist too.
    #[error("access to image {image} is denied: it doesn't exist or {host} wants a login")]
    Unauthorized {
        /// Which image.
        image: String,
        /// Which registry.
        host: String,
        /// What it said.
        #[source]
        source: Box<OciDistributionError>,
    },
    /// Too many pulls.
    #[error("registry {host} limits how often images are pulled: wait, or log in")]
    RateLimited {
        /// Which registry.
        host: String,
        /// What it said.
        #[source]
        source: Box<OciDistributionError>,
    },
    /// Another answer of the registry.
    #[error("failed to pull image {image}")]
    Registry {
        /// Which image.
        image: String,
        /// What happened.
        #[source]
        source: Box<OciDistributionError>,
    },
    /// What the registry sent is not what its digest says.
    #[error("{what} of image {image} is damaged: expected {expected}, got {actual}")]
    Mismatch {
        /// Which part.
        what: String,
        /// Which image.
        image: String,
        /// Its address.
        expected: Digest,
        /// Its true digest.
        actual: Digest,
    },
    /// There is no image for the platform.
    #[error("image {image} is not there for {wanted}, but for {}", available.join(", "))]
    Platform {
        /// Which image.
        image: String,
        /// What was asked for.
        wanted: Platform,
        /// What there is.
        available: Vec<String>,
    },
    /// The registry's documents make no sense.
    #[error("image {image}: {why}")]
    Malformed {
        /// Which image.
        image: String,
        /// What is wrong.
        why: String,
    },
    /// The user's credentials can't be read.
    #[error("failed to get the credentials for {host}")]
    Credentials {
        /// For which registry.
        host: String,
        /// Why.
        #[source]
        source: docker_credential::CredentialRetrievalError,
    },
    /// No TLS on this machine, as without any root certificate.
    #[error("failed to prepare secure connections")]
    Tls(#[source] reqwest::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] ImageError),
}

/// Whom and what an error is about.
#[derive(Debug, Clone)]
pub(super) struct About {
    pub(super) image: String,
    pub(super) host: String,
}

impl About {
    pub(super) fn malformed(&self, why: impl Into<String>) -> PullError {
        PullError::Malformed { image: self.image.clone(), why: why.into() }
    }

    pub(super) fn error(&self, error: OciDistributionError) -> PullError {
        use OciErrorCode as Code;
        let (host, image) = (self.host.clone(), self.image.clone());
        let kind = match &error {
            OciDistributionError::RequestError(e) if e.is_connect() || e.is_timeout() => Kind::Unreachable,
            OciDistributionError::UnauthorizedError { .. }
            | OciDistributionError::AuthenticationFailure(_) => Kind::Unauthorized,
            OciDistributionError::ImageManifestNotFoundError(_) => Kind::NotFound,
            OciDistributionError::ServerError { code: 404, .. } => Kind::NotFound,
            OciDistributionError::ServerError { code: 403, .. } => Kind::Unauthorized,
            OciDistributionError::ServerError { code: 429, .. } => Kind::RateLimited,
            OciDistributionError::RegistryError { envelope, .. } => {
                let any = |codes: &[Code]| envelope.errors.iter().any(|e| codes.contains(&e.code));
                if any(&[Code::Toomanyrequests]) {
                    Kind::RateLimited
                } else if any(&[Code::Unauthorized, Code::Denied]) {
                    Kind::Unauthorized
                } else if any(&[Code::ManifestUnknown, Code::NameUnknown, Code::NotFound]) {
                    Kind::NotFound
                } else {
                    Kind::Other
                }
            }
            _ => Kind::Other,
        };
        let source = Box::new(error);
        match kind {
            Kind::Unreachable => PullError::Unreachable { host: asked(&source).unwrap_or(host), source },
            Kind::Unauthorized => PullError::Unauthorized { image, host, source },
            Kind::RateLimited => PullError::RateLimited { host, source },
            Kind::NotFound => PullError::NotFound(image),
            Kind::Other => PullError::Registry { image, source },
        }
    }
}

enum Kind {
    Unreachable,
    Unauthorized,
    RateLimited,
    NotFound,
    Other,
}

/// The host of a request: a token server or a content server may be another than the registry.
fn asked(error: &OciDistributionError) -> Option<String> {
    let OciDistributionError::RequestError(e) = error else { return None };
    let url = e.url()?;
    let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
    Some(format!("{}{port}", url.host_str()?))
}

/// Whether the same request may well succeed a moment later.
pub(super) fn passing(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::RequestError(e) => !e.is_builder() && !e.is_redirect() && !e.is_decode(),
        OciDistributionError::ServerError { code, .. } => *code >= 500,
        OciDistributionError::IoError(_) => true,
        _ => false,
    }
}
