//! Every environment variable that this program reads, in one place.
//!
//! | variable | meaning |
//! |---|---|
//! | `RCOMPOSE_ROOT` | everything (images, volumes, state, sockets) under this directory |
//! | `COMPOSE_*` | as docker compose; read by the loader from the environment that it is given |
//! | `COMPOSE_PROGRESS`, `COMPOSE_ANSI` | defaults of `--progress` and `--ansi` |
//! | `COMPOSE_REMOVE_ORPHANS`, `COMPOSE_IGNORE_ORPHANS` | defaults of `--remove-orphans`; no warning of orphans |
//! | `NO_COLOR` | no colours |
//! | `DOCKER_CONFIG` | directory of the registries' credentials; `~/.docker` unless set |
//! | `DOCKER_AUTH_CONFIG` | credentials as JSON, which come before those that are kept |
//! | `RCOMPOSE_REGISTRY_CONFIG` | directory of `daemon.json` and `certs.d`; `/etc/docker` and `~/.config/docker` unless set |
//! | `SOURCE_DATE_EPOCH` | what builds date everything with: seconds since 1970, or `context`, or the name of a context or stage |
//! | `XDG_CACHE_HOME` | where remote projects are kept for who isn't root; `~/.cache` unless set |
//! | `GIT_TERMINAL_PROMPT`, `GIT_SSH`, `GIT_SSH_COMMAND` | whether and how git may ask, where it fetches projects |
//! | `COLUMNS` | width of tables where there is no terminal |

use std::collections::BTreeMap;
use std::path::PathBuf;

use rcompose_machine::Dirs;

/// The environment, read once.
#[derive(Debug, Clone)]
pub(crate) struct Env {
    /// All variables that are UTF-8.
    pub(crate) all: BTreeMap<String, String>,
    /// Working directory.
    pub(crate) cwd: PathBuf,
}

/// Where it is written how to speak to registries.
#[derive(Debug, Clone)]
pub(crate) struct Registries {
    /// Directory of the credentials.
    pub(crate) docker_config: Option<PathBuf>,
    /// Credentials that come before those, as they stand in the environment.
    pub(crate) auths: Option<String>,
    /// Registries that need no TLS.
    pub(crate) insecure: Vec<String>,
    /// Directories such as `/etc/docker`.
    pub(crate) settings: Vec<PathBuf>,
}

impl Env {
    pub(crate) fn read() -> std::io::Result<Self> {
        let all = std::env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
            .collect();
        Ok(Self { all, cwd: std::env::current_dir()? })
    }

    /// A variable that is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// A variable that says yes.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|v| matches!(v.to_ascii_lowercase().as_str(), "1" | "true" | "t" | "yes"))
    }

    /// Where everything is.
    pub(crate) fn dirs(&self) -> Dirs {
        match self.get("RCOMPOSE_ROOT") {
            Some(root) => Dirs::under(&self.cwd.join(root)),
            None => Dirs::system(),
        }
    }

    /// What git is told beside the environment: to ask for no password, unless the user says how to ask.
    pub(crate) fn git(&self) -> Vec<(&'static str, String)> {
        let mut out = Vec::new();
        if self.get("GIT_TERMINAL_PROMPT").is_none() {
            out.push(("GIT_TERMINAL_PROMPT", "0".to_owned()));
        }
        if self.get("GIT_SSH").is_none() && self.get("GIT_SSH_COMMAND").is_none() {
            out.push(("GIT_SSH_COMMAND", "ssh -o ControlMaster=no -o BatchMode=yes".to_owned()));
        }
        out
    }

    /// Where a user who isn't root keeps what can be had again.
    pub(crate) fn cache(&self) -> Option<PathBuf> {
        let home = || self.get("HOME").map(|h| PathBuf::from(h).join(".cache"));
        self.get("XDG_CACHE_HOME").map(PathBuf::from).or_else(home).map(|c| c.join("rcompose/remote"))
    }

    /// Directory of the registries' credentials.
    pub(crate) fn docker_config(&self) -> Option<PathBuf> {
        match self.get("DOCKER_CONFIG") {
            Some(d) => Some(d.into()),
            None => self.get("HOME").map(|h| PathBuf::from(h).join(".docker")),
        }
    }

    /// Who we are to registries, and what is said of them.
    pub(crate) fn registries(&self) -> Registries {
        let settings = match self.get("RCOMPOSE_REGISTRY_CONFIG") {
            Some(dir) => vec![self.cwd.join(dir)],
            None => {
                let home = self.get("XDG_CONFIG_HOME").map(PathBuf::from);
                let home = home.or_else(|| self.get("HOME").map(|h| PathBuf::from(h).join(".config")));
                // The second is where docker's rootless daemon looks.
                ["/etc".into()].into_iter().chain(home).map(|dir: PathBuf| dir.join("docker")).collect()
            }
        };
        let auths = self.get("DOCKER_AUTH_CONFIG").map(str::to_owned);
        Registries { docker_config: self.docker_config(), auths, insecure: Vec::new(), settings }
    }

    /// What builds date everything with is an argument of theirs, unless they are given another.
    pub(crate) fn put_epoch(&self, args: &mut BTreeMap<String, Option<String>>) {
        if let Some(epoch) = self.get("SOURCE_DATE_EPOCH").filter(|e| !e.is_empty()) {
            args.entry("SOURCE_DATE_EPOCH".to_owned()).or_insert_with(|| Some(epoch.to_owned()));
        }
    }
}
