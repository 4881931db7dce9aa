//! `config.json` (docker cli, cli/config/configfile). What we don't know in it stays as it is.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Credential, CredentialError, decoded, entry_of, helper, hostname, key};

/// docker's configuration directory.
#[derive(Debug, Clone)]
pub struct DockerConfig {
    path: PathBuf,
}

/// Where credentials were put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// By a helper program of this name.
    Helper(String),
    /// Readable, in this file.
    File(PathBuf),
}

impl DockerConfig {
    /// `dir` is `$DOCKER_CONFIG` or `~/.docker`; it need not exist.
    pub fn open(dir: &Path) -> Self {
        Self { path: dir.join("config.json") }
    }

    /// What is kept for a registry.
    pub fn get(&self, registry: &str) -> Result<Credential, CredentialError> {
        let config = self.read()?;
        let key = key(registry);
        if let Some(helper) = self.helper(&config, key) {
            return helper::get(&helper, key);
        }
        let Some(auths) = config.get("auths").and_then(Value::as_object) else { return Ok(Credential::None) };
        match entry_of(auths.iter(), key) {
            Some(entry) => self.entry(entry),
            None => Ok(Credential::None),
        }
    }

    /// Keeps a credential: with the helper that is configured, else in the file.
    pub fn store(&self, registry: &str, credential: &Credential) -> Result<Stored, CredentialError> {
        let mut config = self.read()?;
        let key = key(registry);
        if let Some(name) = self.helper(&config, key) {
            helper::store(&name, key, credential)?;
            // docker lists the servers whose secrets a helper has.
            self.auths(&mut config)?.insert(key.to_owned(), json!({}));
            self.write(&config)?;
            return Ok(Stored::Helper(name));
        }
        let entry = match credential {
            Credential::None => json!({}),
            Credential::Basic(user, password) => {
                json!({ "auth": STANDARD.encode(format!("{user}:{password}")) })
            }
            Credential::Identity(token) => {
                json!({ "auth": STANDARD.encode("<token>:"), "identitytoken": token })
            }
            Credential::Access(token) => json!({ "registrytoken": token }),
        };
        self.auths(&mut config)?.insert(key.to_owned(), entry);
        self.write(&config)?;
        Ok(Stored::File(self.path.clone()))
    }

    /// Forgets a registry's credential; `false` if there was none.
    pub fn erase(&self, registry: &str) -> Result<bool, CredentialError> {
        let mut config = self.read()?;
        let key = key(registry).to_owned();
        let mut erased = match self.helper(&config, &key) {
            Some(name) => helper::erase(&name, &key)?,
            None => false,
        };
        if config.get("auths").is_some() {
            let auths = self.auths(&mut config)?;
            let gone: Vec<String> = auths.keys().filter(|k| hostname(k) == hostname(&key)).cloned().collect();
            for k in &gone {
                auths.remove(k);
            }
            if !gone.is_empty() {
                self.write(&config)?;
                erased = true;
            }
        }
        Ok(erased)
    }

