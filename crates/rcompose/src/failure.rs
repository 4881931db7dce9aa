//! Failures as the user sees them: what went wrong, where it is written, what helps; and the exit status.

use std::error::Error;
use std::fmt::Display;

use rcompose_build::{BuildError, BuildErrorKind};
use rcompose_engine::{FailureKind, StepFailure};
use rcompose_image::ImageError;
use rcompose_loader::{Code, Diagnostic, LoadError, Place};
use rcompose_machine::{LaunchError, StateError};
use rcompose_model::Origin;
use rcompose_plan::PlanError;
use rcompose_supervisor::ClientError;
use serde_json::json;

use crate::context::{Context, ProgressMode, to_stderr};

/// Why a command ends without having done what it was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// Exit status.
    pub(crate) code: u8,
    pub(crate) kind: FailureKind,
    /// What is wrong; empty when all has been said already.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Lines that are shown indented after the first diagnostic's message.
    pub(crate) detail: Vec<String>,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { code: 1, kind, diagnostics: vec![Diagnostic::error(message)], detail: Vec::new() }
    }

    /// The request can't be done as asked.
    pub(crate) fn user(message: impl Into<String>) -> Self {
        Self::new(FailureKind::User, message)
    }

    /// A service was named that isn't there; `known` are those that are.
    pub(crate) fn no_such_service<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.collect();
        let failure = Self::user(format!("no such service: {name}"));
        match rcompose_loader::nearest(name, known.iter().copied()) {
            Some(near) => failure.hint(format!("did you mean {near}?")),
            None if (1..=12).contains(&known.len()) => {
                failure.hint(format!("there are: {}", known.join(", ")))
            }
            None => failure,
        }
    }

    /// This version can't do it.
    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Unsupported, message)
    }

    /// The machine refused: `failed to {doing}: {cause}`.
    pub(crate) fn io(doing: impl Display, cause: &dyn Error) -> Self {
        Self::new(FailureKind::Environment, format!("failed to {doing}: {}", with_causes(cause)))
    }

    /// All has been said; only the exit status is left.
    pub(crate) fn silent(code: u8) -> Self {
        Self { code, kind: FailureKind::User, diagnostics: Vec::new(), detail: Vec::new() }
    }

    /// Adds what helps.
    #[must_use]
    pub(crate) fn hint(mut self, text: impl Into<String>) -> Self {
        if let Some(d) = self.diagnostics.last_mut() {
            d.help.push(text.into());
        }
        self
    }

    /// Adds a place, unless there is one.
    #[must_use]
    pub(crate) fn at(mut self, origin: &Origin) -> Self {
        if let Some(d) = self.diagnostics.first_mut()
            && d.place.is_none()
        {
            d.place = place(origin);
        }
        self
    }

    /// Gives the places in a Dockerfile that stands in another file those that they have there; `above` is the line over its
    /// first one.
    #[must_use]
    pub(crate) fn in_block(mut self, above: Option<&Origin>) -> Self {
        let Some(above) = above else { return self };
        let text = std::fs::read_to_string(&above.file).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let inline = self.diagnostics.iter_mut().filter_map(|d| d.place.as_mut());
        for place in inline.filter(|p| p.file.as_os_str() == rcompose_build::INLINE) {
            let number = (above.line + place.line) as usize;
            let Some(line) = number.checked_sub(1).and_then(|n| lines.get(n)) else { continue };
            if !line.trim_start().replace("$$", "$").starts_with(place.text.trim()) {
                continue;
            }
            let blanks = |l: &str| l.chars().take_while(|c| c.is_whitespace()).count();
            let indent = u32::try_from(blanks(line).saturating_sub(blanks(&place.text))).unwrap_or(0);
            let near = |r: std::ops::Range<usize>| {
                lines.get(r).unwrap_or_default().iter().map(|l| (*l).to_owned()).collect()
            };
            let end = (number + place.rest.len()).min(lines.len());
            let around = (near(number.saturating_sub(3)..number - 1), near(end..lines.len().min(end + 2)));
            let line_number = above.line + place.line;
            *place =
                Place::new(above.file.to_path_buf(), line_number, place.column + indent, place.length, line)
                    .through(near(number..end))
                    .between(around.0, around.1);
        }
        self
    }

    /// With another exit status.
    #[must_use]
    pub(crate) fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// Puts words before the first message: `{before}: {message}`.
    #[must_use]
    pub(crate) fn context(mut self, before: impl Display) -> Self {
        if let Some(d) = self.diagnostics.first_mut() {
            d.message = format!("{before}: {}", d.message);
        }
        self
    }

    /// Both; the first decides about status and kind.
    #[must_use]
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.diagnostics.extend(other.diagnostics);
        self.detail.extend(other.detail);
        self
    }

    /// The first message in one line.
    pub(crate) fn text(&self) -> String {
        self.diagnostics.first().map(|d| d.message.clone()).unwrap_or_default()
    }

    /// What helps, if anything does.
    pub(crate) fn help(&self) -> Option<String> {
        let help = &self.diagnostics.first()?.help;
        (!help.is_empty()).then(|| help.join("; "))
    }

    /// Shows it on stderr.
    pub(crate) fn show(&self, cx: &Context) {
        if self.diagnostics.is_empty() {
            return;
        }
        if cx.out.progress == ProgressMode::Json {
            for d in &self.diagnostics {
                to_stderr(&(diagnostic_json(kind_name(self.kind), d) + "\n"));
            }
            return;
        }
        let mut text = cx.out.render(&self.diagnostics);
        for line in &self.detail {
            text.push_str(&format!("  {line}\n"));
        }
        to_stderr(&text);
    }
}

