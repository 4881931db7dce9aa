//! One address of a registry: requests with who we are.

use std::collections::HashMap;
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{
    AUTHORIZATION, CONTENT_TYPE, HeaderValue, IF_NONE_MATCH, RETRY_AFTER, WWW_AUTHENTICATE,
};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;

use super::challenge::Challenge;
use super::download::Headers;
use super::error::{Answer, Failed};
use super::settings::{Certificates, is_loopback};
use super::{RegistryError, Tries};
use crate::credentials::Credential;

const CONNECT: Duration = Duration::from_secs(15);
/// Without a single byte.
pub(super) const SILENCE: Duration = Duration::from_secs(60);
/// An access token that doesn't say how long it is good for (spec/auth/token.md).
const TOKEN_LIFE: u64 = 60;
/// Longer than this none is kept, whatever it says.
const LONGEST_LIFE: u64 = 24 * 60 * 60;
/// So much of an answer is read that is no success.
const LONGEST_ANSWER: usize = 256 << 10;
const LONGEST_TOKEN: usize = 4 << 20;
/// Longest words of a server that are shown.
const LONGEST_WORDS: usize = 300;

pub(crate) struct Endpoint {
    /// `https://host`
    pub(crate) base: String,
    pub(crate) http: Client,
    credential: Credential,
    /// What the last answer that wanted to know who we are has said.
    challenge: Mutex<Challenge>,
    /// By scope.
    tokens: Mutex<HashMap<String, (String, Instant)>>,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    refresh_token: String,
    expires_in: Option<u64>,
}

#[derive(Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<OneError>,
    /// As token servers and Hub say it.
    #[serde(default)]
    details: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

#[derive(Deserialize)]
struct OneError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// What a client waits for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waits {
    /// So long, then it gives up.
    pub(super) silence: Duration,
    /// For what is sent to be taken, however long all of it takes; else for answers, from the start of a request on.
    pub(super) uploads: bool,
}

/// A client for one host. Without TLS no root certificates are looked for.
pub(super) fn client(
    base: &str,
    host: &str,
    insecure: bool,
    certificates: Certificates,
    waits: Waits,
) -> Result<Client, RegistryError> {
    static PROVIDER: Once = Once::new();
    // The program may have installed one itself; either will do.
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    let mut builder = Client::builder()
        .connect_timeout(CONNECT)
        .user_agent(concat!("rcompose/", env!("CARGO_PKG_VERSION")))
        .tls_danger_accept_invalid_certs(insecure || base.starts_with("http://"));
    if is_loopback(host) {
        builder = builder.no_proxy();
    }
    builder = match waits.uploads {
        false => builder.read_timeout(waits.silence),
        true => builder.tcp_user_timeout(waits.silence),
    };
    let mut roots = Vec::new();
    for pem in certificates.roots {
        roots.extend(reqwest::Certificate::from_pem_bundle(&pem).map_err(RegistryError::Tls)?);
    }
    if !roots.is_empty() {
        builder = builder.tls_certs_merge(roots);
    }
    if let Some(pem) = certificates.client {
        builder = builder.identity(reqwest::Identity::from_pem(&pem).map_err(RegistryError::Tls)?);
    }
    builder.build().map_err(RegistryError::Tls)
}

/// Something that is no registry's: one request. What has the entity tag `known` (RFC 9110, section 13.1.2) may be
/// answered by 304 alone.
pub(super) async fn fetch(
    url: &str,
    host: &str,
    headers: &Headers,
    certificates: Certificates,
) -> Result<Response, Failed> {
    let http = client(url, host, false, certificates, Waits { silence: SILENCE, uploads: false })?;
    let mut request = http.get(url);
    if let Some(tag) = &headers.known {
        request = request.header(IF_NONE_MATCH, tag);
    }
    if let Some(value) = &headers.authorization {
        request = request.header(AUTHORIZATION, value);
    }
    let answer = request.send().await.map_err(Failed::Send)?;
    match answer.status() {
        StatusCode::NOT_MODIFIED if headers.known.is_some() => Ok(answer),
        _ => checked(answer).await,
    }
}

impl Endpoint {
    /// Says hello and learns how the registry wants to be spoken to. Nobody there is told at once.
    pub(super) async fn hello(
        base: String,
        http: Client,
        credential: Credential,
        mut tries: Tries,
    ) -> Result<Self, Failed> {
        let url = format!("{base}/v2/");
        loop {
            let answer = http.get(&url).send().await.map_err(Failed::Send)?;
            let status = answer.status();
            if status.is_success() || status == StatusCode::UNAUTHORIZED {
                let headers = answer.headers().get_all(WWW_AUTHENTICATE);
                let challenge = Challenge::of(headers.iter().filter_map(|h| h.to_str().ok()));
                let challenge = Mutex::new(challenge);
                return Ok(Self { base, http, credential, challenge, tokens: Mutex::default() });
            }
            if status == StatusCode::NOT_FOUND {
                let host = url_host(answer.url());
                let why = format!("it answers {} to {url}", status.as_u16());
                return Err(Failed::Final(RegistryError::NoRegistry { host, why }));
            }
            tries.again(failed(answer).await).await?;
        }
    }

