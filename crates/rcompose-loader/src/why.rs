//! Where a value of the finished project comes from, and what it replaced.
//!
//! Only done when somebody asks: each merge is then watched from outside, by comparing the leaves before and after.

use std::collections::{BTreeMap, HashSet};

use crate::cx::{Cx, nearest};
use crate::diagnostic::{Diagnostic, LoadError, Place};
use crate::tree::{Node, Span, Value};

/// What is known of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `services.web.ports[0]`.
    pub path: String,
    /// The value on one line.
    pub value: String,
    /// Where it is written; `None` if rcompose set it.
    pub place: Option<Place>,
    /// How that place came to count, with a word for each.
    pub related: Vec<(Place, String)>,
    /// Sentences: variables, what isn't written anywhere.
    pub notes: Vec<String>,
    /// What was written for it and lost, with its place.
    pub replaced: Vec<(String, Option<Place>)>,
}

/// What was seen while loading.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// Path, place and text of every value that another one replaced.
    lost: Vec<(String, Span, String)>,
    /// Paths of what isn't written anywhere.
    implied: HashSet<String>,
}

type Leaves = BTreeMap<String, (Span, String)>;

/// Merges `over` into `base`, whose path is `prefix`, and notes what got lost.
pub(crate) fn merging(
    cx: &mut Cx<'_>,
    base: &mut Node,
    over: Node,
    prefix: &str,
    merge: impl FnOnce(&mut Node, Node),
) {
    if cx.trace.is_none() {
        return merge(base, over);
    }
    let mut before: Vec<Leaves> = vec![leaves(base, prefix), leaves(&over, prefix)];
    merge(base, over);
    let after = leaves(base, prefix);
    let kept: HashSet<Span> = after.values().map(|(span, _)| *span).collect();
    for (path, (span, text)) in before.drain(..).flatten().filter(|(_, (s, _))| !kept.contains(s)) {
        cx.lost(path, span, text);
    }
}

/// Changes the tree by what isn't written, and notes what came into being.
pub(crate) fn implying(cx: &mut Cx<'_>, root: &mut Node, change: impl FnOnce(&mut Node)) {
    if cx.trace.is_none() {
        return change(root);
    }
    let before = leaves(root, "");
    change(root);
    let after = leaves(root, "").into_keys().filter(|path| !before.contains_key(path));
    if let Some(trace) = &mut cx.trace {
        trace.implied.extend(after);
    }
}