    fn read(&self) -> Result<Map<String, Value>, CredentialError> {
        let text = match fs::read_to_string(&self.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Map::new()),
            text => text.map_err(|e| self.io("read", e))?,
        };
        match serde_json::from_str(&text) {
            Ok(Value::Object(config)) => Ok(config),
            Ok(_) => Err(self.malformed("it is no object")),
            Err(e) => Err(self.malformed(e)),
        }
    }

    fn entry(&self, entry: &Value) -> Result<Credential, CredentialError> {
        let text = |name: &str| entry[name].as_str().filter(|t| !t.is_empty());
        if let Some(token) = text("identitytoken") {
            return Ok(Credential::Identity(token.to_owned()));
        }
        if let Some(token) = text("registrytoken") {
            return Ok(Credential::Access(token.to_owned()));
        }
        if let Some(auth) = text("auth") {
            return decoded(auth).map_err(|why| self.malformed(why));
        }
        Ok(match (text("username"), text("password")) {
            (Some(user), Some(password)) => Credential::Basic(user.to_owned(), password.to_owned()),
            _ => Credential::None,
        })
    }

    fn helper(&self, config: &Map<String, Value>, key: &str) -> Option<String> {
        let helpers = config.get("credHelpers").and_then(Value::as_object);
        let own = helpers.and_then(|all| entry_of(all.iter(), key));
        own.or_else(|| config.get("credsStore"))
            .and_then(Value::as_str)
            .filter(|h| !h.is_empty())
            .map(str::to_owned)
    }

    fn auths<'a>(
        &self,
        config: &'a mut Map<String, Value>,
    ) -> Result<&'a mut Map<String, Value>, CredentialError> {
        let auths = config.entry("auths").or_insert_with(|| json!({}));
        if auths.is_null() {
            *auths = json!({});
        }
        auths.as_object_mut().ok_or_else(|| self.malformed("`auths` is no object"))
    }

    /// A file of its own is renamed over it, so that a reader never sees half of it; a symbolic link stays one.
    fn write(&self, config: &Map<String, Value>) -> Result<(), CredentialError> {
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let dir = path.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|e| self.io("create the directory of", e))?;
        let mut text = Vec::new();
        let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut out = serde_json::Serializer::with_formatter(&mut text, tabs);
        config.serialize(&mut out).map_err(|e| self.malformed(e))?;
        let staged = path.with_file_name(format!("config.json{}", std::process::id()));
        let written = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&staged)
            .and_then(|mut file| {
                // What was there before may be for more people to read; that is the user's choice.
                if let Ok(old) = fs::metadata(&path) {
                    file.set_permissions(fs::Permissions::from_mode(old.permissions().mode() & 0o777))?;
                }
                file.write_all(&text)?;
                file.sync_all()
            });
        let done = written.and_then(|()| fs::rename(&staged, &path));
        done.map_err(|e| {
            // The file that was there is as it was; the half-written one is of no use.
            let _ = fs::remove_file(&staged);
            self.io("write", e)
        })
    }

    fn io(&self, doing: &'static str, source: io::Error) -> CredentialError {
        CredentialError::Io { doing, path: self.path.clone(), source }
    }

    fn malformed(&self, why: impl ToString) -> CredentialError {
        CredentialError::Malformed { path: self.path.clone(), why: why.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(config: &str) -> (tempfile::TempDir, DockerConfig) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config.json"), config).unwrap();
        let config = DockerConfig::open(dir.path());
        (dir, config)
    }

    fn get(config: &str, registry: &str) -> Result<Credential, CredentialError> {
        room(config).1.get(registry)
    }

    #[test]
    fn what_is_kept_is_found() {
        // user:pass
        let auths = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dXNlcjpwYXNz"},"ghcr.io":{"identitytoken":"t"},
            "https://localhost:5000/v2/":{"auth":"dXNlcjpwYXNz"},"a.example":{"registrytoken":"r"},"b.example":{}}}"#;
        let basic = Credential::Basic("user".into(), "pass".into());
        assert_eq!(get(auths, "docker.io").unwrap(), basic);
        assert_eq!(get(auths, "localhost:5000").unwrap(), basic);
        assert_eq!(get(auths, "ghcr.io").unwrap(), Credential::Identity("t".into()));
        assert_eq!(get(auths, "a.example").unwrap(), Credential::Access("r".into()));
        assert_eq!(get(auths, "b.example").unwrap(), Credential::None);
        assert_eq!(get(auths, "quay.io").unwrap(), Credential::None);
        assert_eq!(get("{}", "docker.io").unwrap(), Credential::None);
        assert!(matches!(get("{", "docker.io"), Err(CredentialError::Malformed { .. })));
        let bad = r#"{"auths":{"h":{"auth":"%%"}}}"#;
        assert!(matches!(get(bad, "h"), Err(CredentialError::Malformed { .. })));
        let helper = r#"{"credsStore":"no-such-helper-anywhere"}"#;
        assert!(matches!(get(helper, "docker.io"), Err(CredentialError::Helper { .. })));
        assert_eq!(DockerConfig::open(Path::new("/nonexistent")).get("docker.io").unwrap(), Credential::None);
    }

    #[test]
    fn what_is_unknown_stays() {
        let (dir, config) = room(r#"{"psFormat":"x","auths":{"old.example":{"auth":"dXNlcjpwYXNz"}}}"#);
        let basic = Credential::Basic("u".into(), "a:b".into());
        let path = dir.path().join("config.json");
        assert_eq!(config.store("new.example", &basic).unwrap(), Stored::File(path.clone()));
        assert_eq!(config.get("new.example").unwrap(), basic);
        assert!(config.erase("old.example").unwrap() && !config.erase("old.example").unwrap());
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "{\n\t\"psFormat\": \"x\",\n\t\"auths\": {\n\t\t\"new.example\": {\n\t\t\t\"auth\": \"dTphOmI=\"\n\t\t}\n\t}\n}"
        );
        // A new one is for its owner alone.
        let fresh = DockerConfig::open(&dir.path().join("deep/er"));
        fresh.store("docker.io", &Credential::Identity("t".into())).unwrap();
        assert_eq!(fresh.get("docker.io").unwrap(), Credential::Identity("t".into()));
        let mode = fs::metadata(dir.path().join("deep/er/config.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
