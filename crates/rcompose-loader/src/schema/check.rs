use std::collections::HashSet;
use std::fmt;

use super::cast::{cast_bool, cast_number};
use super::hint::hint;
use super::{Fields, SERVICE, TOP, Ty};
use crate::code::Code;
use crate::cx::Cx;
use crate::tree::{Map, Node, Tag, Value};

/// Where a value stands below the top; only written out for a message.
#[derive(Clone, Copy)]
pub(super) enum At<'a> {
    Top,
    Key(&'a At<'a>, &'a str),
    Item(&'a At<'a>, usize),
}

impl At<'_> {
    /// Entries of lists are added whole, not merged.
    fn in_list(&self) -> bool {
        match self {
            At::Top => false,
            At::Key(above, _) => above.in_list(),
            At::Item(..) => true,
        }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Top => Ok(()),
            At::Key(At::Top, key) => f.write_str(key),
            At::Key(above, key) => write!(f, "{above}.{key}"),
            At::Item(above, i) => write!(f, "{above}.{i}"),
        }
    }
}

/// Checks a file's tree and casts what it can.
pub(crate) fn check(cx: &mut Cx<'_>, root: &mut Node) {
    match &root.value {
        Value::Map(_) => {}
        Value::Null => return,
        _ => {
            let kind = root.kind();
            cx.error(root.span, format!("the top level must be a mapping, not {kind}"))
                .is(Code::WrongType)
                .help
                .push("a Compose file begins with `services:`".into());
            return;
        }
    }
    value(cx, root, &Ty::Obj(TOP), At::Top);
}

/// The error for a value of another type.
pub(super) fn wrong(cx: &mut Cx<'_>, node: &Node, at: At<'_>, want: &str) {
    let span = if node.is_null() && node.span.len == 0 { node.key_span } else { node.span };
    let kind = node.kind();
    let message = if node.is_null() {
        format!("{at} has no value: it must be {want}")
    } else {
        format!("{at} must be {want}, not {kind}")
    };
    let d = cx.error(span, message).is(Code::WrongType);
    d.help.extend(hint(node, &at.to_string(), want));
}

/// Checks one value; strings are cast in place where the type is another.
fn value(cx: &mut Cx<'_>, node: &mut Node, ty: &Ty, at: At<'_>) {
    if node.tag == Tag::Reset {
        return;
    }
    match ty {
        Ty::Any => {}
        Ty::Must(inner) | Ty::Collapsed(inner) => value(cx, node, inner, at),
        Ty::OrNull(inner) => {
            if !node.is_null() {
                value(cx, node, inner, at);
            }
        }
        Ty::Str => {
            if node.as_str().is_none() {
                wrong(cx, node, at, "a string");
            }
        }
        Ty::NumStr => {
            if !matches!(node.value, Value::Str(_) | Value::Int(_) | Value::Float(_)) {
                wrong(cx, node, at, "a string or a number");
            }
        }
        Ty::Scalar => {
            if !matches!(node.value, Value::Str(_) | Value::Int(_) | Value::Float(_) | Value::Bool(_)) {
                wrong(cx, node, at, "a string, a number or a boolean");
            }
        }
        Ty::IntStr => {
            if !(node.as_str().is_some() || is_whole(&node.value)) {
                wrong(cx, node, at, "a string or a whole number");
            }
        }
        Ty::StrictBool => {
            if !matches!(node.value, Value::Bool(_)) {
                wrong(cx, node, at, "a boolean");
            }
        }
        Ty::StrictInt => {
            if !is_whole(&node.value) {
                wrong(cx, node, at, "a whole number");
            }
        }
        Ty::StrictNum => {
            if !matches!(node.value, Value::Int(_) | Value::Float(_)) {
                wrong(cx, node, at, "a number");
            }
        }
        Ty::BoolStr => {
            if !matches!(node.value, Value::Str(_) | Value::Bool(_)) {
                wrong(cx, node, at, "a string or a boolean");
            }
        }
        Ty::Bool => cast_bool(cx, node, at),
        Ty::Int | Ty::Num => cast_number(cx, node, at, matches!(ty, Ty::Int)),
        Ty::Enum(words) => one_of(cx, node, words, at),
        Ty::List(inner) => {
            let want = if matches!(inner, Ty::Str) { "a list of strings" } else { "a list" };
            list(cx, node, inner, at, want);
        }
        Ty::Unique(inner) => {
            value(cx, node, inner, at);
            duplicates(cx, node, at);
        }
        Ty::StrOrList => {
            if node.as_str().is_none() {
                list(cx, node, &Ty::Str, at, "a string or a list of strings");
            }
        }
        Ty::Command => {
            if !node.is_null() && node.as_str().is_none() {
                list(cx, node, &Ty::Str, at, "a string or a list of strings");
            }
        }
        Ty::ListOrMap => pairs(cx, node, at),
        Ty::Hosts => hosts(cx, node, at),
        Ty::StrsOrMap(inner) => match &node.value {
            Value::Seq(_) => {
                list(cx, node, &Ty::Str, at, "a list of strings");
                duplicates(cx, node, at);
            }
            Value::Map(_) => value(cx, node, inner, at),
            _ => wrong(cx, node, at, "a list of names or a mapping"),
        },
        Ty::Obj(fields) => match &mut node.value {
            Value::Map(_) => object(cx, node, fields, at),
            _ => wrong(cx, node, at, "a mapping"),
        },
        Ty::OrMap(inner, fields) => match &node.value {
            Value::Map(_) => object(cx, node, fields, at),
            Value::Seq(_) | Value::Null => wrong(cx, node, at, "a string or a mapping"),
            _ => value(cx, node, inner, at),
        },
        Ty::OrList(one, many) => match &node.value {
            Value::Seq(_) => list(cx, node, many, at, "a list"),
            Value::Map(_) | Value::Null => wrong(cx, node, at, "a string or a list"),
            _ => value(cx, node, one, at),
        },
        Ty::MapOf(inner) | Ty::Named(inner) => match &mut node.value {
            Value::Map(map) => {
                for (key, item) in map {
                    if key.starts_with("x-") && matches!(at, At::Key(At::Top, _)) {
                        continue;
                    }
                    if matches!(ty, Ty::Named(_)) {
                        name(cx, key, item, at);
                    }
                    value(cx, item, inner, At::Key(&at, key));
                }
            }
            _ => wrong(cx, node, at, "a mapping"),
        },
    }
}