/// One diagnostic as a JSON object on one line.
pub(crate) fn diagnostic_json(kind: &str, d: &Diagnostic) -> String {
    let place = d.place.as_ref();
    json!({
        "error": kind != "warning",
        "kind": kind,
        "code": d.code.map(Code::id),
        "message": d.message,
        "file": place.map(|p| p.file.display().to_string()),
        "line": place.map(|p| p.line).filter(|n| *n > 0),
        "column": place.map(|p| p.column).filter(|n| *n > 0),
        "help": d.help,
    })
    .to_string()
}

fn kind_name(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::User => "user",
        FailureKind::Compose => "compose",
        FailureKind::Unsupported => "unsupported",
        FailureKind::Environment => "environment",
        FailureKind::Internal => "internal",
    }
}

/// An error and its sources in one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(s) = source {
        let cause = s.to_string();
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = s.source();
    }
    text
}

/// A place with the text of its line, read again from the file.
fn place(origin: &Origin) -> Option<Place> {
    if origin.file.as_os_str().is_empty() {
        return None;
    }
    let text = std::fs::read_to_string(&origin.file).unwrap_or_default();
    let line = text.lines().nth((origin.line as usize).checked_sub(1)?).unwrap_or_default();
    let rest = line.chars().skip((origin.column as usize).saturating_sub(1));
    let word = rest.take_while(|c| !c.is_whitespace()).count().max(1);
    // Without its text a place is known by file and line only.
    let known = !line.is_empty();
    let column = if known { origin.column.max(1) } else { 1 };
    Some(Place::new(origin.file.to_path_buf(), origin.line, column, u32::try_from(word).unwrap_or(1), line))
}

impl From<LoadError> for Failure {
    fn from(e: LoadError) -> Self {
        Self { code: 1, kind: FailureKind::Compose, diagnostics: e.diagnostics, detail: Vec::new() }
    }
}

impl From<PlanError> for Failure {
    fn from(e: PlanError) -> Self {
        match e {
            PlanError::NoSuchService { name, known } => {
                Self::no_such_service(&name, known.iter().map(String::as_str))
            }
            PlanError::Refused { message, origin } => {
                let f = Self::new(FailureKind::Compose, message);
                origin.map_or(f.clone(), |o| f.at(&o))
            }
        }
    }
}

impl From<StepFailure> for Failure {
    fn from(e: StepFailure) -> Self {
        let mut f = Self::new(e.kind, e.message);
        if let Some(hint) = e.hint {
            f = f.hint(hint);
        }
        if let Some(origin) = &e.origin {
            f = f.at(origin);
        }
        f.detail = e.detail;
        if let Some(code) = e.exit_code {
            f.code = status(code);
        }
        f
    }
}

impl From<StateError> for Failure {
    fn from(e: StateError) -> Self {
        let denied = match &e {
            StateError::Read { source, .. } | StateError::Write { source, .. } => {
                source.kind() == std::io::ErrorKind::PermissionDenied
            }
            _ => false,
        };
        let failure = Self::from(StepFailure::from(e));
        if denied && !rustix::process::geteuid().is_root() {
            return failure.hint("run it with sudo, or as root");
        }
        failure
    }
}

