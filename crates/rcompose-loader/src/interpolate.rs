//! `$V`, `${V}` and its operators (Compose specification, "Interpolation").

use crate::bounds::{self, MAX_EXPANDED, MAX_NESTED};
use crate::chain::{Origin, Use};
use crate::code::Code;
use crate::cx::Cx;
use crate::locate;
use crate::tree::{Node, Span, Value};

/// Bytes of a text in which places are looked for.
const LONG: usize = 64 << 10;

/// Bytes that noting a variable's use counts for.
const NOTE: usize = 64;

/// Why a string couldn't be interpolated, with the expression's place in characters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Format {
        at: usize,
        len: usize,
        why: &'static str,
    },
    Required {
        name: String,
        message: String,
        at: usize,
        len: usize,
    },
    /// Too long, or nested too deep.
    Large {
        at: usize,
        len: usize,
        why: &'static str,
    },
}

/// What became of a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Became<'v> {
    Value(&'v str),
    /// The text behind `-` or `+`.
    Default(&'v str),
    Unset,
}

/// A variable's use, with the expression's place in characters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'v> {
    pub(crate) name: &'v str,
    pub(crate) became: Became<'v>,
    pub(crate) at: usize,
    pub(crate) len: usize,
}

/// Replaces variables in one string. All required ones that miss are told at once.
pub(crate) fn expand(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    seen: &mut dyn FnMut(Seen<'_>),
) -> Result<String, Vec<Fault>> {
    if !text.contains('$') {
        return Ok(text.to_owned());
    }
    let chars: Vec<char> = text.chars().collect();
    let mut expander = Expander { lookup, seen, faults: Vec::new(), depth: 0, left: MAX_EXPANDED };
    let out = expander.expand(&chars, 0);
    if expander.faults.is_empty() { Ok(out) } else { Err(expander.faults) }
}

struct Expander<'e> {
    lookup: &'e dyn Fn(&str) -> Option<String>,
    seen: &'e mut dyn FnMut(Seen<'_>),
    faults: Vec<Fault>,
    depth: usize,
    /// Bytes that may still come.
    left: usize,
}

impl Expander<'_> {
    /// `offset` is where `chars` begins in the whole string.
    fn expand(&mut self, chars: &[char], offset: usize) -> String {
        let mut out = String::with_capacity(chars.len());
        let mut i = 0;
        while i < chars.len() && self.left > 0 {
            let c = chars[i];
            if c != '$' {
                out.push(c);
                i += 1;
                continue;
            }
            match chars.get(i + 1) {
                Some('$') => {
                    out.push('$');
                    i += 2;
                }
                Some('{') => {
                    let Some(end) = closing(chars, i + 1) else {
                        self.faults.push(Fault::Format {
                            at: offset + i,
                            len: chars.len() - i,
                            why: "the closing } is missing",
                        });
                        return out;
                    };
                    let value = self.braced(&chars[i + 2..end], offset + i, end + 1 - i);
                    self.add(&mut out, &value, offset + i, end + 1 - i);
                    i = end + 1;
                }
                Some(c) if is_start(*c) => {
                    let end = name_end(chars, i + 1);
                    let name: String = chars[i + 1..end].iter().collect();
                    let value = self.value(&name, offset + i, end - i);
                    self.add(&mut out, &value, offset + i, end - i);
                    i = end;
                }
                _ => {
                    out.push('$');
                    i += 1;
                }
            }
        }
        out
    }

    fn add(&mut self, out: &mut String, value: &str, at: usize, len: usize) {
        if value.len() >= self.left {
            self.left = 0;
            self.faults.push(Fault::Large {
                at,
                len,
                why: "with its variables, the text is longer than 4 MiB",
            });
            return;
        }
        self.left -= value.len();
        out.push_str(value);
    }

    /// What stands behind an operator.
    fn nested(&mut self, word: &[char], start: usize) -> String {
        if self.depth >= MAX_NESTED {
            self.left = 0;
            let why = "variables are nested more than 50 deep";
            self.faults.push(Fault::Large { at: start, len: word.len(), why });
            return String::new();
        }
        self.depth += 1;
        let text = self.expand(word, start);
        self.depth -= 1;
        text
    }

    fn tell(&mut self, name: &str, became: Became<'_>, at: usize, len: usize) {
        // What is noted of each takes memory, too.
        self.left = self.left.saturating_sub(NOTE);
        (self.seen)(Seen { name, became, at, len });
    }

    /// A variable's value, or nothing.
    fn value(&mut self, name: &str, at: usize, len: usize) -> String {
        let value = (self.lookup)(name);
        self.tell(name, value.as_deref().map_or(Became::Unset, Became::Value), at, len);
        value.unwrap_or_default()
    }

    /// What stands in braces, at `at` with the dollar sign.
    fn braced(&mut self, body: &[char], at: usize, len: usize) -> String {
        let end = name_end(body, 0);
        let named = end > 0 && is_start(body[0]);
        let name: String = body[..end].iter().collect();
        let (colon, op, word) = match &body[end..] {
            [] if named => return self.value(&name, at, len),
            [':', op @ ('-' | '?' | '+'), word @ ..] if named => (true, *op, word),
            [op @ ('-' | '?' | '+'), word @ ..] if named => (false, *op, word),
            rest => {
                let why = match rest {
                    [] | [':' | '-' | '?' | '+', ..] if end == 0 => {
                        "a variable's name is missing between the braces"
                    }
                    _ if !named => {
                        "a variable's name begins with a letter or _, and goes on with letters, digits and _"
                    }
                    _ => "behind a variable's name comes }, or one of :- - :? ? :+ + and a text",
                };
                self.faults.push(Fault::Format { at, len, why });
                return String::new();
            }
        };
        let start = at + 2 + body.len() - word.len();
        let value = (self.lookup)(&name).filter(|v| !colon || !v.is_empty());
        match (op, value) {
            ('-' | '?', Some(value)) => {
                self.tell(&name, Became::Value(&value), at, len);
                value
            }
            ('-', None) | ('+', Some(_)) => {
                let text = self.nested(word, start);
                self.tell(&name, Became::Default(&text), at, len);
                text
            }
            ('+', None) => String::new(),
            (_, None) | (_, Some(_)) => {
                let message = self.nested(word, start);
                self.faults.push(Fault::Required { name, message, at, len });
                String::new()
            }
        }
    }
}

