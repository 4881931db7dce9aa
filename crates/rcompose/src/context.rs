//! What every command needs: environment, places, global flags, how to write to the terminal.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rcompose_engine::FailureKind;
use rcompose_loader::{Diagnostic, LoadOptions, LoadRequest, Loaded};
use rcompose_machine::{Dirs, ProjectRecord};
use rcompose_model::{Project, ProjectName, Service, ServiceName};

use crate::args::Global;
use crate::env::{Env, Registries};
use crate::failure::Failure;
use crate::pictures::with_used;
use crate::remote::Files;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProgressMode {
    /// Lines that change in place.
    Tty,
    /// One line for each change.
    Plain,
    /// One JSON object a line.
    Json,
    /// Nothing but errors.
    Quiet,
}

/// How to write to the terminal.
#[derive(Debug, Clone)]
pub(crate) struct Out {
    /// Colours on stdout.
    pub(crate) color_stdout: bool,
    /// Colours on stderr.
    pub(crate) color_stderr: bool,
    /// Stdout is a terminal.
    pub(crate) stdout_tty: bool,
    /// How progress is shown, on stderr.
    pub(crate) progress: ProgressMode,
    /// Columns of the terminal.
    pub(crate) width: usize,
}

/// What every command needs.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) env: Env,
    pub(crate) dirs: Dirs,
    pub(crate) global: Global,
    pub(crate) out: Out,
}

impl Context {
    pub(crate) fn new(env: Env, global: Global) -> Self {
        let out = Out::new(&env, &global);
        let dirs = env.dirs();
        Self { env, dirs, global, out }
    }

    /// Loads the project; `services` are those named on the command line (their profiles count as active).
    /// Warnings go to stderr.
    pub(crate) fn load(&self, services: &[String]) -> Result<Loaded, Failure> {
        self.load_to_build(services, true)
    }

    /// As [`Self::load`], for a verb that builds the services that are named, and with `dependencies` those that they
    /// depend on: what is doubtful in the `build` of another one isn't told.
    pub(crate) fn load_to_build(&self, services: &[String], dependencies: bool) -> Result<Loaded, Failure> {
        let mut request = self.request(services)?;
        request.options = LoadOptions { all_resources: self.global.all_resources, ..LoadOptions::default() };
        let mut loaded = rcompose_loader::load(&request, &self.sources())?;
        if let Some(built) = built(&loaded.project, services, dependencies) {
            loaded.warnings.retain(|w| w.build_of.as_ref().is_none_or(|s| built.contains(s.as_str())));
        }
        self.warn_all(&loaded.warnings);
        Ok(loaded)
    }

    /// As [`Self::load`], leaving steps out (`config --no-…`). `--all-resources` is added.
    pub(crate) fn load_with(&self, services: &[String], options: LoadOptions) -> Result<Loaded, Failure> {
        let mut request = self.request(services)?;
        request.options =
            LoadOptions { all_resources: options.all_resources || self.global.all_resources, ..options };
        let loaded = rcompose_loader::load(&request, &self.sources())?;
        self.warn_all(&loaded.warnings);
        Ok(loaded)
    }

