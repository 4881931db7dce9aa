//! `.env` and `env_file` text (Compose specification, "Env_file format").

use crate::interpolate::{Fault, expand};

/// What is wrong with an env file, and where (line from 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EnvFault {
    pub(crate) line: u32,
    pub(crate) message: String,
}

/// One assignment: `None` is a bare name.
pub(crate) type Pair = (String, Option<String>);

/// Reads the default grammar. `lookup` answers for variables that the file itself doesn't set before.
pub(crate) fn parse(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Vec<Pair>, EnvFault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let mut reader = Reader { rest: &text, line: 1, out: Vec::new(), lookup };
    reader.run()?;
    Ok(reader.out)
}

/// Reads `format: raw`: lines as they are, no quotes, no interpolation.
pub(crate) fn parse_raw(text: &str) -> Result<Vec<Pair>, EnvFault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut out = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once('=') {
            Some((key, value)) => {
                let fault = |message: String| EnvFault { line: n as u32 + 1, message };
                if key.is_empty() {
                    return Err(fault(format!("no variable name on line {line:?}")));
                }
                if key.contains(char::is_whitespace) {
                    return Err(fault(format!("variable {key:?} contains whitespaces")));
                }
                out.push((key.to_owned(), Some(value.to_owned())));
            }
            None => out.push((line.trim().to_owned(), None)),
        }
    }
    Ok(out)
}

struct Reader<'t> {
    rest: &'t str,
    line: u32,
    out: Vec<Pair>,
    lookup: &'t dyn Fn(&str) -> Option<String>,
}

impl<'t> Reader<'t> {
    fn fault<T>(&self, message: impl Into<String>) -> Result<T, EnvFault> {
        Err(EnvFault { line: self.line, message: message.into() })
    }

    fn run(&mut self) -> Result<(), EnvFault> {
        loop {
            self.skip_blank();
            if self.rest.is_empty() {
                return Ok(());
            }
            let (key, inherited) = self.key()?;
            if inherited {
                self.out.push((key, None));
                continue;
            }
            let value = self.value()?;
            self.out.push((key, Some(value)));
        }
    }

    /// White space, empty lines, comments.
    fn skip_blank(&mut self) {
        loop {
            let trimmed = self.rest.trim_start();
            self.line += count_lines(&self.rest[..self.rest.len() - trimmed.len()]);
            self.rest = trimmed;
            if !trimmed.starts_with('#') {
                return;
            }
            self.rest = &trimmed[trimmed.find('\n').unwrap_or(trimmed.len())..];
        }
    }

    fn key(&mut self) -> Result<(String, bool), EnvFault> {
        if let Some(after) = self.rest.strip_prefix("export").filter(|r| r.starts_with([' ', '\t'])) {
            self.rest = after.trim_start_matches([' ', '\t']);
        }
        let line = self.rest.lines().next().unwrap_or_default();
        let end = line.find(['=', ':']).unwrap_or(line.len());
        let raw = &line[..end];
        let key = raw.trim_end();
        let bad = key.chars().find(|c| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']')));
        if let Some(c) = bad {
            return match c {
                ' ' | '\t' => self.fault(format!("key cannot contain a space: {key:?}")),
                c => self.fault(format!("unexpected character {c:?} in variable name {key:?}")),
            };
        }
        if key.is_empty() {
            return self.fault(format!("a variable's name is missing in {line:?}"));
        }
        self.rest = &self.rest[end..];
        let inherited = end == line.len();
        if !inherited {
            self.rest = self.rest[1..].trim_start_matches([' ', '\t']);
        }
        Ok((key.to_owned(), inherited))
    }

    fn value(&mut self) -> Result<String, EnvFault> {
        match self.rest.chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote),
            _ => {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                let line = &self.rest[..end];
                self.rest = &self.rest[end..];
                // A comment begins at a # behind white space.
                let mut cut = line.len();
                for (i, _) in line.match_indices('#') {
                    if line[..i].ends_with([' ', '\t']) {
                        cut = i;
                        break;
                    }
                }
                self.expand(line[..cut].trim())
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, EnvFault> {
        let body = &self.rest[1..];
        let mut escaped = false;
        for (i, c) in body.char_indices() {
            if escaped {
                escaped = false;
            } else if c == '\\' {
                escaped = true;
            } else if c == quote {
                let inside = &body[..i];
                let lines = count_lines(inside);
                self.rest = &body[i + 1..];
                // What follows on the line is a comment, or the next name.
                let value = if quote == '\'' {
                    Ok(inside.replace("\\'", "'"))
                } else {
                    self.expand(&unescape(inside))
                };
                self.line += lines;
                return value;
            }
        }
        self.fault("unterminated quoted value")
    }

    fn expand(&self, text: &str) -> Result<String, EnvFault> {
        let lookup = |name: &str| {
            (self.lookup)(name)
                .or_else(|| self.out.iter().rev().find(|(k, _)| k == name).and_then(|(_, v)| v.clone()))
        };
        match expand(text, &lookup, &mut |_, _| {}) {
            Ok(value) => Ok(value),
            Err(Fault::Format { .. }) => self.fault(format!("invalid interpolation format: {text:?}")),
            Err(Fault::Required { name, message, .. }) => {
                self.fault(format!("required variable {name} is missing a value: {message}"))
            }
        }
    }
}

fn count_lines(text: &str) -> u32 {
    text.bytes().filter(|b| *b == b'\n').count() as u32
}

/// Escapes of double quotes; `\$` becomes `$$`, which interpolation turns into `$`.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('a') => out.push('\u{7}'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('v') => out.push('\u{b}'),
            Some('$') => out.push_str("$$"),
            Some(c @ ('"' | '\\')) => out.push(c),
            Some(c) => {
                out.push('\\');
                out.push(c);
            }
            None => out.push('\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> String {
        let got = parse(text, &|n| (n == "SHELL_VAR").then(|| "sh".to_owned()));
        format!("{got:?}")
    }

    #[test]
    fn default_grammar() {
        let cases = [
            ("A=b", r#"Ok([("A", Some("b"))])"#),
            ("# c\n\nexport A=b # c", r#"Ok([("A", Some("b"))])"#),
            ("A=a#b", r#"Ok([("A", Some("a#b"))])"#),
            ("KEY =v", r#"Ok([("KEY", Some("v"))])"#),
            ("A: v", r#"Ok([("A", Some("v"))])"#),
            ("A=\nB='x\\'y $A'", r#"Ok([("A", Some("")), ("B", Some("x'y $A"))])"#),
            ("A=1\nB=\"${A}\\n2\"", r#"Ok([("A", Some("1")), ("B", Some("1\n2"))])"#),
            ("A=\"two\nlines\" # c\nB=1", r#"Ok([("A", Some("two\nlines")), ("B", Some("1"))])"#),
            ("A=\"$$x\"", r#"Ok([("A", Some("$x"))])"#),
            ("BARE\nA=$SHELL_VAR", r#"Ok([("BARE", None), ("A", Some("sh"))])"#),
            ("A.b-c[0]=1", r#"Ok([("A.b-c[0]", Some("1"))])"#),
        ];
        for (text, want) in cases {
            assert_eq!(one(text), want, "{text}");
        }
        assert_eq!(parse("OK=1\nA='x", &|_| None).unwrap_err().line, 2);
        assert!(parse("A B=1", &|_| None).is_err());
    }

    #[test]
    fn raw_grammar() {
        assert_eq!(
            parse_raw("A=\"q\" # c\n#x\nB").unwrap(),
            [("A".into(), Some("\"q\" # c".into())), ("B".into(), None)]
        );
    }
}
