//! Variables in words: docker's shell lexer (moby/buildkit frontend/dockerfile/shell/lex.go; Dockerfile reference,
//! "Environment replacement").

use std::collections::BTreeSet;

use crate::BuildError;
use crate::error::Culprit;
use crate::pattern::{Pattern, replace};

/// Gives a variable's value; `None` is unset.
pub(crate) type Get<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Why a word can't be expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) message: String,
    /// The variable or the quote, as far as it was read.
    pub(crate) part: String,
}

impl From<Mistake> for BuildError {
    fn from(e: Mistake) -> Self {
        Self::input(e.message).about(Culprit::Text(e.part))
    }
}

/// How a word is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lex {
    pub(crate) escape: char,
    /// Quotes stay in the result.
    pub(crate) raw_quotes: bool,
    /// Escapes stay in the result.
    pub(crate) raw_escapes: bool,
    /// Quotes mean nothing (heredoc bodies).
    pub(crate) plain_quotes: bool,
    /// Variables that aren't set stay as written.
    pub(crate) keep_unset: bool,
}

/// What a word became.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Expanded {
    pub(crate) text: String,
    /// Split at white space that isn't quoted, after expansion.
    pub(crate) words: Vec<String>,
    /// Variables that were set.
    pub(crate) matched: BTreeSet<String>,
    /// Variables that weren't.
    pub(crate) unmatched: BTreeSet<String>,
}

impl Lex {
    pub(crate) fn new(escape: char) -> Self {
        Self { escape, raw_quotes: false, raw_escapes: false, plain_quotes: false, keep_unset: false }
    }

    pub(crate) fn process(self, word: &str, get: &Get<'_>) -> Result<Expanded, Mistake> {
        self.process_noting(word, get, &mut BTreeSet::new())
    }

    /// Notes the variables that aren't set even if it fails.
    pub(crate) fn process_noting(
        self,
        word: &str,
        get: &Get<'_>,
        noted: &mut BTreeSet<String>,
    ) -> Result<Expanded, Mistake> {
        let mut lexer = Lexer {
            chars: word.chars().collect(),
            at: 0,
            lex: self,
            raw: self.raw_escapes,
            get,
            matched: BTreeSet::new(),
            unmatched: BTreeSet::new(),
            depth: 0,
            begin: None,
        };
        let done = lexer.until(None);
        noted.clone_from(&lexer.unmatched);
        let (text, words) = done.map_err(|message| {
            let begin = lexer.begin.unwrap_or(0).min(lexer.at);
            Mistake { message, part: lexer.chars[begin..lexer.at].iter().collect() }
        })?;
        Ok(Expanded { text, words, matched: lexer.matched, unmatched: lexer.unmatched })
    }
}

/// Expands one word and removes its quotes.
pub(crate) fn expand(word: &str, escape: char, get: &Get<'_>) -> Result<String, Mistake> {
    if !word.contains(['$', '\'', '"', escape]) {
        return Ok(word.to_owned());
    }
    Lex::new(escape).process(word, get).map(|e| e.text)
}

/// Expands a heredoc's body: quotes mean nothing, and the escape is always `\`.
pub(crate) fn expand_raw(text: &str, get: &Get<'_>) -> Result<String, Mistake> {
    Lex { plain_quotes: true, ..Lex::new('\\') }.process(text, get).map(|e| e.text)
}

/// `${…}` inside `${…}`, at most.
const DEPTH: usize = 100;

struct Lexer<'a> {
    chars: Vec<char>,
    at: usize,
    lex: Lex,
    raw: bool,
    get: &'a Get<'a>,
    matched: BTreeSet<String>,
    unmatched: BTreeSet<String>,
    depth: usize,
    /// Where what failed begins.
    begin: Option<usize>,
}

/// Words while they grow.
#[derive(Default)]
struct Words {
    open: String,
    done: Vec<String>,
}

impl Words {
    fn push(&mut self, c: char) {
        if !c.is_whitespace() {
            self.open.push(c);
        } else if !self.open.is_empty() {
            self.done.push(std::mem::take(&mut self.open));
        }
    }

    fn finish(mut self) -> Vec<String> {
        if !self.open.is_empty() {
            self.done.push(self.open);
        }
        self.done
    }
}

