use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use crate::bounds::{MAX_FOUND, Spent};
use crate::chain::Chain;
use crate::code::Code;
use crate::diagnostic::{Diagnostic, Place, Severity};
use crate::prune::Holes;
use crate::source::Sources;
use crate::tree::Span;
use crate::why::Trace;

/// So many services are named to choose from.
const SHOWN_SERVICES: usize = 8;

/// A file that was read.
#[derive(Debug)]
pub(crate) struct SourceFile {
    /// As the user would name it.
    pub(crate) shown: Arc<Path>,
    pub(crate) text: Rc<str>,
    /// What led to it, if another file did.
    because: Option<(Span, &'static str)>,
    /// Where each line begins, once somebody asks.
    lines: OnceCell<Vec<u32>>,
}

impl SourceFile {
    fn line(&self, number: u32) -> &str {
        let starts = self.lines.get_or_init(|| {
            let breaks = self.text.match_indices('\n').map(|(i, _)| i as u32 + 1);
            std::iter::once(0).chain(breaks).collect()
        });
        let start = (number as usize).checked_sub(1).and_then(|n| starts.get(n));
        let rest = start.map_or("", |s| &self.text[*s as usize..]);
        rest.lines().next().unwrap_or_default()
    }
}

/// Something that was found.
struct Found {
    span: Span,
    /// The service that was looked at.
    subject: Option<String>,
    diagnostic: Diagnostic,
}

/// What one load knows: the files, what was found wrong, the variables.
pub(crate) struct Cx<'a> {
    pub(crate) sources: &'a dyn Sources,
    pub(crate) cwd: PathBuf,
    /// Directories of remote projects, and the addresses to which paths in them are added.
    pub(crate) elsewhere: Vec<(PathBuf, String)>,
    pub(crate) files: Vec<SourceFile>,
    found: Vec<Found>,
    /// How many warnings and errors there were; not all of them are kept.
    count: [usize; 2],
    /// Takes what is added to one that isn't kept.
    spare: Diagnostic,
    /// What the load has cost.
    pub(crate) spent: Spent,
    /// Interpolation environment.
    pub(crate) env: BTreeMap<String, String>,
    /// How places came to count.
    pub(crate) chain: Chain,
    /// The service that is looked at.
    pub(crate) subject: Option<String>,
    /// What got lost and what was implied, if somebody asks.
    pub(crate) trace: Option<Trace>,
    /// Variables that were warned about: which of `found`, and how often.
    unset: HashMap<String, (usize, usize)>,
    /// Files whose lines are referred to, each once.
    lines_of: HashMap<PathBuf, u16>,
    /// Names of attributes, shared by all services.
    pub(crate) names: HashSet<Arc<str>>,
    /// What was wrong and has been taken out.
    pub(crate) holes: Holes,
    pub(crate) interpolate: bool,
    pub(crate) resolve_paths: bool,
    /// The project's directory, once it is known.
    pub(crate) directory: PathBuf,
    /// What is checked adds to another file, which may have what is missing.
    pub(crate) adds: bool,
    /// What is an error only warns now.
    pub(crate) errors_warn: bool,
}

impl<'a> Cx<'a> {
    pub(crate) fn new(sources: &'a dyn Sources, cwd: &Path) -> Self {
        Self {
            sources,
            cwd: cwd.to_owned(),
            elsewhere: Vec::new(),
            files: Vec::new(),
            found: Vec::new(),
            count: [0; 2],
            spare: Diagnostic::error(""),
            spent: Spent::default(),
            env: BTreeMap::new(),
            chain: Chain::default(),
            subject: None,
            trace: None,
            unset: HashMap::new(),
            lines_of: HashMap::new(),
            names: HashSet::new(),
            holes: Holes::default(),
            interpolate: true,
            resolve_paths: true,
            directory: PathBuf::new(),
            adds: false,
            errors_warn: false,
        }
    }

    /// A path as the user would write it: relative below the working directory; of a remote project its address.
    pub(crate) fn shown(&self, path: &Path) -> PathBuf {
        let remote = |(root, address): &(PathBuf, String)| {
            Some(format!("{address}{}", path.strip_prefix(root).ok()?.display()).into())
        };
        if let Some(address) = self.elsewhere.iter().find_map(remote) {
            return address;
        }
        match path.strip_prefix(&self.cwd) {
            Ok(rest) if !rest.as_os_str().is_empty() => rest.to_owned(),
            _ => path.to_owned(),
        }
    }

