//! Registries (OCI distribution specification, v1.1): who they are, how they want to be spoken to, what they have.

mod challenge;
mod download;
mod endpoint;
mod error;
mod login;
mod settings;

pub use download::Download;
pub(crate) use endpoint::broken;
pub(crate) use error::{About, Failed};
pub use error::{Answer, RegistryError, Trouble};
pub use login::{LoggedIn, login};
pub use settings::RegistrySettings;

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, LINK, RANGE};
use reqwest::{Client, Response, StatusCode};

use crate::credentials::{AuthSource, Credential};
use crate::{Digest, Reference};
use endpoint::{Endpoint, Waits};
use settings::Certificates;

/// Longest document (manifest, configuration) taken.
const LONGEST: usize = 8 << 20;
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// Who says to come again later than this is not waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

pub(crate) const MANIFESTS: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// How to speak to registries.
#[derive(Debug, Clone)]
pub struct RegistryOptions {
    /// Who we are.
    pub auth: AuthSource,
    /// Mirrors, certificates and the like.
    pub settings: RegistrySettings,
    /// How often to take up a broken transfer again.
    pub retries: u32,
    /// What a server, or the way to it, is silent for before a transfer counts as broken.
    pub silence: Duration,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            auth: AuthSource::Anonymous,
            settings: RegistrySettings::default(),
            retries: 5,
            silence: endpoint::SILENCE,
        }
    }
}

/// A manifest or an index.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
}

/// A repository in a registry that has answered.
pub(crate) struct Registry {
    pub(crate) endpoint: Endpoint,
    pub(crate) about: About,
    path: String,
    scope: String,
    retries: u32,
    /// For uploads, which may take as long as they go on.
    pub(crate) uploads: Client,
}

/// An address that a registry may have.
struct Candidate {
    base: String,
    host: String,
    mirror: bool,
    insecure: bool,
    credential: Credential,
    certificates: Certificates,
}

impl Registry {
    /// Finds the first address that has what the reference names: mirrors, then the registry, at last without TLS if
    /// that is allowed. Returns what it has.
    pub(crate) async fn open(
        reference: &Reference,
        options: &RegistryOptions,
    ) -> Result<(Self, Manifest), RegistryError> {
        let mut first = None;
        for candidate in candidates(reference, options, true).await? {
            let (mirror, host) = (candidate.mirror, candidate.host.clone());
            let plain = candidate.base.starts_with("http://") && !mirror;
            let asked = match Self::hello(candidate, reference, options, "pull").await {
                Ok(registry) => registry.manifest(&target(reference)).await.map(|m| (registry, m)),
                Err(e) => Err(e),
            };
            match asked {
                Ok(found) => return Ok(found),
                // A mirror that doesn't have it, or has a trouble of its own, is nothing to tell the user of.
                Err(_) if mirror => {}
                Err(e) if plain && was_there(&e, &host) => first = Some(e),
                Err(e @ (RegistryError::Unreachable { .. } | RegistryError::Tls(_))) => {
                    first.get_or_insert(e);
                }
                Err(e) => return Err(e),
            }
        }
        Err(first.unwrap_or_else(|| about(reference).malformed("its registry was not asked")))
    }

    /// The registry itself, to be written to.
    pub(crate) async fn open_for_push(
        reference: &Reference,
        options: &RegistryOptions,
    ) -> Result<Self, RegistryError> {
        Self::open_own(reference, options, "pull,push").await
    }

    /// The registry itself, without asking for an image.
    pub(crate) async fn open_repository(
        reference: &Reference,
        options: &RegistryOptions,
    ) -> Result<Self, RegistryError> {
        Self::open_own(reference, options, "pull").await
    }

    async fn open_own(
        reference: &Reference,
        options: &RegistryOptions,
        actions: &str,
    ) -> Result<Self, RegistryError> {
        let mut first = None;
        for candidate in candidates(reference, options, false).await? {
            let (plain, host) = (candidate.base.starts_with("http://"), candidate.host.clone());
            match Self::hello(candidate, reference, options, actions).await {
                Ok(registry) => return Ok(registry),
                Err(e) if plain && was_there(&e, &host) => first = Some(e),
                Err(e @ (RegistryError::Unreachable { .. } | RegistryError::Tls(_))) => {
                    first.get_or_insert(e);
                }
                Err(e) => return Err(e),
            }
        }
        Err(first.unwrap_or_else(|| about(reference).malformed("its registry was not asked")))
    }

