//! Comments at the top that configure the parser.

use super::{ParseError, Position};

/// The parser directives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directives {
    /// `# syntax=`: said, and not needed: this is the frontend, its labs features included.
    pub syntax: Option<String>,
    /// `# escape=`.
    pub escape: char,
    /// `# check=`.
    pub check: Option<String>,
}

/// Takes directives as long as no other line has come.
pub(super) struct Reader {
    pub(super) found: Directives,
    seen: Vec<String>,
    done: bool,
}

impl Reader {
    /// With directives given (an ONBUILD trigger), none are read.
    pub(super) fn new(given: Option<Directives>) -> Self {
        let done = given.is_some();
        let found = given.unwrap_or(Directives { syntax: None, escape: '\\', check: None });
        Self { found, seen: Vec::new(), done }
    }

    /// True: the line, blanks before it removed, is a directive.
    pub(super) fn line(&mut self, line: &str, number: usize, errors: &mut Vec<ParseError>) -> bool {
        let pair = line.strip_prefix('#').filter(|_| !self.done).and_then(directive);
        let Some((key, value)) = pair else {
            // A first line for the kernel doesn't end the directives for `check`, and docker's tools say so.
            self.done |= !(number == 1 && line.starts_with("#!"));
            return false;
        };
        let at = Position { line: number, column: 1 };
        if self.seen.contains(&key) {
            errors.push(ParseError::new(at, format!("only one `{key}` parser directive can be used")));
        }
        match key.as_str() {
            "syntax" => self.found.syntax = Some(value.to_owned()),
            "check" => self.found.check = Some(value.to_owned()),
            _ if value == "\\" => self.found.escape = '\\',
            _ if value == "`" => self.found.escape = '`',
            _ => errors.push(
                ParseError::new(at, format!("invalid escape character `{value}`"))
                    .help("use `\\` (the default) or a backtick"),
            ),
        }
        self.seen.push(key);
        true
    }
}

/// The frontend that a file names, and where: also behind `//`, and in JSON, as files in other languages do (BuildKit,
/// parser.DetectSyntax).
pub(crate) fn syntax_of(text: &str) -> Option<(String, Position)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for comment in ["#", "//"] {
        let lines = text.lines().enumerate().skip(usize::from(text.starts_with("#!")));
        for (number, line) in lines {
            let Some((key, value)) = line.trim_start().strip_prefix(comment).and_then(directive) else {
                break;
            };
            if key == "syntax" {
                let before = line.trim_end().strip_suffix(value).unwrap_or_default();
                let at = Position { line: number + 1, column: before.chars().count() + 1 };
                return Some((value.to_owned(), at));
            }
        }
    }
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let document: serde_json::Value = serde_json::from_str(text).ok()?;
    Some((document.get("syntax")?.as_str()?.to_owned(), Position { line: 1, column: 1 }))
}

/// `name = value` of a known name.
pub(crate) fn directive(text: &str) -> Option<(String, &str)> {
    let (key, value) = text.trim_start().split_once('=')?;
    let (key, value) = (key.trim_end().to_ascii_lowercase(), value.trim());
    (matches!(key.as_str(), "syntax" | "escape" | "check") && !value.is_empty()).then_some((key, value))
}
