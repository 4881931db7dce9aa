use std::path::PathBuf;

use rcompose_model::Origin;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is done.
    Error,
    /// It goes on.
    Warning,
}

/// A place in a file, with the text of its line: a diagnostic can be shown when the file is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as the user would name it.
    pub file: PathBuf,
    /// Line, from 1; 0 when only the file is known.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Length in characters.
    pub length: u32,
    /// The whole line.
    pub text: String,
}

impl Place {
    /// Without the text.
    pub fn origin(&self) -> Origin {
        Origin { file: self.file.clone(), line: self.line, column: self.column }
    }
}

/// One thing that is wrong, or doubtful.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// Where.
    pub place: Option<Place>,
    /// Other places that belong to it, with a word for each.
    pub related: Vec<(Place, String)>,
    /// What to do.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// An error without a place.
    pub fn error(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            place: None,
            related: Vec::new(),
            help: Vec::new(),
        }
    }

    /// Adds what to do.
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }
}

/// Nothing could be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.summary())]
pub struct LoadError {
    /// All that was found, errors first found first; at least one error.
    pub diagnostics: Vec<Diagnostic>,
}

impl LoadError {
    fn summary(&self) -> String {
        let errors = || self.diagnostics.iter().filter(|d| d.severity == Severity::Error);
        let more = errors().count().saturating_sub(1);
        let first = errors().next().map(|d| d.message.clone()).unwrap_or_default();
        if more == 0 { first } else { format!("{first} (and {more} more)") }
    }
}

impl From<Diagnostic> for LoadError {
    fn from(d: Diagnostic) -> Self {
        Self { diagnostics: vec![d] }
    }
}

/// Draws diagnostics as rustc does: place, line, the span marked, help.
pub fn render_diagnostics(all: &[Diagnostic], color: bool, width: usize) -> String {
    let renderer =
        if color { annotate_snippets::Renderer::styled() } else { annotate_snippets::Renderer::plain() };
    let renderer = renderer.term_width(width.max(40));
    let mut out = String::new();
    for d in all {
        out.push_str(&render_one(&renderer, d));
        out.push('\n');
    }
    out
}

/// Very long lines are cut around the span: nobody reads a megabyte.
fn window(place: &Place) -> (String, usize, usize) {
    const BEFORE: usize = 60;
    const WIDTH: usize = 160;
    let start = (place.column.max(1) - 1) as usize;
    let skip = if place.text.len() > WIDTH { start.saturating_sub(BEFORE) } else { 0 };
    let shown: String = place.text.chars().skip(skip).take(WIDTH).collect();
    let from = shown.char_indices().nth(start - skip).map_or(shown.len(), |(i, _)| i);
    let to =
        shown[from..].char_indices().nth(place.length.max(1) as usize).map_or(shown.len(), |(i, _)| from + i);
    (shown, from, to)
}

fn render_one(renderer: &annotate_snippets::Renderer, d: &Diagnostic) -> String {
    use annotate_snippets::{AnnotationKind, Level, Snippet};
    let level = if d.severity == Severity::Error { Level::ERROR } else { Level::WARNING };
    let Some(place) = d.place.as_ref() else {
        let group = level.primary_title(d.message.as_str());
        let mut report = annotate_snippets::Group::with_title(group);
        for help in &d.help {
            report = report.element(Level::HELP.message(help.as_str()));
        }
        return renderer.render(&[report]);
    };
    let path = place.file.display().to_string();
    let mut report = annotate_snippets::Group::with_title(level.primary_title(d.message.as_str()));
    if place.line == 0 {
        report = report.element(annotate_snippets::Origin::path(path.as_str()));
        for help in &d.help {
            report = report.element(Level::HELP.message(help.as_str()));
        }
        return renderer.render(&[report]);
    }
    let (text, from, to) = window(place);
    report = report.element(
        Snippet::source(text.as_str())
            .line_start(place.line as usize)
            .path(path.as_str())
            .annotation(AnnotationKind::Primary.span(from..to)),
    );
    let drawn: Vec<(String, usize, usize, String)> = d
        .related
        .iter()
        .map(|(p, _)| {
            let (text, from, to) = window(p);
            (text, from, to, p.file.display().to_string())
        })
        .collect();
    for ((p, word), (text, from, to, path)) in d.related.iter().zip(&drawn) {
        report = report.element(
            Snippet::source(text.as_str())
                .line_start(p.line as usize)
                .path(path.as_str())
                .annotation(AnnotationKind::Context.span(*from..*to).label(word.as_str())),
        );
    }
    for help in &d.help {
        report = report.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[report])
}
