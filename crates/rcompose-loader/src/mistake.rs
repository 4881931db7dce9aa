//! Broken YAML in plain words: what is wrong, where it began, what was probably meant.

use crate::tree::Span;

/// A syntax error as a person would tell it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) message: String,
    /// Where, if not where the parser stopped: line, column, length.
    pub(crate) at: Option<(u32, u32, u32)>,
    pub(crate) help: Option<String>,
    /// Another place with a word for it.
    pub(crate) related: Option<((u32, u32, u32), String)>,
}

/// Explains what the parser says (`info`) of a text, at a line and column from 1.
pub(crate) fn explain(text: &str, info: &str, at: Span) -> Mistake {
    if info.contains("recursion limit") {
        return Mistake { message: "values are nested too deep".into(), ..Mistake::default() };
    }
    let lines: Vec<&str> = text.lines().collect();
    let here = Here { lines: &lines, line: at.line, col: at.col };
    let found = here.tab().or_else(|| match info {
        i if i.contains("did not find expected key") => here.indentation(),
        i if i.starts_with("mapping values are not allowed") => here.colon(),
        i if i.contains("quoted scalar") => here.quote(i),
        i if i.contains("flow sequence")
            || i.contains("flow mapping")
            || i.contains("flow construct")
            || i.starts_with("illegal placement") =>
        {
            here.bracket()
        }
        i if i.contains("unknown anchor") => here.alias(),
        i if i.starts_with("unexpected character") => here.character(),
        i if i.starts_with("block sequence entries") => Some(Mistake {
            message: "a list can't begin on the line of its key".into(),
            help: Some("begin a new line, indented, with the dash".into()),
            ..Mistake::default()
        }),
        i if i.contains("did not find expected '-'") => here.dash(at.line),
        i if i.starts_with("simple key expect") => {
            let blank = !says_something(here.text(at.line));
            let line = if blank { here.above(at.line).next().map_or(at.line, |(n, _)| n) } else { at.line };
            here.dash(line).or_else(|| here.key_without_colon(line))
        }
        _ => None,
    });
    let mut mistake = found.unwrap_or_else(|| Mistake { message: info.to_owned(), ..Mistake::default() });
    mistake.message.insert_str(0, "invalid YAML: ");
    mistake
}

struct Here<'l> {
    lines: &'l [&'l str],
    line: u32,
    col: u32,
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

fn says_something(line: &str) -> bool {
    let text = line.trim();
    !text.is_empty() && !text.starts_with('#')
}

/// Where a key's colon is.
fn colon(line: &str) -> Option<usize> {
    line.find(": ").or_else(|| line.trim_end().ends_with(':').then(|| line.trim_end().len() - 1))
}

fn spaces(n: usize) -> String {
    match n {
        0 => "no spaces".into(),
        1 => "1 space".into(),
        n => format!("{n} spaces"),
    }
}

