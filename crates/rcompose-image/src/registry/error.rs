use std::error::Error as _;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::credentials::CredentialError;
use crate::{Digest, ImageError, Platform};

/// Why an image could not be pulled or pushed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No answer from the registry, or from the server that it sends us to.
    #[error("registry {host} can't be reached")]
    Unreachable {
        /// Whom we wanted to speak to.
        host: String,
        /// Why.
        #[source]
        why: Trouble,
    },
    /// The registry doesn't have it.
    #[error("image {image} is not in its registry {host}")]
    NotFound {
        /// Which image.
        image: String,
        /// Which registry.
        host: String,
    },
    /// The registry says no. Registries say so of images that don't exist too.
    #[error("access to image {image} is denied: {}", if *.logged_in {
        format!("it doesn't exist or the login at {host} doesn't suffice")
    } else {
        format!("it doesn't exist or {host} wants a login")
    })]
    Unauthorized {
        /// Which image.
        image: String,
        /// Which registry.
        host: String,
        /// We said who we are.
        logged_in: bool,
        /// What it said.
        #[source]
        source: Box<Answer>,
    },
    /// User or password are wrong.
    #[error("{host} refuses the login")]
    LoginRefused {
        /// Which registry.
        host: String,
        /// What it said.
        #[source]
        source: Box<Answer>,
    },
    /// Too many requests.
    #[error("registry {host} limits how often images are pulled: {}, or log in", match .after {
        Some(after) if after.as_secs() == 1 => "try again in a second".to_owned(),
        Some(after) => format!("try again in {} seconds", after.as_secs()),
        None => "wait".to_owned(),
    })]
    RateLimited {
        /// Which registry.
        host: String,
        /// When it will answer again.
        after: Option<Duration>,
        /// What it said.
        #[source]
        source: Box<Answer>,
    },
    /// It has a trouble of its own.
    #[error("registry {host} fails")]
    Failing {
        /// Which registry.
        host: String,
        /// What it said.
        #[source]
        source: Box<Answer>,
    },
    /// Another answer of the registry.
    #[error("registry {host} refuses the request for image {image}")]
    Refused {
        /// Which image.
        image: String,
        /// Which registry.
        host: String,
        /// What it said.
        #[source]
        source: Box<Answer>,
    },
    /// A transfer broke, and went on breaking.
    #[error("the transfer of image {image} from or to {host} breaks off")]
    Broken {
        /// Which image.
        image: String,
        /// Which registry.
        host: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no registry.
    #[error("{host} doesn't speak the registry protocol: {why}")]
    NoRegistry {
        /// Who.
        host: String,
        /// What it does.
        why: String,
    },
    /// A server that is no registry.
    #[error("{url} can't be downloaded: {why}")]
    Download {
        /// What was asked for.
        url: String,
        /// What it said.
        why: String,
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
        source: CredentialError,
    },
    /// The settings of registries can't be read.
    #[error("{}: {why}", path.display())]
    Settings {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// No TLS on this machine, as without any root certificate.
    #[error("failed to prepare secure connections")]
    Tls(#[source] reqwest::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] ImageError),
}

/// Why nobody answers.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// No address.
    #[error("its name can't be resolved")]
    Name,
    /// Nobody listens.
    #[error("connection refused")]
    Refused,
    /// No way there.
    #[error("there is no network to it")]
    Network,
    /// Silence.
    #[error("it doesn't answer in time")]
    Silent,
    /// Its certificate is none that we trust.
    #[error("its certificate is not trusted: {0}")]
    Certificate(String),
    /// It sends on, and where it sends sends on.
    #[error("it sends from one address to the next without an end")]
    Circle,
    /// It doesn't speak TLS as we do, or not at all.
    #[error("no secure connection: {0}")]
    Tls(String),
    /// Anything else.
    #[error(transparent)]
    Other(reqwest::Error),
}

/// What a server said that didn't do what we asked for.
#[derive(Debug, thiserror::Error)]
#[error("{host} answers {status}{}", if message.is_empty() { String::new() } else { format!(": {message}") })]
pub struct Answer {
    /// Who said so: the registry, its token server, or a server that it sends us to.
    pub host: String,
    /// HTTP's status.
    pub status: u16,
    /// What it said, in one line.
    pub message: String,
    /// The codes of the registry's errors.
    pub codes: Vec<String>,
    /// When to come again.
    pub after: Option<Duration>,
}

/// What became of one request.
#[derive(Debug)]
pub(crate) enum Failed {
    Send(reqwest::Error),
    Answer(Box<Answer>),
    /// In the middle of a body.
    Body(io::Error),
    /// Trying again makes no sense.
    Final(RegistryError),
}

impl From<RegistryError> for Failed {
    fn from(e: RegistryError) -> Self {
        Self::Final(e)
    }
}

impl Failed {
    /// Whether the same request may well succeed a moment later.
    pub(super) fn passes(&self) -> bool {
        match self {
            Self::Send(e) => {
                !e.is_builder()
                    && !e.is_redirect()
                    && !matches!(trouble_of(e), Some(Trouble::Certificate(_) | Trouble::Tls(_)))
            }
            Self::Answer(a) => {
                matches!(a.status, 408 | 429)
                    || (a.status >= 500 && a.status != 501)
                    // A registry that was started anew, or another of several behind one name: a new upload will do.
                    || a.codes.iter().any(|c| c == "BLOB_UPLOAD_UNKNOWN" || c == "BLOB_UPLOAD_INVALID")
            }
            Self::Body(_) => true,
            Self::Final(_) => false,
        }
    }
}

/// Whom and what an error is about.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) image: String,
    pub(crate) host: String,
    pub(crate) logged_in: bool,
    /// Something is sent: what isn't there then is not the image, but what it is to be put into.
    pub(crate) sends: bool,
}