    /// The project if there is a Compose file, else its name alone, if `-p` or `COMPOSE_PROJECT_NAME` gives one: for
    /// commands that also work from the records (`down`, `stop`, `ps`, …).
    pub(crate) fn load_or_name(&self, services: &[String]) -> Result<(ProjectName, Option<Loaded>), Failure> {
        let request = self.request(services)?;
        match rcompose_loader::load(&request, &self.sources()) {
            Ok(loaded) => {
                self.warn_all(&loaded.warnings);
                Ok((loaded.project.name.clone(), Some(loaded)))
            }
            Err(e) if self.name_is_given() && is_missing_file(&e.diagnostics) => {
                Ok((rcompose_loader::project_name(&request, &self.sources())?, None))
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Only the project's name: cheap, and enough for everything that reads records.
    pub(crate) fn project_name(&self) -> Result<ProjectName, Failure> {
        Ok(rcompose_loader::project_name(&self.request(&[])?, &self.sources())?)
    }

    /// What the loader reads from.
    pub(crate) fn sources(&self) -> Files {
        let own = match (self.env.get("RCOMPOSE_ROOT"), rustix::process::geteuid().is_root()) {
            (None, false) => self.env.cache(),
            _ => None,
        };
        let (cache, builds) = match own {
            Some(own) => (own.clone(), own.join("builds")),
            None => (self.dirs.remote(), self.dirs.build_cache()),
        };
        // docker compose's flag, which is for projects in registries and not for images.
        let registries =
            Registries { insecure: self.global.insecure_registry.clone(), ..self.env.registries() };
        Files::new(cache, builds, registries, self.env.git())
    }

    /// The request to the loader, as the command line and the environment have it.
    pub(crate) fn request(&self, services: &[String]) -> Result<LoadRequest, Failure> {
        let stdin = match self.global.file.iter().any(|f| f.as_os_str() == "-") {
            true => {
                let mut text = Vec::new();
                // As much as of a file: one byte more tells that it is too large.
                std::io::stdin()
                    .take(rcompose_loader::MAX_FILE + 1)
                    .read_to_end(&mut text)
                    .map_err(|e| Failure::io("read the Compose file from standard input", &e))?;
                Some(text)
            }
            false => None,
        };
        Ok(LoadRequest {
            cwd: self.env.cwd.clone(),
            files: self.global.file.clone(),
            stdin,
            project_name: self.global.project_name.clone(),
            project_directory: self.global.project_directory.clone(),
            profiles: self.global.profile.clone(),
            env_files: self.global.env_file.clone(),
            environment: self.env.all.clone(),
            services: services.to_vec(),
            why: Vec::new(),
            compatibility: self.global.compatibility,
            options: LoadOptions { all_resources: self.global.all_resources, ..LoadOptions::default() },
        })
    }

    /// What is recorded of a project; nothing is started or connected to.
    pub(crate) fn record(&self, project: &ProjectName) -> Result<Option<ProjectRecord>, Failure> {
        Ok(rcompose_machine::read_project(&self.dirs, project)?)
    }

    /// Connects to the project's supervisor; starts one when none runs.
    pub(crate) fn connect(&self, project: &ProjectName) -> Result<UnixStream, Failure> {
        Ok(rcompose_machine::connect(&self.dirs, project, &self.exe()?)?)
    }

    /// Connects to the project's supervisor if one runs.
    pub(crate) fn connect_existing(&self, project: &ProjectName) -> Result<Option<UnixStream>, Failure> {
        Ok(rcompose_machine::connect_existing(&self.dirs, project)?)
    }

    /// This program's file.
    pub(crate) fn exe(&self) -> Result<PathBuf, Failure> {
        std::env::current_exe().map_err(|e| Failure::io("find this program's own file", &e))
    }

    /// Containers are made with rights that only root has.
    pub(crate) fn need_root(&self) -> Result<(), Failure> {
        if rustix::process::geteuid().is_root() {
            return Ok(());
        }
        Err(Failure::new(FailureKind::Environment, "containers can only be made by root in this version")
            .hint("run it with sudo, or as root"))
    }

    /// `--dry-run`.
    pub(crate) fn dry_run(&self) -> bool {
        self.global.dry_run
    }

    /// Prints a warning to stderr.
    pub(crate) fn warn(&self, message: &str) {
        let mut d = Diagnostic::error(message);
        d.severity = rcompose_loader::Severity::Warning;
        self.warn_all(&[d]);
    }

    /// Prints diagnostics to stderr.
    pub(crate) fn warn_all(&self, warnings: &[Diagnostic]) {
        if warnings.is_empty() || self.out.progress == ProgressMode::Quiet {
            return;
        }
        let text = match self.out.progress {
            ProgressMode::Json => {
                warnings.iter().map(|w| crate::failure::diagnostic_json("warning", w) + "\n").collect()
            }
            _ => self.out.render(warnings),
        };
        to_stderr(&text);
    }

    fn name_is_given(&self) -> bool {
        self.global.project_name.is_some() || self.env.get("COMPOSE_PROJECT_NAME").is_some()
    }
}

fn is_missing_file(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|d| d.message.starts_with("no configuration file provided"))
}

/// Service names as typed.
pub(crate) fn service_names(names: &[String]) -> Result<Vec<ServiceName>, Failure> {
    names
        .iter()
        .map(|n| ServiceName::new(n.as_str()).map_err(|_| Failure::user(format!("no such service: {n}"))))
        .collect()
}

/// Writes to stderr. If that can't be written to there is nobody to tell.
pub(crate) fn to_stderr(text: &str) {
    let mut err = std::io::stderr().lock();
    if err.write_all(text.as_bytes()).and_then(|()| err.flush()).is_err() {
        // Nobody reads it.
    }
}

impl Out {
    fn new(env: &Env, global: &Global) -> Self {
        let stdout_tty = std::io::stdout().is_terminal();
        let stderr_tty = std::io::stderr().is_terminal();
        let ansi = global.ansi.as_deref().or(env.get("COMPOSE_ANSI")).unwrap_or("auto");
        let dumb = env.get("NO_COLOR").is_some() || env.get("TERM") == Some("dumb");
        let color = |tty: bool| match ansi {
            "always" => true,
            "never" => false,
            _ => tty && !dumb,
        };
        let progress = match global.progress.as_deref().or(env.get("COMPOSE_PROGRESS")) {
            Some("tty") => ProgressMode::Tty,
            Some("plain") => ProgressMode::Plain,
            Some("json") => ProgressMode::Json,
            Some("quiet") => ProgressMode::Quiet,
            _ if stderr_tty && ansi != "never" && env.get("TERM") != Some("dumb") => ProgressMode::Tty,
            _ => ProgressMode::Plain,
        };
        Self {
            color_stdout: color(stdout_tty),
            color_stderr: color(stderr_tty),
            stdout_tty,
            progress,
            width: width(env, stdout_tty, stderr_tty),
        }
    }

    /// Diagnostics as text for stderr, with a newline at the end. What has no place is said in plain lines.
    pub(crate) fn render(&self, diagnostics: &[Diagnostic]) -> String {
        let mut text = String::new();
        for d in diagnostics {
            if d.place.is_some() {
                if !text.is_empty() {
                    text.push('\n');
                }
                text += &rcompose_loader::render_diagnostics(
                    std::slice::from_ref(d),
                    self.color_stderr,
                    self.width,
                );
                if !text.ends_with('\n') {
                    text.push('\n');
                }
                continue;
            }
            let (word, color) = match d.severity {
                rcompose_loader::Severity::Error => ("error", "1;91"),
                rcompose_loader::Severity::Warning => ("warning", "1;33"),
            };
            text += &format!("{}: {}\n", self.paint(color, word), d.message);
            for help in &d.help {
                text += &format!("{}: {help}\n", self.paint("1;96", "help"));
            }
        }
        text
    }

    fn paint(&self, color: &str, text: &str) -> String {
        if self.color_stderr { format!("\x1b[{color}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn width(env: &Env, stdout_tty: bool, stderr_tty: bool) -> usize {
    let size = match (stdout_tty, stderr_tty) {
        (true, _) => rustix::termios::tcgetwinsize(std::io::stdout()).ok(),
        (_, true) => rustix::termios::tcgetwinsize(std::io::stderr()).ok(),
        _ => None,
    };
    let columns = size.map(|s| usize::from(s.ws_col)).filter(|n| *n > 0);
    columns.or_else(|| env.get("COLUMNS")?.parse().ok()).unwrap_or(120)
}

/// What may be built for the services that are named; `None` if that can't be said, as of none.
fn built<'a>(project: &'a Project, services: &[String], dependencies: bool) -> Option<BTreeSet<&'a str>> {
    let named = service_names(services).ok().filter(|n| !n.is_empty())?;
    let needed = rcompose_plan::needed_services(project, &named, !dependencies).ok()?;
    let needed: Vec<&Service> = needed.iter().filter_map(|n| project.services.get(n)).collect();
    Some(with_used(project, &needed).ok()?.into_iter().map(|s| s.name.as_str()).collect())
}

/// Writes data to stdout. A reader that has gone ends the command quietly with success.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| stdout_failure(&e))
}

/// The failure of a write to stdout.
pub(crate) fn stdout_failure(e: &std::io::Error) -> Failure {
    match e.kind() {
        std::io::ErrorKind::BrokenPipe => Failure::silent(0),
        _ => Failure::io("write to standard output", e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_place_is_plain() {
        let out = Out {
            color_stdout: false,
            color_stderr: false,
            stdout_tty: false,
            progress: ProgressMode::Plain,
            width: 80,
        };
        let d = Diagnostic::error("no such service: x").help("look again");
        assert_eq!(out.render(&[d]), "error: no such service: x\nhelp: look again\n");
    }
}
