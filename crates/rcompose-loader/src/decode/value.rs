//! Single values of a canonical tree.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::chain::shown;
use crate::cx::Cx;
use crate::tree::{Node, Value};

pub(crate) fn opt_text(n: &Node, key: &str) -> Option<String> {
    n.get(key).and_then(Node::scalar_text)
}

pub(crate) fn opt_flag(n: &Node, key: &str) -> Option<bool> {
    match n.get(key).map(|n| &n.value) {
        Some(Value::Bool(b)) => Some(*b),
        _ => None,
    }
}

pub(crate) fn flag(n: &Node, key: &str) -> bool {
    opt_flag(n, key).unwrap_or(false)
}

pub(crate) fn opt_int(n: &Node, key: &str) -> Option<i64> {
    match n.get(key).map(|n| &n.value) {
        Some(Value::Int(i)) => Some(*i),
        Some(Value::Float(f)) => Some(*f as i64),
        Some(Value::Str(s)) => s.parse().ok(),
        _ => None,
    }
}

pub(crate) fn opt_float(n: &Node, key: &str) -> Option<f64> {
    match n.get(key).map(|n| &n.value) {
        Some(Value::Int(i)) => Some(*i as f64),
        Some(Value::Float(f)) => Some(*f),
        Some(Value::Str(s)) => s.parse().ok(),
        _ => None,
    }
}

/// A text in its own type; an empty one is none. `what` stands in the message, `kind` is what it has to be.
pub(crate) fn parsed<T: FromStr>(cx: &mut Cx<'_>, node: &Node, what: &str, kind: &str) -> Option<T> {
    let text = node.scalar_text().filter(|t| !t.is_empty())?;
    let value = text.parse().ok();
    if value.is_none() {
        cx.error(node.span, format!("{what} {} isn't {kind}", shown(&text)));
    }
    value
}

/// The items of a list in their own type.
pub(crate) fn each<T>(
    cx: &mut Cx<'_>,
    n: &Node,
    key: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Vec<T> {
    let mut out = Vec::new();
    for item in n.get(key).and_then(Node::as_seq).unwrap_or_default() {
        match read(&item.scalar_text().unwrap_or_default()) {
            Ok(value) => out.push(value),
            Err(why) => {
                cx.error(item.span, why);
            }
        }
    }
    out
}

pub(crate) fn strings(n: Option<&Node>) -> Vec<String> {
    n.and_then(Node::as_seq).unwrap_or_default().iter().filter_map(Node::scalar_text).collect()
}

/// Null counts as empty.
pub(crate) fn text_map(n: Option<&Node>) -> BTreeMap<String, String> {
    let map = n.and_then(Node::as_map);
    map.into_iter().flatten().map(|(k, v)| (k.clone(), v.scalar_text().unwrap_or_default())).collect()
}

/// Null stays `None`.
pub(crate) fn opt_text_map(n: Option<&Node>) -> BTreeMap<String, Option<String>> {
    let map = n.and_then(Node::as_map);
    map.into_iter().flatten().map(|(k, v)| (k.clone(), v.scalar_text())).collect()
}
