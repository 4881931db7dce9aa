//! What is seen when the stages are gone through, nothing being done.

use std::collections::BTreeSet;

use rcompose_image::ImageConfig;

use crate::chmod::Chmod;
use crate::copy::checked_sum;
use crate::dockerfile::{Command, Copy, Dockerfile, Instruction, Kind};
use crate::expand::Lex;
use crate::ignore::{Ignore, clean};
use crate::known::is_for_scans;
use crate::mounts::read_mount;
use crate::plan::{Asked, Base, Plan, plan, replaced};
use crate::solve::Located;
use crate::stage::of_base;
use crate::state::State;
use crate::{BuildError, BuildRequest, ImageSource};

use super::{Linter, Place, of_instruction, of_stage, rules, suggestion, word};

/// A stage as far as it matters here.
#[derive(Clone)]
struct Seen {
    state: State,
    /// The base's variables aren't known.
    blind: bool,
    /// WORKDIR was set in this file.
    workdir: bool,
}

pub(super) fn check(
    linter: &mut Linter,
    file: &Dockerfile,
    req: &BuildRequest,
    ignore: &Ignore,
    (images, all): (&dyn ImageSource, bool),
) -> Result<(), Located> {
    let plan = plan(file, req)?;
    let mut done: Vec<Option<Seen>> = vec![None; file.stages.len()];
    for (number, stage) in file.stages.iter().enumerate() {
        if !all && !plan.needed.contains(&number) {
            continue;
        }
        if let Base::Image(reference) = &plan.bases[number]
            && let Some(wrong) = plan.wrong_name(file, reference, Asked::Base(number))
        {
            return Err((wrong, stage.at));
        }
        let mut seen = begin(&plan, number, &done, file.directives.escape, req, images);
        let (wanted, got) = (&plan.platforms[number], seen.state.image.platform());
        if matches!(plan.bases[number], Base::Image(_))
            && (got.os != wanted.os || got.architecture != wanted.architecture)
        {
            let message = format!(
                "Base image {} was pulled with platform \"{got}\", expected \"{wanted}\" for current build",
                stage.from.image
            );
            linter.add(&rules::INVALID_BASE_IMAGE_PLATFORM, of_stage(stage), message);
        }
        let triggers = std::mem::take(&mut seen.state.image.config.on_build);
        if replaced(file, req, number).is_none() {
            let triggers = of_base(&triggers, stage.at)?;
            let mut once: [Option<Place<'_>>; 3] = [None; 3];
            for one in triggers.iter().chain(&stage.instructions) {
                let mut walk =
                    Walk { linter, req, ignore, plan: &plan, seen: &mut seen, at: of_instruction(one) };
                walk.instruction(one, &mut once).map_err(|e| (e, one.at))?;
            }
        }
        done[number] = Some(seen);
    }
    Ok(())
}

fn begin(
    plan: &Plan,
    number: usize,
    done: &[Option<Seen>],
    escape: char,
    req: &BuildRequest,
    images: &dyn ImageSource,
) -> Seen {
    if let Base::Stage(n) = &plan.bases[number]
        && let Some(seen) = &done[*n]
    {
        return seen.clone();
    }
    let (config, known) = base_config(plan, number, req, images);
    Seen { state: State::new(config, escape), blind: !known, workdir: false }
}

/// The configuration of what a stage stands on, and whether it is known.
pub(crate) fn base_config(
    plan: &Plan,
    number: usize,
    req: &BuildRequest,
    images: &dyn ImageSource,
) -> (ImageConfig, bool) {
    let platform = &plan.platforms[number];
    match &plan.bases[number] {
        Base::Image(reference) => match images.resolve(reference, platform, req.pull) {
            Ok(image) => (image.config, true),
            Err(_) => (ImageConfig::new(platform), false),
        },
        Base::Stage(_) => (ImageConfig::new(platform), false),
        Base::Scratch | Base::Context(_) => (ImageConfig::new(platform), true),
    }
}

struct Walk<'a, 'f> {
    linter: &'a mut Linter,
    req: &'a BuildRequest,
    ignore: &'a Ignore,
    plan: &'a Plan,
    seen: &'a mut Seen,
    at: Place<'f>,
}

impl<'f> Walk<'_, 'f> {
    fn instruction(
        &mut self,
        one: &Instruction,
        once: &mut [Option<Place<'f>>; 3],
    ) -> Result<(), BuildError> {
        let name = word(&one.text);
        match &one.kind {
            Kind::Env(pairs) | Kind::Label(pairs) => {
                for (key, value) in pairs {
                    self.word(key)?;
                    self.word(value)?;
                }
                let env = matches!(one.kind, Kind::Env(_));
                for (key, _) in pairs {
                    // The old form is a single pair without `=`.
                    if !one.text[name.len()..].trim_start().starts_with(&format!("{key}="))
                        && pairs.len() == 1
                    {
                        let message = format!(
                            "\"{name} key=value\" should be used instead of legacy \"{name} key value\" format"
                        );
                        self.linter.add(&rules::LEGACY_KEY_VALUE_FORMAT, self.at, message);
                    }
                    if env {
                        self.secret("ENV", key);
                    }
                }
            }
            Kind::Arg(pairs) => {
                // Each sees those before it.
                for (n, (key, default)) in pairs.iter().enumerate() {
                    self.secret("ARG", key);
                    let given = self.req.args.get(key).is_some_and(Option::is_some);
                    if let Some(default) = default.as_ref().filter(|_| !given) {
                        self.word(default)?;
                    }
                    self.seen.state.declare(&pairs[n..=n], &self.req.args, &self.plan.globals)?;
                }
                return Ok(());
            }
            Kind::Copy(copy) => self.copy(copy, "Copy")?,
            Kind::Add(copy) => self.copy(copy, "Add")?,
            Kind::Run(run) => {
                for (number, mount) in run.mounts.iter().enumerate() {
                    read_mount(&self.seen.state, number, mount)?;
                    for field in mount.split(',') {
                        self.word(field.split_once('=').map_or("", |(_, v)| v))?;
                    }
                }
            }
            Kind::Workdir(path) => {
                let path = self.word(path)?;
                if !self.seen.workdir && !path.starts_with('/') {
                    let message = format!(
                        "Relative workdir {path:?} can have unexpected results if the base image changes"
                    );
                    self.linter.add(&rules::WORKDIR_RELATIVE_PATH, self.at, message);
                }
                self.seen.workdir = true;
            }
            Kind::User(text) | Kind::Stopsignal(text) => drop(self.word(text)?),
            Kind::Volume(paths) => {
                for path in paths {
                    self.word(path)?;
                }
            }
            Kind::Expose(ports) => self.expose(ports)?,
            Kind::Cmd(command) => self.command(command, name, &mut once[0]),
            Kind::Entrypoint(command) => self.command(command, name, &mut once[1]),
            Kind::Healthcheck(_) => self.once(name, &mut once[2]),
            Kind::Shell(_) | Kind::Onbuild(_) | Kind::Maintainer(_) => {}
        }
        self.seen.state.configure(&one.kind)
    }

    /// Expands a word, and says which of its variables nobody sets.
    fn word(&mut self, text: &str) -> Result<String, BuildError> {
        self.lex(text, Lex::new(self.seen.state.escape))
    }

    fn lex(&mut self, text: &str, lex: Lex) -> Result<String, BuildError> {
        let state = &self.seen.state;
        let mut unmatched = BTreeSet::new();
        let found = lex.process_noting(text, &|n| state.get(n), &mut unmatched).map_err(BuildError::from);
        let names: Vec<String> = state.names().map(str::to_owned).collect();
        let declared: Vec<String> = state.args.iter().map(|(n, _)| n.clone()).collect();
        for name in unmatched.iter().filter(|n| !self.seen.blind && !declared.contains(n) && !is_for_scans(n))
        {
            let near = suggestion(name, names.iter().map(String::as_str));
            let hint = if near.is_empty() { String::new() } else { format!(" (did you mean ${near}?)") };
            let message = format!("Usage of undefined variable '${name}'{hint}");
            self.linter.add(&rules::UNDEFINED_VAR, self.at, message);
        }
        Ok(found?.text)
    }

    fn copy(&mut self, copy: &Copy, verb: &str) -> Result<(), BuildError> {
        let mut flag = |text: &Option<String>| text.as_ref().map(|t| self.word(t)).transpose();
        let (_owner, mode, sum) = (flag(&copy.chown)?, flag(&copy.chmod)?, flag(&copy.checksum)?);
        let sources: Result<Vec<String>, _> = copy.sources.iter().map(|s| self.word(s)).collect();
        let sources = sources?;
        self.word(&copy.target)?;
        if let Some(mode) = mode.filter(|m| !m.is_empty()) {
            Chmod::parse(&mode)?;
        }
        checked_sum(sum, &sources)?;
        for heredoc in copy.heredocs.iter().filter(|h| h.expand) {
            self.lex(&heredoc.text(), Lex { plain_quotes: true, ..Lex::new('\\') })?;
        }
        let looked_at = copy.from.is_none() && !self.ignore.is_empty() && !self.ignore.takes_back();
        for source in sources.iter().filter(|s| looked_at && !crate::git::is_remote(s)) {
            let source = clean(source);
            let root = source == "." || source == "/";
            if (!root || self.ignore.is_all()) && self.ignore.excludes(&source) {
                let message =
                    format!("Attempting to {verb} file {source:?} that is excluded by .dockerignore");
                self.linter.add(&rules::COPY_IGNORED_FILE, self.at, message);
            }
        }
        Ok(())
    }

    fn command(&mut self, command: &Command, name: &str, before: &mut Option<Place<'f>>) {
        self.once(name, before);
        if matches!(command, Command::Shell(_)) && self.seen.state.image.config.shell.is_empty() {
            let message = format!(
                "JSON arguments recommended for {name} to prevent unintended behavior related to OS signals"
            );
            self.linter.add(&rules::JSON_ARGS_RECOMMENDED, self.at, message);
        }
    }

    fn once(&mut self, name: &str, before: &mut Option<Place<'f>>) {
        if let Some(before) = before {
            let message = format!(
                "Multiple {name} instructions should not be used in the same stage because only the last one will be used"
            );
            let at = Place { comments: self.at.comments, ..*before };
            self.linter.add(&rules::MULTIPLE_INSTRUCTIONS_DISALLOWED, at, message);
        }
        *before = Some(self.at);
    }

    fn expose(&mut self, ports: &[String]) -> Result<(), BuildError> {
        for port in ports {
            for port in self.seen.state.expand_words(port)? {
                let protocol = port.rsplit_once('/').map_or("", |(_, p)| p);
                if protocol != protocol.to_lowercase() {
                    let message =
                        format!("Defined protocol '{port}' in EXPOSE instruction should be lowercase");
                    self.linter.add(&rules::EXPOSE_PROTO_CASING, self.at, message);
                }
                if port.split(':').rev().skip(1).any(|p| !p.is_empty()) {
                    let message = format!(
                        "EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'"
                    );
                    self.linter.add(&rules::EXPOSE_INVALID_FORMAT, self.at, message);
                }
            }
        }
        Ok(())
    }

    fn secret(&mut self, instruction: &str, key: &str) {
        const SECRET: [&str; 10] = [
            "apikey",
            "auth",
            "credential",
            "credentials",
            "key",
            "password",
            "pword",
            "passwd",
            "secret",
            "token",
        ];
        const HARMLESS: [&str; 3] = ["public", "file", "version"];
        let lower = key.to_lowercase();
        let has = |words: &[&str]| lower.split('_').any(|w| words.contains(&w));
        if has(&SECRET) && !has(&HARMLESS) {
            let message =
                format!("Do not use ARG or ENV instructions for sensitive data ({instruction} {key:?})");
            self.linter.add(&rules::SECRETS_USED_IN_ARG_OR_ENV, self.at, message);
        }
    }
}