impl About {
    pub(crate) fn malformed(&self, why: impl Into<String>) -> RegistryError {
        RegistryError::Malformed { image: self.image.clone(), why: why.into() }
    }

    pub(crate) fn mismatch(&self, what: &str, expected: Digest, actual: Digest) -> RegistryError {
        RegistryError::Mismatch { what: what.to_owned(), image: self.image.clone(), expected, actual }
    }

    pub(crate) fn error(&self, failed: Failed) -> RegistryError {
        let (host, image) = (self.host.clone(), self.image.clone());
        match failed {
            Failed::Final(e) => e,
            Failed::Body(source) => RegistryError::Broken { image, host, source },
            Failed::Send(e) => {
                let host = asked(&e).unwrap_or(host);
                RegistryError::Unreachable { host, why: trouble_of(&e).unwrap_or(Trouble::Other(e)) }
            }
            Failed::Answer(source) => {
                let any = |codes: &[&str]| source.codes.iter().any(|c| codes.contains(&c.as_str()));
                match source.status {
                    429 => {
                        RegistryError::RateLimited { host: source.host.clone(), after: source.after, source }
                    }
                    _ if any(&["TOOMANYREQUESTS"]) => {
                        RegistryError::RateLimited { host: source.host.clone(), after: source.after, source }
                    }
                    401 | 403 => {
                        RegistryError::Unauthorized { image, host, logged_in: self.logged_in, source }
                    }
                    _ if any(&["UNAUTHORIZED", "DENIED"]) => {
                        RegistryError::Unauthorized { image, host, logged_in: self.logged_in, source }
                    }
                    404 if !self.sends => RegistryError::NotFound { image, host },
                    500.. => RegistryError::Failing { host: source.host.clone(), source },
                    _ => RegistryError::Refused { image, host, source },
                }
            }
        }
    }
}

/// The host of a request: a token server or a content server may be another than the registry.
fn asked(error: &reqwest::Error) -> Option<String> {
    let url = error.url()?;
    let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
    Some(format!("{}{port}", url.host_str()?))
}

/// What is behind a failed request, if it is one of the usual things.
pub(super) fn trouble_of(error: &reqwest::Error) -> Option<Trouble> {
    if error.is_timeout() {
        return Some(Trouble::Silent);
    }
    if error.is_redirect() {
        return Some(Trouble::Circle);
    }
    let mut cause = error.source();
    while let Some(e) = cause {
        if e.to_string().starts_with("dns error") {
            return Some(Trouble::Name);
        }
        if let Some(e) = e.downcast_ref::<io::Error>() {
            match e.kind() {
                io::ErrorKind::ConnectionRefused => return Some(Trouble::Refused),
                io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
                    return Some(Trouble::Network);
                }
                io::ErrorKind::TimedOut => return Some(Trouble::Silent),
                _ => {}
            }
            // rustls's own errors come wrapped in those of I/O, which don't show what they wrap as their source.
            let mut inner = e.get_ref();
            while let Some(e) = inner {
                if let Some(e) = e.downcast_ref::<rustls::Error>() {
                    return Some(of_tls(e));
                }
                inner = e.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            }
        }
        if let Some(e) = e.downcast_ref::<rustls::Error>() {
            return Some(of_tls(e));
        }
        cause = e.source();
    }
    None
}

fn of_tls(error: &rustls::Error) -> Trouble {
    match error {
        rustls::Error::InvalidCertificate(why) => Trouble::Certificate(why.to_string()),
        rustls::Error::InvalidMessage(_) => Trouble::Tls("it doesn't speak TLS".to_owned()),
        other => Trouble::Tls(other.to_string()),
    }
}