    async fn hello(
        candidate: Candidate,
        reference: &Reference,
        options: &RegistryOptions,
        actions: &str,
    ) -> Result<Self, RegistryError> {
        let Candidate { base, host, insecure, credential, certificates, .. } = candidate;
        let path = reference.path().to_owned();
        let (logged_in, sends) = (credential != Credential::None, actions.contains("push"));
        let about = About { image: reference.to_string(), host: host.clone(), logged_in, sends };
        let waits = Waits { silence: options.silence, uploads: false };
        let http = endpoint::client(&base, &host, insecure, certificates.clone(), waits)?;
        let uploads = match sends {
            true => {
                let waits = Waits { uploads: true, ..waits };
                endpoint::client(&base, &host, insecure, certificates, waits)?
            }
            false => http.clone(),
        };
        let tries = Tries::new(options.retries);
        let endpoint = Endpoint::hello(base, http, credential, tries).await.map_err(|e| about.error(e))?;
        let scope = format!("repository:{path}:{actions}");
        Ok(Self { endpoint, about, path, scope, retries: options.retries, uploads })
    }

    pub(crate) fn tries(&self) -> Tries {
        Tries::new(self.retries)
    }

    /// The address of something in the repository.
    pub(crate) fn url(&self, rest: &str) -> String {
        format!("{}/v2/{}/{rest}", self.endpoint.base, self.path)
    }

    /// The actions on the repository, and reading another one of the registry.
    pub(crate) fn scope(&self, other: Option<&str>) -> String {
        match other {
            Some(other) => format!("{} repository:{other}:pull", self.scope),
            None => self.scope.clone(),
        }
    }

    /// A manifest or an index, by tag or digest.
    pub(crate) async fn manifest(&self, target: &str) -> Result<Manifest, RegistryError> {
        let expected: Option<Digest> = target.parse().ok();
        let url = self.url(&format!("manifests/{target}"));
        let mut tries = self.tries();
        loop {
            let request = self.endpoint.http.get(&url).header(ACCEPT, MANIFESTS.join(", "));
            let failed = match self.endpoint.send(&self.scope, request).await {
                Ok(answer) => {
                    let media_type = answer.headers().get(CONTENT_TYPE).and_then(|h| h.to_str().ok());
                    let media_type = media_type.unwrap_or_default().to_owned();
                    match self.whole(answer, "its manifest").await {
                        Ok(bytes) => {
                            let digest = Digest::of(&bytes);
                            return match expected.filter(|e| *e != digest) {
                                Some(e) => Err(self.about.mismatch("the manifest", e, digest)),
                                None => Ok(Manifest { bytes, digest, media_type }),
                            };
                        }
                        Err(e) => e,
                    }
                }
                Err(e) => e,
            };
            tries.again(failed).await.map_err(|e| self.about.error(e))?;
        }
    }

    /// A page of a list, and the next one's address (OCI distribution specification, "Listing Tags").
    pub(crate) async fn page(&self, url: &str) -> Result<(Vec<u8>, Option<String>), RegistryError> {
        let mut tries = self.tries();
        loop {
            let failed = match self.endpoint.send(&self.scope, self.endpoint.http.get(url)).await {
                Ok(answer) => {
                    let link = answer.headers().get(LINK).and_then(|h| h.to_str().ok());
                    let next = link.filter(|l| l.contains("rel=\"next\"")).and_then(|l| {
                        let inner = l.trim_start().strip_prefix('<')?.split('>').next()?;
                        Some(answer.url().join(inner).ok()?.to_string())
                    });
                    match self.whole(answer, "its list").await {
                        Ok(bytes) => return Ok((bytes, next)),
                        Err(e) => e,
                    }
                }
                Err(e) => e,
            };
            tries.again(failed).await.map_err(|e| self.about.error(e))?;
        }
    }

    /// A small blob.
    pub(crate) async fn blob(&self, digest: Digest) -> Result<Vec<u8>, RegistryError> {
        self.document(digest, "the configuration", LONGEST as u64).await
    }

    /// A blob of at most so many bytes. `what` it is, for messages.
    pub(crate) async fn document(
        &self,
        digest: Digest,
        what: &'static str,
        longest: u64,
    ) -> Result<Vec<u8>, RegistryError> {
        let mut tries = self.tries();
        loop {
            let failed = match self.blob_from(digest, 0).await {
                Ok((answer, _)) => match self.up_to(answer, what, longest).await {
                    Ok(bytes) => {
                        let actual = Digest::of(&bytes);
                        return match actual == digest {
                            true => Ok(bytes),
                            false => Err(self.about.mismatch(what, digest, actual)),
                        };
                    }
                    Err(e) => e,
                },
                Err(e) => e,
            };
            tries.again(failed).await.map_err(|e| self.about.error(e))?;
        }
    }