    /// Remembers a file's text; gives its number for spans.
    pub(crate) fn add_file(&mut self, path: &Path, text: &str) -> u16 {
        let shown = self.shown(path);
        self.files.push(SourceFile {
            shown: shown.into(),
            text: text.into(),
            because: None,
            lines: OnceCell::new(),
        });
        u16::try_from(self.files.len()).unwrap_or(u16::MAX)
    }

    /// As [`Self::add_file`], for one that may be read several times.
    pub(crate) fn add_file_once(&mut self, path: &Path, text: &str) -> u16 {
        if let Some(number) = self.lines_of.get(path) {
            return *number;
        }
        let number = self.add_file(path, text);
        self.lines_of.insert(path.to_owned(), number);
        number
    }

    /// Notes what led to the files from the number `from` on.
    pub(crate) fn led_to(&mut self, from: usize, at: Span, word: &'static str) {
        for file in self.files.iter_mut().skip(from).filter(|f| f.because.is_none() && at.file > 0) {
            file.because = Some((at, word));
        }
    }

    /// What led to a file.
    pub(crate) fn because(&self, file: u16) -> Option<(Span, &'static str)> {
        self.file(file)?.because
    }

    fn file(&self, number: u16) -> Option<&SourceFile> {
        self.files.get(usize::from(number).checked_sub(1)?)
    }

    /// The whole text of a file.
    pub(crate) fn text(&self, number: u16) -> Rc<str> {
        self.file(number).map_or_else(|| "".into(), |f| f.text.clone())
    }

    pub(crate) fn place(&self, span: Span) -> Option<Place> {
        let file = self.file(span.file)?;
        Some(Place::new(file.shown.to_path_buf(), span.line, span.col, span.len, file.line(span.line)))
    }

    pub(crate) fn origin(&self, span: Span) -> rcompose_model::Origin {
        let file = self.file(span.file);
        rcompose_model::Origin {
            file: file.map_or_else(|| Path::new("").into(), |f| f.shown.clone()),
            line: span.line,
            column: span.col,
        }
    }