    /// One request. An access token that isn't enough, or not any more, is renewed once.
    pub(crate) async fn send(&self, scope: &str, request: RequestBuilder) -> Result<Response, Failed> {
        let (client, request) = request.build_split();
        let mut request = request.map_err(Failed::Send)?;
        // Where an answer sends us, as to upload, may be another server: it has no business with who we are.
        let own = Url::parse(&self.base).is_ok_and(|base| base.origin() == request.url().origin());
        if own && let Some(value) = self.authorization(scope).await? {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let again = request.try_clone().filter(|_| own);
        let answer = client.execute(request).await.map_err(Failed::Send)?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return checked(answer).await;
        }
        let headers = answer.headers().get_all(WWW_AUTHENTICATE);
        let wanted = Challenge::of(headers.iter().filter_map(|h| h.to_str().ok()));
        let Some(mut again) = again else { return Err(failed(answer).await) };
        let value = match (wanted, self.challenge()) {
            (Challenge::Bearer { scope: asked, .. }, Challenge::Bearer { .. }) => {
                self.tokens.lock().unwrap_or_else(PoisonError::into_inner).remove(scope);
                let token = self.token(&asked.unwrap_or_else(|| scope.to_owned())).await?;
                self.keep(scope, &token);
                Some(secret("Bearer", &token.0)?)
            }
            // Who lets anybody in may still keep some images for some.
            (wanted, Challenge::None) if again.url().origin() == answer.url().origin() => {
                *self.challenge.lock().unwrap_or_else(PoisonError::into_inner) = wanted;
                self.authorization(scope).await?
            }
            _ => None,
        };
        let Some(value) = value else { return Err(failed(answer).await) };
        again.headers_mut().insert(AUTHORIZATION, value);
        checked(client.execute(again).await.map_err(Failed::Send)?).await
    }