fn is_start(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

fn name_end(chars: &[char], from: usize) -> usize {
    let mut end = from;
    while end < chars.len() && (chars[end] == '_' || chars[end].is_ascii_alphanumeric()) {
        end += 1;
    }
    end
}

/// The brace that closes the one at `open`.
fn closing(chars: &[char], open: usize) -> Option<usize> {
    let mut depth = 0usize;
    let mut i = open;
    while i < chars.len() {
        match chars[i] {
            '$' if chars.get(i + 1) == Some(&'{') => {
                depth += 1;
                i += 1;
            }
            '{' if i == open => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(i);
                }
            }
            _ => {}
        }
        i += 1;
    }
    None
}

/// Interpolates every string of a tree.
pub(crate) fn tree(cx: &mut Cx<'_>, node: &mut Node) {
    if node.tag == crate::tree::Tag::Reset || cx.is_spent() {
        return;
    }
    match &node.value {
        Value::Str(text) if text.contains('$') => {
            let text = text.clone();
            let new = scalar(cx, node, &text);
            cx.spend(bounds::of_text(&new), node.span);
            node.value = Value::Str(new);
        }
        Value::Seq(_) | Value::Map(_) => match &mut node.value {
            Value::Seq(items) => items.iter_mut().for_each(|n| tree(cx, n)),
            Value::Map(map) => map.values_mut().for_each(|n| tree(cx, n)),
            _ => {}
        },
        _ => {}
    }
}

