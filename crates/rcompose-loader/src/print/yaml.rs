//! YAML as Go's library writes it: two spaces, lists indented, literal blocks, quotes only where needed.

use crate::scalar;
use crate::tree::{Node, Style, Value, go_float};

pub(super) fn print(root: &Node) -> String {
    let mut out = String::new();
    if let Value::Map(map) = &root.value {
        for (key, node) in map {
            entry(&mut out, key, node, 0);
        }
    }
    out
}

/// Bytes that a key may have to stand before its colon (YAML, "Implicit Keys", as Go's emitter counts them).
const LONGEST_KEY: usize = 128;

fn indent(out: &mut String, depth: usize) {
    for _ in 0..depth {
        out.push_str("  ");
    }
}

fn entry(out: &mut String, key: &str, node: &Node, depth: usize) {
    indent(out, depth);
    let breaks = |c| matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}');
    if key.len() > LONGEST_KEY || key.contains(breaks) {
        out.push_str("? ");
        write_scalar(out, &Node::str(key, node.key_span), depth);
        out.push('\n');
        indent(out, depth);
    } else {
        out.push_str(&scalar_text(key, true, depth));
    }
    out.push(':');
    value(out, node, depth);
}

/// What follows a colon or a dash, with the newline.
fn value(out: &mut String, node: &Node, depth: usize) {
    match &node.value {
        Value::Map(map) if map.is_empty() => out.push_str(" {}\n"),
        Value::Map(map) => {
            out.push('\n');
            for (key, node) in map {
                entry(out, key, node, depth + 1);
            }
        }
        Value::Seq(items) if items.is_empty() => out.push_str(" []\n"),
        Value::Seq(items) => {
            out.push('\n');
            for item in items {
                element(out, item, depth + 1);
            }
        }
        _ => {
            out.push(' ');
            write_scalar(out, node, depth);
            out.push('\n');
        }
    }
}

fn element(out: &mut String, item: &Node, depth: usize) {
    indent(out, depth);
    out.push_str("- ");
    match &item.value {
        Value::Map(map) if !map.is_empty() => {
            for (i, (key, node)) in map.iter().enumerate() {
                if i > 0 {
                    indent(out, depth + 1);
                }
                out.push_str(&scalar_text(key, true, depth));
                out.push(':');
                value(out, node, depth + 1);
            }
        }
        Value::Seq(items) if !items.is_empty() => {
            for (i, node) in items.iter().enumerate() {
                if i == 0 {
                    let mut first = String::new();
                    element(&mut first, node, depth + 1);
                    out.push_str(first.trim_start());
                } else {
                    element(out, node, depth + 1);
                }
            }
        }
        Value::Map(_) => out.push_str("{}\n"),
        Value::Seq(_) => out.push_str("[]\n"),
        _ => {
            write_scalar(out, item, depth);
            out.push('\n');
        }
    }
}

fn scalar(node: &Node, depth: usize) -> String {
    match &node.value {
        Value::Null => "null".into(),
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        Value::Float(f) => go_float(*f),
        Value::Str(s) if node.style == Style::Typed => s.clone(),
        Value::Str(s) => scalar_text(s, false, depth),
        _ => String::new(),
    }
}

/// Columns after which Go's emitter breaks a line at the next space.
const WIDTH: usize = 80;

/// Writes a scalar where `out` ends, folding long lines.
fn write_scalar(out: &mut String, node: &Node, depth: usize) {
    let text = scalar(node, depth);
    if text.starts_with('|') && text.contains('\n') {
        out.push_str(&text);
        return;
    }
    let mut column = out.rsplit('\n').next().unwrap_or_default().chars().count();
    let quoted = text.starts_with('"');
    let chars: Vec<char> = text.chars().collect();
    let mut spaces = false;
    for (i, c) in chars.iter().enumerate() {
        let next = chars.get(i + 1).copied();
        let inside = if quoted { i > 1 && i + 2 < chars.len() } else { next.is_some_and(|n| n != ' ') };
        if *c == ' ' && !spaces && column > WIDTH && inside {
            out.push('\n');
            indent(out, depth + 1);
            column = (depth + 1) * 2;
            if quoted && next == Some(' ') {
                out.push('\\');
                column += 1;
            }
        } else {
            out.push(*c);
            column += 1;
        }
        spaces = *c == ' ';
    }
}