fn is_whole(value: &Value) -> bool {
    matches!(value, Value::Int(_)) || matches!(value, Value::Float(f) if f.fract() == 0.0)
}

fn one_of(cx: &mut Cx<'_>, node: &Node, words: &[&str], at: At<'_>) {
    match node.as_str() {
        None => wrong(cx, node, at, "a string"),
        Some(s) if words.contains(&s) => {}
        Some(s) => {
            let ends =
                |word: &&str| !s.is_empty() && word.strip_suffix(s).is_some_and(|rest| rest.ends_with('_'));
            let near = cx.nearest(s, words.iter().copied()).or_else(|| words.iter().copied().find(ends));
            let message = format!("{at}: {s:?} isn't one of {}", words.join(", "));
            let d = cx.error(node.span, message);
            d.help.extend(near.map(|n| format!("did you mean {n:?}?")));
        }
    }
}

/// Keys that others refer to: `[a-zA-Z0-9._-]+`.
fn name(cx: &mut Cx<'_>, key: &str, item: &Node, at: At<'_>) {
    let ok = !key.is_empty() && key.bytes().all(|c| c.is_ascii_alphanumeric() || b"._-".contains(&c));
    if !ok {
        cx.error(item.key_span, format!("additional properties '{key}' not allowed in {at}"))
            .is(Code::UnknownKey)
            .help
            .push("a name has letters, digits, dots, hyphens and underscores only".into());
    }
}

fn object(cx: &mut Cx<'_>, node: &mut Node, fields: Fields, at: At<'_>) {
    let whole = !cx.adds || at.in_list();
    for (key, ty) in fields {
        if whole && matches!(ty, Ty::Must(_)) && node.get(key).is_none() {
            let span = if node.span.len > 0 && node.key_span.len == 0 { node.span } else { node.key_span };
            cx.error(span, format!("{at}: missing property '{key}'"))
                .is(Code::MissingAttribute)
                .help
                .push(format!("add `{key}:`"));
        }
    }
    // What has to be there and isn't may stand there by another name.
    let mut missing = fields.iter().filter(|(key, ty)| matches!(ty, Ty::Must(_)) && node.get(key).is_none());
    let missing = missing.next().map(|(key, _)| *key).filter(|_| missing.next().is_none());
    let Some(map) = node.as_map_mut() else { return };
    for (key, item) in map {
        match fields.binary_search_by_key(&key.as_str(), |(name, _)| name) {
            Ok(i) => value(cx, item, &fields[i].1, At::Key(&at, key)),
            Err(_) if key.starts_with("x-") => {}
            Err(_) => unknown(cx, key, item, fields, at, missing),
        }
    }
}