    fn challenge(&self) -> Challenge {
        self.challenge.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn authorization(&self, scope: &str) -> Result<Option<HeaderValue>, Failed> {
        Ok(match (&self.challenge(), &self.credential) {
            (Challenge::None, _) => None,
            (_, Credential::Access(token)) => Some(secret("Bearer", token)?),
            (Challenge::Basic, Credential::Basic(user, password)) => {
                Some(secret("Basic", &STANDARD.encode(format!("{user}:{password}")))?)
            }
            (Challenge::Basic, _) => None,
            (Challenge::Bearer { .. }, _) => {
                let kept = self.kept(scope);
                let token = match kept {
                    Some(token) => token,
                    None => {
                        let token = self.token(scope).await?;
                        self.keep(scope, &token);
                        token.0
                    }
                };
                Some(secret("Bearer", &token)?)
            }
        })
    }

    /// An access token of before that is still good.
    fn kept(&self, scope: &str) -> Option<String> {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(scope).filter(|(_, until)| *until > Instant::now()).map(|(token, _)| token.clone())
    }

    fn keep(&self, scope: &str, (token, life): &(String, u64)) {
        // Not to the last moment: the request is still on its way.
        let until = Instant::now() + Duration::from_secs(life.saturating_sub(10).min(LONGEST_LIFE));
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.insert(scope.to_owned(), (token.clone(), until));
    }

    /// An access token, and how many seconds it is good for.
    async fn token(&self, scope: &str) -> Result<(String, u64), Failed> {
        let token = self.ask_token(scope, false).await?;
        let text = if token.token.is_empty() { token.access_token } else { token.token };
        Ok((text, token.expires_in.unwrap_or(TOKEN_LIFE)))
    }

    async fn ask_token(&self, scopes: &str, offline: bool) -> Result<Token, Failed> {
        let Challenge::Bearer { realm, service, .. } = &self.challenge() else {
            let why = "it has no token server, which an identity token is for".to_owned();
            return Err(Failed::Final(RegistryError::NoRegistry { host: self.base.clone(), why }));
        };
        let not_it = |why: String| {
            Failed::Final(RegistryError::NoRegistry {
                host: self.base.clone(),
                why: format!("its token server {realm:?} {why}"),
            })
        };
        let mut url = Url::parse(realm).map_err(|e| not_it(format!("is no address: {e}")))?;
        let secret = matches!(self.credential, Credential::Basic(..) | Credential::Identity(_));
        let in_clear = url.scheme() == "http" && self.base.starts_with("https://");
        if secret && in_clear && !is_loopback(&url_host(&url)) {
            return Err(not_it("is without TLS, and a password is not sent in clear".to_owned()));
        }
        let mut query: Vec<(&str, &str)> = Vec::new();
        if let Some(service) = service {
            query.push(("service", service));
        }
        let request = match &self.credential {
            Credential::Identity(token) => {
                query.extend([
                    ("grant_type", "refresh_token"),
                    ("client_id", "rcompose"),
                    ("scope", scopes),
                    ("refresh_token", token),
                ]);
                let mut form = Url::parse("http://form/").map_err(|e| not_it(e.to_string()))?;
                form.query_pairs_mut().extend_pairs(&query);
                self.http
                    .post(url)
                    .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(form.query().unwrap_or_default().to_owned())
            }
            credential => {
                query.extend(scopes.split(' ').filter(|s| !s.is_empty()).map(|s| ("scope", s)));
                if offline {
                    query.extend([("offline_token", "true"), ("client_id", "rcompose")]);
                }
                if let Credential::Basic(user, _) = credential {
                    query.push(("account", user));
                }
                url.query_pairs_mut().extend_pairs(&query);
                match credential {
                    Credential::Basic(user, password) => self.http.get(url).basic_auth(user, Some(password)),
                    _ => self.http.get(url),
                }
            }
        };
        let answer = checked(request.send().await.map_err(Failed::Send)?).await?;
        let text = text(answer, LONGEST_TOKEN).await.map_err(Failed::Send)?;
        serde_json::from_str(&text)
            .map_err(|e| not_it(format!("answers with something that is no token: {e}")))
    }

    /// Whether the registry takes who we are; a refresh token to keep instead of the password, if it gives one.
    pub(super) async fn login(&self) -> Result<Option<String>, Failed> {
        let refresh = match (&self.challenge(), &self.credential) {
            (Challenge::Bearer { .. }, Credential::Basic(..)) => {
                Some(self.ask_token("", true).await?.refresh_token).filter(|t| !t.is_empty())
            }
            _ => None,
        };
        self.send("", self.http.get(format!("{}/v2/", self.base))).await?;
        Ok(refresh)
    }
}

fn secret(scheme: &str, value: &str) -> Result<HeaderValue, Failed> {
    let mut header = HeaderValue::from_str(&format!("{scheme} {value}")).map_err(|_| {
        Failed::Final(RegistryError::NoRegistry {
            host: String::new(),
            why: "the access token has characters that no token has".to_owned(),
        })
    })?;
    header.set_sensitive(true);
    Ok(header)
}

async fn checked(answer: Response) -> Result<Response, Failed> {
    if answer.status().is_success() { Ok(answer) } else { Err(failed(answer).await) }
}

/// The beginning of an answer, whatever its server goes on to send.
async fn text(mut answer: Response, most: usize) -> Result<String, reqwest::Error> {
    let mut bytes = Vec::new();
    while bytes.len() < most
        && let Some(chunk) = answer.chunk().await?
    {
        bytes.extend_from_slice(&chunk);
    }
    bytes.truncate(most);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What a server said: its errors if it has some, else the beginning of its words.
async fn failed(answer: Response) -> Failed {
    let (status, host) = (answer.status().as_u16(), url_host(answer.url()));
    let after = answer.headers().get(RETRY_AFTER).and_then(|h| h.to_str().ok()).and_then(retry_after);
    let html = answer.headers().get(CONTENT_TYPE).is_some_and(|t| t.as_bytes().starts_with(b"text/html"));
    // Without its words the status says enough.
    let text = text(answer, LONGEST_ANSWER).await.unwrap_or_default();
    let (codes, message) = match serde_json::from_str::<Errors>(&text) {
        Ok(e) => {
            let said: Vec<&str> =
                e.errors.iter().map(|e| e.message.as_str()).filter(|m| !m.is_empty()).collect();
            let said = match said.is_empty() {
                true => e.details.or(e.message).unwrap_or_default(),
                false => said.join(", "),
            };
            (e.errors.into_iter().map(|e| e.code).collect(), said)
        }
        Err(_) if html => (Vec::new(), String::new()),
        Err(_) => (Vec::new(), text),
    };
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let message = message.chars().filter(|c| !c.is_control()).take(LONGEST_WORDS).collect();
    Failed::Answer(Box::new(Answer { host, status, message, codes, after }))
}

/// Seconds or a date (RFC 9110, 10.2.3).
fn retry_after(text: &str) -> Option<Duration> {
    match text.trim().parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let at = crate::time::parse_http_date(text.trim())?;
            Some(at.duration_since(SystemTime::now()).unwrap_or_default())
        }
    }
}

/// Why a body ended too early: what is behind the libraries' layers of words.
pub(crate) fn broken(error: &reqwest::Error) -> std::io::Error {
    if error.is_timeout() {
        let why = format!("nothing came for {} seconds", SILENCE.as_secs());
        return std::io::Error::new(std::io::ErrorKind::TimedOut, why);
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(e) = cause.source() {
        cause = e;
    }
    std::io::Error::other(cause.to_string())
}

pub(super) fn url_host(url: &Url) -> String {
    let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
    format!("{}{port}", url.host_str().unwrap_or_default())
}
