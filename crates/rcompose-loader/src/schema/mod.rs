//! The check of one file against the specification's keys and types, with the casts of strings.

mod table;

pub(crate) use table::{SERVICE, TOP};

use crate::cx::{Cx, nearest};
use crate::tree::{Map, Node, Tag, Value};

/// The type of a value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ty {
    /// A string.
    Str,
    /// A string or a number.
    NumStr,
    /// A string, a number or a boolean.
    IntStr,
    /// A boolean, or a string that says one.
    Bool,
    /// A boolean.
    StrictBool,
    /// A whole number, or a string that says one.
    Int,
    /// A number, or a string that says one.
    Num,
    /// One of these words.
    Enum(&'static [&'static str]),
    /// A list of strings.
    Strs,
    /// A string or a list of strings.
    StrOrList,
    /// A string or a list of strings or of such mappings.
    StrOrListOf(&'static [(&'static str, Ty)]),
    /// A string, a list of strings, or nothing.
    Command,
    /// A list of these.
    List(&'static Ty),
    /// `[K=v]` or `{K: v}`.
    ListOrMap,
    /// A list of names, or a mapping of them.
    StrsOrMap(&'static Ty),
    /// A mapping with these keys.
    Obj(&'static [(&'static str, Ty)]),
    /// That, or a mapping with these keys.
    OrMap(&'static Ty, &'static [(&'static str, Ty)]),
    /// A mapping with any keys.
    MapOf(&'static Ty),
    /// That, or nothing.
    OrNull(&'static Ty),
    /// Anything.
    Any,
}

/// Checks a file's tree and casts what it can.
pub(crate) fn check(cx: &mut Cx<'_>, root: &mut Node) {
    match &root.value {
        Value::Map(_) => {}
        Value::Null => return,
        _ => {
            let kind = root.kind();
            cx.error(root.span, format!("the top level must be a mapping, not {kind}"))
                .help
                .push("a Compose file begins with `services:`".into());
            return;
        }
    }
    value(cx, root, &Ty::Obj(TOP), "");
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn wrong(cx: &mut Cx<'_>, node: &Node, path: &str, want: &str) {
    let span = if node.is_null() && node.span.len == 0 { node.key_span } else { node.span };
    let kind = node.kind();
    let message = if node.is_null() {
        format!("{path} has no value: it must be {want}")
    } else {
        format!("{path} must be {want}, not {kind}")
    };
    let d = cx.error(span, message);
    if matches!(node.value, Value::Int(_) | Value::Float(_) | Value::Bool(_)) && want.starts_with("a string")
    {
        let text = node.scalar_text().unwrap_or_default();
        d.help.push(format!("write it in quotes: \"{text}\""));
    }
}

/// Checks one value; strings are cast in place where the type is another.
fn value(cx: &mut Cx<'_>, node: &mut Node, ty: &Ty, path: &str) {
    if node.tag == Tag::Reset {
        return;
    }
    match ty {
        Ty::Any => {}
        Ty::OrNull(inner) => {
            if !node.is_null() {
                value(cx, node, inner, path);
            }
        }
        Ty::Str => {
            if node.as_str().is_none() {
                wrong(cx, node, path, "a string");
            }
        }
        Ty::NumStr => {
            if !matches!(node.value, Value::Str(_) | Value::Int(_) | Value::Float(_)) {
                wrong(cx, node, path, "a string or a number");
            }
        }
        Ty::IntStr => {
            if !matches!(node.value, Value::Str(_) | Value::Int(_) | Value::Float(_) | Value::Bool(_)) {
                wrong(cx, node, path, "a string or a boolean");
            }
        }
        Ty::Bool => cast_bool(cx, node, path),
        Ty::StrictBool => {
            if !matches!(node.value, Value::Bool(_)) {
                cast_bool(cx, node, path);
            }
        }
        Ty::Int | Ty::Num => cast_number(cx, node, path, matches!(ty, Ty::Int)),
        Ty::Enum(words) => match node.as_str() {
            None => wrong(cx, node, path, "a string"),
            Some(s) if words.contains(&s) => {}
            Some(s) => {
                let near = nearest(s, words.iter().copied());
                let message = format!("{path}: {s:?} isn't one of {}", words.join(", "));
                let d = cx.error(node.span, message);
                d.help.extend(near.map(|n| format!("did you mean {n:?}?")));
            }
        },
        Ty::Strs => list(cx, node, &Ty::Str, path, "a list of strings"),
        Ty::List(inner) => list(cx, node, inner, path, "a list"),
        Ty::StrOrList => {
            if node.as_str().is_none() {
                list(cx, node, &Ty::Str, path, "a string or a list of strings");
            }
        }
        Ty::StrOrListOf(fields) => match &mut node.value {
            Value::Str(_) => {}
            Value::Seq(items) => {
                for (i, item) in items.iter_mut().enumerate() {
                    value(cx, item, &Ty::OrMap(&Ty::Str, fields), &format!("{path}.{i}"));
                }
            }
            _ => wrong(cx, node, path, "a string or a list"),
        },
        Ty::Command => {
            if !node.is_null() && node.as_str().is_none() {
                list(cx, node, &Ty::Str, path, "a string or a list of strings");
            }
        }
        Ty::ListOrMap => list_or_map(cx, node, path),
        Ty::StrsOrMap(inner) => match &mut node.value {
            Value::Seq(_) => {
                list(cx, node, &Ty::Str, path, "a list of strings");
                duplicates(cx, node, path);
            }
            Value::Map(map) => {
                for (key, item) in map {
                    value(cx, item, inner, &join(path, key));
                }
            }
            _ => wrong(cx, node, path, "a list of names or a mapping"),
        },
        Ty::Obj(fields) => match &mut node.value {
            Value::Map(map) => object(cx, map, fields, path),
            _ => wrong(cx, node, path, "a mapping"),
        },
        Ty::OrMap(inner, fields) => match &mut node.value {
            Value::Map(map) => object(cx, map, fields, path),
            Value::Seq(_) => wrong(cx, node, path, "a string or a mapping"),
            Value::Null => wrong(cx, node, path, "a string or a mapping"),
            _ => value(cx, node, inner, path),
        },
        Ty::MapOf(inner) => match &mut node.value {
            Value::Map(map) => {
                for (key, item) in map {
                    if key.starts_with("x-") {
                        continue;
                    }
                    value(cx, item, inner, &join(path, key));
                }
            }
            _ => wrong(cx, node, path, "a mapping"),
        },
    }
}

fn object(cx: &mut Cx<'_>, map: &mut Map, fields: &'static [(&'static str, Ty)], path: &str) {
    for (key, item) in map {
        if key.starts_with("x-") {
            continue;
        }
        let at = join(path, key);
        match fields.binary_search_by_key(&key.as_str(), |(name, _)| name) {
            Ok(i) => value(cx, item, &fields[i].1, &at),
            Err(_) => {
                let where_ = if path.is_empty() { "the top level".to_owned() } else { path.to_owned() };
                let near = nearest(key, fields.iter().map(|(name, _)| *name));
                let elsewhere = near.is_none() && path.is_empty() && SERVICE.iter().any(|(n, _)| n == key);
                let looks_like_service = near.is_none()
                    && path.is_empty()
                    && item.as_map().is_some_and(|m| m.contains_key("image") || m.contains_key("build"));
                let d =
                    cx.error(item.key_span, format!("additional properties '{key}' not allowed in {where_}"));
                d.help.extend(near.map(|n| format!("did you mean {n:?}?")));
                if elsewhere {
                    d.help.push(format!("{key:?} is an attribute of a service: indent it below one"));
                }
                if looks_like_service {
                    d.help.push("services stand below `services:`".into());
                }
            }
        }
    }
}

fn list(cx: &mut Cx<'_>, node: &mut Node, inner: &Ty, path: &str, want: &str) {
    match &mut node.value {
        Value::Seq(items) => {
            for (i, item) in items.iter_mut().enumerate() {
                value(cx, item, inner, &format!("{path}.{i}"));
            }
        }
        _ => wrong(cx, node, path, want),
    }
}

fn duplicates(cx: &mut Cx<'_>, node: &Node, path: &str) {
    let items = node.as_seq().unwrap_or_default();
    for (i, item) in items.iter().enumerate() {
        if items[..i].iter().any(|earlier| earlier.as_str() == item.as_str() && item.as_str().is_some()) {
            let text = item.scalar_text().unwrap_or_default();
            cx.error(item.span, format!("{path} has {text:?} twice"));
        }
    }
}

fn list_or_map(cx: &mut Cx<'_>, node: &mut Node, path: &str) {
    match &mut node.value {
        Value::Seq(items) => {
            for (i, item) in items.iter_mut().enumerate() {
                value(cx, item, &Ty::Str, &format!("{path}.{i}"));
            }
        }
        Value::Map(map) => {
            for (key, item) in map {
                let hosts = path.ends_with("extra_hosts") && item.as_seq().is_some();
                if item.as_map().is_some() || item.as_seq().is_some() && !hosts {
                    wrong(cx, item, &join(path, key), "a string, a number, a boolean or nothing");
                }
            }
        }
        _ => wrong(cx, node, path, "a mapping or a list of KEY=value"),
    }
}

fn cast_bool(cx: &mut Cx<'_>, node: &mut Node, path: &str) {
    let text = match &node.value {
        Value::Bool(_) => return,
        Value::Str(s) => s.clone(),
        _ => return wrong(cx, node, path, "a boolean"),
    };
    let (new, old_style) = match text.to_ascii_lowercase().as_str() {
        "true" => (true, false),
        "false" => (false, false),
        "y" | "yes" | "on" => (true, true),
        "n" | "no" | "off" => (false, true),
        _ => {
            cx.error(node.span, format!("{path} must be a boolean, not {text:?}"))
                .help
                .push("write true or false".into());
            return;
        }
    };
    if old_style {
        cx.warn(node.span, format!("{text:?} for boolean is not supported by YAML 1.2, please use `{new}`"));
    }
    node.value = Value::Bool(new);
}

fn cast_number(cx: &mut Cx<'_>, node: &mut Node, path: &str, whole: bool) {
    let want = if whole { "a whole number" } else { "a number" };
    match &node.value {
        Value::Int(_) => {}
        Value::Float(f) if !whole || f.fract() == 0.0 => {
            if whole {
                node.value = Value::Int(*f as i64);
            }
        }
        Value::Str(s) => match crate::scalar::resolve(s.trim()) {
            v @ Value::Int(_) => node.value = v,
            v @ Value::Float(_) if !whole => node.value = v,
            _ => {
                let s = s.clone();
                cx.error(node.span, format!("{path} must be {want}, not {s:?}"));
            }
        },
        _ => wrong(cx, node, path, want),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(fields: &[(&str, Ty)]) {
        assert!(
            fields.windows(2).all(|w| w[0].0 < w[1].0),
            "{:?}",
            fields.iter().map(|f| f.0).collect::<Vec<_>>()
        );
        for (_, ty) in fields {
            walk(ty);
        }
    }

    fn walk(ty: &Ty) {
        match ty {
            Ty::Obj(f) | Ty::StrOrListOf(f) => sorted(f),
            Ty::OrMap(t, f) => {
                walk(t);
                sorted(f);
            }
            Ty::List(t) | Ty::MapOf(t) | Ty::OrNull(t) | Ty::StrsOrMap(t) => walk(t),
            _ => {}
        }
    }

    #[test]
    fn tables_are_sorted() {
        sorted(TOP);
        assert_eq!(SERVICE.len(), 93);
    }
}