impl Cx<'_> {
    fn lost(&mut self, path: String, span: Span, text: String) {
        if let Some(trace) = &mut self.trace
            && span.file > 0
        {
            trace.lost.push((path, span, text));
        }
    }

    /// Notes a value that another one replaced, if somebody asked for it.
    pub(crate) fn lost_node(&mut self, path: String, node: &Node) {
        if self.trace.is_some() {
            self.lost(path, node.span, flow(node));
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn leaves(node: &Node, path: &str) -> Leaves {
    let mut out = Leaves::new();
    gather(node, path, &mut out);
    out
}

fn gather(node: &Node, path: &str, out: &mut Leaves) {
    match &node.value {
        Value::Map(map) if !map.is_empty() => {
            map.iter().for_each(|(key, n)| gather(n, &join(path, key), out));
        }
        Value::Seq(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(i, n)| gather(n, &format!("{path}[{i}]"), out));
        }
        _ => {
            out.insert(path.to_owned(), (node.span, flow(node)));
        }
    }
}

/// A value on one line.
fn flow(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".into(),
        Value::Str(text) => quoted(text),
        Value::Seq(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Map(map) => {
            let entries: Vec<String> = map.iter().map(|(key, n)| format!("{key}: {}", flow(n))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        _ => node.scalar_text().unwrap_or_default(),
    }
}

/// A string as JSON has it.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out + "\""
}

/// Answers for a path of the finished tree: one for each part that has a place of its own.
pub(crate) fn answers(cx: &Cx<'_>, root: &Node, asked: &str) -> Result<Vec<Answer>, LoadError> {
    let (path, node) = find(root, asked)?;
    let mut out = Vec::new();
    split(cx, node, &path, &mut out);
    Ok(out)
}

fn split(cx: &Cx<'_>, node: &Node, path: &str, out: &mut Vec<Answer>) {
    let all = leaves(node, path);
    let places: HashSet<Span> = all.values().map(|(span, _)| *span).collect();
    let scalar = all.len() == 1 && all.contains_key(path);
    // A short form is one thing, whatever it became.
    if scalar || places.len() == 1 && places.iter().all(|s| s.file > 0) && !path.is_empty() {
        out.push(answer(cx, node, path, places.into_iter().next().unwrap_or_default()));
        return;
    }
    match &node.value {
        Value::Map(map) => map.iter().for_each(|(key, n)| split(cx, n, &join(path, key), out)),
        Value::Seq(items) => {
            items.iter().enumerate().for_each(|(i, n)| split(cx, n, &format!("{path}[{i}]"), out));
        }
        _ => {}
    }
}

fn answer(cx: &Cx<'_>, node: &Node, path: &str, span: Span) -> Answer {
    let trace = cx.trace.as_ref();
    let implied =
        span.file == 0 || trace.is_some_and(|t| leaves(node, path).keys().all(|p| t.implied.contains(p)));
    let mut notes = Vec::new();
    let mut d = Diagnostic::error("");
    d.place = cx.place(span).filter(|p| p.line > 0 && !implied);
    if d.place.is_some() {
        let subject = path.strip_prefix("services.").and_then(|rest| rest.split(['.', '[']).next());
        cx.explain(span, subject, &mut d);
        notes.append(&mut d.help);
    } else if path == "name" {
        notes.push("the project's name: from -p, COMPOSE_PROJECT_NAME, `name:` or the directory".into());
    } else {
        notes.push("no file says it: rcompose sets it, as docker compose does".into());
        let because = cx.place(span).filter(|p| p.line > 0);
        d.related.extend(because.map(|p| (p, "because of this".to_owned())));
    }
    let below =
        |lost: &str| lost == path || lost.strip_prefix(path).is_some_and(|rest| rest.starts_with(['.', '[']));
    let lost = trace.into_iter().flat_map(|t| &t.lost).filter(|(p, s, _)| below(p) && *s != span);
    let mut replaced: Vec<(String, Option<Place>)> = Vec::new();
    for (_, at, text) in lost {
        let entry = (text.clone(), cx.place(*at).filter(|p| p.line > 0));
        if !replaced.contains(&entry) {
            replaced.push(entry);
        }
    }
    Answer { path: path.to_owned(), value: flow(node), place: d.place, related: d.related, notes, replaced }
}

/// The node at a path as a person writes it: `a.b[0]`, `a.b.0`; keys may have dots themselves.
fn find<'n>(root: &'n Node, asked: &str) -> Result<(String, &'n Node), LoadError> {
    let (mut node, mut path, mut rest) = (root, String::new(), asked.trim_matches('.'));
    while !rest.is_empty() {
        let ends =
            |key: &str| rest.strip_prefix(key).is_some_and(|r| r.is_empty() || r.starts_with(['.', '[']));
        let segment = rest.trim_start_matches('[').split(['.', '[', ']']).next().unwrap_or_default();
        let (next, used) = match &node.value {
            Value::Map(map) => {
                let Some((key, next)) = map.iter().filter(|(k, _)| ends(k)).max_by_key(|(k, _)| k.len())
                else {
                    return Err(missing(&path, segment, map.keys().map(String::as_str).collect()).into());
                };
                path = join(&path, key);
                (next, key.len())
            }
            Value::Seq(items) => {
                let index = segment.parse::<usize>().ok().filter(|i| *i < items.len());
                let Some(index) = index else {
                    let last = items.len().saturating_sub(1);
                    return Err(Diagnostic::error(format!("{path} has no entry {segment:?}"))
                        .help(format!("its entries are [0] to [{last}]"))
                        .into());
                };
                path = format!("{path}[{index}]");
                let brackets = if rest.starts_with('[') { 2 } else { 0 };
                (&items[index], (segment.len() + brackets).min(rest.len()))
            }
            _ => {
                return Err(
                    Diagnostic::error(format!("{path} is a single value: it has no {segment:?}")).into()
                );
            }
        };
        node = next;
        rest = rest[used..].trim_start_matches('.');
    }
    Ok((path, node))
}

fn missing(path: &str, segment: &str, known: Vec<&str>) -> Diagnostic {
    let at = if path.is_empty() { "the project" } else { path };
    let d = Diagnostic::error(format!("{at} has no {segment:?}"));
    match nearest(segment, known.iter().copied()) {
        Some(near) => d.help(format!("did you mean {near:?}?")),
        None if known.is_empty() => d,
        None => {
            let more = known.len().saturating_sub(12);
            let mut list = known.into_iter().take(12).collect::<Vec<_>>().join(", ");
            if more > 0 {
                list.push_str(&format!(" and {more} more"));
            }
            d.help(format!("it has {list}"))
        }
    }
}
