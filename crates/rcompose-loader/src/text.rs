//! A file's bytes as text, and what the YAML reader and docker compose's don't agree about.

use std::borrow::Cow;

/// Why bytes aren't text: line and column from 1.
pub(crate) struct NotText {
    pub(crate) line: u32,
    pub(crate) col: u32,
    pub(crate) message: String,
    pub(crate) help: &'static str,
}

/// UTF-8, or UTF-16 with a byte order mark; without characters that YAML doesn't allow.
pub(crate) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, NotText> {
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text.strip_prefix('\u{feff}').unwrap_or(text)),
            Err(e) => {
                let good = String::from_utf8_lossy(&bytes[..e.valid_up_to()]);
                return Err(fault(&good, "this file is not UTF-8 text", "save it with the encoding UTF-8"));
            }
        },
    };
    match text.char_indices().find(|(_, c)| !allowed(*c)) {
        None => Ok(text),
        Some((at, c)) => {
            let message = format!("the control character U+{:04X} isn't allowed in YAML", c as u32);
            Err(fault(&text[..at], message, "take it out, or write it as an escape in double quotes"))
        }
    }
}

fn utf16(bytes: &[u8], join: fn([u8; 2]) -> u16) -> Result<Cow<'static, str>, NotText> {
    let units = bytes.chunks(2).map(|c| join([c[0], c.get(1).copied().unwrap_or_default()]));
    let text: Result<String, _> = char::decode_utf16(units).collect();
    text.map(Cow::Owned)
        .map_err(|_| fault("", "this file is not UTF-16 text", "save it with the encoding UTF-8"))
}

fn fault(before: &str, message: impl Into<String>, help: &'static str) -> NotText {
    let line = before.matches('\n').count() as u32 + 1;
    let col = before.rsplit('\n').next().unwrap_or_default().chars().count() as u32 + 1;
    NotText { line, col, message: message.into(), help }
}

/// YAML 1.2.2, production 1 (`c-printable`); a byte order mark inside isn't taken either.
fn allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}'
        | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..)
}

/// Indents the lines on which a quoted scalar goes on: how far says nothing there. It begins after `index` characters, in
/// column `col` from 1. `None` if it doesn't end.
pub(crate) fn indent_quoted(text: &str, index: usize, col: usize) -> Option<String> {
    let from = text.char_indices().nth(index)?.0;
    let quote = text[from..].chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let indent = " ".repeat(col);
    let mut out = text[..from].to_owned();
    out.push(quote);
    let mut chars = text[from + 1..].char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        out.push(c);
        let next = chars.peek().map(|(_, c)| *c);
        match c {
            '\\' if quote == '"' && !matches!(next, Some('\n' | '\r')) => {
                out.extend(chars.next().map(|(_, c)| c));
            }
            '\r' if next == Some('\n') => {}
            // A carriage return alone ends a line, too (YAML 1.2.2, 5.4).
            '\n' | '\r' => {
                // A document's mark ends everything, and an empty line has no indentation.
                let rest = &text[from + 2 + at..];
                if rest.starts_with("---") || rest.starts_with("...") {
                    return None;
                }
                if !rest.trim_start_matches([' ', '\t']).starts_with(['\n', '\r']) {
                    out.push_str(&indent);
                }
            }
            '\'' if quote == '\'' && next == Some('\'') => {
                out.extend(chars.next().map(|(_, c)| c));
            }
            c if c == quote => {
                out.push_str(&text[from + 2 + at..]);
                return Some(out);
            }
            _ => {}
        }
    }
    None
}

/// Whether a block scalar's indentation ends with a tab, which docker compose's reader refuses; the place (from 1) is
/// where its text begins.
pub(crate) fn tab_in_block(text: &str, line: usize, col: usize) -> bool {
    let above = text.lines().take(line.saturating_sub(1)).filter(|l| !l.trim().is_empty());
    let header = above.last().unwrap_or_default();
    let header = header.split(" #").next().unwrap_or_default().trim_end();
    // `|2` says where the text begins: the tab is in it.
    if header.ends_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    let first = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    first.chars().take(col).any(|c| c == '\t')
}

/// The line (from 1) and the text of a `%YAML` that docker compose's reader doesn't know.
pub(crate) fn foreign_version(text: &str) -> Option<(u32, &str)> {
    let head = text.lines().enumerate().take_while(|(_, l)| l.is_empty() || l.starts_with(['#', '%']));
    let mut versions = head.filter_map(|(i, l)| Some((i as u32 + 1, l.strip_prefix("%YAML")?.trim())));
    versions.find(|(_, v)| *v != "1.1")
}

/// The bytes that `!!binary` stands for, as text.
pub(crate) fn base64(text: &str) -> Option<String> {
    let mut out = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for c in text.bytes().filter(|c| !c.is_ascii_whitespace() && *c != b'=') {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_scalars_are_indented() {
        let text = "a:\n  k: \"one\n two\n\nthree\" # x\n";
        assert_eq!(indent_quoted(text, 8, 6).unwrap(), "a:\n  k: \"one\n       two\n\n      three\" # x\n");
        assert_eq!(indent_quoted("'it''s\nb' c", 0, 1).unwrap(), "'it''s\n b' c");
        assert_eq!(indent_quoted("'a\rb\r\n\r\nc'", 0, 1).unwrap(), "'a\r b\r\n\r\n c'");
        assert_eq!(indent_quoted("\"a\\\nb\\\"\"", 0, 1).unwrap(), "\"a\\\n b\\\"\"");
        assert!(indent_quoted("\"a\n---\nb\"", 0, 1).is_none());
        assert!(indent_quoted("'a\nb", 0, 1).is_none());
    }

    #[test]
    fn encodings() {
        assert_eq!(decode(b"\xff\xfea\0\xe9\0").ok().as_deref(), Some("aé"));
        assert_eq!(decode(b"\xef\xbb\xbfa").ok().as_deref(), Some("a"));
        assert!(decode(b"a\n\x01").is_err_and(|e| (e.line, e.col) == (2, 1)));
        assert_eq!(base64("aGVs\nbG8="), Some("hello".into()));
    }
}