/// Interpolates one scalar, and notes the variables that it was made from.
fn scalar(cx: &mut Cx<'_>, node: &Node, text: &str) -> String {
    let span = node.span;
    let mut uses: Vec<Use> = Vec::new();
    let mut unset: Vec<(String, usize, usize)> = Vec::new();
    let (env, chain) = (&cx.env, &cx.chain);
    let result = expand(text, &|n| env.get(n).cloned(), &mut |seen| {
        let (value, origin) = match seen.became {
            Became::Value(v) => (v, chain.origin(seen.name)),
            Became::Default(v) => (v, Origin::Default),
            Became::Unset => {
                unset.push((seen.name.to_owned(), seen.at, seen.len));
                ("", Origin::Unset)
            }
        };
        uses.push(Use { name: seen.name.to_owned(), value: value.to_owned(), origin });
    });
    cx.spend(uses.iter().map(|u| bounds::of_text(&u.value)).sum(), span);
    if !uses.is_empty() {
        cx.chain.uses.insert(span, uses);
    }
    let inside = |cx: &Cx<'_>, at, len| {
        // Nobody looks for a column in so long a text.
        if text.len() > LONG {
            return span;
        }
        locate::inside(&cx.text(span.file), span, node.style, text, at, len)
    };
    for (name, at, len) in unset {
        cx.unset(&name, |cx| inside(cx, at, len));
    }
    let faults = match result {
        Ok(new) => return new,
        Err(faults) => faults,
    };
    for fault in faults {
        match fault {
            Fault::Format { at, len, why } => {
                let place = inside(cx, at, len);
                let shown = crate::chain::shown(text);
                cx.error(place, format!("invalid interpolation format: {shown}"))
                    .is(Code::InvalidInterpolation)
                    .help
                    .extend([why.into(), "if no variable is meant, write $$ for the dollar sign".into()]);
            }
            Fault::Large { at, len, why } => {
                let place = inside(cx, at, len);
                cx.error(place, why).is(Code::InvalidInterpolation);
            }
            Fault::Required { name, message, at, len } => {
                let mut text = format!("required variable {name} is missing a value");
                if !message.is_empty() {
                    text.push_str(": ");
                    text.push_str(&message);
                }
                let place: Span = inside(cx, at, len);
                cx.error(place, text)
                    .is(Code::RequiredVariable)
                    .help
                    .push(format!("set {name} in the environment or in .env"));
            }
        }
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Result<String, Vec<Fault>> {
        let lookup = |n: &str| match n {
            "A" => Some("a".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        expand(text, &lookup, &mut |_| {})
    }

    #[test]
    fn ten_forms() {
        for (text, want) in [
            ("$A-${A}", "a-a"),
            ("${A:-d}${EMPTY:-d}${X:-d}", "add"),
            ("${A-d}${EMPTY-d}${X-d}", "ad"),
            ("${A:?e}", "a"),
            ("${A:+r}${EMPTY:+r}${X:+r}", "r"),
            ("${A+r}${EMPTY+r}${X+r}", "rr"),
            ("$$A ${X:-${Y:-deep}}", "$A deep"),
            ("cost $ 5 $1", "cost $ 5 $1"),
            ("${X:-a:-b?c}", "a:-b?c"),
            ("${X:-{\"k\": 1}}", "{\"k\": 1}"),
        ] {
            match run(text) {
                Ok(got) => assert_eq!(got, want, "{text}"),
                Err(e) => panic!("{text}: {e:?}"),
            }
        }
    }

    #[test]
    fn faults() {
        for (text, place, says) in [
            ("ab${", (2, 2), "closing } is missing"),
            ("${A/b/c}", (0, 8), "behind a variable"),
            ("${}", (0, 3), "name is missing"),
            ("${1A}", (0, 5), "begins with a letter"),
            ("${-x}", (0, 5), "name is missing"),
            ("${é}", (0, 4), "begins with a letter"),
        ] {
            let faults = run(text).unwrap_err();
            let [Fault::Format { at, len, why }] = faults[..] else { panic!("{text}: {faults:?}") };
            assert_eq!((at, len), place, "{text}");
            assert!(why.contains(says), "{text}: {why}");
        }
        let required = |name: &str, message: &str, at, len| Fault::Required {
            name: name.into(),
            message: message.into(),
            at,
            len,
        };
        assert_eq!(run("${X:?not ${A}}"), Err(vec![required("X", "not a", 0, 14)]));
        // All at once, inside of defaults, too.
        assert_eq!(run("${X:?} ${Y:-${Z?z}}"), Err(vec![required("X", "", 0, 6), required("Z", "z", 12, 6)]));
    }

    #[test]
    fn what_became_of_each() {
        let mut all = Vec::new();
        let lookup = |n: &str| (n == "A").then(|| "a".to_owned());
        let text = "${A:-x} ${B:-y$C}";
        let got =
            expand(text, &lookup, &mut |s| all.push(format!("{} {:?} {} {}", s.name, s.became, s.at, s.len)));
        assert_eq!(got.unwrap(), "a y");
        assert_eq!(all, ["A Value(\"a\") 0 7", "C Unset 14 2", "B Default(\"y\") 8 9"]);
    }
}
