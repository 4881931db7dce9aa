//! The variables that a project's strings use (`config --variables`), found as docker compose finds them.

use std::collections::BTreeMap;

use crate::tree::{Node, Value};

/// What a project says of a variable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variable {
    /// `${NAME?…}` is used somewhere.
    pub required: bool,
    /// The first default that is given.
    pub default_value: String,
    /// The first text that stands for the variable where it is set (`${NAME+…}`).
    pub presence_value: String,
}

pub(crate) fn of(root: &Node) -> BTreeMap<String, Variable> {
    let mut out = BTreeMap::new();
    collect(root, &mut out);
    out
}

fn collect(node: &Node, out: &mut BTreeMap<String, Variable>) {
    match &node.value {
        Value::Str(text) => text_variables(text, out),
        Value::Seq(items) => items.iter().for_each(|n| collect(n, out)),
        Value::Map(map) => map.values().for_each(|n| collect(n, out)),
        _ => {}
    }
}

fn name_end(text: &str) -> usize {
    let more = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        0
    } else {
        text.find(|c| !more(c)).unwrap_or(text.len())
    }
}

/// The end of `{…}` that `text` begins with: the inside's length.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (i, c) in text.char_indices() {
        match c {
            '{' if i == 0 || text[..i].ends_with('$') => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(i);
                }
            }
            _ => {}
        }
    }
    None
}

fn text_variables(text: &str, out: &mut BTreeMap<String, Variable>) {
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            rest = after;
        } else if rest.starts_with('{') {
            let Some(end) = closing(rest) else { continue };
            braced(&rest[1..end], out);
            rest = &rest[end + 1..];
        } else {
            let end = name_end(rest);
            if end > 0 {
                out.entry(rest[..end].to_owned()).or_default();
            }
            rest = &rest[end..];
        }
    }
}

fn braced(body: &str, out: &mut BTreeMap<String, Variable>) {
    let end = name_end(body);
    if end == 0 {
        return;
    }
    let operator = &body[end..];
    let variable = out.entry(body[..end].to_owned()).or_default();
    let (operator, word) = operator.strip_prefix(':').unwrap_or(operator).split_at(operator.len().min(1));
    match operator {
        "?" => variable.required = true,
        "-" if variable.default_value.is_empty() => word.clone_into(&mut variable.default_value),
        "+" if variable.presence_value.is_empty() => word.clone_into(&mut variable.presence_value),
        _ => {}
    }
    if matches!(operator, "-" | "+") {
        text_variables(word, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found() {
        let mut out = BTreeMap::new();
        for text in
            ["$A ${B:-b-${C-c}} $$D ${E?no ${F}}", "${A:-1}${A-2} ${G:+g}${H", "${1} $2 ${I:-\"{x}\"}"]
        {
            text_variables(text, &mut out);
        }
        let shown: Vec<String> = out
            .iter()
            .map(|(n, v)| format!("{n},{},{},{}", v.required, v.default_value, v.presence_value))
            .collect();
        let want =
            ["A,false,1,", "B,false,b-${C-c},", "C,false,c,", "E,true,,", "G,false,,g", "I,false,\"{x,"];
        assert_eq!(shown, want);
    }
}
