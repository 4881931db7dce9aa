//! Go's own functions and docker's.

use std::cmp::Ordering;
use std::fmt::Write;

use serde_json::Value;

type Answer = Result<Value, String>;

const NAMES: [&str; 29] = [
    "and",
    "or",
    "not",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "len",
    "index",
    "slice",
    "print",
    "printf",
    "println",
    "html",
    "js",
    "urlquery",
    "call",
    "json",
    "split",
    "join",
    "title",
    "lower",
    "upper",
    "pad",
    "truncate",
    "printjson",
    "table",
];

pub(super) fn exists(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Go's truth: neither zero nor empty.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(b) => *b,
        Value::Number(n) => n.as_f64() != Some(0.0),
        Value::String(s) => !s.is_empty(),
        Value::Array(a) => !a.is_empty(),
        Value::Object(o) => !o.is_empty(),
    }
}

/// As Go's `%v`.
pub(super) fn print(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(s) => s.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(print).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let mut items: Vec<(&String, &Value)> = map.iter().collect();
            items.sort_by_key(|(k, _)| *k);
            let items: Vec<String> = items.iter().map(|(k, v)| format!("{k}:{}", print(v))).collect();
            format!("map[{}]", items.join(" "))
        }
        other => other.to_string(),
    }
}

/// A head stays what it is, whatever is done with the column (docker cli, templates.HeaderFunctions).
pub(super) fn on_head(arguments: Vec<Value>) -> Value {
    let text = arguments.iter().rev().find(|a| a.is_string()).cloned();
    arguments.into_iter().find(|a| a.as_str().is_some_and(is_head)).or(text).unwrap_or_default()
}

fn is_head(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_uppercase() || matches!(c, ' ' | '/' | '-'))
}

pub(super) fn call(name: &str, arguments: &[Value]) -> Answer {
    let text = |n: usize| match arguments.get(n) {
        Some(Value::String(s)) => Ok(s.as_str()),
        Some(other) => Err(format!("wrong type for value: expected string, got {}", print(other))),
        None => Err(format!("wrong number of args: got {}", arguments.len())),
    };
    let number = |n: usize| match arguments.get(n) {
        Some(Value::Number(n)) => n.as_i64().ok_or_else(|| format!("{n} is no whole number")),
        Some(other) => Err(format!("wrong type for value: expected int, got {}", print(other))),
        None => Err(format!("wrong number of args: got {}", arguments.len())),
    };
    let first = || arguments.first().ok_or_else(|| "wrong number of args: got 0".to_owned());
    Ok(match name {
        "not" => Value::from(!is_true(first()?)),
        "eq" => {
            let first = first()?;
            if arguments.len() < 2 {
                return Err("missing argument for comparison".to_owned());
            }
            Value::from(arguments[1..].iter().any(|other| equal(first, other)))
        }
        "ne" => Value::from(!equal(first()?, arguments.get(1).ok_or("missing argument for comparison")?)),
        "lt" | "le" | "gt" | "ge" => {
            let order = order(first()?, arguments.get(1).ok_or("missing argument for comparison")?)?;
            Value::from(match name {
                "lt" => order == Ordering::Less,
                "le" => order != Ordering::Greater,
                "gt" => order == Ordering::Greater,
                _ => order != Ordering::Less,
            })
        }
        "len" => Value::from(match first()? {
            Value::String(s) => s.len(),
            Value::Array(a) => a.len(),
            Value::Object(o) => o.len(),
            Value::Null => return Err("len of nil pointer".to_owned()),
            other => return Err(format!("len of type {}", print(other))),
        }),
        "index" => index(first()?, &arguments[1..])?,
        "slice" => slice(first()?, &arguments[1..])?,
        "print" => Value::from(spaced(arguments)),
        "println" => {
            let words: Vec<String> = arguments.iter().map(print).collect();
            Value::from(words.join(" ") + "\n")
        }
        "printf" => Value::from(printf(text(0)?, &arguments[1..])),
        "html" => {
            let escape = |c: char| match c {
                '&' => "&amp;".to_owned(),
                '<' => "&lt;".to_owned(),
                '>' => "&gt;".to_owned(),
                '"' => "&#34;".to_owned(),
                '\'' => "&#39;".to_owned(),
                c => c.to_string(),
            };
            Value::from(spaced(arguments).chars().map(escape).collect::<String>())
        }
        "js" => {
            Value::from(spaced(arguments).replace('\\', "\\\\").replace('\'', "\\'").replace('"', "\\\""))
        }
        "urlquery" => Value::from(urlquery(&spaced(arguments))),
        "call" => return Err("there is nothing to call".to_owned()),
        "json" | "printjson" => Value::from(first()?.to_string()),
        "split" => text(0)?.split(text(1)?).collect::<Vec<_>>().into(),
        "join" => {
            let separator = text(1)?;
            let Value::Array(items) = first()? else { return Err("join wants a list".to_owned()) };
            Value::from(items.iter().map(print).collect::<Vec<_>>().join(separator))
        }
        "title" => {
            let mut start = true;
            let cap = |c: char| {
                let out: String = if start { c.to_uppercase().collect() } else { c.to_string() };
                start = !(c.is_alphanumeric() || matches!(c, '_' | '\''));
                out
            };
            Value::from(text(0)?.chars().map(cap).collect::<String>())
        }
        "lower" => Value::from(text(0)?.to_lowercase()),
        "upper" => Value::from(text(0)?.to_uppercase()),
        "pad" => {
            let blanks = |n: i64| " ".repeat(usize::try_from(n).unwrap_or(0).min(10_000));
            match text(0)? {
                "" => Value::from(""),
                text => Value::from(format!("{}{text}{}", blanks(number(1)?), blanks(number(2)?))),
            }
        }
        "truncate" => {
            let (text, length) = (text(0)?, usize::try_from(number(1)?).unwrap_or(0));
            Value::from(text.chars().take(length).collect::<String>())
        }
        "table" => Value::from(print(first()?)),
        other => return Err(format!("function {other:?} not defined")),
    })
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

fn order(a: &Value, b: &Value) -> Result<Ordering, String> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => Ok(a.cmp(b)),
        (Value::Number(x), Value::Number(y)) => match (x.as_i64(), y.as_i64()) {
            (Some(x), Some(y)) => Ok(x.cmp(&y)),
            _ => x.as_f64().partial_cmp(&y.as_f64()).ok_or_else(|| "incomparable types".to_owned()),
        },
        _ => Err("incompatible types for comparison".to_owned()),
    }
}

