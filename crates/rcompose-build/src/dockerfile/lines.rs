//! From text to logical lines: parser directives, comments, continuations, heredocs.

use super::words::{Word, split_words};
use super::{ParseError, Position};

/// A `<<EOF` of RUN, COPY or ADD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// Its name, without quotes.
    pub name: String,
    /// The file descriptor before `<<`; empty is standard input.
    pub descriptor: String,
    /// The name wasn't quoted: variables are expanded.
    pub expand: bool,
    /// `<<-`: leading tabs are removed.
    pub chomp: bool,
    /// The lines.
    pub content: String,
}

/// One instruction, continuations joined.
#[derive(Debug, Clone)]
pub(super) struct Logical {
    pub(super) text: String,
    /// Where pieces of `text` come from: offset, line, column.
    map: Vec<(usize, usize, usize)>,
    pub(super) last: usize,
    pub(super) heredocs: Vec<Heredoc>,
}

impl Logical {
    /// The place of a byte of `text`.
    pub(super) fn position(&self, offset: usize) -> Position {
        let at = self.map.partition_point(|&(o, ..)| o <= offset).saturating_sub(1);
        let (start, line, column) = self.map[at];
        Position { line, column: column + self.text.get(start..offset).map_or(0, |t| t.chars().count()) }
    }
}

/// The parser directives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directives {
    /// `# syntax=`.
    pub syntax: Option<String>,
    /// `# escape=`.
    pub escape: char,
    /// `# check=`.
    pub check: Option<String>,
}

pub(super) fn directives(lines: &[&str], errors: &mut Vec<ParseError>) -> Directives {
    let mut found = Directives { syntax: None, escape: '\\', check: None };
    let mut seen = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let Some(rest) = line.trim_start().strip_prefix('#') else { break };
        let Some((key, value)) = rest.split_once('=') else { break };
        let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
        if !matches!(key.as_str(), "syntax" | "escape" | "check") {
            break;
        }
        let place = Position { line: number + 1, column: line.len() - line.trim_start().len() + 1 };
        if seen.contains(&key) {
            errors.push(ParseError::new(place, format!("only one `{key}` parser directive can be used")));
        }
        match key.as_str() {
            "syntax" => found.syntax = Some(value.to_owned()),
            "check" => found.check = Some(value.to_owned()),
            _ if value == "\\" => found.escape = '\\',
            _ if value == "`" => found.escape = '`',
            _ => errors.push(
                ParseError::new(place, format!("invalid escape character `{value}`"))
                    .help("use `\\` (the default) or a backtick"),
            ),
        }
        seen.push(key);
    }
    found
}

/// Joins continued lines, leaves comments out, and takes heredocs with the instruction that they belong to.
pub(super) fn logical_lines(lines: &[&str], escape: char, errors: &mut Vec<ParseError>) -> Vec<Logical> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let first = lines[at].trim_start();
        if first.is_empty() || first.starts_with('#') {
            at += 1;
            continue;
        }
        let mut logical =
            Logical { text: String::new(), map: Vec::new(), last: at + 1, heredocs: Vec::new() };
        let indent = lines[at].chars().count() - first.chars().count();
        let mut more = push_line(&mut logical, first, at + 1, indent + 1, escape);
        at += 1;
        while more && at < lines.len() {
            let line = lines[at];
            at += 1;
            // Comments and empty lines inside a continuation are skipped, as docker does.
            if line.trim_start().starts_with('#') || line.trim().is_empty() {
                continue;
            }
            logical.last = at;
            more = push_line(&mut logical, line, at, 1, escape);
        }
        let length = logical.text.trim_end().len();
        logical.text.truncate(length);
        for (mut heredoc, offset) in heredocs_of(&logical.text, escape) {
            match take_heredoc(&mut heredoc, lines, at) {
                Some(next) => at = next,
                None => {
                    errors.push(
                        ParseError::new(
                            logical.position(offset),
                            format!("unterminated heredoc `{}`", heredoc.name),
                        )
                        .help(format!("end it by a line that is just `{}`", heredoc.name)),
                    );
                    at = lines.len();
                }
            }
            logical.last = at;
            logical.heredocs.push(heredoc);
        }
        out.push(logical);
    }
    out
}

/// True: the next line belongs to it.
fn push_line(logical: &mut Logical, line: &str, number: usize, column: usize, escape: char) -> bool {
    let bare = line.trim_end_matches([' ', '\t', '\r']);
    let body = bare.strip_suffix(escape).filter(|b| !b.ends_with(escape));
    logical.map.push((logical.text.len(), number, column));
    logical.text.push_str(body.unwrap_or(line.trim_end_matches('\r')));
    body.is_some()
}

fn take_heredoc(heredoc: &mut Heredoc, lines: &[&str], mut at: usize) -> Option<usize> {
    while at < lines.len() {
        let line = lines[at];
        let line = if heredoc.chomp { line.trim_start_matches('\t') } else { line };
        at += 1;
        if line.trim_end_matches('\r') == heredoc.name {
            return Some(at);
        }
        heredoc.content.push_str(line);
        heredoc.content.push('\n');
    }
    None
}

/// The heredocs that a line opens, with their offsets.
fn heredocs_of(text: &str, escape: char) -> Vec<(Heredoc, usize)> {
    let mut rest = text;
    loop {
        let word = rest.split_ascii_whitespace().next().unwrap_or("");
        if word.eq_ignore_ascii_case("ONBUILD") {
            rest = rest.trim_start()[word.len()..].trim_start();
            continue;
        }
        if !["RUN", "COPY", "ADD"].iter().any(|k| word.eq_ignore_ascii_case(k)) || !text.contains("<<") {
            return Vec::new();
        }
        break;
    }
    // The JSON form has no shell words.
    split_words(text, escape).into_iter().filter_map(|w| heredoc_word(&w).map(|h| (h, w.offset))).collect()
}

/// `[fd]<<[-]NAME`, the name possibly quoted.
pub(super) fn heredoc_word(word: &Word) -> Option<Heredoc> {
    let digits = word.text.len() - word.text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (descriptor, rest) = word.text.split_at(digits);
    let rest = rest.strip_prefix("<<")?;
    let (chomp, rest) = rest.strip_prefix('-').map_or((false, rest), |r| (true, r));
    if rest.is_empty() || rest.contains('<') {
        return None;
    }
    let name: String = rest.chars().filter(|c| !matches!(c, '"' | '\'')).collect();
    let expand = name.len() == rest.len();
    (!name.is_empty()).then(|| Heredoc {
        name,
        descriptor: descriptor.to_owned(),
        expand,
        chomp,
        content: String::new(),
    })
}
