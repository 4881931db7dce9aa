//! Why a place counts: which file led to it, which alias, which `extends`, which variable.
//!
//! All of it stands in tables beside the trees, filled while loading and read only when something is to be told.

use std::collections::BTreeMap;

use crate::code::Code;
use crate::cx::Cx;
use crate::diagnostic::{Diagnostic, Place};
use crate::tree::Span;

/// As many places of one kind are shown.
const SHOWN: usize = 3;

/// An anchor's text, and where its aliases stand.
#[derive(Debug)]
pub(crate) struct Anchor {
    pub(crate) from: Span,
    /// The first place behind it.
    pub(crate) end: (u32, u32),
    pub(crate) uses: Vec<Span>,
}

impl Anchor {
    fn holds(&self, span: Span) -> bool {
        let at = (span.line, span.col);
        span.file == self.from.file && (self.from.line, self.from.col) <= at && at < self.end
    }
}

/// Where a variable's value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A line of an env file.
    File(Span),
    Environment,
    /// The project's name, which always is a variable.
    Project,
    /// The default in the expression.
    Default,
    /// None at all: taken as empty.
    Unset,
}

/// One use of a variable in a scalar.
#[derive(Debug, Clone)]
pub(crate) struct Use {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) origin: Origin,
}

/// One service that extends another.
#[derive(Debug, Clone)]
pub(crate) struct Extends {
    pub(crate) name: String,
    /// Its key, which tells services of several files from one another.
    pub(crate) key: Span,
    /// Where it names the other one.
    pub(crate) at: Span,
    /// The other one's key.
    pub(crate) base: Span,
}

/// What was noted.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    pub(crate) anchors: Vec<Anchor>,
    /// Every service of every file, by the place of its key.
    pub(crate) services: BTreeMap<Span, String>,
    /// What extends what, the outermost first.
    pub(crate) extends: Vec<Extends>,
    /// Variables by the place of the scalar.
    pub(crate) uses: BTreeMap<Span, Vec<Use>>,
    /// Which env file's line set a variable.
    pub(crate) set_in: BTreeMap<String, Span>,
    /// Env files' lines for variables that the environment sets otherwise.
    pub(crate) hidden: BTreeMap<String, Span>,
}

impl Chain {
    /// The variables in a scalar that is, or holds, this place.
    pub(crate) fn variables(&self, span: Span) -> &[Use] {
        let before = self.uses.range(..=Span { len: u32::MAX, ..span }).next_back();
        let found = before.filter(|(at, _)| {
            at.file == span.file
                && (**at == span || at.line == span.line && span.col + span.len <= at.col + at.len)
        });
        found.map_or(&[], |(_, uses)| uses)
    }

    /// Where a variable has its value from.
    pub(crate) fn origin(&self, name: &str) -> Origin {
        match self.set_in.get(name) {
            Some(span) => Origin::File(*span),
            None if name == "COMPOSE_PROJECT_NAME" => Origin::Project,
            None => Origin::Environment,
        }
    }

    /// The service that a place belongs to by the text.
    fn owner(&self, span: Span) -> Option<Span> {
        let (at, _) = self.services.range(..=span).next_back()?;
        (at.file == span.file).then_some(*at)
    }

    /// The aliases by which the text at this place comes to be used, if it is an anchor's.
    fn aliases(&self, span: Span) -> Vec<Span> {
        let holding = self.anchors.iter().filter(|a| a.holds(span));
        let mut all: Vec<Span> = holding.flat_map(|a| a.uses.iter().copied()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// How the service comes to have what stands at this place: each `extends` on the way.
    fn extended(&self, span: Span, subject: &str) -> Vec<(Span, String)> {
        let Some(owner) = self.owner(span) else { return Vec::new() };
        let mut out = Vec::new();
        let mut next = self.extends.iter().find(|e| e.name == subject);
        if next.is_none_or(|e| e.key == owner) {
            return out;
        }
        // A ring has been refused, but its places are still told about.
        while let Some(e) = next.filter(|_| out.len() <= self.extends.len()) {
            out.push((e.at, format!("{:?} extends it here", e.name)));
            if e.base == owner {
                return out;
            }
            next = self.extends.iter().find(|other| other.key == e.base);
        }
        Vec::new()
    }
}

/// A value for a message: short, on one line.
pub(crate) fn shown(value: &str) -> String {
    if value.chars().count() > 60 {
        let start: String = value.chars().take(57).collect();
        return format!("{:?}", start + "…");
    }
    format!("{value:?}")
}

impl Cx<'_> {
    /// Adds to a diagnostic how its place came to count.
    pub(crate) fn explain(&self, span: Span, subject: Option<&str>, d: &mut Diagnostic) {
        let mut notes: Vec<(Span, String)> = Vec::new();
        let about_variables =
            matches!(d.code, Some(Code::InvalidInterpolation | Code::RequiredVariable | Code::UnsetVariable));
        if !about_variables {
            for used in self.chain.variables(span) {
                let (note, help) = self.variable(used);
                notes.extend(note);
                d.help.push(help);
            }
        }
        let aliases = self.chain.aliases(span);
        let more = aliases.len().saturating_sub(SHOWN);
        for (i, at) in aliases.iter().take(SHOWN).enumerate() {
            let last = more > 0 && i + 1 == SHOWN;
            notes.push((
                *at,
                if last { format!("used here, and {more} times more") } else { "used here".into() },
            ));
        }
        if let Some(subject) = subject {
            notes.extend(self.chain.extended(span, subject));
        }
        let mut file = span.file;
        while let Some((at, word)) = self.because(file)
            && at.file < file
        {
            // `extends` may have said it already.
            if !notes.iter().any(|(n, _)| (n.file, n.line) == (at.file, at.line)) {
                notes.push((at, word.to_owned()));
            }
            file = at.file;
        }
        for (at, word) in notes {
            let place = self.place(at);
            d.related.extend(place.filter(|p| known(d, p)).map(|p| (p, word)));
        }
    }

    /// A variable's use: the place that sets it, and a sentence.
    pub(crate) fn variable(&self, used: &Use) -> (Option<(Span, String)>, String) {
        let (name, value) = (&used.name, shown(&used.value));
        match &used.origin {
            Origin::File(at) => {
                let file = self.place(*at).map(|p| p.file.display().to_string()).unwrap_or_default();
                let line = at.line;
                (
                    Some((*at, format!("{name} is set here"))),
                    format!("{name} is {value}: it is set in {file} line {line}"),
                )
            }
            Origin::Environment => {
                let hidden =
                    self.chain.hidden.get(name).map(|at| (*at, "the environment wins over this".to_owned()));
                (hidden, format!("{name} is {value}: it is set in the environment"))
            }
            Origin::Project => (None, format!("{name} is {value}: the project's name")),
            Origin::Default => (None, format!("{name} isn't set: its default is {value}")),
            Origin::Unset => (None, format!("{name} isn't set: it is taken as empty")),
        }
    }

    /// Whether a place lies in an anchor's text that is used elsewhere.
    pub(crate) fn is_shared(&self, span: Span) -> bool {
        !self.chain.aliases(span).is_empty()
    }
}

fn known(d: &Diagnostic, place: &Place) -> bool {
    d.place.as_ref() != Some(place) && d.related.iter().all(|(p, _)| p != place)
}
