//! From text to logical lines: comments, continuations, heredocs (BuildKit's frontend/dockerfile/parser/parser.go).

use super::directives::Reader;
use super::heredoc::{Heredoc, heredocs_of};
use super::words::split_instruction;
use super::{Directives, ParseError, Position};

/// Bytes of a line; docker takes 64 KiB.
const LONGEST: usize = 1 << 20;

/// One instruction, continuations joined.
#[derive(Debug, Clone)]
pub(super) struct Logical {
    pub(super) text: String,
    /// Where pieces of `text` come from: offset, line, column.
    map: Vec<(usize, usize, usize)>,
    pub(super) last: usize,
    pub(super) heredocs: Vec<Heredoc>,
    /// The comments right above it.
    pub(super) comments: Vec<String>,
    /// The line that ends a continuation with an empty line in it.
    pub(super) empty_continuation: Option<usize>,
}

impl Logical {
    /// The place of a byte of `text`.
    pub(super) fn position(&self, offset: usize) -> Position {
        let at = self.map.partition_point(|&(o, ..)| o <= offset).saturating_sub(1);
        let (start, line, column) = self.map[at];
        Position { line, column: column + self.text.get(start..offset).map_or(0, |t| t.chars().count()) }
    }

    /// True: the next line belongs to it. Blanks behind the escape don't matter.
    fn push(&mut self, line: &str, number: usize, column: usize, escape: char) -> bool {
        let body = line.trim_end_matches([' ', '\t']).strip_suffix(escape).filter(|b| !b.ends_with(escape));
        self.map.push((self.text.len(), number, column));
        self.text.push_str(body.unwrap_or(line));
        body.is_some()
    }
}

/// A whole file in logical lines.
pub(super) struct Lines {
    pub(super) directives: Directives,
    pub(super) logical: Vec<Logical>,
    pub(super) errors: Vec<ParseError>,
}

/// Joins continued lines, leaves comments out, and takes heredocs with the instruction that they belong to.
pub(super) fn logical_lines(text: &str, given: Option<Directives>) -> Lines {
    let mut reader = Reader::new(given);
    let (mut logical, mut errors, mut comments) = (Vec::new(), Vec::new(), Vec::new());
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    if let Some(long) = lines.iter().position(|l| l.len() > LONGEST) {
        let at = Position { line: long + 1, column: 1 };
        let error = ParseError::new(at, format!("the line is longer than {} KiB", LONGEST >> 10));
        errors.push(error.help("put the data into a file of the context and COPY it"));
        return Lines { directives: reader.found, logical, errors };
    }
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at].trim_end_matches(['\r', '\n']);
        let first = line.trim_start();
        at += 1;
        let directive = reader.line(first, at, &mut errors);
        if let Some(comment) = first.strip_prefix('#') {
            match comment.trim() {
                _ if directive => {}
                "" => comments.clear(),
                text => comments.push(text.to_owned()),
            }
            continue;
        }
        if first.is_empty() {
            continue;
        }
        let mut one = Logical {
            text: String::new(),
            map: Vec::new(),
            last: at,
            heredocs: Vec::new(),
            comments: std::mem::take(&mut comments),
            empty_continuation: None,
        };
        let escape = reader.found.escape;
        let indent = line.chars().count() - first.chars().count();
        let mut more = one.push(first, at, indent + 1, escape);
        let mut empty = false;
        while more && at < lines.len() {
            let line = lines[at].trim_end_matches(['\r', '\n']);
            at += 1;
            one.last = at;
            if line.trim_start().starts_with('#') {
                continue;
            }
            if line.trim_start().is_empty() {
                empty = true;
                continue;
            }
            more = one.push(line, at, 1, escape);
        }
        one.empty_continuation = empty.then_some(at);
        one.text.truncate(one.text.trim_end().len());
        at = take_heredocs(&mut one, &lines, at, escape, &mut errors);
        if !one.text.is_empty() {
            logical.push(one);
        }
    }
    Lines { directives: reader.found, logical, errors }
}

/// Reads what an instruction's heredocs hold; the line behind them.
fn take_heredocs(
    one: &mut Logical,
    lines: &[&str],
    mut at: usize,
    escape: char,
    errors: &mut Vec<ParseError>,
) -> usize {
    if !one.text.contains("<<") || !may_have_heredocs(&one.text, escape) {
        return at;
    }
    for mut heredoc in heredocs_of(&one.text) {
        let begin = at;
        let end = lines[at..].iter().position(|line| {
            let line = line.trim_end_matches(['\r', '\n']);
            (if heredoc.chomp { line.trim_start_matches('\t') } else { line }) == heredoc.name
        });
        if end.is_none() {
            let offset = one.text.find("<<").unwrap_or(0);
            errors.push(
                ParseError::new(one.position(offset), format!("unterminated heredoc `{}`", heredoc.name))
                    .help(format!("end it by a line that is just `{}`", heredoc.name)),
            );
        }
        let stop = end.map_or(lines.len(), |n| begin + n);
        heredoc.content = lines[begin..stop].concat();
        at = (stop + 1).min(lines.len());
        one.last = at;
        one.heredocs.push(heredoc);
    }
    at
}

/// RUN, COPY and ADD, also in ONBUILD, unless in JSON form.
fn may_have_heredocs(text: &str, escape: char) -> bool {
    let (word, _, rest) = split_instruction(text, escape);
    if word.eq_ignore_ascii_case("ONBUILD") {
        return may_have_heredocs(rest, escape);
    }
    let known = ["RUN", "COPY", "ADD"].iter().any(|k| word.eq_ignore_ascii_case(k));
    known && !matches!(super::words::json_form(rest), Ok(Some(_)))
}
