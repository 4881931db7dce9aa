//! Identity tokens: refresh tokens that a token server exchanges for access tokens (distribution specification,
//! spec/auth/oauth.md).

use oci_client::errors::{OciDistributionError as Error, Result};
use reqwest::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use reqwest::{StatusCode, Url};
use serde::Deserialize;

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

/// An access token to pull from a repository.
pub(super) async fn exchange(
    http: &reqwest::Client,
    base: &str,
    repository: &str,
    token: &str,
) -> Result<String> {
    let hello = http.get(format!("{base}/v2/")).send().await?;
    let challenge = hello.headers().get(WWW_AUTHENTICATE).and_then(|h| h.to_str().ok()).unwrap_or_default();
    let (realm, service) = challenge_of(challenge).ok_or_else(|| {
        Error::AuthenticationFailure(
            "the registry has no token server, which an identity token is for".to_owned(),
        )
    })?;
    let mut form = Url::parse("http://form/").map_err(|e| Error::UrlParseError(e.to_string()))?;
    form.query_pairs_mut()
        .append_pair("grant_type", "refresh_token")
        .append_pair("service", &service)
        .append_pair("client_id", "rcompose")
        .append_pair("scope", &format!("repository:{repository}:pull"))
        .append_pair("refresh_token", token);
    let answer = http
        .post(realm)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form.query().unwrap_or_default().to_owned())
        .send()
        .await?;
    let (status, url, text) = (answer.status(), answer.url().to_string(), answer.text().await?);
    match status {
        StatusCode::OK => {
            let token: Token =
                serde_json::from_str(&text).map_err(|e| Error::RegistryTokenDecodeError(e.to_string()))?;
            Ok(token.access_token)
        }
        StatusCode::TOO_MANY_REQUESTS => Err(Error::ServerError { code: 429, url, message: text }),
        status if status.is_server_error() => {
            Err(Error::ServerError { code: status.as_u16(), url, message: text })
        }
        _ => Err(Error::AuthenticationFailure(text)),
    }
}

/// Realm and service of a `Bearer` challenge (RFC 6750, 3).
fn challenge_of(header: &str) -> Option<(String, String)> {
    let (scheme, rest) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let (mut realm, mut service) = (None, String::new());
    let mut rest = rest.trim_start();
    while let Some((key, after)) = rest.split_once("=\"") {
        let (value, after) = after.split_once('"')?;
        match key.trim() {
            "realm" => realm = Some(value.to_owned()),
            "service" => service = value.to_owned(),
            _ => {}
        }
        rest = after.trim_start_matches([',', ' ']);
    }
    Some((realm?, service))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges() {
        let header = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="a:b:pull,push""#;
        let want = ("https://auth.docker.io/token".to_owned(), "registry.docker.io".to_owned());
        assert_eq!(challenge_of(header), Some(want));
        assert_eq!(challenge_of(r#"Basic realm="x""#), None);
        assert_eq!(challenge_of(""), None);
    }
}
