//! One logical line to a typed instruction.

use super::lines::{Logical, heredoc_word, logical_lines};
use super::words::{Word, json_form, nearest, split_words};
use super::{Command, Copy, From, Health, Instruction, Kind, ParseError, Position, Run};

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

pub(super) enum Parsed {
    From(From),
    Other(Kind),
}

/// An ONBUILD trigger as an instruction at the FROM that pulls it in.
pub(crate) fn instruction_at(text: &str, at: Position) -> Result<Instruction, Vec<ParseError>> {
    let mut errors = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    let logical = logical_lines(&lines, '\\', &mut errors);
    let moved = |mut all: Vec<ParseError>| {
        all.iter_mut().for_each(|e| e.at = at);
        all
    };
    let Some(line) = logical.first().filter(|_| errors.is_empty()) else { return Err(moved(errors)) };
    match instruction(line, '\\').map_err(moved)? {
        Parsed::Other(kind) => Ok(Instruction { at, last_line: at.line, text: line.text.clone(), kind }),
        Parsed::From(_) => Err(vec![ParseError::new(at, "FROM isn't allowed as an ONBUILD trigger")]),
    }
}

/// A flag: name, value, offset.
struct Flag {
    name: String,
    value: Option<String>,
    offset: usize,
}

struct Line<'a> {
    logical: &'a Logical,
    name: &'static str,
    flags: Vec<Flag>,
    /// What follows the flags, and its offset.
    rest: &'a str,
    offset: usize,
    escape: char,
    errors: Vec<ParseError>,
}

pub(super) fn instruction(logical: &Logical, escape: char) -> Result<Parsed, Vec<ParseError>> {
    let text = logical.text.as_str();
    let word = text.split(char::is_whitespace).next().unwrap_or("");
    let upper = word.to_uppercase();
    let Some(name) = NAMES.into_iter().find(|n| *n == upper) else {
        let mut e = ParseError::new(logical.position(0), format!("unknown instruction `{word}`"));
        if let Some(near) = nearest(word, NAMES) {
            e = e.help(format!("did you mean `{near}`?"));
        }
        return Err(vec![e]);
    };
    let mut line =
        Line { logical, name, flags: Vec::new(), rest: "", offset: word.len(), escape, errors: Vec::new() };
    line.take_flags(&text[word.len()..]);
    if line.rest.is_empty() && name != "MAINTAINER" && (logical.heredocs.is_empty()) {
        line.error(0, format!("{name} needs at least one argument"));
        return Err(line.errors);
    }
    let parsed = line.parse();
    if line.errors.is_empty() { Ok(parsed) } else { Err(line.errors) }
}

impl<'a> Line<'a> {
    fn error(&mut self, offset: usize, message: impl Into<String>) {
        self.errors.push(ParseError::new(self.logical.position(offset), message));
    }

    fn error_help(&mut self, offset: usize, message: impl Into<String>, help: impl Into<String>) {
        self.errors.push(ParseError::new(self.logical.position(offset), message).help(help));
    }

    fn take_flags(&mut self, rest: &'a str) {
        let mut rest = rest;
        loop {
            let trimmed = rest.trim_start();
            self.offset = self.logical.text.len() - trimmed.len();
            self.rest = trimmed.trim_end();
            if !trimmed.starts_with("--") || self.name == "CMD" || self.name == "ENTRYPOINT" {
                return;
            }
            let Some(word) = split_words(trimmed, self.escape).into_iter().next() else { return };
            if word.text == "--" {
                self.rest = trimmed[2..].trim();
                return;
            }
            let body = &word.text[2..];
            let (name, value) = body.split_once('=').map_or((body, None), |(n, v)| (n, Some(unquote(v))));
            self.flags.push(Flag { name: name.to_owned(), value, offset: self.offset });
            rest = &trimmed[word.text.len()..];
        }
    }

    /// Takes the flags that the instruction knows; any other is an error.
    fn flags(&mut self, known: &[&str]) -> Vec<Flag> {
        let all = std::mem::take(&mut self.flags);
        let (good, bad): (Vec<_>, Vec<_>) = all.into_iter().partition(|f| known.contains(&f.name.as_str()));
        for flag in bad {
            let message = format!("unknown flag `--{}` of {}", flag.name, self.name);
            match nearest(&flag.name, known.iter().copied()) {
                Some(near) => self.error_help(flag.offset, message, format!("did you mean `--{near}`?")),
                None if known.is_empty() => {
                    self.error_help(flag.offset, message, format!("{} has no flags", self.name));
                }
                None => {
                    let list = known.iter().map(|k| format!("--{k}")).collect::<Vec<_>>().join(", ");
                    self.error_help(flag.offset, message, format!("{} has {list}", self.name));
                }
            }
        }
        good
    }

    fn value(&mut self, flag: Flag) -> String {
        match flag.value {
            Some(v) => v,
            None => {
                self.error(flag.offset, format!("flag `--{}` needs a value", flag.name));
                String::new()
            }
        }
    }

