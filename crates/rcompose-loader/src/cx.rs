use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::diagnostic::{Diagnostic, Place, Severity};
use crate::source::Sources;
use crate::tree::Span;

/// A file that was read.
#[derive(Debug)]
pub(crate) struct SourceFile {
    /// As the user would name it.
    pub(crate) shown: PathBuf,
    pub(crate) text: Rc<str>,
}

/// What one load knows: the files, what was found wrong, the variables.
pub(crate) struct Cx<'a> {
    pub(crate) sources: &'a dyn Sources,
    pub(crate) cwd: PathBuf,
    pub(crate) files: Vec<SourceFile>,
    pub(crate) found: Vec<(Span, Diagnostic)>,
    /// Interpolation environment.
    pub(crate) env: BTreeMap<String, String>,
    /// Names that were warned about already, with their place.
    pub(crate) warned: HashSet<(String, Span)>,
    pub(crate) interpolate: bool,
    pub(crate) resolve_paths: bool,
}

impl<'a> Cx<'a> {
    pub(crate) fn new(sources: &'a dyn Sources, cwd: &Path) -> Self {
        Self {
            sources,
            cwd: cwd.to_owned(),
            files: Vec::new(),
            found: Vec::new(),
            env: BTreeMap::new(),
            warned: HashSet::new(),
            interpolate: true,
            resolve_paths: true,
        }
    }

    /// A path as the user would write it: relative below the working directory.
    pub(crate) fn shown(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.cwd) {
            Ok(rest) if !rest.as_os_str().is_empty() => rest.to_owned(),
            _ => path.to_owned(),
        }
    }

    /// Remembers a file's text; gives its number for spans.
    pub(crate) fn add_file(&mut self, path: &Path, text: &str) -> u16 {
        let shown = self.shown(path);
        self.files.push(SourceFile { shown, text: text.into() });
        u16::try_from(self.files.len()).unwrap_or(u16::MAX)
    }

    pub(crate) fn place(&self, span: Span) -> Option<Place> {
        let file = self.files.get(usize::from(span.file).checked_sub(1)?)?;
        let text = match span.line {
            0 => String::new(),
            n => file.text.lines().nth(n as usize - 1).unwrap_or_default().to_owned(),
        };
        Some(Place {
            file: file.shown.clone(),
            line: span.line,
            column: span.col,
            length: span.len.max(1),
            text,
        })
    }

    pub(crate) fn origin(&self, span: Span) -> rcompose_model::Origin {
        let file = usize::from(span.file).checked_sub(1).and_then(|i| self.files.get(i));
        rcompose_model::Origin {
            file: file.map(|f| f.shown.clone()).unwrap_or_default(),
            line: span.line,
            column: span.col,
        }
    }

    fn push(&mut self, severity: Severity, span: Span, message: String) -> &mut Diagnostic {
        let place = self.place(span);
        self.found
            .push((span, Diagnostic { severity, message, place, related: Vec::new(), help: Vec::new() }));
        &mut self.found.last_mut().expect("pushed just now").1
    }

    pub(crate) fn error(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Severity::Error, span, message.into())
    }

    pub(crate) fn warn(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Severity::Warning, span, message.into())
    }

    pub(crate) fn failed(&self) -> bool {
        self.found.iter().any(|(_, d)| d.severity == Severity::Error)
    }

    /// Everything that was found, by place, each once.
    pub(crate) fn take(&mut self) -> Vec<Diagnostic> {
        let mut all = std::mem::take(&mut self.found);
        all.sort_by_key(|(span, _)| (span.file == 0, span.file, span.line, span.col));
        let mut out: Vec<Diagnostic> = Vec::with_capacity(all.len());
        for (_, d) in all {
            if !out.contains(&d) {
                out.push(d);
            }
        }
        out
    }
}

/// The candidate nearest to `word`, if one is near enough to be meant.
pub(crate) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let limit = (word.chars().count() / 3).clamp(1, 3);
    let simple = |s: &str| s.to_lowercase().replace('-', "_");
    let w = simple(word);
    candidates
        .into_iter()
        .map(|c| (distance(&w, &simple(c)), c))
        .filter(|(d, _)| *d <= limit)
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}

/// Edit distance with transpositions (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut next = vec![i];
        for j in 1..=b.len() {
            let change = row[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(row[j] + 1).min(next[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn nearest_word() {
        let words = ["image", "build", "environment", "depends_on"];
        assert_eq!(nearest("imgae", words), Some("image"));
        assert_eq!(nearest("enviroment", words), Some("environment"));
        assert_eq!(nearest("depends-on", words), Some("depends_on"));
        assert_eq!(nearest("zebra", words), None);
    }
}
