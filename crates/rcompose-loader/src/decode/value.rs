//! Single values of a canonical tree.

use std::collections::BTreeMap;

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
