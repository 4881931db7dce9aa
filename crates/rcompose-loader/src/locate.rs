//! From a character of a scalar's value back to its place in the file.

use crate::tree::{Span, Style};

/// The place of the characters `at..at + len` of a scalar's value. `text` is the file, `value` what the scalar says;
/// the scalar's own place where it can't be told.
pub(crate) fn inside(text: &str, span: Span, style: Style, value: &str, at: usize, len: usize) -> Span {
    let Some(start) = walk(text, span, style, at) else { return span };
    // What stands there must be what the value has there, unless it is written as an escape.
    let said = value.chars().nth(at);
    if said != Some(start.2) && start.2 != '\\' {
        return span;
    }
    let end = walk(text, span, style, at + len.max(1) - 1).filter(|e| e.0 == start.0 && e.1 >= start.1);
    Span { line: start.0, col: start.1, len: end.map_or(1, |e| e.1 - start.1 + 1), ..span }
}

/// Line, column and character of the file that the character `at` of the value came from.
fn walk(text: &str, span: Span, style: Style, at: usize) -> Option<(u32, u32, char)> {
    let first = (span.line as usize).checked_sub(1)?;
    let mut lines = text.lines().skip(first);
    match style {
        Style::Literal | Style::Folded => block(&mut lines, span, style == Style::Folded, at),
        _ => flow(&mut lines, span, style, at),
    }
}

/// Block scalars begin at the indentation of their first line.
fn block(
    lines: &mut dyn Iterator<Item = &str>,
    span: Span,
    folded: bool,
    mut at: usize,
) -> Option<(u32, u32, char)> {
    let indent = span.col as usize - 1;
    let mut line_number = span.line;
    let mut breaks = 0;
    let mut deeper_before = false;
    for (n, line) in lines.enumerate() {
        let mut rest = line.chars().skip(indent).peekable();
        let blank = rest.peek().is_none();
        let deeper = rest.peek().is_some_and(|c| matches!(c, ' ' | '\t'));
        if !blank && line.chars().take(indent).any(|c| c != ' ') {
            return None;
        }
        if n > 0 {
            breaks += 1;
        }
        if blank {
            line_number += 1;
            continue;
        }
        let between = if folded && !deeper && !deeper_before && breaks > 1 { breaks - 1 } else { breaks };
        if at < between {
            return None;
        }
        at -= between;
        (breaks, deeper_before) = (0, deeper);
        for (i, c) in rest.enumerate() {
            if at == 0 {
                return Some((line_number, (indent + i) as u32 + 1, c));
            }
            at -= 1;
        }
        line_number += 1;
    }
    None
}

/// Plain and quoted scalars; line breaks in them fold.
fn flow(
    lines: &mut dyn Iterator<Item = &str>,
    span: Span,
    style: Style,
    mut at: usize,
) -> Option<(u32, u32, char)> {
    let mut breaks = 0usize;
    let mut line_number = span.line;
    for (n, line) in lines.enumerate() {
        let chars: Vec<char> = line.chars().collect();
        let mut i = if n == 0 { begin(&chars, span.col as usize - 1, style)? } else { 0 };
        if n > 0 {
            breaks += 1;
            while chars.get(i).is_some_and(|c| matches!(c, ' ' | '\t')) {
                i += 1;
            }
        }
        if i >= chars.len() {
            line_number += 1;
            continue;
        }
        if breaks > 0 {
            let between = breaks.saturating_sub(1).max(1);
            if at < between {
                return None;
            }
            at -= between;
            breaks = 0;
        }
        // White space before a line break isn't part of the value.
        let end = chars.iter().rposition(|c| !matches!(c, ' ' | '\t')).map_or(0, |e| e + 1);
        let mut joined = false;
        while i < end {
            let (c, width) = (chars[i], unit(&chars, i, style));
            if width == 0 {
                return None;
            }
            if style == Style::Double && c == '\\' && i + 1 == chars.len() {
                joined = true;
                break;
            }
            if at == 0 {
                return Some((line_number, i as u32 + 1, c));
            }
            at -= 1;
            i += width;
        }
        if joined {
            // An escaped line break is nothing at all: go on as if the lines were one.
            return None;
        }
        line_number += 1;
    }
    None
}

/// Where the text begins, behind an anchor, a tag and the quote.
fn begin(chars: &[char], mut i: usize, style: Style) -> Option<usize> {
    while matches!(chars.get(i), Some('&' | '!')) {
        while chars.get(i).is_some_and(|c| !matches!(c, ' ' | '\t')) {
            i += 1;
        }
        while chars.get(i).is_some_and(|c| matches!(c, ' ' | '\t')) {
            i += 1;
        }
    }
    let quote = match style {
        Style::Double => '"',
        Style::Single => '\'',
        _ => return Some(i),
    };
    (chars.get(i) == Some(&quote)).then_some(i + 1)
}

/// How many characters of the file say one of the value; 0 at the closing quote.
fn unit(chars: &[char], i: usize, style: Style) -> usize {
    match (style, chars[i]) {
        (Style::Single, '\'') if chars.get(i + 1) == Some(&'\'') => 2,
        (Style::Single, '\'') | (Style::Double, '"') => 0,
        (Style::Double, '\\') => match chars.get(i + 1) {
            Some('x') => 4,
            Some('u') => 6,
            Some('U') => 10,
            _ => 2,
        },
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, span: (u32, u32), style: Style, value: &str, at: usize) -> (u32, u32) {
        let span = Span { file: 1, line: span.0, col: span.1, len: 99 };
        let found = inside(text, span, style, value, at, 1);
        assert_eq!(found.len, 1, "{text:?}: {found:?}");
        (found.line, found.col)
    }

    #[test]
    fn one_line() {
        assert_eq!(at("a: b$c", (1, 4), Style::Plain, "b$c", 1), (1, 5));
        assert_eq!(at("a: \"\\t\\x41$c\"", (1, 4), Style::Double, "\tA$c", 2), (1, 11));
        assert_eq!(at("a: 'it''s $c'", (1, 4), Style::Single, "it's $c", 5), (1, 11));
        assert_eq!(at("a: &x !!str 'ä$'", (1, 4), Style::Single, "ä$", 1), (1, 15));
    }

    #[test]
    fn several_lines() {
        let text = "a: |\n  one\n\n    two\n  $x\n";
        assert_eq!(at(text, (2, 3), Style::Literal, "one\n\n  two\n$x\n", 11), (5, 3));
        let text = "a: >\n  one\n  t$o\n\n  $x\n";
        assert_eq!(at(text, (2, 3), Style::Folded, "one t$o\n$x\n", 5), (3, 4));
        assert_eq!(at(text, (2, 3), Style::Folded, "one t$o\n$x\n", 8), (5, 3));
        assert_eq!(at("a: one\n  more $x\n", (1, 4), Style::Plain, "one more $x", 9), (2, 8));
        assert_eq!(at("a: \"one \n  \n  $x\"\n", (1, 4), Style::Double, "one\n$x", 4), (3, 3));
    }

    #[test]
    fn what_cannot_be_told_is_the_whole() {
        let span = Span { file: 1, line: 1, col: 4, len: 9 };
        assert_eq!(inside("a: \"x\\\n  $y\"", span, Style::Double, "x$y", 1, 2), span);
        assert_eq!(inside("", span, Style::Plain, "$y", 0, 2), span);
    }
}
