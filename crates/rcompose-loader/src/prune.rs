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
    /// Where mappings begin that lost something.
    around: HashSet<(u16, u32, u32)>,
}

impl Holes {
    /// Something that others may refer to is missing.
    pub(crate) fn definition(&mut self) {
        self.definitions = true;
    }

    /// What has its key here isn't complete.
    pub(crate) fn around(&mut self, key: Span) {
        self.around.insert((key.file, key.line, key.col));
    }

    /// Whether an error is only about what was taken out.
    pub(crate) fn explain(&self, code: Option<Code>, at: Span) -> bool {
        match code {
            Some(Code::MissingAttribute) => {
                self.definitions || self.around.contains(&(at.file, at.line, at.col))
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

/// `above`: the keys that lead here.
fn walk(node: &mut Node, wrong: &Wrong, above: &mut Vec<Span>, holes: &mut Holes) {
    above.push(node.key_span);
    let mut keep = |item: &mut Node| {
        if !wrong.holds(item) {
            walk(item, wrong, above, holes);
            return true;
        }
        above.iter().for_each(|key| holes.around(*key));
        // A section, or an entry of one.
        if above.len() <= 2 {
            holes.definition();
        }
        false
    };
    match &mut node.value {
        Value::Map(map) => map.retain(|_, item| keep(item)),
        Value::Seq(items) => items.retain_mut(keep),
        _ => {}
    }
    above.pop();
}