impl From<LaunchError> for Failure {
    fn from(e: LaunchError) -> Self {
        match e {
            LaunchError::State(e) => e.into(),
            other => Self::new(FailureKind::Environment, with_causes(&other)),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(e: ClientError) -> Self {
        Self::new(FailureKind::Internal, with_causes(&e))
    }
}

impl From<ImageError> for Failure {
    fn from(e: ImageError) -> Self {
        let (kind, hint) = match &e {
            ImageError::NotFound(_) => (FailureKind::User, None),
            ImageError::Ambiguous { .. } => (FailureKind::User, Some("write more of the id")),
            ImageError::InUse(_) => {
                (FailureKind::User, Some("remove the container first, or force it with -f"))
            }
            ImageError::SeveralNames { .. } => {
                (FailureKind::User, Some("name one of them, or force it with -f"))
            }
            ImageError::PartOf { .. } => {
                (FailureKind::User, Some("remove it by that name, with `image rm --platform`"))
            }
            ImageError::DiskFull { .. } => (
                FailureKind::Environment,
                Some(
                    "make room, for example with `rcompose image prune -a`, and try again: nothing half-made is left",
                ),
            ),
            _ => (FailureKind::Environment, None),
        };
        let failure = Self::new(kind, with_causes(&e));
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<BuildError> for Failure {
    fn from(e: BuildError) -> Self {
        let kind = match e.kind {
            BuildErrorKind::Input | BuildErrorKind::Step => FailureKind::User,
            BuildErrorKind::Environment => FailureKind::Environment,
        };
        let mut diagnostics: Vec<Diagnostic> = vec![build_diagnostic(&e)];
        diagnostics.extend(e.more.iter().map(build_diagnostic));
        let detail = e.output_tail.lines().map(str::to_owned).collect();
        Self { code: 1, kind, diagnostics, detail }
    }
}

fn build_diagnostic(e: &BuildError) -> Diagnostic {
    let mut message = e.message.clone();
    if let Some(source) = e.source() {
        message = format!("{message}: {}", with_causes(source));
    }
    let mut d = Diagnostic::error(message);
    let number = |n: usize| u32::try_from(n).unwrap_or(0);
    if e.line > 0 {
        let text = e.snippet.clone().unwrap_or_default();
        let rest = text.chars().skip(e.column.saturating_sub(1)).count().max(1);
        let length = if e.length > 0 { e.length.min(rest) } else { rest };
        d.place = Some(
            Place::new(e.file.clone().into(), number(e.line), number(e.column.max(1)), number(length), &text)
                .through(e.rest.clone())
                .between(e.around.0.clone(), e.around.1.clone()),
        );
    }
    d.help.extend(e.help.clone());
    d
}

/// A container's status as an exit status.
pub(crate) fn status(code: i32) -> u8 {
    u8::try_from(code & 0xff).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_from_its_file() {
        let path = std::env::temp_dir().join(format!("rc-failure-{}.yaml", std::process::id()));
        std::fs::write(&path, "services:\n  web:\n    image: nginx # here\n").unwrap();
        let origin = Origin { file: path.as_path().into(), line: 3, column: 12 };
        let f = Failure::user("no").at(&origin);
        let p = f.diagnostics[0].place.clone().unwrap();
        assert_eq!((p.line, p.column, p.length, p.text.as_str()), (3, 12, 5, "    image: nginx # here"));
        // A file that has gone, and no place at all.
        std::fs::remove_file(&path).unwrap();
        assert_eq!(Failure::user("no").at(&origin).diagnostics[0].place.as_ref().unwrap().text, "");
        assert!(Failure::user("no").at(&Origin::default()).diagnostics[0].place.is_none());
    }

    #[test]
    fn a_dockerfile_inside_a_file_has_its_lines() {
        let path = std::env::temp_dir().join(format!("rc-inline-{}.yaml", std::process::id()));
        std::fs::write(&path, "build:\n  dockerfile_inline: |\n    FROM a\n\n      RNU $$b\n").unwrap();
        let above = Origin { file: path.as_path().into(), line: 2, column: 3 };
        let at = |line, column, text: &str| {
            let mut f = Failure::user("no");
            f.diagnostics[0].place = Some(Place::new(rcompose_build::INLINE.into(), line, column, 3, text));
            f.in_block(Some(&above)).diagnostics.remove(0).place.unwrap()
        };
        let there = at(3, 3, "  RNU $b");
        assert_eq!((there.file.as_path(), there.line, there.column), (path.as_path(), 5, 7));
        assert_eq!((there.text.as_str(), there.around.0.len()), ("      RNU $$b", 2));
        // What a variable has changed keeps its place in the Dockerfile.
        assert_eq!(at(1, 1, "FROM b").file.as_os_str(), rcompose_build::INLINE);
        assert_eq!(at(9, 1, "FROM b").line, 9);
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn causes_are_said_once() {
        let e =
            LaunchError::State(StateError::Read { path: "/x".into(), source: std::io::Error::other("gone") });
        assert_eq!(with_causes(&e), "failed to read /x: gone");
        assert_eq!(status(127), 127);
        assert_eq!(status(-1), 255);
    }
}
