//! What the machine's owner says of registries, in docker's words: `daemon.json` (`registry-mirrors`,
//! `insecure-registries`) and `certs.d/HOST/` (`*.crt`, `*.cert` with `*.key`).

use std::fs;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::RegistryError;

/// Mirrors, registries that need no TLS, certificates.
#[derive(Debug, Clone, Default)]
pub struct RegistrySettings {
    mirrors: Vec<String>,
    insecure: Vec<String>,
    certs: Vec<PathBuf>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct DaemonJson {
    #[serde(default)]
    registry_mirrors: Vec<String>,
    #[serde(default)]
    insecure_registries: Vec<String>,
}

/// Certificates of one registry, PEM.
#[derive(Debug, Default, Clone)]
pub(super) struct Certificates {
    pub(super) roots: Vec<Vec<u8>>,
    /// Key and certificate in one.
    pub(super) client: Option<Vec<u8>>,
}

impl RegistrySettings {
    /// Reads directories such as `/etc/docker`; later ones add to earlier ones. None need exist.
    pub fn read(dirs: &[PathBuf]) -> Result<Self, RegistryError> {
        let mut out = Self::default();
        for dir in dirs {
            let path = dir.join("daemon.json");
            let wrong = |why: String| RegistryError::Settings { path: path.clone(), why };
            match fs::read(&path) {
                Ok(text) => {
                    let json: DaemonJson = serde_json::from_slice(&text).map_err(|e| wrong(e.to_string()))?;
                    for mirror in &json.registry_mirrors {
                        if !mirror.starts_with("https://") && !mirror.starts_with("http://") {
                            return Err(wrong(format!(
                                "the mirror {mirror:?} is no address of http or https"
                            )));
                        }
                    }
                    out.mirrors
                        .extend(json.registry_mirrors.iter().map(|m| m.trim_end_matches('/').to_owned()));
                    out.insecure.extend(json.insecure_registries);
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(wrong(e.to_string())),
            }
            out.certs.push(dir.join("certs.d"));
        }
        Ok(out)
    }

    /// These registries, too, may have any certificate, or none and speak plain HTTP.
    pub fn allow_insecure(&mut self, registries: &[String]) {
        self.insecure.extend_from_slice(registries);
    }

    /// Addresses to try before docker's own registry.
    pub(super) fn mirrors(&self, domain: &str) -> &[String] {
        if domain == "docker.io" { &self.mirrors } else { &[] }
    }

    /// Whether a registry may have any certificate, or none and speak plain HTTP: it is listed, or an address of it
    /// is in a listed network or is this machine's own. Resolves names: may block.
    pub(super) fn is_insecure(&self, host: &str) -> bool {
        if self.insecure.iter().any(|listed| listed == host) {
            return true;
        }
        let name = bare(host);
        let addresses: Vec<IpAddr> = match name.parse() {
            Ok(address) => vec![address],
            Err(_) if name == "localhost" => return true,
            // A name that can't be resolved is told by whoever connects.
            Err(_) => {
                (name, 443).to_socket_addrs().map(|all| all.map(|a| a.ip()).collect()).unwrap_or_default()
            }
        };
        let listed = |address: &IpAddr| self.insecure.iter().any(|n| within(n, *address) == Some(true));
        addresses.iter().any(|a| a.is_loopback() || listed(a))
    }

    pub(super) fn certificates(&self, host: &str) -> Result<Certificates, RegistryError> {
        let mut out = Certificates::default();
        for dir in self.certs.iter().map(|d| d.join(host)) {
            let failed = |path: &Path, e: io::Error| RegistryError::Settings {
                path: path.to_owned(),
                why: e.to_string(),
            };
            let listed = match fs::read_dir(&dir) {
                Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    continue;
                }
                listed => listed.map_err(|e| failed(&dir, e))?,
            };
            let mut paths = Vec::new();
            for entry in listed {
                paths.push(entry.map_err(|e| failed(&dir, e))?.path());
            }
            paths.sort();
            for path in paths {
                match path.extension().and_then(|e| e.to_str()) {
                    Some("crt") => out.roots.push(fs::read(&path).map_err(|e| failed(&path, e))?),
                    Some("cert") => {
                        let key = path.with_extension("key");
                        if !key.exists() {
                            let why =
                                format!("{} is missing: CA certificates must end in .crt", key.display());
                            return Err(RegistryError::Settings { path, why });
                        }
                        let mut pem = fs::read(&key).map_err(|e| failed(&key, e))?;
                        pem.push(b'\n');
                        pem.extend(fs::read(&path).map_err(|e| failed(&path, e))?);
                        out.client = Some(pem);
                    }
                    _ => {}
                }
            }
        }
        Ok(out)
    }
}

/// A host without its port and brackets.
pub(super) fn bare(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

/// Whether this is this machine's own address, without asking anybody.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = bare(host);
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// `None`: it is no network in CIDR notation.
fn within(network: &str, address: IpAddr) -> Option<bool> {
    let (base, bits) = network.split_once('/')?;
    let (base, bits): (IpAddr, u32) = (base.parse().ok()?, bits.parse().ok()?);
    Some(match (base, address) {
        (IpAddr::V4(b), IpAddr::V4(a)) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            b.to_bits() & mask == a.to_bits() & mask
        }
        (IpAddr::V6(b), IpAddr::V6(a)) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            b.to_bits() & mask == a.to_bits() & mask
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_needs_no_tls() {
        let dir = tempfile::tempdir().unwrap();
        let json = r#"{"debug":true,"insecure-registries":["reg.test:5000","10.1.0.0/16","fd00::/8"],"registry-mirrors":["https://m.test/"]}"#;
        fs::write(dir.path().join("daemon.json"), json).unwrap();
        let settings = RegistrySettings::read(&[dir.path().to_owned(), "/nonexistent".into()]).unwrap();
        for host in [
            "localhost",
            "localhost:5000",
            "127.0.0.1:5000",
            "127.1.2.3",
            "[::1]:5000",
            "reg.test:5000",
            "10.1.9.9:80",
            "[fd00::1]",
        ] {
            assert!(settings.is_insecure(host), "{host}");
        }
        for host in ["10.2.0.1:5000", "[::2]:5000", "8.8.8.8"] {
            assert!(!settings.is_insecure(host), "{host}");
        }
        assert_eq!(settings.mirrors("docker.io"), ["https://m.test"]);
        assert!(settings.mirrors("ghcr.io").is_empty());
        fs::write(dir.path().join("daemon.json"), r#"{"registry-mirrors":["m.test"]}"#).unwrap();
        assert!(RegistrySettings::read(&[dir.path().to_owned()]).is_err());
    }

    #[test]
    fn certificates_of_a_host() {
        let dir = tempfile::tempdir().unwrap();
        let host = dir.path().join("certs.d/reg.test:5000");
        fs::create_dir_all(&host).unwrap();
        fs::write(host.join("ca.crt"), "CA").unwrap();
        fs::write(host.join("client.cert"), "CERT").unwrap();
        let settings = RegistrySettings::read(&[dir.path().to_owned()]).unwrap();
        assert!(
            settings.certificates("reg.test:5000").unwrap_err().to_string().contains("client.key is missing")
        );
        fs::write(host.join("client.key"), "KEY").unwrap();
        let found = settings.certificates("reg.test:5000").unwrap();
        assert_eq!((found.roots, found.client), (vec![b"CA".to_vec()], Some(b"KEY\nCERT".to_vec())));
        assert!(settings.certificates("other.test").unwrap().roots.is_empty());
    }
}