fn unknown(cx: &mut Cx<'_>, key: &str, item: &Node, fields: Fields, at: At<'_>, missing: Option<&str>) {
    let top = matches!(at, At::Top);
    let where_ = if top { "the top level".to_owned() } else { at.to_string() };
    let near = cx.nearest(key, fields.iter().map(|(name, _)| *name));
    let elsewhere = near.is_none() && top && SERVICE.iter().any(|(n, _)| *n == key);
    let is_service = |m: &Map| m.contains_key("image") || m.contains_key("build");
    let service = near.is_none() && top && item.as_map().is_some_and(is_service);
    let d = cx
        .error(item.key_span, format!("additional properties '{key}' not allowed in {where_}"))
        .is(Code::UnknownKey);
    d.help.extend(near.or(missing).map(|n| format!("did you mean {n:?}?")));
    if elsewhere {
        d.help.push(format!("{key:?} is an attribute of a service: indent it below one"));
    }
    if service {
        d.help.push("services stand below `services:`".into());
    }
}

fn list(cx: &mut Cx<'_>, node: &mut Node, inner: &Ty, at: At<'_>, want: &str) {
    match &mut node.value {
        Value::Seq(items) => {
            for (i, item) in items.iter_mut().enumerate() {
                value(cx, item, inner, At::Item(&at, i));
            }
        }
        _ => wrong(cx, node, at, want),
    }
}

/// Equal scalars of a list: 80 and "80" are two.
fn duplicates(cx: &mut Cx<'_>, node: &Node, at: At<'_>) {
    let items = node.as_seq().unwrap_or_default();
    if items.len() < 2 {
        return;
    }
    let mut seen = HashSet::with_capacity(items.len());
    for item in items {
        let fresh = match &item.value {
            Value::Str(s) => seen.insert((true, s.clone())),
            Value::Int(_) | Value::Float(_) => seen.insert((false, item.scalar_text().unwrap_or_default())),
            _ => true,
        };
        if !fresh {
            let text = item.scalar_text().unwrap_or_default();
            cx.error(item.span, format!("{at} has {text:?} twice"))
                .is(Code::Duplicate)
                .help
                .push("take one of them away".into());
        }
    }
}

fn pairs(cx: &mut Cx<'_>, node: &mut Node, at: At<'_>) {
    match &node.value {
        Value::Seq(_) => {
            list(cx, node, &Ty::Str, at, "a list");
        }
        Value::Map(map) => {
            for (key, item) in map {
                // The specification's pattern for these names is `.+`, and a line's end isn't a character.
                if key.chars().all(|c| c == '\n') {
                    cx.error(
                        item.key_span,
                        format!("additional properties '{}' not allowed in {at}", key.escape_debug()),
                    )
                    .is(Code::UnknownKey)
                    .help
                    .push("give it a name".into());
                }
                if matches!(item.value, Value::Map(_) | Value::Seq(_)) {
                    wrong(cx, item, At::Key(&at, key), "a string, a number, a boolean or nothing");
                }
            }
        }
        _ => wrong(cx, node, at, "a mapping or a list of KEY=value"),
    }
}

fn hosts(cx: &mut Cx<'_>, node: &mut Node, at: At<'_>) {
    match &mut node.value {
        Value::Seq(_) => {
            list(cx, node, &Ty::Str, at, "a list");
            duplicates(cx, node, at);
        }
        Value::Map(map) => {
            for (key, item) in map {
                let at = At::Key(&at, key);
                match &item.value {
                    Value::Str(_) => {}
                    Value::Seq(_) => list(cx, item, &Ty::Str, at, "a list"),
                    _ => wrong(cx, item, at, "an address or a list of addresses"),
                }
            }
        }
        _ => wrong(cx, node, at, "a mapping or a list of HOST=IP"),
    }
}
