//! The span tree: what a file says, each value with its place.

pub(crate) use crate::map::Map;

/// A place in one of the files of a load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Span {
    /// Index of the file + 1; 0 is nowhere.
    pub(crate) file: u16,
    /// From 1.
    pub(crate) line: u32,
    /// From 1, in characters.
    pub(crate) col: u32,
    /// In characters.
    pub(crate) len: u32,
}

/// What the `!reset` and `!override` tags ask of a merge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Tag {
    #[default]
    None,
    Reset,
    Override,
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Style {
    #[default]
    Plain,
    Single,
    Double,
    Literal,
    Folded,
    /// Plain, and neither text nor a number of 64 bits: a date or a huge number, kept as text.
    Typed,
}

/// A value and its place.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) span: Span,
    /// The key that holds it, if one does.
    pub(crate) key_span: Span,
    pub(crate) tag: Tag,
    /// How a scalar was written.
    pub(crate) style: Style,
    /// A mapping that is a list of `KEY=value` to docker compose: `!reset` doesn't reach into it.
    pub(crate) listed: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Value {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    Seq(Vec<Node>),
    Map(Map),
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Value {
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }
}

impl Node {
    pub(crate) fn new(value: Value, span: Span) -> Self {
        Self { value, span, key_span: span, tag: Tag::None, style: Style::Plain, listed: false }
    }
    pub(crate) fn str(text: impl Into<String>, span: Span) -> Self {
        Self::new(Value::Str(text.into()), span)
    }
    /// The same place with another value.
    pub(crate) fn with(&self, value: Value) -> Self {
        Self { value, ..self.shell() }
    }
    /// The node without its value.
    pub(crate) fn shell(&self) -> Self {
        Self {
            value: Value::Null,
            span: self.span,
            key_span: self.key_span,
            tag: self.tag,
            style: self.style,
            listed: self.listed,
        }
    }
    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Str(s) => Some(s),
            _ => None,
        }
    }
    pub(crate) fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(m) => Some(m),
            _ => None,
        }
    }
    pub(crate) fn as_map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.value {
            Value::Map(m) => Some(m),
            _ => None,
        }
    }
    pub(crate) fn as_seq(&self) -> Option<&[Node]> {
        match &self.value {
            Value::Seq(s) => Some(s),
            _ => None,
        }
    }
    pub(crate) fn is_null(&self) -> bool {
        self.value == Value::Null
    }
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.as_map().and_then(|m| m.get(key))
    }
    /// A scalar as Go prints it; `None` for null, lists and mappings.
    pub(crate) fn scalar_text(&self) -> Option<String> {
        match &self.value {
            Value::Str(s) => Some(s.clone()),
            Value::Bool(b) => Some(b.to_string()),
            Value::Int(i) => Some(i.to_string()),
            Value::Float(f) => Some(go_float(*f)),
            _ => None,
        }
    }
    /// What it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Str(_) => "a string",
            Value::Seq(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// A float as Go's shortest `g` format prints it: with an exponent below 1e-4 and from 1e6 on.
pub(crate) fn go_float(f: f64) -> String {
    if f.is_nan() {
        return "NaN".into();
    }
    if f.is_infinite() {
        return if f > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    let abs = f.abs();
    if abs != 0.0 && !(1e-4..1e6).contains(&abs) {
        let text = format!("{f:e}");
        let (mantissa, exp) = text.split_once('e').unwrap_or((&text, "0"));
        let exp: i32 = exp.parse().unwrap_or(0);
        return format!("{mantissa}e{}{:02}", if exp < 0 { '-' } else { '+' }, exp.abs());
    }
    format!("{f}")
}
