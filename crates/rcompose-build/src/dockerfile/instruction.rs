//! One logical line to a typed instruction.

use super::arguments::Line;
use super::device::device;
use super::heredoc::heredoc_word;
use super::lines::{Logical, logical_lines};
use super::words::{BLANK, nearest, split_instruction};
use super::{Command, Copy, Directives, From, Health, Instruction, Kind, ParseError, Position, Run};

const NAMES: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// What may have been meant by a word that no instruction is like.
const UNKNOWN: &str =
    "a line that goes on from the one before needs `\\` at the end of that one; a comment begins with `#`";

/// What follows an instruction's name.
fn form(name: &str) -> &'static str {
    match name {
        "ADD" | "COPY" => "<source>… <destination>",
        "ARG" => "<name>[=<default>]",
        "ENV" | "LABEL" => "<name>=<value>",
        "EXPOSE" => "<port>[/tcp|/udp]",
        "FROM" => "<image> [AS <name>]",
        "HEALTHCHECK" => "CMD <command>` or `HEALTHCHECK NONE",
        "MAINTAINER" => "<name>",
        "ONBUILD" => "<instruction>",
        "SHELL" => "[\"/bin/bash\", \"-c\"]",
        "STOPSIGNAL" => "<signal>",
        "USER" => "<user>[:<group>]",
        "VOLUME" | "WORKDIR" => "<path>",
        _ => "<command>",
    }
}

pub(super) enum Parsed {
    From(From),
    Other(Kind),
}

/// An ONBUILD trigger as an instruction at the FROM that pulls it in.
pub(crate) fn instruction_at(text: &str, at: Position) -> Result<Instruction, Vec<ParseError>> {
    let plain = Directives { syntax: None, escape: '\\', check: None };
    let lines = logical_lines(text, Some(plain));
    let moved = |mut all: Vec<ParseError>| {
        all.iter_mut().for_each(|e| e.at = at);
        all
    };
    let [line] = lines.logical.as_slice() else {
        let mut errors = lines.errors;
        errors.push(ParseError::new(at, "an ONBUILD trigger is a single instruction"));
        return Err(moved(errors));
    };
    if !lines.errors.is_empty() {
        return Err(moved(lines.errors));
    }
    match instruction(line, '\\').map_err(moved)? {
        Parsed::Other(kind) => {
            let comments = Vec::new();
            Ok(Instruction { at, last_line: at.line, text: line.text.clone(), comments, kind })
        }
        Parsed::From(_) => Err(vec![ParseError::new(at, "FROM isn't allowed as an ONBUILD trigger")]),
    }
}

/// What is wrong with an ONBUILD trigger whose instruction nobody knows: only builds on top of the image fail with it.
pub(crate) fn unknown_trigger(text: &str) -> Option<String> {
    let word = text.split_whitespace().next().unwrap_or("").to_uppercase();
    if NAMES.contains(&word.as_str()) {
        return None;
    }
    let near = nearest(&word, NAMES).map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
    Some(format!("ONBUILD with the unknown instruction `{word}`{near}: builds on top of the image will fail"))
}

pub(super) fn instruction(logical: &Logical, escape: char) -> Result<Parsed, Vec<ParseError>> {
    let (word, flags, rest) = split_instruction(&logical.text, escape);
    let upper = word.to_uppercase();
    let Some(name) = NAMES.into_iter().find(|n| *n == upper) else {
        let mut e = ParseError::new(logical.position(0), format!("unknown instruction `{word}`"));
        e = e.help(match nearest(word, NAMES) {
            Some(near) => format!("did you mean `{near}`?"),
            None => UNKNOWN.to_owned(),
        });
        return Err(vec![e]);
    };
    let mut line = Line::new(logical, name, flags, rest, escape);
    // Without words, RUN, CMD and ENTRYPOINT give the shell nothing to do.
    if rest.is_empty() && !["RUN", "CMD", "ENTRYPOINT"].contains(&name) {
        line.error_help(
            0,
            format!("{name} needs at least one argument"),
            format!("write `{name} {}`", form(name)),
        );
        return Err(line.errors);
    }
    let parsed = line.parse();
    if line.errors.is_empty() { Ok(parsed) } else { Err(line.errors) }
}