    /// The shared form of an attribute's name.
    pub(crate) fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        let name: Arc<str> = name.into();
        self.names.insert(name.clone());
        name
    }

    /// How much was found so far.
    pub(crate) fn so_far(&self) -> (usize, [usize; 2]) {
        (self.found.len(), self.count)
    }

    /// Forgets what was found since: it is found again.
    pub(crate) fn forget(&mut self, since: (usize, [usize; 2])) {
        self.found.truncate(since.0);
        self.count = since.1;
    }

    fn push(&mut self, severity: Severity, span: Span, message: String) -> &mut Diagnostic {
        let severity = if self.errors_warn { Severity::Warning } else { severity };
        let count = &mut self.count[usize::from(severity == Severity::Error)];
        *count += 1;
        if *count > MAX_FOUND {
            self.spare = Diagnostic::error(message);
            return &mut self.spare;
        }
        let place = self.place(span);
        let code = Some(Code::default());
        let diagnostic = Diagnostic { severity, code, place, ..Diagnostic::error(message) };
        self.found.push(Found { span, subject: self.subject.clone(), diagnostic });
        &mut self.found.last_mut().expect("pushed just now").diagnostic
    }

    pub(crate) fn error(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Severity::Error, span, message.into())
    }

    pub(crate) fn warn(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Severity::Warning, span, message.into())
    }

    /// A variable without a value: one warning, with the first places of its use. `place` is only asked for those.
    pub(crate) fn unset(&mut self, name: &str, place: impl FnOnce(&Self) -> Span) {
        const SHOWN: usize = 4;
        let seen = self.unset.get(name).copied();
        if let Some((index, count)) = seen {
            self.unset.insert(name.to_owned(), (index, count + 1));
            if count < SHOWN {
                let at = place(self);
                if let Some(place) = self.place(at) {
                    self.found[index].diagnostic.related.push((place, "used here, too".into()));
                }
            }
            return;
        }
        if self.count[0] >= MAX_FOUND {
            self.count[0] += 1;
            return;
        }
        let at = place(self);
        self.unset.insert(name.to_owned(), (self.found.len(), 1));
        self.warn(at, format!("The {name:?} variable is not set. Defaulting to a blank string."))
            .is(Code::UnsetVariable);
    }

    pub(crate) fn failed(&self) -> bool {
        self.count[1] > 0
    }

    /// How much has been found.
    pub(crate) fn mark(&self) -> usize {
        self.found.len()
    }

    /// Where the errors begin that were found after that.
    pub(crate) fn errors_since(&self, mark: usize) -> BTreeSet<(u16, u32, u32)> {
        let errors = self.found[mark..].iter().filter(|f| f.diagnostic.severity == Severity::Error);
        errors.map(|f| (f.span.file, f.span.line, f.span.col)).collect()
    }

    /// Whether there is any use in looking for more errors.
    pub(crate) fn can_go_on(&self) -> bool {
        !self.is_full() && !self.is_spent()
    }

    /// Whether no more errors are shown: what is found next needs no advice.
    pub(crate) fn is_full(&self) -> bool {
        self.count[1] >= MAX_FOUND
    }

    /// The candidate nearest to `word`, as long as anybody reads of it.
    pub(crate) fn nearest<'c>(
        &self,
        word: &str,
        candidates: impl IntoIterator<Item = &'c str>,
    ) -> Option<&'c str> {
        if self.is_full() { None } else { nearest(word, candidates) }
    }

    /// What to do about the name of a service that isn't there: the one that was meant, or those that there are.
    pub(crate) fn meant<'c>(
        &self,
        word: &str,
        services: impl Iterator<Item = &'c str> + Clone,
    ) -> Option<String> {
        if self.is_full() {
            return None;
        }
        if let Some(near) = nearest(word, services.clone()) {
            return Some(format!("did you mean {near:?}?"));
        }
        let shown: Vec<&str> = services.clone().take(SHOWN_SERVICES).collect();
        let more = services.count() - shown.len();
        Some(match (shown.as_slice(), more) {
            ([], _) => "there is no other: define it in the section `services`".to_owned(),
            (all, 0) => format!("there are: {}", all.join(", ")),
            (some, more) => format!("there are: {} and {more} more", some.join(", ")),
        })
    }

    /// Everything that was found, by place, each once, with how its place came to count.
    pub(crate) fn take(&mut self) -> Vec<Diagnostic> {
        let mut all = std::mem::take(&mut self.found);
        let count = std::mem::take(&mut self.count);
        self.unset.clear();
        all.sort_by_key(|f| (f.span.file == 0, f.span.file, f.span.line, f.span.col));
        let mut told: HashSet<(Span, String)> = HashSet::with_capacity(all.len());
        let mut out: Vec<Diagnostic> = Vec::with_capacity(all.len());
        for Found { span, subject, diagnostic: mut d } in all {
            if self.holes.explain(d.code, span) {
                continue;
            }
            // What is wrong in an anchor's text is wrong once, however many services use it.
            let message = if self.is_shared(span) { anybody(&d.message) } else { d.message.clone() };
            if told.insert((span, message)) {
                self.explain(span, subject.as_deref(), &mut d);
                out.push(d);
            }
        }
        for (count, severity, word) in
            [(count[1], Severity::Error, "errors"), (count[0], Severity::Warning, "warnings")]
        {
            if let Some(more) = count.checked_sub(MAX_FOUND).filter(|more| *more > 0) {
                out.push(Diagnostic { severity, ..Diagnostic::error(format!("and {more} more {word}")) });
            }
        }
        out
    }
}

/// A message without the name of the service that it is about.
fn anybody(message: &str) -> String {
    for (before, end) in [("services.", '.'), ("service \"", '"')] {
        if let Some((head, rest)) = message.split_once(before) {
            let tail = rest.split_once(end).map_or("", |(_, tail)| tail);
            return format!("{head}{before}*{end}{tail}");
        }
    }
    message.to_owned()
}

/// The candidate nearest to `word`, if one is near enough to be meant.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let limit = (word.chars().count() / 3).clamp(1, 3);
    let simple = |s: &str| s.to_lowercase().replace('-', "_");
    let w = simple(word);
    let candidates: Vec<&str> = candidates.into_iter().take(1_000).collect();
    // `healthy` for `service_healthy`.
    let mut part = candidates.iter().filter(|c| w.len() > 2 && c.split('_').any(|p| p == w));
    if let (Some(one), None) = (part.next(), part.next()) {
        return Some(one);
    }
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
        assert_eq!(nearest("healthy", ["service_started", "service_healthy"]), Some("service_healthy"));
    }
}
