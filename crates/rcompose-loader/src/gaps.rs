//! What a project asks for and doesn't get: the table of capabilities against a normal tree.

use std::collections::BTreeSet;
use std::fmt;

use crate::capabilities::{Instead, Need, TABLE};
use crate::code::Code;
use crate::cx::Cx;
use crate::diagnostic::Place;
use crate::tree::{Node, Span, Value};

/// Something that depends on the machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Requirement {
    /// What is needed.
    pub need: Need,
    /// `services.web.mem_limit`.
    pub path: String,
    /// Where it is written.
    pub place: Option<Place>,
    /// The hard limit, for [`Need::RaiseLimit`]; -1 is none.
    pub hard: i64,
}

/// Warns of everything that is understood and not done. `strict` also tells what only ends with an error later, and
/// gives what the machine must have.
pub(crate) fn tell(
    cx: &mut Cx<'_>,
    root: &Node,
    enabled: &BTreeSet<String>,
    strict: bool,
) -> Vec<Requirement> {
    let mut needs = Vec::new();
    for capability in TABLE {
        if !strict && !matches!(capability.instead, Instead::Ignored(_)) {
            continue;
        }
        let parts: Vec<&str> = capability.path.split('.').collect();
        let mut found = Vec::new();
        find(root, &parts, &At::Top, &mut |at, key, node| {
            if !is_empty(node) && capability.when.holds(node.scalar_text().as_deref(), key) {
                found.push((at.to_string(), place_of(node), hard(node)));
            }
        });
        found.retain(|(path, ..)| on(path, enabled));
        for (path, span, hard) in found {
            match capability.instead {
                Instead::Ignored(what) => {
                    let told = cx.warn(span, format!("{path} isn't honoured yet: {what}"));
                    told.is(Code::NotSupported).build_of = build_of(&path);
                }
                Instead::Refused(what) => {
                    let told = cx.warn(span, format!("{path} isn't supported yet: {what}"));
                    told.is(Code::NotSupported).build_of = build_of(&path);
                }
                Instead::Needs(need) => {
                    needs.push(Requirement { need, path, place: cx.place(span), hard });
                }
            }
        }
    }
    needs
}

/// Services whose profile is off are nobody's matter.
fn on(path: &str, enabled: &BTreeSet<String>) -> bool {
    let service = path.strip_prefix("services.").and_then(|rest| rest.split('.').next());
    service.is_none_or(|name| {
        enabled.contains(name) || enabled.iter().any(|e| path.starts_with(&format!("services.{e}.")))
    })
}

/// `a` of `services.a.build.isolation`.
fn build_of(path: &str) -> Option<String> {
    let (service, _) = path.strip_prefix("services.")?.split_once(".build.")?;
    Some(service.to_owned())
}

fn place_of(node: &Node) -> Span {
    let scalar = node.as_map().is_none() && node.as_seq().is_none();
    if scalar && node.span.len > 0 || node.key_span.len == 0 { node.span } else { node.key_span }
}

fn hard(node: &Node) -> i64 {
    let value = node.get("hard").unwrap_or(node);
    match &value.value {
        Value::Int(n) => *n,
        Value::Str(s) => s.parse().unwrap_or(0),
        _ => 0,
    }
}

fn is_empty(node: &Node) -> bool {
    match &node.value {
        Value::Null | Value::Bool(false) => node.is_null(),
        Value::Map(m) => m.is_empty(),
        Value::Seq(s) => s.is_empty(),
        _ => false,
    }
}

/// Calls `each` with every node at a path whose parts may be `*`: its path, its own key, the node.
fn find<'n>(node: &'n Node, parts: &[&str], at: &At<'_>, each: &mut dyn FnMut(&At<'_>, &str, &'n Node)) {
    let Some((part, rest)) = parts.split_first() else { return each(at, at.key(), node) };
    match (&node.value, *part) {
        (Value::Map(map), "*") => {
            for (key, n) in map {
                find(n, rest, &At::Key(at, key), each);
            }
        }
        (Value::Seq(items), "*") => {
            for (i, n) in items.iter().enumerate() {
                find(n, rest, &At::Item(at, i), each);
            }
        }
        (Value::Map(map), key) => {
            if let Some(n) = map.get(key) {
                find(n, rest, &At::Key(at, key), each);
            }
        }
        _ => {}
    }
}

/// Where a node stands; only written out for what is told.
enum At<'a> {
    Top,
    Key(&'a At<'a>, &'a str),
    Item(&'a At<'a>, usize),
}

impl At<'_> {
    fn key(&self) -> &str {
        match self {
            At::Key(_, key) => key,
            At::Top | At::Item(..) => "",
        }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Top => Ok(()),
            At::Key(At::Top, key) => f.write_str(key),
            At::Key(above, key) => write!(f, "{above}.{key}"),
            At::Item(above, i) => write!(f, "{above}[{i}]"),
        }
    }
}
