//! Going on after an error: what is wrong is taken out of the tree, so that everything else is checked, too.

use std::collections::{BTreeSet, HashSet};

use crate::code::Code;
use crate::cx::Cx;
use crate::tree::{Node, Span, Value};

/// What is missing since, so that nobody complains of its absence.
#[derive(Debug, Default)]
pub(crate) struct Holes {
    /// Something that others may refer to.
    definitions: bool,
    /// Services that lost an attribute.
    services: HashSet<String>,
}

impl Holes {
    /// Something that others may refer to is missing.
    pub(crate) fn definition(&mut self) {
        self.definitions = true;
    }

    /// A service isn't complete.
    pub(crate) fn service(&mut self, name: &str) {
        self.services.insert(name.to_owned());
    }

    /// Whether an error is only about what was taken out.
    pub(crate) fn explain(&self, code: Option<Code>, subject: Option<&str>) -> bool {
        match code {
            Some(Code::MissingAttribute) => {
                self.definitions || subject.is_some_and(|s| self.services.contains(s))
            }
            Some(
                Code::UndefinedNetwork
                | Code::UndefinedVolume
                | Code::UndefinedService
                | Code::UndefinedResource,
            ) => self.definitions,
            _ => false,
        }
    }
}

/// Takes out what the errors from the number `since` on are about.
pub(crate) fn prune(cx: &mut Cx<'_>, tree: &mut Node, since: usize) {
    let wrong = Wrong(cx.errors_since(since));
    if wrong.0.is_empty() {
        return;
    }
    let mut holes = std::mem::take(&mut cx.holes);
    walk(tree, &wrong, &mut Vec::new(), &mut holes);
    cx.holes = holes;
}

/// Places of errors.
struct Wrong(BTreeSet<(u16, u32, u32)>);

impl Wrong {
    fn holds(&self, node: &Node) -> bool {
        let begins = |s: Span| self.0.contains(&(s.file, s.line, s.col));
        let scalar = !matches!(node.value, Value::Map(_) | Value::Seq(_));
        let Span { file, line, col, len } = node.span;
        let inside =
            || self.0.range((file, line, col)..(file, line, col.saturating_add(len))).next().is_some();
        begins(node.key_span) || begins(node.span) || (scalar && inside())
    }
}

fn walk(node: &mut Node, wrong: &Wrong, path: &mut Vec<String>, holes: &mut Holes) {
    match &mut node.value {
        Value::Map(map) => map.retain(|key, item| {
            path.push(key.clone());
            let keep = !wrong.holds(item);
            if keep {
                walk(item, wrong, path, holes);
            } else {
                note(path, holes);
            }
            path.pop();
            keep
        }),
        Value::Seq(items) => items.retain_mut(|item| {
            let keep = !wrong.holds(item);
            if keep {
                walk(item, wrong, path, holes);
            } else {
                note(path, holes);
            }
            keep
        }),
        _ => {}
    }
}

fn note(path: &[String], holes: &mut Holes) {
    match path {
        [section, service, _, ..] if section == "services" => holes.service(service),
        [_] | [_, _] => holes.definition(),
        _ => {}
    }
}
