//! `$V`, `${V}` and its operators (Compose specification, "Interpolation").

use crate::cx::Cx;
use crate::tree::{Node, Span, Value};

/// Why a string couldn't be interpolated, with the offset in characters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Format { at: usize },
    Required { name: String, message: String, at: usize },
}

/// Replaces variables in one string.
pub(crate) fn expand(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    unset: &mut dyn FnMut(&str, usize),
) -> Result<String, Fault> {
    if !text.contains('$') {
        return Ok(text.to_owned());
    }
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut i = 0;
    while i < chars.len() {
        let c = chars[i];
        if c != '$' {
            out.push(c);
            i += 1;
            continue;
        }
        match chars.get(i + 1) {
            Some('$') => {
                out.push('$');
                i += 2;
            }
            Some('{') => {
                let end = closing(&chars, i + 1).ok_or(Fault::Format { at: i })?;
                out.push_str(&braced(&chars[i + 2..end], i, lookup, unset)?);
                i = end + 1;
            }
            Some(c) if is_start(*c) => {
                let end = name_end(&chars, i + 1);
                let name: String = chars[i + 1..end].iter().collect();
                match lookup(&name) {
                    Some(v) => out.push_str(&v),
                    None => unset(&name, i),
                }
                i = end;
            }
            _ => {
                out.push('$');
                i += 1;
            }
        }
    }
    Ok(out)
}

fn is_start(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

fn name_end(chars: &[char], from: usize) -> usize {
    let mut end = from;
    while end < chars.len() && (chars[end] == '_' || chars[end].is_ascii_alphanumeric()) {
        end += 1;
    }
    end
}

/// The brace that closes the one at `open`.
fn closing(chars: &[char], open: usize) -> Option<usize> {
    let mut depth = 0usize;
    let mut i = open;
    while i < chars.len() {
        match chars[i] {
            '$' if chars.get(i + 1) == Some(&'{') => {
                depth += 1;
                i += 1;
            }
            '{' if i == open => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(i);
                }
            }
            _ => {}
        }
        i += 1;
    }
    None
}

fn braced(
    body: &[char],
    at: usize,
    lookup: &dyn Fn(&str) -> Option<String>,
    unset: &mut dyn FnMut(&str, usize),
) -> Result<String, Fault> {
    let end = name_end(body, 0);
    if end == 0 || !is_start(body[0]) {
        return Err(Fault::Format { at });
    }
    let name: String = body[..end].iter().collect();
    let value = lookup(&name);
    let rest = &body[end..];
    let (colon, op, word) = match rest {
        [] => {
            return Ok(value.unwrap_or_else(|| {
                unset(&name, at);
                String::new()
            }));
        }
        [':', op @ ('-' | '?' | '+'), word @ ..] => (true, *op, word),
        [op @ ('-' | '?' | '+'), word @ ..] => (false, *op, word),
        _ => return Err(Fault::Format { at }),
    };
    let word: String = word.iter().collect();
    let present = value.as_ref().is_some_and(|v| !colon || !v.is_empty());
    match op {
        '-' if present => Ok(value.unwrap_or_default()),
        '-' => expand(&word, lookup, unset),
        '+' if present => expand(&word, lookup, unset),
        '+' => Ok(String::new()),
        _ if present => Ok(value.unwrap_or_default()),
        _ => {
            let message = expand(&word, lookup, unset)?;
            Err(Fault::Required { name, message, at })
        }
    }
}

/// Interpolates every string of a tree.
pub(crate) fn tree(cx: &mut Cx<'_>, node: &mut Node) {
    if node.tag == crate::tree::Tag::Reset {
        return;
    }
    let span = node.span;
    let quoted = node.quoted;
    match &mut node.value {
        Value::Str(text) if text.contains('$') => {
            let mut unset = Vec::new();
            let env = &cx.env;
            let result = expand(text, &|n| env.get(n).cloned(), &mut |n, at| unset.push((n.to_owned(), at)));
            match result {
                Ok(new) => *text = new,
                Err(Fault::Format { at }) => {
                    let at = inner(span, quoted, at);
                    let shown = std::mem::take(text);
                    cx.error(at, format!("invalid interpolation format: {shown:?}"))
                        .help
                        .push("you may need to escape any $ with another $: $$".into());
                }
                Err(Fault::Required { name, message, at }) => {
                    let mut text = format!("required variable {name} is missing a value");
                    if !message.is_empty() {
                        text.push_str(": ");
                        text.push_str(&message);
                    }
                    cx.error(inner(span, quoted, at), text)
                        .help
                        .push(format!("set {name} in the environment or in .env"));
                }
            }
            for (name, at) in unset {
                let at = inner(span, quoted, at);
                if cx.warned.insert((name.clone(), at)) {
                    cx.warn(at, format!("The {name:?} variable is not set. Defaulting to a blank string."));
                }
            }
        }
        Value::Seq(items) => items.iter_mut().for_each(|n| tree(cx, n)),
        Value::Map(map) => map.values_mut().for_each(|n| tree(cx, n)),
        _ => {}
    }
}

/// A place inside a scalar; the scalar's own for one of several lines.
fn inner(span: Span, quoted: bool, at: usize) -> Span {
    let offset = at as u32 + u32::from(quoted);
    if span.len > offset { Span { col: span.col + offset, len: 1, ..span } } else { span }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Result<String, Fault> {
        let lookup = |n: &str| match n {
            "A" => Some("a".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        expand(text, &lookup, &mut |_, _| {})
    }

    #[test]
    fn ten_forms() {
        for (text, want) in [
            ("$A-${A}", "a-a"),
            ("${A:-d}${EMPTY:-d}${X:-d}", "add"),
            ("${A-d}${EMPTY-d}${X-d}", "ad"),
            ("${A:?e}", "a"),
            ("${A:+r}${EMPTY:+r}${X:+r}", "r"),
            ("${A+r}${EMPTY+r}${X+r}", "rr"),
            ("$$A ${X:-${Y:-deep}}", "$A deep"),
            ("cost $ 5 $1", "cost $ 5 $1"),
            ("${X:-a:-b?c}", "a:-b?c"),
            ("${X:-{\"k\": 1}}", "{\"k\": 1}"),
        ] {
            match run(text) {
                Ok(got) => assert_eq!(got, want, "{text}"),
                Err(e) => panic!("{text}: {e:?}"),
            }
        }
    }

    #[test]
    fn faults() {
        assert_eq!(run("ab${"), Err(Fault::Format { at: 2 }));
        assert_eq!(run("${A/b/c}"), Err(Fault::Format { at: 0 }));
        assert_eq!(run("${}"), Err(Fault::Format { at: 0 }));
        assert_eq!(
            run("${X:?not ${A}}"),
            Err(Fault::Required { name: "X".into(), message: "not a".into(), at: 0 })
        );
    }
}
