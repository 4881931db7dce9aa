//! What a stage is so far: the image's configuration, the ARGs in scope, and what the instructions do to them.

use std::collections::BTreeMap;

use rcompose_image::{ContainerConfig, HealthConfig, History, ImageConfig};

use crate::BuildError;
use crate::dockerfile::{Command, Health, Kind};
use crate::expand::expand;

/// docker's PATH for a Linux image that has none (moby oci/defaults.go).
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) image: ImageConfig,
    /// ARGs with values, in order of declaration.
    pub(crate) args: Vec<(String, String)>,
    pub(crate) escape: char,
    /// A CMD of this stage stays when ENTRYPOINT follows; an inherited one goes.
    own_cmd: bool,
    /// When the newest layer was made, RFC 3339.
    pub(crate) created: Option<String>,
}

impl State {
    /// As BuildKit does, every image gets a PATH: `ENV PATH=/x:$PATH` works on any base.
    pub(crate) fn new(mut image: ImageConfig, args: Vec<(String, String)>, escape: char) -> Self {
        let created = image.created.clone();
        if !image.config.env.iter().any(|e| e.starts_with("PATH=")) {
            image.config.env.push(format!("PATH={PATH}"));
        }
        Self { image, args, escape, own_cmd: false, created }
    }

    fn config(&mut self) -> &mut ContainerConfig {
        &mut self.image.config
    }

