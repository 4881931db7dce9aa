//! `DOCKER_AUTH_CONFIG` (docker cli, cli/config/configfile/file.go): the `auths` of a `config.json`, for machines where
//! nobody wants to write a file.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Credential, decoded, entry_of, key};

/// Credentials by registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthConfig(BTreeMap<String, Credential>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(default)]
    auth: String,
}

impl AuthConfig {
    /// Reads the variable's value; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let document: Document = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let entry = |(registry, entry): (String, Entry)| {
            if entry.auth.is_empty() {
                return Err(format!("`auth` is missing for {registry}"));
            }
            decoded(&entry.auth).map(|c| (registry.clone(), c)).map_err(|why| format!("{why} for {registry}"))
        };
        document.auths.into_iter().map(entry).collect::<Result<_, _>>().map(Self)
    }

    /// What it has for a registry (`docker.io`, `localhost:5000`).
    pub fn get(&self, registry: &str) -> Option<Credential> {
        entry_of(self.0.iter(), key(registry)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_docker_reads_it() {
        let text = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dXNlcjpwYXNz"},"a.example":{"auth":"dTphOmI="}}}"#;
        let auths = AuthConfig::parse(text).unwrap();
        assert_eq!(auths.get("docker.io"), Some(Credential::Basic("user".into(), "pass".into())));
        assert_eq!(auths.get("a.example"), Some(Credential::Basic("u".into(), "a:b".into())));
        assert_eq!(auths.get("b.example"), None);
        assert_eq!(AuthConfig::parse("{}"), Ok(AuthConfig::default()));
        for (text, why) in [
            ("{", "EOF"),
            ("{} {}", "trailing"),
            (r#"{"credsStore":"x"}"#, "unknown field `credsStore`"),
            (r#"{"auths":{"h":{}}}"#, "`auth` is missing for h"),
            (r#"{"auths":{"h":{"auth":"%%"}}}"#, "is no base64 of user:password for h"),
        ] {
            let error = AuthConfig::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