fn index(of: &Value, at: &[Value]) -> Answer {
    let Some((first, rest)) = at.split_first() else { return Ok(of.clone()) };
    let found = match (of, first) {
        (Value::Array(items), Value::Number(n)) => {
            let i = n.as_u64().and_then(|n| usize::try_from(n).ok());
            i.and_then(|i| items.get(i)).cloned().ok_or_else(|| format!("index out of range: {n}"))?
        }
        // The zero value of what maps here have most often.
        (Value::Object(map), Value::String(key)) => map.get(key).cloned().unwrap_or_else(|| Value::from("")),
        (Value::Null, Value::String(_)) => Value::from(""),
        (Value::Null, _) => return Err("index of untyped nil".to_owned()),
        (Value::String(s), Value::Number(n)) => {
            let i = n.as_u64().and_then(|n| usize::try_from(n).ok());
            let byte = i.and_then(|i| s.as_bytes().get(i));
            Value::from(*byte.ok_or_else(|| format!("index out of range: {n}"))?)
        }
        (_, key) => return Err(format!("can't index item with {}", print(key))),
    };
    index(&found, rest)
}

fn slice(of: &Value, at: &[Value]) -> Answer {
    let length = match of {
        Value::String(s) => s.len(),
        Value::Array(a) => a.len(),
        other => return Err(format!("can't slice {}", print(other))),
    };
    let place = |n: usize, default: usize| match at.get(n) {
        None => Ok(default),
        Some(v) => {
            let place = v.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| *n <= length);
            place.ok_or_else(|| format!("index out of range: {}", print(v)))
        }
    };
    let (from, to) = (place(0, 0)?, place(1, length)?);
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    Ok(match of {
        Value::String(s) => Value::from(String::from_utf8_lossy(&s.as_bytes()[from..to]).into_owned()),
        Value::Array(a) => Value::from(a[from..to].to_vec()),
        _ => Value::Null,
    })
}

/// As Go's `fmt.Sprint`: a blank between two of which neither is a text.
fn spaced(arguments: &[Value]) -> String {
    let mut out = String::new();
    for (n, value) in arguments.iter().enumerate() {
        if n > 0 && !value.is_string() && !arguments[n - 1].is_string() {
            out.push(' ');
        }
        out.push_str(&print(value));
    }
    out
}

/// Verbs of Go's `fmt` that make sense for JSON: `%v %s %d %q %t %f %g %x %%`, with width, precision, `-` and `0`.
fn printf(format: &str, arguments: &[Value]) -> String {
    let (mut out, mut chars, mut next) = (String::new(), format.chars().peekable(), arguments.iter());
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut take = |allowed: &dyn Fn(char) -> bool| {
            let mut text = String::new();
            while let Some(c) = chars.next_if(|c| allowed(*c)) {
                text.push(c);
            }
            text
        };
        let flags = take(&|c| matches!(c, '-' | '+' | '#' | '0' | ' '));
        let width: usize = take(&|c| c.is_ascii_digit()).parse().unwrap_or(0);
        let precision = take(&|c| c == '.' || c.is_ascii_digit());
        let precision: Option<usize> = precision.strip_prefix('.').map(|p| p.parse().unwrap_or(0));
        let Some(verb) = chars.next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        let Some(value) = next.next() else {
            write!(out, "%!{verb}(MISSING)").unwrap_or_default();
            continue;
        };
        let text = match (verb, value) {
            ('q', Value::String(s)) => format!("{s:?}"),
            ('x', Value::Number(n)) => n.as_i64().map_or_else(|| n.to_string(), |n| format!("{n:x}")),
            ('x', Value::String(s)) => s.bytes().map(|b| format!("{b:02x}")).collect(),
            ('f', Value::Number(n)) => {
                format!("{:.*}", precision.unwrap_or(6).min(50), n.as_f64().unwrap_or(0.0))
            }
            ('s' | 'v', value) => match precision {
                Some(p) if verb == 's' => print(value).chars().take(p).collect(),
                _ => print(value),
            },
            ('d' | 'g' | 'e', value @ Value::Number(_)) | ('t', value @ Value::Bool(_)) => print(value),
            (verb, value) => format!("%!{verb}({}={})", go_type(value), print(value)),
        };
        let width = width.min(10_000);
        let fill = width.saturating_sub(text.chars().count());
        let zero = flags.contains('0') && !flags.contains('-') && value.is_number();
        match (flags.contains('-'), zero) {
            (true, _) => out.push_str(&(text + &" ".repeat(fill))),
            (_, true) => out.push_str(&("0".repeat(fill) + &text)),
            _ => out.push_str(&(" ".repeat(fill) + &text)),
        }
    }
    out
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float64",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(_) => "[]string",
        Value::Object(_) => "map[string]interface {}",
    }
}

fn urlquery(text: &str) -> String {
    let escape = |b: u8| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(b).to_string(),
        b' ' => "+".to_owned(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(escape).collect()
}