    /// A variable: ENV wins over ARG.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let env = self.image.config.env.iter().filter_map(|e| e.split_once('='));
        env.filter(|(n, _)| *n == name)
            .map(|(_, v)| v.to_owned())
            .next_back()
            .or_else(|| self.args.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()))
    }

    pub(crate) fn expand(&self, text: &str) -> Result<String, BuildError> {
        expand(text, self.escape, &|n| self.get(n)).map_err(BuildError::input)
    }

    /// What RUN sees: ENV, then the ARGs that no ENV hides.
    pub(crate) fn run_env(&self) -> Vec<(String, String)> {
        let pair = |e: &String| e.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned()));
        let mut env: Vec<(String, String)> = self.image.config.env.iter().filter_map(pair).collect();
        for (name, value) in &self.args {
            if !env.iter().any(|(n, _)| n == name) {
                env.push((name.clone(), value.clone()));
            }
        }
        if !env.iter().any(|(n, _)| n == "PATH") {
            env.insert(0, ("PATH".to_owned(), PATH.to_owned()));
        }
        env
    }

    pub(crate) fn shell(&self) -> Vec<String> {
        let own = &self.image.config.shell;
        if own.is_empty() { vec!["/bin/sh".to_owned(), "-c".to_owned()] } else { own.clone() }
    }

    fn argv(&self, command: &Command) -> Vec<String> {
        match command {
            Command::Exec(argv) => argv.clone(),
            Command::Shell(text) => {
                let mut argv = self.shell();
                argv.push(text.clone());
                argv
            }
        }
    }

    /// An absolute path, relative ones below WORKDIR.
    pub(crate) fn absolute(&self, path: &str) -> String {
        if path.starts_with('/') {
            return path.to_owned();
        }
        let base = self.image.config.working_dir.trim_end_matches('/');
        format!("{base}/{path}")
    }

    pub(crate) fn history(&mut self, created_by: String, empty_layer: bool) {
        let created = self.created.clone();
        self.image.history.push(History {
            created,
            created_by: Some(created_by),
            comment: Some("buildkit.dockerfile.v0".to_owned()),
            empty_layer,
            ..History::default()
        });
    }

    pub(crate) fn set_env(&mut self, name: &str, value: &str) {
        let line = format!("{name}={value}");
        let env = &mut self.config().env;
        match env.iter_mut().find(|e| e.split_once('=').is_some_and(|(n, _)| n == name)) {
            Some(old) => *old = line,
            None => env.push(line),
        }
    }

    pub(crate) fn set_arg(&mut self, name: &str, value: String) {
        self.args.retain(|(n, _)| n != name);
        self.args.push((name.to_owned(), value));
    }

    /// ARG: what is given, else the default, else the global value.
    pub(crate) fn declare(
        &mut self,
        pairs: &[(String, Option<String>)],
        given: &BTreeMap<String, Option<String>>,
        globals: &BTreeMap<String, String>,
    ) -> Result<(), BuildError> {
        for (name, default) in pairs {
            let value = match (given.get(name).cloned().flatten(), default) {
                (Some(v), _) => Some(v),
                (None, Some(text)) => Some(self.expand(text)?),
                (None, None) => globals.get(name).cloned(),
            };
            let shown = value.as_ref().map_or(name.clone(), |v| format!("{name}={v}"));
            if let Some(value) = value {
                self.set_arg(name, value);
            }
            self.history(format!("ARG {shown}"), true);
        }
        Ok(())
    }

    /// An instruction that changes only the configuration.
    pub(crate) fn configure(&mut self, kind: &Kind) -> Result<(), BuildError> {
        let shown = match kind {
            Kind::Env(pairs) => {
                // All of one instruction see the variables as they were before it.
                let pairs = self.expand_pairs(pairs)?;
                pairs.iter().for_each(|(n, v)| self.set_env(n, v));
                format!("ENV {}", join(&pairs))
            }
            Kind::Label(pairs) => {
                let pairs = self.expand_pairs(pairs)?;
                self.config().labels.extend(pairs.clone());
                format!("LABEL {}", join(&pairs))
            }
            Kind::User(user) => {
                let user = self.expand(user)?;
                self.config().user.clone_from(&user);
                format!("USER {user}")
            }
            Kind::Cmd(command) => {
                let argv = self.argv(command);
                self.own_cmd = true;
                let shown = format!("CMD {}", json(&argv));
                self.config().cmd = Some(argv);
                shown
            }
            Kind::Entrypoint(command) => {
                let argv = self.argv(command);
                if !self.own_cmd {
                    self.config().cmd = None;
                }
                let shown = format!("ENTRYPOINT {}", json(&argv));
                self.config().entrypoint = Some(argv);
                shown
            }
            Kind::Expose(ports) => {
                let mut text = Vec::new();
                for port in ports {
                    text.extend(self.expand(port)?.split_whitespace().map(str::to_owned));
                }
                for port in &text {
                    let all = expose(port)?;
                    self.config().exposed_ports.extend(all);
                }
                format!("EXPOSE [{}]", text.join(" "))
            }
            Kind::Volume(paths) => {
                let mut all = Vec::new();
                for path in paths {
                    let path = self.expand(path)?;
                    if path.is_empty() {
                        return Err(BuildError::input("VOLUME with an empty path"));
                    }
                    all.push(path);
                }
                self.config().volumes.extend(all.iter().cloned());
                format!("VOLUME [{}]", all.join(" "))
            }
            Kind::Stopsignal(signal) => {
                let signal = self.expand(signal)?;
                self.config().stop_signal = Some(signal.clone());
                format!("STOPSIGNAL {signal}")
            }
            Kind::Shell(shell) => {
                self.config().shell.clone_from(shell);
                format!("SHELL [{}]", shell.join(" "))
            }
            Kind::Healthcheck(health) => {
                let health = self.health(health.as_ref());
                let shown = format!("HEALTHCHECK {}", json(&health.test));
                self.config().healthcheck = Some(health);
                shown
            }
            Kind::Onbuild(text) => {
                self.config().on_build.push(text.clone());
                format!("ONBUILD {text}")
            }
            Kind::Maintainer(name) => {
                let name = self.expand(name)?;
                self.image.author = Some(name.clone());
                format!("MAINTAINER {name}")
            }
            Kind::Run(_) | Kind::Copy(_) | Kind::Add(_) | Kind::Workdir(_) | Kind::Arg(_) => return Ok(()),
        };
        self.history(shown, true);
        Ok(())
    }

    fn expand_pairs(&self, pairs: &[(String, String)]) -> Result<Vec<(String, String)>, BuildError> {
        pairs.iter().map(|(n, v)| Ok((self.expand(n)?, self.expand(v)?))).collect()
    }

    fn health(&self, health: Option<&Health>) -> HealthConfig {
        let Some(h) = health else {
            return HealthConfig { test: vec!["NONE".to_owned()], ..HealthConfig::default() };
        };
        let test = match &h.command {
            Command::Shell(text) => vec!["CMD-SHELL".to_owned(), text.clone()],
            Command::Exec(argv) => std::iter::once("CMD".to_owned()).chain(argv.iter().cloned()).collect(),
        };
        HealthConfig {
            test,
            interval: h.interval,
            timeout: h.timeout,
            start_period: h.start_period,
            start_interval: h.start_interval,
            retries: h.retries,
        }
    }
}

fn json(argv: &[String]) -> String {
    serde_json::Value::from(argv.to_vec()).to_string()
}

fn join(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" ")
}

/// `80`, `80/udp`, `8000-8010/tcp`.
fn expose(text: &str) -> Result<Vec<String>, BuildError> {
    let wrong = || {
        BuildError::input(format!("`{text}` isn't a port")).help("write a port as 80, 53/udp or 8000-8010")
    };
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_lowercase();
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(wrong());
    }
    let (low, high) = ports.split_once('-').unwrap_or((ports, ports));
    let low: u16 = low.parse().map_err(|_| wrong())?;
    let high: u16 = high.parse().map_err(|_| wrong())?;
    if low == 0 || high < low {
        return Err(wrong());
    }
    Ok((low..=high).map(|p| format!("{p}/{protocol}")).collect())
}