fn scalar_text(text: &str, key: bool, depth: usize) -> String {
    if text.is_empty() {
        return "\"\"".into();
    }
    let lines = text.contains('\n');
    let special = text.chars().any(|c| match c {
        '\n' => false,
        // Tabs may stand in a block, but not beside other text on one line.
        '\t' => !lines,
        // The emitter escapes what doesn't fit into sixteen bits, too.
        c => c.is_control() || c as u32 > 0xffff || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}'),
    });
    let trailing = text.contains(" \n") || text.ends_with(' ') || text.trim_matches('\n').is_empty();
    if lines && !key && !special && !trailing {
        return literal(text, depth);
    }
    if special || lines {
        return double(text);
    }
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    if digits || !scalar::is_text(text) {
        return double(text);
    }
    if text == "<<" || old_bool(text) || base60(text) || !plain(text) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    text.to_owned()
}

fn old_bool(text: &str) -> bool {
    matches!(
        text,
        "y" | "Y"
            | "yes"
            | "Yes"
            | "YES"
            | "on"
            | "On"
            | "ON"
            | "n"
            | "N"
            | "no"
            | "No"
            | "NO"
            | "off"
            | "Off"
            | "OFF"
    )
}

/// `22:22` was a number in YAML 1.1.
fn base60(text: &str) -> bool {
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (main, fraction) = body.split_once('.').unwrap_or((body, ""));
    if !fraction.chars().all(|c| c.is_ascii_digit() || c == '_') {
        return false;
    }
    let mut parts = main.split(':');
    let first = parts.next().unwrap_or_default();
    let digits = first.starts_with(|c: char| c.is_ascii_digit())
        && first.chars().all(|c| c.is_ascii_digit() || c == '_');
    let mut rest = parts.peekable();
    digits
        && rest.peek().is_some()
        && rest.all(|p| {
            (p.len() == 1 && p.as_bytes()[0].is_ascii_digit())
                || (p.len() == 2
                    && (b'0'..=b'5').contains(&p.as_bytes()[0])
                    && p.as_bytes()[1].is_ascii_digit())
        })
}

fn plain(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    let space_after = |i: usize| chars.get(i + 1).is_none_or(|c| *c == ' ');
    if chars[0] == ' ' || chars[chars.len() - 1] == ' ' || text.starts_with("---") || text.starts_with("...")
    {
        return false;
    }
    match chars[0] {
        '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => {
            return false;
        }
        '?' | ':' | '-' if space_after(0) => return false,
        _ => {}
    }
    !chars.iter().enumerate().skip(1).any(|(i, c)| match c {
        ':' => space_after(i),
        '#' => chars[i - 1] == ' ',
        _ => false,
    })
}

fn double(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\0' => out.push_str("\\0"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\u{1b}' => out.push_str("\\e"),
            '\u{85}' => out.push_str("\\N"),
            c if c as u32 > 0xffff => out.push_str(&format!("\\U{:08X}", c as u32)),
            c if c.is_control() && (c as u32) < 0x100 => out.push_str(&format!("\\x{:02X}", c as u32)),
            '\u{feff}' => out.push_str("\\uFEFF"),
            '\u{2028}' => out.push_str("\\L"),
            '\u{2029}' => out.push_str("\\P"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn literal(text: &str, depth: usize) -> String {
    let mut out = String::from("|");
    // Readers take the indentation of the first line that isn't empty for the block's.
    if text.trim_start_matches('\n').starts_with(' ') {
        out.push('2');
    }
    if !text.ends_with('\n') {
        out.push('-');
    } else if text.ends_with("\n\n") || text == "\n" {
        out.push('+');
    }
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            indent(&mut out, depth + 1);
            out.push_str(line);
        }
    }
    out
}