impl Lexer<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn until(&mut self, stop: Option<char>) -> Result<(String, Vec<String>), String> {
        let (mut out, mut words) = (String::new(), Words::default());
        while let Some(c) = self.peek() {
            if Some(c) == stop {
                self.at += 1;
                return Ok((out, words.finish()));
            }
            let quoted = match c {
                '\'' if !self.lex.plain_quotes => self.single()?,
                '"' if !self.lex.plain_quotes => self.double()?,
                '<' => self.heredoc(),
                '$' => {
                    let value = self.dollar()?;
                    value.chars().for_each(|c| words.push(c));
                    out.push_str(&value);
                    continue;
                }
                _ => {
                    self.at += 1;
                    if c != self.lex.escape {
                        out.push(c);
                        words.push(c);
                        continue;
                    }
                    // An escape at the end goes.
                    let kept = self.raw.then_some(c);
                    kept.into_iter().chain(self.next()).collect()
                }
            };
            out.push_str(&quoted);
            words.open.push_str(&quoted);
        }
        match stop {
            Some(c) => Err(format!("`{c}` is missing at the end of a variable")),
            None => Ok((out, words.finish())),
        }
    }

    fn single(&mut self) -> Result<String, String> {
        let begin = self.at;
        self.at += 1;
        let end = self.chars[self.at..].iter().position(|c| *c == '\'');
        let Some(n) = end else {
            self.begin.get_or_insert(begin);
            self.at = self.chars.len();
            return Err("a single quote isn't closed".to_owned());
        };
        let inner: String = self.chars[self.at..self.at + n].iter().collect();
        self.at += n + 1;
        Ok(if self.lex.raw_quotes { format!("'{inner}'") } else { inner })
    }

    fn double(&mut self) -> Result<String, String> {
        let begin = self.at;
        self.at += 1;
        let mut out = String::new();
        if self.lex.raw_quotes {
            out.push('"');
        }
        while let Some(c) = self.peek() {
            match c {
                '"' => {
                    self.at += 1;
                    if self.lex.raw_quotes {
                        out.push('"');
                    }
                    return Ok(out);
                }
                '$' => out.push_str(&self.dollar()?),
                _ if c == self.lex.escape => {
                    self.at += 1;
                    if self.raw {
                        out.push(c);
                    }
                    match self.peek() {
                        None => {}
                        Some(next) if next == '"' || next == '$' || next == c => {
                            self.at += 1;
                            out.push(next);
                        }
                        Some(_) => out.push(c),
                    }
                }
                _ => {
                    self.at += 1;
                    out.push(c);
                }
            }
        }
        self.begin.get_or_insert(begin);
        Err("a double quote isn't closed".to_owned())
    }

    /// `<<` and the white space behind it belong to the word that names the heredoc.
    fn heredoc(&mut self) -> String {
        self.at += 1;
        if self.peek() != Some('<') {
            return "<".to_owned();
        }
        self.at += 1;
        let mut out = "<<".to_owned();
        while let Some(c) = self.peek().filter(|c| matches!(c, '\t' | '\r' | ' ')) {
            out.push(c);
            self.at += 1;
        }
        out
    }

    fn name(&mut self) -> String {
        let first = self.peek();
        if first.is_some_and(|c| "@*#?-$!".contains(c)) {
            self.at += 1;
            return first.into_iter().collect();
        }
        let digits = first.is_some_and(char::is_numeric);
        let part = |c: &char| if digits { c.is_numeric() } else { c.is_alphanumeric() || *c == '_' };
        let name: String = self.chars[self.at..].iter().take_while(|c| part(c)).collect();
        self.at += name.chars().count();
        name
    }

    fn value(&mut self, name: &str) -> Option<String> {
        let value = (self.get)(name);
        let set = if value.is_some() { &mut self.matched } else { &mut self.unmatched };
        set.insert(name.to_owned());
        value
    }

    fn dollar(&mut self) -> Result<String, String> {
        let begin = self.at;
        let value = self.variable();
        if value.is_err() {
            self.begin.get_or_insert(begin);
        }
        value
    }

    fn variable(&mut self) -> Result<String, String> {
        self.at += 1;
        if self.peek() != Some('{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            let value = self.value(&name);
            return Ok(
                value.unwrap_or_else(|| if self.lex.keep_unset { format!("${name}") } else { String::new() })
            );
        }
        self.at += 1;
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(format!("variables are nested deeper than {DEPTH}"));
        }
        let value = self.braces();
        self.depth -= 1;
        value
    }

    /// What is in `${…}`.
    fn braces(&mut self) -> Result<String, String> {
        match self.peek() {
            None => return Err("`}` is missing".to_owned()),
            Some('{' | '}' | ':') => return Err("a variable in `${…}` has no name".to_owned()),
            _ => {}
        }
        let name = self.name();
        let Some(c) = self.next() else { return Err(format!("`}}` is missing after the variable `{name}`")) };
        match c {
            '}' => {
                let value = self.value(&name);
                Ok(match value {
                    None if self.lex.keep_unset => format!("${{{name}}}"),
                    other => other.unwrap_or_default(),
                })
            }
            ':' => match self.next() {
                Some(operator @ ('+' | '-' | '?')) => self.choose(&name, true, operator),
                Some(other) => Err(unsupported(&format!(":{other}"), &name)),
                None => Err(format!("`}}` is missing after the variable `{name}`")),
            },
            '+' | '-' | '?' => self.choose(&name, false, c),
            '#' | '%' => self.trim(&name, c),
            '/' => self.replace(&name),
            _ => Err(unsupported(&c.to_string(), &name)),
        }
    }

    /// Up to `stop`, escapes kept or not.
    fn part(&mut self, stop: char, raw: bool, name: &str) -> Result<String, String> {
        let before = std::mem::replace(&mut self.raw, raw);
        let part = self.until(Some(stop));
        self.raw = before;
        part.map(|(text, _)| text).map_err(|e| {
            if self.peek().is_none() { format!("`{stop}` is missing after the variable `{name}`") } else { e }
        })
    }

    /// `null`: an empty value is as good as none.
    fn choose(&mut self, name: &str, null: bool, operator: char) -> Result<String, String> {
        let word = self.part('}', false, name)?;
        let value = self.value(name);
        if value.is_none() && self.lex.keep_unset {
            let colon = if null { ":" } else { "" };
            return Ok(format!("${{{name}{colon}{operator}{word}}}"));
        }
        let unset = value.is_none();
        let value = value.filter(|v| !(null && v.is_empty()));
        Ok(match (operator, value) {
            ('+', Some(_)) | ('-', None) => word,
            ('?', None) if !word.is_empty() => return Err(format!("{name}: {word}")),
            ('?', None) => {
                let what = if unset { "unset" } else { "empty" };
                return Err(format!("{name}: is not allowed to be {what}"));
            }
            (_, value) => value.unwrap_or_default(),
        })
    }

    fn trim(&mut self, name: &str, operator: char) -> Result<String, String> {
        let word = self.part('}', true, name)?;
        let value = self.value(name);
        if value.is_none() && self.lex.keep_unset {
            return Ok(format!("${{{name}{operator}{word}}}"));
        }
        let (greedy, word) = word.strip_prefix(operator).map_or((false, word.as_str()), |w| (true, w));
        let pattern = Pattern::new(word)?;
        let text: Vec<char> = value.unwrap_or_default().chars().collect();
        Ok(if operator == '#' {
            let n = pattern.prefix(&text, greedy).unwrap_or(0);
            text[n..].iter().collect()
        } else {
            let back: Vec<char> = text.iter().rev().copied().collect();
            let n = pattern.reversed().prefix(&back, greedy).unwrap_or(0);
            text[..text.len() - n].iter().collect()
        })
    }

    fn replace(&mut self, name: &str) -> Result<String, String> {
        let all = self.peek() == Some('/');
        self.at += usize::from(all);
        let pattern = self.part('/', true, name)?;
        let with = self.part('}', true, name)?;
        let value = self.value(name);
        if value.is_none() && self.lex.keep_unset {
            return Ok(format!("${{{name}/{pattern}/{with}}}"));
        }
        Ok(replace(&value.unwrap_or_default(), &Pattern::new(&pattern)?, &with, all))
    }
}

fn unsupported(modifier: &str, name: &str) -> String {
    format!("unknown modifier `{modifier}` of the variable `{name}`: use `:-`, `:+`, `:?`, `#`, `%` or `/`")
}

#[cfg(test)]
#[path = "expand_tests.rs"]
mod tests;