    /// A blob from an offset on, and how many of the bytes that come are known already.
    pub(crate) async fn blob_from(&self, digest: Digest, offset: u64) -> Result<(Response, u64), Failed> {
        let mut request = self.endpoint.http.get(self.url(&format!("blobs/{digest}")));
        if offset > 0 {
            request = request.header(RANGE, format!("bytes={offset}-"));
        }
        let answer = match self.endpoint.send(&self.scope, request).await {
            Err(Failed::Answer(a)) if a.status == 404 => {
                let why = format!("its registry has lost a part of it, {digest}: push it there again");
                return Err(self.about.malformed(why).into());
            }
            answer => answer?,
        };
        let skip = if answer.status() == StatusCode::PARTIAL_CONTENT { 0 } else { offset };
        Ok((answer, skip))
    }

    async fn whole(&self, answer: Response, what: &str) -> Result<Vec<u8>, Failed> {
        self.up_to(answer, what, LONGEST as u64).await
    }

    async fn up_to(&self, mut answer: Response, what: &str, longest: u64) -> Result<Vec<u8>, Failed> {
        let mut bytes = Vec::new();
        loop {
            match answer.chunk().await {
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => return Ok(bytes),
                Err(e) => return Err(Failed::Body(broken(&e))),
            }
            if bytes.len() as u64 > longest {
                let why = format!("{what} is longer than {} MiB", longest >> 20);
                return Err(self.about.malformed(why).into());
            }
        }
    }
}

/// What a reference asks a registry for: the digest if it has one.
pub(crate) fn target(reference: &Reference) -> String {
    match reference.digest() {
        Some(digest) => digest.to_string(),
        None => reference.tag().unwrap_or("latest").to_owned(),
    }
}

fn about(reference: &Reference) -> About {
    About {
        image: reference.to_string(),
        host: reference.domain().to_owned(),
        logged_in: false,
        sends: false,
    }
}

/// Where a registry may be. Reads files, asks for names and runs helpers, which may block.
async fn candidates(
    reference: &Reference,
    options: &RegistryOptions,
    with_mirrors: bool,
) -> Result<Vec<Candidate>, RegistryError> {
    let (domain, host) = (reference.domain().to_owned(), reference.registry_host().to_owned());
    let options = options.clone();
    let find = move || -> Result<Vec<Candidate>, RegistryError> {
        let mut out = Vec::new();
        let credential = |host: &str| {
            options
                .auth
                .credential(host)
                .map_err(|source| RegistryError::Credentials { host: host.to_owned(), source })
        };
        if with_mirrors {
            for base in options.settings.mirrors(&domain) {
                let host = base.split("://").nth(1).and_then(|r| r.split('/').next()).unwrap_or_default();
                out.push(Candidate {
                    base: base.clone(),
                    host: host.to_owned(),
                    mirror: true,
                    insecure: options.settings.is_insecure(host),
                    credential: match &options.auth {
                        // They are for the registry that was named.
                        AuthSource::Basic { .. } => Credential::None,
                        _ => credential(host)?,
                    },
                    certificates: options.settings.certificates(host)?,
                });
            }
        }
        // docker's own is never without TLS, and asking for its address would be one question more.
        let insecure = domain != "docker.io" && options.settings.is_insecure(&host);
        let own = credential(&domain)?;
        for scheme in ["https", "http"].into_iter().take(if insecure { 2 } else { 1 }) {
            out.push(Candidate {
                base: format!("{scheme}://{host}"),
                host: domain.clone(),
                mirror: false,
                insecure,
                credential: own.clone(),
                certificates: options.settings.certificates(&domain)?,
            });
        }
        Ok(out)
    };
    match tokio::task::spawn_blocking(find).await {
        Ok(found) => found,
        Err(e) => match e.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(about(reference).malformed("looking for its registry was cancelled")),
        },
    }
}

/// Somebody answered, who is no registry or sent us elsewhere: without TLS that says more than why there was none.
fn was_there(error: &RegistryError, host: &str) -> bool {
    match error {
        RegistryError::NoRegistry { .. } => true,
        RegistryError::Unreachable { why: Trouble::Circle, .. } => true,
        RegistryError::Unreachable { host: other, .. } => other != host,
        _ => false,
    }
}

/// How often to try again, and when.
pub(crate) struct Tries {
    left: u32,
    wait: Duration,
}

impl Tries {
    fn new(retries: u32) -> Self {
        Self { left: retries, wait: FIRST_WAIT }
    }

    /// Waits, longer each time or as long as the registry says, if trying again makes sense.
    pub(crate) async fn again(&mut self, failed: Failed) -> Result<(), Failed> {
        let told = match &failed {
            Failed::Answer(answer) => answer.after,
            _ => None,
        };
        if self.left == 0 || !failed.passes() || told.is_some_and(|t| t > LONGEST_WAIT) {
            return Err(failed);
        }
        tokio::time::sleep(told.unwrap_or_default().max(self.wait)).await;
        self.left -= 1;
        self.wait *= 2;
        Ok(())
    }
}