    fn truth(&mut self, flag: &Flag) -> bool {
        match flag.value.as_deref() {
            None | Some("true" | "1") => true,
            Some("false" | "0") => false,
            Some(other) => {
                self.error(flag.offset, format!("flag `--{}` is true or false, not `{other}`", flag.name));
                false
            }
        }
    }

    fn words(&self) -> Vec<Word> {
        let mut words = split_words(self.rest, self.escape);
        words.iter_mut().for_each(|w| w.offset += self.offset);
        words
    }

    /// Words or a JSON array.
    fn list(&self) -> Vec<String> {
        json_form(self.rest).unwrap_or_else(|| self.words().into_iter().map(|w| w.text).collect())
    }

    fn command(&self) -> Command {
        json_form(self.rest).map_or_else(|| Command::Shell(self.rest.to_owned()), Command::Exec)
    }

    /// Exactly one argument.
    fn single(&mut self) -> String {
        if self.words().len() != 1 {
            self.error(self.offset, format!("{} takes exactly one argument", self.name));
        }
        self.rest.to_owned()
    }

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
            "USER" => Kind::User(self.single()),
            "ENTRYPOINT" => Kind::Entrypoint(self.command()),
            "CMD" => Kind::Cmd(self.command()),
            "EXPOSE" => Kind::Expose(self.list()),
            "VOLUME" => Kind::Volume(self.list()),
            "STOPSIGNAL" => Kind::Stopsignal(self.single()),
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
        let words = self.words();
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
            _ => self.error_help(
                words.get(1).map_or(0, |w| w.offset),
                "FROM takes one image, or three arguments",
                "write `FROM image` or `FROM image AS name`",
            ),
        }
        From { image: words.first().map(|w| w.text.clone()).unwrap_or_default(), platform, name }
    }

    fn run(&mut self) -> Run {
        let (mut mounts, mut network, mut security) = (Vec::new(), None, None);
        for flag in self.flags(&["mount", "network", "security"]) {
            let (kind, offset) = (flag.name.clone(), flag.offset);
            let value = self.value(flag);
            match kind.as_str() {
                "mount" => mounts.push(value),
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
        Run { command: self.command(), mounts, network, security, heredocs }
    }

    fn copy(&mut self, known: &[&str]) -> Copy {
        let mut copy = Copy { heredocs: self.logical.heredocs.clone(), ..Copy::default() };
        for flag in self.flags(known) {
            match flag.name.as_str() {
                "link" => copy.link = self.truth(&flag),
                "parents" => copy.parents = self.truth(&flag),
                "keep-git-dir" => copy.keep_git_dir = self.truth(&flag),
                "unpack" => copy.unpack = Some(self.truth(&flag)),
                "from" => copy.from = Some(self.value(flag)),
                "chown" => copy.chown = Some(self.value(flag)),
                "chmod" => copy.chmod = Some(self.value(flag)),
                "checksum" => copy.checksum = Some(self.value(flag)),
                _ => {
                    let pattern = self.value(flag);
                    copy.exclude.push(pattern);
                }
            }
        }
        let mut words = match json_form(self.rest) {
            Some(list) => list,
            None => {
                let words = self.words();
                words.into_iter().filter(|w| heredoc_word(w).is_none()).map(|w| w.text).collect()
            }
        };
        copy.target = words.pop().unwrap_or_default();
        if words.is_empty() && copy.heredocs.is_empty() {
            self.error_help(
                0,
                format!("{} needs at least a source and a destination", self.name),
                format!("write `{} <source>… <destination>`", self.name),
            );
        }
        copy.sources = words;
        copy
    }

    /// `a=b c="d e"`, or the old form `a the rest`.
    fn pairs(&mut self) -> Vec<(String, String)> {
        let words = self.words();
        let Some(first) = words.first() else { return Vec::new() };
        if !first.text.contains('=') {
            let key = first.text.clone();
            let value = self.rest[key.len()..].trim_start().to_owned();
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
        match json_form(self.rest) {
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
        } else if !NAMES.contains(&word.as_str()) {
            self.error(self.offset, format!("unknown instruction `{word}`"));
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
        let flags = self.flags(&["interval", "timeout", "start-period", "start-interval", "retries"]);
        for flag in flags {
            let (name, offset) = (flag.name.clone(), flag.offset);
            let value = self.value(flag);
            let parsed =
                if name == "retries" { value.parse().ok() } else { crate::text::go_duration(&value) };
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
            "NONE" if after.is_empty() => return None,
            "CMD" if !after.is_empty() => {
                health.command =
                    json_form(after).map_or_else(|| Command::Shell(after.to_owned()), Command::Exec);
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

fn unquote(value: &str) -> String {
    let inner = |q| value.strip_prefix(q).and_then(|v| v.strip_suffix(q));
    inner('"').or_else(|| inner('\'')).unwrap_or(value).to_owned()
}