impl Line<'_> {
    fn parse(&mut self) -> Parsed {
        Parsed::Other(match self.name {
            "FROM" => return Parsed::From(self.from()),
            "RUN" => Kind::Run(self.run()),
            "COPY" => Kind::Copy(self.copy(&["from", "chown", "chmod", "link", "parents", "exclude"])),
            "ADD" => Kind::Add(self.copy(&[
                "chown",
                "chmod",
                "link",
                "exclude",
                "checksum",
                "keep-git-dir",
                "unpack",
            ])),
            "HEALTHCHECK" => Kind::Healthcheck(self.health()),
            // As docker, which never looks at their flags.
            "ARG" | "STOPSIGNAL" => self.plain(),
            _ => {
                self.flags(&[]);
                self.plain()
            }
        })
    }

    fn plain(&mut self) -> Kind {
        match self.name {
            "ENV" => Kind::Env(self.pairs()),
            "LABEL" => Kind::Label(self.pairs()),
            "ARG" => Kind::Arg(self.args()),
            "WORKDIR" => Kind::Workdir(self.rest.to_owned()),
            "USER" => Kind::User(self.rest.to_owned()),
            "ENTRYPOINT" => Kind::Entrypoint(self.command()),
            "CMD" => Kind::Cmd(self.command()),
            "EXPOSE" => Kind::Expose(self.expose()),
            "VOLUME" => Kind::Volume(self.volume()),
            "STOPSIGNAL" => Kind::Stopsignal(self.rest.to_owned()),
            "SHELL" => Kind::Shell(self.shell()),
            "ONBUILD" => Kind::Onbuild(self.onbuild()),
            // MAINTAINER, the last of `NAMES`.
            _ => Kind::Maintainer(self.rest.to_owned()),
        }
    }

    fn from(&mut self) -> From {
        let mut platform = None;
        for flag in self.flags(&["platform"]) {
            platform = Some(self.value(flag));
        }
        let words = self.blank_words();
        let mut name = None;
        match words.as_slice() {
            [_] => {}
            [_, keyword, stage] if keyword.text.eq_ignore_ascii_case("AS") => {
                let lower = stage.text.to_lowercase();
                let good = lower.starts_with(|c: char| c.is_ascii_lowercase())
                    && lower.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
                if !good {
                    self.error_help(
                        stage.offset,
                        format!("invalid name `{}` for a build stage", stage.text),
                        "a name begins with a letter and has letters, digits, `-`, `_` and `.`",
                    );
                }
                name = Some(lower);
            }
            _ => {
                let help = match words.iter().any(|w| w.text.starts_with('#')) {
                    true => "a comment stands on a line of its own",
                    false => "write `FROM image` or `FROM image AS name`",
                };
                let offset = words.get(1).map_or(0, |w| w.offset);
                self.error_help(offset, "FROM takes one image, or three arguments", help);
            }
        }
        From { image: words.first().map(|w| w.text.clone()).unwrap_or_default(), platform, name }
    }

    fn run(&mut self) -> Run {
        let (mut mounts, mut devices, mut network, mut security) = (Vec::new(), Vec::new(), None, None);
        for flag in self.flags(&["mount", "device", "network", "security"]) {
            let (kind, offset) = (flag.name.clone(), flag.offset);
            let value = self.value(flag);
            match kind.as_str() {
                "mount" => mounts.push(value),
                "device" => match device(&value) {
                    Ok(device) => devices.push(device),
                    Err(e) => self.error(offset, format!("`--device={value}`: {e}")),
                },
                "network" if ["default", "none", "host"].contains(&value.as_str()) => network = Some(value),
                "network" => {
                    self.error_help(
                        offset,
                        format!("unknown network `{value}`"),
                        "use default, none or host",
                    );
                }
                _ if ["sandbox", "insecure"].contains(&value.as_str()) => security = Some(value),
                _ => self.error_help(
                    offset,
                    format!("unknown security mode `{value}`"),
                    "use sandbox or insecure",
                ),
            }
        }
        let heredocs = self.logical.heredocs.clone();
        Run { command: self.command(), mounts, devices, network, security, heredocs }
    }

    fn copy(&mut self, known: &[&str]) -> Copy {
        let mut copy = Copy { heredocs: self.logical.heredocs.clone(), ..Copy::default() };
        for flag in self.flags(known) {
            match flag.name.as_str() {
                "link" => copy.link = self.truth(&flag),
                "parents" => copy.parents = self.truth(&flag),
                "keep-git-dir" => copy.keep_git_dir = self.truth(&flag),
                "unpack" => copy.unpack = Some(self.truth(&flag)),
                "from" => copy.from = Some(self.value(flag)).filter(|f| !f.is_empty()),
                "chown" => copy.chown = Some(self.value(flag)),
                "chmod" => copy.chmod = Some(self.value(flag)),
                "checksum" => copy.checksum = Some(self.value(flag)),
                _ => {
                    let pattern = self.value(flag);
                    copy.exclude.push(pattern);
                }
            }
        }
        let mut words = self.list();
        copy.target = words.pop().unwrap_or_default();
        if heredoc_word(&copy.target).is_some() {
            self.error(self.offset, format!("the destination of {} can't be a heredoc", self.name));
        } else if words.is_empty() {
            self.error_help(
                0,
                format!("{} needs at least a source and a destination", self.name),
                format!("write `{} <source>… <destination>`", self.name),
            );
        }
        // In the JSON form there is none.
        if !copy.heredocs.is_empty() {
            words.retain(|w| heredoc_word(w).is_none());
        }
        copy.sources = words;
        copy
    }

    /// In the order in which docker shows them.
    fn expose(&self) -> Vec<String> {
        let mut ports: Vec<String> = self.blank_words().into_iter().map(|w| w.text).collect();
        ports.sort();
        ports
    }

    fn volume(&mut self) -> Vec<String> {
        let all: Vec<String> = self.list().iter().map(|v| v.trim().to_owned()).collect();
        if all.is_empty() {
            self.error(self.offset, "VOLUME needs at least one path");
        }
        if all.iter().any(String::is_empty) {
            self.error(self.offset, "VOLUME with an empty path");
        }
        all
    }

    /// `a=b c="d e"`, or the old form `a the rest`.
    fn pairs(&mut self) -> Vec<(String, String)> {
        let words = self.words();
        let Some(first) = words.first() else { return Vec::new() };
        if !first.text.contains('=') {
            let key = first.text.clone();
            let key = key.split(BLANK).next().unwrap_or("").to_owned();
            let value = self.rest[key.len()..].trim_start_matches(BLANK).to_owned();
            if value.is_empty() {
                self.error_help(
                    self.offset,
                    format!("{} `{key}` has no value", self.name),
                    format!("write `{} {key}=value`", self.name),
                );
            }
            return vec![(key, value)];
        }
        let mut pairs = Vec::new();
        for word in words {
            match word.text.split_once('=') {
                Some(("", _)) => self.error(word.offset, format!("{} with an empty name", self.name)),
                Some((key, value)) => pairs.push((key.to_owned(), value.to_owned())),
                None => self.error_help(
                    word.offset,
                    format!("`{}` isn't of the form name=value", word.text),
                    "put a value with spaces into quotes",
                ),
            }
        }
        pairs
    }

    fn args(&mut self) -> Vec<(String, Option<String>)> {
        let mut args = Vec::new();
        for word in self.words() {
            let (key, value) = word
                .text
                .split_once('=')
                .map_or((word.text.as_str(), None), |(k, v)| (k, Some(v.to_owned())));
            if key.is_empty() {
                self.error(word.offset, "ARG with an empty name");
            }
            args.push((key.to_owned(), value));
        }
        args
    }

    fn shell(&mut self) -> Vec<String> {
        match self.json(self.rest) {
            Some(list) if !list.is_empty() => list,
            _ => {
                let help = "write it as a JSON array: SHELL [\"/bin/bash\", \"-c\"]";
                self.error_help(self.offset, "SHELL needs the exec form", help);
                Vec::new()
            }
        }
    }

    fn onbuild(&mut self) -> String {
        let word = self.rest.split_whitespace().next().unwrap_or("").to_uppercase();
        if ["ONBUILD", "FROM", "MAINTAINER"].contains(&word.as_str()) {
            self.error(self.offset, format!("{word} isn't allowed as an ONBUILD trigger"));
        }
        let mut text = self.rest.to_owned();
        for heredoc in &self.logical.heredocs {
            text.push('\n');
            text.push_str(&heredoc.content);
            text.push_str(&heredoc.name);
        }
        text
    }

    fn health(&mut self) -> Option<Health> {
        let mut health = Health {
            command: Command::Exec(Vec::new()),
            interval: 0,
            timeout: 0,
            start_period: 0,
            start_interval: 0,
            retries: 0,
        };
        // NONE ignores them, in docker as well.
        if self.rest.eq_ignore_ascii_case("NONE") {
            return None;
        }
        let flags = self.flags(&["interval", "timeout", "start-period", "start-interval", "retries"]);
        for flag in flags {
            let (name, offset) = (flag.name.clone(), flag.offset);
            let value = self.value(flag);
            let parsed = if name == "retries" {
                value.parse().ok().filter(|n| (0..=i64::from(i32::MAX)).contains(n))
            } else {
                crate::text::go_duration(&value)
            };
            let least = if name == "retries" { 1 } else { 1_000_000 };
            if parsed.is_some_and(|n| (1..least).contains(&n)) {
                self.error(offset, format!("`--{name}={value}` is shorter than a millisecond"));
            }
            let Some(number) = parsed.filter(|n| *n >= 0) else {
                let what = if name == "retries" { "a number" } else { "a duration such as 30s or 1m30s" };
                self.error(offset, format!("`--{name}={value}` isn't {what}"));
                continue;
            };
            match name.as_str() {
                "interval" => health.interval = number,
                "timeout" => health.timeout = number,
                "start-period" => health.start_period = number,
                "start-interval" => health.start_interval = number,
                _ => health.retries = number,
            }
        }
        let word = self.rest.split_whitespace().next().unwrap_or("");
        let after = self.rest[word.len()..].trim();
        match word.to_uppercase().as_str() {
            "CMD" if !after.is_empty() => {
                health.command =
                    self.json(after).map_or_else(|| Command::Shell(after.to_owned()), Command::Exec);
                if health.command == Command::Exec(Vec::new()) {
                    self.error(self.offset, "HEALTHCHECK CMD needs a command");
                }
            }
            "CMD" => self.error(self.offset, "HEALTHCHECK CMD needs a command"),
            "NONE" => self.error(self.offset, "HEALTHCHECK NONE takes no arguments"),
            _ => self.error_help(
                self.offset,
                format!("unknown type `{word}` of HEALTHCHECK"),
                "use `HEALTHCHECK CMD command` or `HEALTHCHECK NONE`",
            ),
        }
        Some(health)
    }
}
