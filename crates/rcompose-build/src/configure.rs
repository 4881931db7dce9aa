//! Instructions that change only the configuration.

use rcompose_image::HealthConfig;

use crate::BuildError;
use crate::dockerfile::{Command, Health, Kind};
use crate::ports::expose;
use crate::state::State;
use crate::text::{quoted, shown_duration};

impl State {
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
                let shown = format!("CMD {}", go_list(&argv));
                self.config().cmd = Some(argv);
                // docker sets it on every platform.
                self.config().args_escaped = true;
                shown
            }
            Kind::Entrypoint(command) => {
                let argv = self.argv(command);
                if !self.own_cmd {
                    self.config().cmd = None;
                }
                let shown = format!("ENTRYPOINT {}", go_list(&argv));
                self.config().entrypoint = Some(argv).filter(|a| !a.is_empty());
                shown
            }
            Kind::Expose(ports) => {
                let mut all = Vec::new();
                for port in ports {
                    for port in self.expand_words(port)? {
                        all.extend(expose(&port)?);
                    }
                }
                self.config().exposed_ports.extend(all.iter().cloned());
                format!("EXPOSE [{}]", all.join(" "))
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
                crate::signal::check(&signal)?;
                self.config().stop_signal = Some(signal.clone());
                format!("STOPSIGNAL {signal}")
            }
            Kind::Shell(shell) => {
                self.config().shell.clone_from(shell);
                format!("SHELL [{}]", shell.join(" "))
            }
            Kind::Healthcheck(health) => {
                let health = self.health(health.as_ref());
                let shown = format!("HEALTHCHECK {}", go_health(&health));
                self.config().healthcheck = Some(health);
                shown
            }
            Kind::Onbuild(text) => {
                // It is no step of this image.
                self.config().on_build.push(text.clone());
                return Ok(());
            }
            Kind::Maintainer(name) => {
                self.image.author = Some(name.clone());
                format!("MAINTAINER {name}")
            }
            Kind::Workdir(path) => return self.enter(path).map(drop),
            Kind::Run(_) | Kind::Copy(_) | Kind::Add(_) | Kind::Arg(_) => return Ok(()),
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

/// Go's `%q` of a list.
fn go_list(argv: &[String]) -> String {
    format!("[{}]", argv.iter().map(|a| quoted(a)).collect::<Vec<_>>().join(" "))
}

/// Go's `%+v` of docker's HealthcheckConfig.
fn go_health(h: &HealthConfig) -> String {
    let [interval, timeout, period, start] =
        [h.interval, h.timeout, h.start_period, h.start_interval].map(shown_duration);
    format!(
        "{{Test:[{}] Interval:{interval} Timeout:{timeout} StartPeriod:{period} StartInterval:{start} Retries:{}}}",
        h.test.join(" "),
        h.retries
    )
}

fn join(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" ")
}
