//! YAML text to span trees: anchors, aliases, `<<`, tags, duplicates; bounded against bombs.

use std::collections::HashMap;
use std::path::Path;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span as YamlSpan};

use crate::bounds::{self, MAX_DEPTH, MAX_FILE, MAX_FILES};
use crate::chain::Anchor;
use crate::code::Code;
use crate::cx::Cx;
use crate::mistake;
use crate::scalar::{self, Plain};
use crate::text;
use crate::tree::{Map, Node, Span, Style, Tag, Value};

/// The reader's words for a quoted scalar that goes on further left than it should.
const LOW_QUOTED: &str = "invalid indentation in quoted scalar";
/// Bytes that are read to put them right in one file, each from its start.
const MAX_MENDED: usize = 16 << 20;

/// Reads all documents of a text. Errors go into `cx`; `None` if the text couldn't be understood.
pub(crate) fn parse(cx: &mut Cx<'_>, path: &Path, bytes: &[u8]) -> Option<Vec<Node>> {
    if bytes.len() as u64 > MAX_FILE {
        let file = cx.add_file(path, "");
        let whole = Span { file, ..Span::default() };
        cx.error(whole, format!("this file is larger than {} MiB", MAX_FILE >> 20)).is(Code::UnusableFile);
        return None;
    }
    let original = match text::decode(bytes) {
        Ok(text) => text,
        Err(fault) => {
            let file = cx.add_file(path, &String::from_utf8_lossy(bytes));
            cx.error(Span { file, line: fault.line, col: fault.col, len: 1 }, fault.message)
                .is(Code::UnusableFile)
                .help
                .push(fault.help.into());
            return None;
        }
    };
    let file = cx.add_file(path, &original);
    let whole = Span { file, ..Span::default() };
    if cx.files.len() > MAX_FILES {
        cx.error(whole, format!("the project has more than {MAX_FILES} files")).is(Code::UnusableFile);
        return None;
    }
    if !cx.spend(bounds::of_text(&original), whole) {
        return None;
    }
    if let Some((line, version)) = text::foreign_version(&original) {
        let span = Span { file, line, col: 1, len: 5 };
        cx.error(span, format!("YAML {version} isn't known to docker compose"))
            .is(Code::InvalidYaml)
            .help
            .push("take the line away".into());
        return None;
    }
    let (found, anchors) = (cx.so_far(), cx.chain.anchors.len());
    let mut reader = Reader::new(&original, file);
    match reader.documents(cx) {
        Ok(documents) => Some(documents),
        Err(Stop::Told) => None,
        Err(Stop::Quoted(at)) => {
            // Read again from the start, with the text as the reader wants it.
            cx.forget(found);
            cx.chain.anchors.truncate(anchors);
            match indented(&original) {
                Some(text) => Reader::new(&text, file).documents(cx).ok(),
                None => {
                    reader.fault(cx, at, LOW_QUOTED);
                    None
                }
            }
        }
    }
}

/// The text with its quoted scalars going on at a column that the reader accepts; `None` if that isn't all that is
/// wrong: a quote that isn't closed looks the same.
fn indented(original: &str) -> Option<String> {
    let mut text = original.to_owned();
    let (mut left, mut last) = (MAX_MENDED, None);
    loop {
        match Parser::new_from_str(&text).find_map(Result::err) {
            None => return Some(text),
            Some(e) if e.info() == LOW_QUOTED && last != Some(e.marker().index()) => {
                last = Some(e.marker().index());
                left = left.checked_sub(text.len())?;
                text = text::indent_quoted(&text, e.marker().index(), e.marker().col() + 1)?;
            }
            Some(_) => return None,
        }
    }
}

/// Why reading can't go on.
enum Stop {
    /// The reason is in the `Cx`.
    Told,
    /// A quoted scalar goes on further left than it should, which docker compose's reader accepts.
    Quoted(Marker),
}