impl<'l> Here<'l> {
    fn text(&self, line: u32) -> &'l str {
        (line as usize).checked_sub(1).and_then(|i| self.lines.get(i)).copied().unwrap_or_default()
    }

    /// Lines above that say something, nearest first, with their numbers.
    fn above(&self, line: u32) -> impl Iterator<Item = (u32, &'l str)> + '_ {
        (1..line).rev().map(|n| (n, self.text(n))).filter(|(_, l)| says_something(l))
    }

    fn whole(&self, line: u32) -> (u32, u32, u32) {
        let text = self.text(line);
        let start = text.chars().take_while(|c| c.is_whitespace()).count() as u32;
        (line, start + 1, text.trim().chars().count() as u32)
    }

    fn tab(&self) -> Option<Mistake> {
        let guilty = |line: u32| {
            let text = self.text(line);
            let column = text.chars().take_while(|c| c.is_whitespace()).position(|c| c == '\t')?;
            says_something(text).then_some((line, column as u32 + 1, 1))
        };
        let at = guilty(self.line).or_else(|| guilty(self.above(self.line).next()?.0))?;
        Some(Mistake {
            message: "a tab can't indent".into(),
            at: Some(at),
            help: Some("use spaces".into()),
            related: None,
        })
    }

    /// A line that belongs to no level.
    fn indentation(&self) -> Option<Mistake> {
        let text = self.text(self.line);
        let own = indent(text);
        let (before, before_text) = self.above(self.line).next()?;
        if text.trim_start().starts_with('-') && indent(before_text) == own && colon(before_text).is_none() {
            return Some(Mistake {
                message: "an entry of a list without a dash".into(),
                at: Some(self.whole(before)),
                help: Some(format!("write `- ` before it, as in line {}", self.line)),
                related: None,
            });
        }
        // The levels above: each is opened by the nearest line with less indentation.
        let mut levels: Vec<(usize, u32)> = Vec::new();
        for (number, line) in self.above(self.line) {
            if levels.last().is_none_or(|(least, _)| indent(line) < *least) {
                levels.push((indent(line), number));
            }
        }
        if levels.iter().any(|(level, _)| *level == own) {
            return None;
        }
        let like =
            |(level, line): &(usize, u32)| format!("by {} to stand beside line {line}", spaces(*level));
        let deeper = levels.iter().rev().find(|(level, _)| *level > own);
        let flatter = levels.iter().find(|(level, _)| *level < own);
        let choices: Vec<String> = deeper.into_iter().chain(flatter).map(like).collect();
        let related = deeper.or(flatter).map(|(level, line)| (self.whole(*line), spaces(*level)));
        Some(Mistake {
            message: format!("this line is indented by {}, unlike anything above it", spaces(own)),
            at: Some(self.whole(self.line)),
            help: Some(format!("indent it {}", choices.join(", or "))),
            related,
        })
    }

    /// A colon where none may stand.
    fn colon(&self) -> Option<Mistake> {
        let text = self.text(self.line);
        let first = text.find(": ").filter(|i| text[..*i].chars().count() + 1 < self.col as usize);
        if let Some(first) = first {
            let (key, value) = (text[..first].trim(), text[first + 2..].trim());
            return Some(Mistake {
                message: "a value with a colon in it has to be in quotes".into(),
                at: Some((self.line, self.col, 1)),
                help: Some(format!("write {key}: {:?}", value.trim_matches('"'))),
                related: None,
            });
        }
        let (before, before_text) = self.above(self.line).next()?;
        match colon(before_text) {
            None => self.key_without_colon(before),
            Some(_) => Some(Mistake {
                message: format!("this line is indented below line {before}, which has a value already"),
                at: Some(self.whole(self.line)),
                help: Some(format!(
                    "indent it by {} to stand beside line {before}",
                    spaces(indent(before_text))
                )),
                related: Some((self.whole(before), "this has a value".into())),
            }),
        }
    }

    fn key_without_colon(&self, line: u32) -> Option<Mistake> {
        let text = self.text(line).trim().trim_start_matches("- ");
        let (key, value) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        if let Some((key, value)) =
            text.split_once(':').filter(|(k, _)| !k.is_empty() && k.chars().all(plain))
        {
            if value.is_empty() {
                // Nothing is wrong with this one: it is what a key further up was to have.
                let (before, before_text) = self.above(line).next()?;
                return if colon(before_text).is_none() { self.key_without_colon(before) } else { None };
            }
            return Some(Mistake {
                message: "a space is missing behind the colon".into(),
                at: Some(self.whole(line)),
                help: Some(format!("write `{key}: {}`", value.trim())),
                related: None,
            });
        }
        if key.is_empty() || !key.chars().all(plain) {
            return None;
        }
        Some(Mistake {
            message: "a colon is missing behind the key".into(),
            at: Some(self.whole(line)),
            help: Some(format!("write `{}`", format!("{key}: {}", value.trim()).trim_end())),
            related: None,
        })
    }

    fn quote(&self, info: &str) -> Option<Mistake> {
        if info.contains("escape") {
            return Some(Mistake {
                message: "a backslash in double quotes begins an escape, and this isn't one".into(),
                help: Some("write \\\\ for a backslash, or use single quotes".into()),
                ..Mistake::default()
            });
        }
        if info.contains("trailing content") {
            return Some(Mistake {
                message: "something stands behind the closing quote".into(),
                help: Some("put all of the value between the quotes, or all of it in single ones".into()),
                ..Mistake::default()
            });
        }
        let text = self.text(self.line);
        let quote = text.chars().nth(self.col as usize - 1).filter(|c| matches!(c, '"' | '\''))?;
        Some(Mistake {
            message: "this quote isn't closed".into(),
            at: Some((self.line, self.col, text.chars().skip(self.col as usize - 1).count() as u32)),
            help: Some(format!("write {quote} at the end of the value, too")),
            related: None,
        })
    }

    /// The innermost bracket that is open where the parser stopped.
    fn bracket(&self) -> Option<Mistake> {
        let mut open: Vec<(char, u32, u32)> = Vec::new();
        for line in 1..=self.line {
            let mut quote = None;
            let mut before = ' ';
            for (c, column) in self.text(line).chars().zip(1..) {
                if line == self.line && column >= self.col {
                    break;
                }
                match (quote, c) {
                    (Some(q), _) if c == q => quote = None,
                    (Some(_), _) => {}
                    (None, '"' | '\'') if !before.is_alphanumeric() => quote = Some(c),
                    (None, '#') if before.is_whitespace() => break,
                    (None, '[' | '{') if !open.is_empty() || matches!(before, ' ' | '-') => {
                        open.push((c, line, column));
                    }
                    (None, ']' | '}') => {
                        open.pop();
                    }
                    _ => {}
                }
                before = c;
            }
        }
        let (bracket, line, column) = open.pop()?;
        let close = if bracket == '[' { ']' } else { '}' };
        Some(Mistake {
            message: format!("this {bracket} isn't closed, or a comma is missing behind it"),
            at: Some((line, column, 1)),
            help: Some(format!("write {close} at its end, and commas between its entries")),
            related: Some(((self.line, self.col, 1), "reading ended here".into())),
        })
    }

    fn alias(&self) -> Option<Mistake> {
        let rest = self.text(self.line).chars().skip(self.col as usize - 1);
        let word: String = rest.take_while(|c| !c.is_whitespace() && !matches!(c, ',' | ']' | '}')).collect();
        let name = word.strip_prefix('*')?;
        Some(Mistake {
            message: format!("*{name} refers to an anchor that isn't there"),
            at: Some((self.line, self.col, word.chars().count() as u32)),
            help: Some(format!(
                "write &{name} before the value that is meant, above this line; text with a star goes into quotes"
            )),
            related: None,
        })
    }

    fn character(&self) -> Option<Mistake> {
        let text = self.text(self.line);
        let rest: String = text.chars().skip(self.col as usize - 1).collect();
        let first = rest.chars().next()?;
        Some(Mistake {
            message: format!("a value can't begin with {first}"),
            at: Some((self.line, self.col, rest.trim_end().chars().count() as u32)),
            help: Some(format!("put it into quotes: '{}'", rest.trim_end())),
            related: None,
        })
    }

    fn dash(&self, wrong: u32) -> Option<Mistake> {
        let own = indent(self.text(wrong));
        let (line, _) =
            self.above(wrong).find(|(_, l)| l.trim_start().starts_with('-') && indent(l) == own)?;
        Some(Mistake {
            message: "an entry of a list without a dash".into(),
            at: Some(self.whole(wrong)),
            help: Some(format!("write `- ` before it, as in line {line}, or indent it otherwise")),
            related: None,
        })
    }
}
