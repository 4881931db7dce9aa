//! A registry that has answered.

use std::net::IpAddr;
use std::sync::Once;
use std::time::Duration;

use futures_util::StreamExt;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, RegistryOperation};

use super::auth::Credential;
use super::error::{About, passing};
use super::layer::mismatch;
use super::{PullError, PullOptions, identity};
use crate::{Digest, Reference};

/// Longest document (manifest, configuration) taken.
const LONGEST: u64 = 8 << 20;
const CONNECT: Duration = Duration::from_secs(15);
/// Without a single byte.
const SILENCE: Duration = Duration::from_secs(60);
const FIRST_WAIT: Duration = Duration::from_millis(250);

pub(super) struct Registry {
    pub(super) client: Client,
    pub(super) image: oci_client::Reference,
    pub(super) about: About,
    auth: RegistryAuth,
    retries: u32,
}

impl Registry {
    /// Says hello and logs in. A registry on this machine's loopback may speak plain HTTP, as with docker.
    pub(super) async fn connect(reference: &Reference, options: &PullOptions) -> Result<Self, PullError> {
        static PROVIDER: Once = Once::new();
        // The program may have installed one itself; either will do.
        PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        let host = reference.domain().to_owned();
        let about = About { image: reference.to_string(), host };
        let (source, r, a) = (options.auth.clone(), reference.clone(), about.clone());
        let credential = match tokio::task::spawn_blocking(move || source.credential(&r, &a)).await {
            Ok(credential) => credential?,
            Err(_) => return Err(about.malformed("reading the credentials was cancelled")),
        };
        // The client's own constructor panics where this fails.
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .danger_accept_invalid_certs(options.insecure)
            .build()
            .map_err(PullError::Tls)?;
        let image = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => oci_client::Reference::with_digest(
                reference.domain().to_owned(),
                reference.path().to_owned(),
                digest.to_string(),
            ),
            (None, tag) => oci_client::Reference::with_tag(
                reference.domain().to_owned(),
                reference.path().to_owned(),
                tag.unwrap_or("latest").to_owned(),
            ),
        };
        let insecure = options.insecure || loopback(reference.domain());
        let mut first = None;
        for protocol in
            [Some(ClientProtocol::Https), insecure.then_some(ClientProtocol::Http)].into_iter().flatten()
        {
            let scheme = if protocol == ClientProtocol::Http { "http" } else { "https" };
            let config = ClientConfig {
                protocol,
                accept_invalid_certificates: options.insecure,
                connect_timeout: Some(CONNECT),
                read_timeout: Some(SILENCE),
                user_agent: concat!("rcompose/", env!("CARGO_PKG_VERSION")),
                ..ClientConfig::default()
            };
            let client = Client::try_from(config).map_err(|e| about.error(e))?;
            let auth = match &credential {
                Credential::None => Ok(RegistryAuth::Anonymous),
                Credential::Basic(user, password) => Ok(RegistryAuth::Basic(user.clone(), password.clone())),
                Credential::Identity(token) => {
                    let base = format!("{scheme}://{}", image.resolve_registry());
                    identity::exchange(&http, &base, reference.path(), token).await.map(RegistryAuth::Bearer)
                }
            };
            let hello = match auth {
                Ok(auth) => client.auth(&image, &auth, RegistryOperation::Pull).await.map(|_| auth),
                Err(e) => Err(e),
            };
            match hello {
                Ok(auth) => return Ok(Self { client, image, about, auth, retries: options.retries }),
                Err(OciDistributionError::RequestError(e)) if first.is_none() && e.is_connect() => {
                    first = Some(OciDistributionError::RequestError(e));
                }
                Err(e) => return Err(about.error(e)),
            }
        }
        Err(match first {
            Some(e) => about.error(e),
            None => about.malformed("its registry was not asked"),
        })
    }

    pub(super) fn tries(&self) -> Tries {
        Tries { left: self.retries, wait: FIRST_WAIT }
    }

    /// A manifest or an index, and its digest.
    pub(super) async fn manifest(&self, digest: Option<Digest>) -> Result<(Vec<u8>, Digest), PullError> {
        let image = match digest {
            Some(digest) => self.image.clone_with_digest(digest.to_string()),
            None => self.image.clone(),
        };
        let expected = digest.or_else(|| self.image.digest()?.parse().ok());
        let mut tries = self.tries();
        loop {
            match self.client.pull_manifest_raw(&image, &self.auth, super::document::MANIFESTS).await {
                Ok((bytes, _)) => {
                    let actual = Digest::of(&bytes);
                    return match expected.filter(|e| *e != actual) {
                        Some(expected) => Err(mismatch(&self.about, "the manifest", expected, actual)),
                        None => Ok((bytes.to_vec(), actual)),
                    };
                }
                Err(e) if matches!(e, OciDistributionError::DigestError(_)) => {
                    return Err(self.about.malformed(format!("the manifest is damaged: {e}")));
                }
                Err(e) => tries.again(e).await.map_err(|e| self.about.error(e))?,
            }
        }
    }

    /// A small blob.
    pub(super) async fn blob(&self, digest: Digest) -> Result<Vec<u8>, PullError> {
        let mut tries = self.tries();
        loop {
            let (bytes, end) =
                match self.client.pull_blob_stream(&self.image, digest.to_string().as_str()).await {
                    Ok(mut stream) => {
                        let mut bytes = Vec::new();
                        let mut end = Ok(());
                        while let Some(chunk) = stream.stream.next().await {
                            match chunk {
                                Ok(chunk) => bytes.extend_from_slice(&chunk),
                                Err(e) => end = Err(OciDistributionError::IoError(e)),
                            }
                            if bytes.len() as u64 > LONGEST {
                                return Err(self.about.malformed("its configuration is longer than 8 MiB"));
                            }
                        }
                        (bytes, end)
                    }
                    Err(e) => (Vec::new(), Err(e)),
                };
            let actual = Digest::of(&bytes);
            match end {
                _ if actual == digest => return Ok(bytes),
                // The client's check of the digest comes as an error of the stream.
                Err(OciDistributionError::IoError(e))
                    if e.get_ref().is_some_and(|e| e.is::<DigestError>()) =>
                {
                    return Err(mismatch(&self.about, "the configuration", digest, actual));
                }
                Ok(()) => return Err(mismatch(&self.about, "the configuration", digest, actual)),
                Err(e) => tries.again(e).await.map_err(|e| self.about.error(e))?,
            }
        }
    }
}

type DigestError = oci_client::errors::DigestError;

/// How often to try again, and when.
pub(super) struct Tries {
    left: u32,
    wait: Duration,
}

impl Tries {
    /// Waits, longer each time, if trying again makes sense.
    pub(super) async fn again(&mut self, error: OciDistributionError) -> Result<(), OciDistributionError> {
        if self.left == 0 || !passing(&error) {
            return Err(error);
        }
        tokio::time::sleep(self.wait).await;
        self.left -= 1;
        self.wait *= 2;
        Ok(())
    }
}

fn loopback(domain: &str) -> bool {
    let host = match domain.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => domain.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_addresses() {
        for domain in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.1.2.3", "[::1]:5000"] {
            assert!(loopback(domain), "{domain}");
        }
        for domain in ["docker.io", "10.0.0.1:5000", "[::2]:5000", "localhost.example.org"] {
            assert!(!loopback(domain), "{domain}");
        }
    }
}