struct Reader<'t> {
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    text: &'t str,
    file: u16,
    /// Anchors' nodes, with their number in the chain's table.
    anchors: HashMap<usize, (Node, usize)>,
    /// The last event's place.
    last: Span,
    depth: usize,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str, file: u16) -> Self {
        let parser = Parser::new_from_str(text);
        Self { parser, text, file, anchors: HashMap::new(), last: Span::default(), depth: 0 }
    }

    fn span(&self, s: YamlSpan) -> Span {
        let len =
            if s.start.line() == s.end.line() { s.end.index().saturating_sub(s.start.index()) } else { 1 };
        Span { file: self.file, line: s.start.line() as u32, col: s.start.col() as u32 + 1, len: len as u32 }
    }

    fn next(&mut self, cx: &mut Cx<'_>) -> Result<(Event<'t>, Span), Stop> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                let span = self.span(span);
                self.last = span;
                Ok((event, span))
            }
            Some(Err(e)) if e.info() == LOW_QUOTED => Err(Stop::Quoted(*e.marker())),
            Some(Err(e)) => {
                self.fault(cx, *e.marker(), e.info());
                Err(Stop::Told)
            }
            None => Ok((Event::StreamEnd, Span { file: self.file, ..Span::default() })),
        }
    }

    /// Tells a fault in the text's form.
    fn fault(&self, cx: &mut Cx<'_>, mark: Marker, info: &str) {
        let span = Span { file: self.file, line: mark.line() as u32, col: mark.col() as u32 + 1, len: 1 };
        let mistake = mistake::explain(&cx.text(self.file), info, span);
        let place = |(line, col, len)| Span { file: self.file, line, col, len };
        let related = mistake.related.and_then(|(at, word)| Some((cx.place(place(at))?, word)));
        let d = cx.error(mistake.at.map_or(span, place), mistake.message).is(Code::InvalidYaml);
        d.help.extend(mistake.help);
        d.related.extend(related);
    }

    fn documents(&mut self, cx: &mut Cx<'_>) -> Result<Vec<Node>, Stop> {
        let mut out = Vec::new();
        loop {
            match self.next(cx)? {
                (Event::StreamEnd, _) => return Ok(out),
                (Event::DocumentStart(_), _) => {
                    self.anchors.clear();
                    let (event, span) = self.next(cx)?;
                    if matches!(event, Event::DocumentEnd) {
                        continue;
                    }
                    out.push(self.node(cx, event, span)?);
                }
                _ => {}
            }
        }
    }

    fn count(&mut self, cx: &mut Cx<'_>, n: usize, span: Span) -> Result<(), Stop> {
        if !cx.spend(n, span) {
            return Err(Stop::Told);
        }
        Ok(())
    }

    fn node(&mut self, cx: &mut Cx<'_>, event: Event<'t>, span: Span) -> Result<Node, Stop> {
        self.count(cx, 1, span)?;
        let (mut node, anchor, tag) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded)
                    || plain && text.starts_with(['|', '>'])
                {
                    self.block(cx, span, plain)?;
                }
                let core = tag.as_ref().filter(|t| t.is_yaml_core_schema()).map(|t| t.suffix.clone());
                let read = match core.as_deref() {
                    Some("str") => Plain::Value(Value::Str(text.into_owned())),
                    Some("binary") => Plain::Value(Value::Str(self.binary(cx, &text, span)?)),
                    Some(_) => scalar::resolve(&text),
                    None if plain => scalar::resolve(&text),
                    None => Plain::Value(Value::Str(text.into_owned())),
                };
                let (value, typed) = match read {
                    Plain::Value(value) => (value, false),
                    Plain::Typed(text) => (Value::Str(text), true),
                };
                if matches!(value, Value::Float(f) if !f.is_finite()) {
                    cx.error(span, "infinity and NaN aren't allowed here").is(Code::InvalidYaml);
                }
                self.count(cx, value.as_str().map_or(0, bounds::of_text), span)?;
                let mut node = Node::new(value, span);
                node.style = match style {
                    _ if typed => Style::Typed,
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted => Style::Single,
                    ScalarStyle::DoubleQuoted => Style::Double,
                    ScalarStyle::Literal => Style::Literal,
                    ScalarStyle::Folded => Style::Folded,
                };
                (node, anchor, tag)
            }
            Event::SequenceStart(anchor, tag) => {
                self.deeper(cx, span)?;
                let mut items = Vec::new();
                loop {
                    match self.next(cx)? {
                        (Event::SequenceEnd, _) => break,
                        (event, at) => items.push(self.node(cx, event, at)?),
                    }
                }
                items.shrink_to_fit();
                self.depth -= 1;
                (Node::new(Value::Seq(items), span), anchor, tag)
            }
            Event::MappingStart(anchor, tag) => {
                self.deeper(cx, span)?;
                let map = self.mapping(cx)?;
                self.depth -= 1;
                (Node::new(Value::Map(map), span), anchor, tag)
            }
            Event::Alias(id) => {
                let Some((node, number)) = self.anchors.get(&id) else {
                    cx.error(span, "an alias to an anchor that contains it").is(Code::InvalidYaml);
                    return Err(Stop::Told);
                };
                cx.chain.anchors[*number].uses.push(span);
                let mut node = node.clone();
                self.count(cx, bounds::of_node(&node), span)?;
                node.key_span = span;
                return Ok(node);
            }
            _ => {
                cx.error(span, "invalid YAML: a value is missing").is(Code::InvalidYaml);
                return Err(Stop::Told);
            }
        };
        if let Some(tag) = tag.filter(|t| t.handle == "!") {
            match tag.suffix.as_str() {
                "reset" => node.tag = Tag::Reset,
                "override" => node.tag = Tag::Override,
                _ => {}
            }
        }
        if anchor != 0 {
            self.count(cx, bounds::of_node(&node), span)?;
            let mut kept = node.clone();
            kept.tag = node.tag;
            // A scalar's place is the last that was seen; a list or mapping ends where its end was seen.
            let end = if self.last == span {
                (span.line, span.col + span.len)
            } else {
                (self.last.line, self.last.col)
            };
            cx.chain.anchors.push(Anchor { from: span, end, uses: Vec::new() });
            self.anchors.insert(anchor, (kept, cx.chain.anchors.len() - 1));
        }
        Ok(node)
    }

    fn binary(&self, cx: &mut Cx<'_>, text: &str, span: Span) -> Result<String, Stop> {
        text::base64(text).ok_or_else(|| {
            cx.error(span, "invalid YAML: !!binary takes base64").is(Code::InvalidYaml);
            Stop::Told
        })
    }

    /// What docker compose's reader refuses about block scalars, and ours doesn't.
    fn block(&self, cx: &mut Cx<'_>, span: Span, plain: bool) -> Result<(), Stop> {
        let (message, help) = if plain {
            (
                "a block scalar can't stand inside braces or brackets",
                "write it in quotes, or its mapping without braces",
            )
        } else if text::tab_in_block(self.text, span.line as usize, span.col as usize) {
            ("a tab can't indent", "use spaces")
        } else {
            return Ok(());
        };
        cx.error(span, format!("invalid YAML: {message}")).is(Code::InvalidYaml).help.push(help.into());
        Err(Stop::Told)
    }

    fn deeper(&mut self, cx: &mut Cx<'_>, span: Span) -> Result<(), Stop> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            cx.error(span, format!("values are nested more than {MAX_DEPTH} levels deep"))
                .is(Code::UnusableFile);
            return Err(Stop::Told);
        }
        Ok(())
    }

    fn mapping(&mut self, cx: &mut Cx<'_>) -> Result<Map, Stop> {
        let mut map = Map::new();
        let mut merged: Vec<Node> = Vec::new();
        let mut merge_seen = false;
        loop {
            let (event, key_span) = self.next(cx)?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let is_merge =
                matches!(&event, Event::Scalar(t, ScalarStyle::Plain, _, None) if t.as_ref() == "<<");
            let key_node = self.node(cx, event, key_span)?;
            let (event, at) = self.next(cx)?;
            let mut value = self.node(cx, event, at)?;
            if is_merge {
                if merge_seen {
                    cx.error(key_span, "mapping key \"<<\" is used twice").is(Code::Duplicate);
                }
                merge_seen = true;
                match &value.value {
                    Value::Map(_) => merged.push(value),
                    Value::Seq(items) if items.iter().all(|i| i.as_map().is_some()) => {
                        merged.extend(items.iter().cloned());
                    }
                    _ => {
                        cx.error(value.span, "<< takes a mapping or a list of mappings")
                            .is(Code::InvalidYaml);
                    }
                }
                continue;
            }
            let key = match &key_node.value {
                Value::Str(s) => s.clone(),
                Value::Null => {
                    cx.error(key_span, "a key is missing").is(Code::InvalidYaml);
                    continue;
                }
                Value::Seq(_) | Value::Map(_) => {
                    cx.error(key_span, format!("a key must be a string, not {}", key_node.kind()))
                        .is(Code::InvalidYaml);
                    continue;
                }
                _ => {
                    let text = key_node.scalar_text().unwrap_or_default();
                    cx.error(key_span, format!("non-string key {text}: keys are strings"))
                        .is(Code::InvalidYaml)
                        .help
                        .push(format!("write it in quotes: \"{text}\""));
                    continue;
                }
            };
            value.key_span = key_span;
            if let Some(first) = map.get(&key).map(|n: &Node| n.key_span) {
                let line = first.line;
                let related = cx.place(first);
                let d = cx
                    .error(key_span, format!("mapping key {key:?} already defined at line {line}"))
                    .is(Code::Duplicate);
                d.related.extend(related.map(|p| (p, "first defined here".to_owned())));
                continue;
            }
            map.insert(key, value);
        }
        for source in merged {
            if let Value::Map(entries) = source.value {
                for (key, value) in entries {
                    if !map.contains_key(&key) {
                        map.insert(key, value);
                    }
                }
            }
        }
        map.shrink_to_fit();
        Ok(map)
    }
}
