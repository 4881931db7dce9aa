//! `.env` and `env_file` text (Compose specification, "Env_file format"), read as docker compose reads it.

use std::collections::HashMap;

use crate::bounds::MAX_EXPANDED;
use crate::interpolate::{Became, Fault, expand};

/// What is wrong with an env file, and where (from 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EnvFault {
    pub(crate) line: u32,
    pub(crate) message: String,
}

/// One assignment, and the line that it begins on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) key: String,
    /// `None` is a bare name.
    pub(crate) value: Option<String>,
    pub(crate) line: u32,
}

/// What a file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Parsed {
    pub(crate) pairs: Vec<Pair>,
    /// Variables that values use and nobody sets, with their lines.
    pub(crate) unset: Vec<(String, u32)>,
}

/// Where variables in values come from.
pub(crate) struct Lookup<'l> {
    /// Asked before what the file itself has said.
    pub(crate) first: &'l dyn Fn(&str) -> Option<String>,
    /// Asked after it: what the files before have said.
    pub(crate) last: &'l dyn Fn(&str) -> Option<String>,
}

/// Reads the default grammar.
pub(crate) fn parse(text: &str, lookup: &Lookup<'_>) -> Result<Parsed, EnvFault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader =
        Reader { rest: text, line: 1, out: Parsed::default(), lookup, known: HashMap::new(), bytes: 0 };
    reader.run()?;
    Ok(reader.out)
}

/// Reads `format: raw`, the grammar of `docker run --env-file`: lines as they are, no quotes, no interpolation.
pub(crate) fn parse_raw(text: &str) -> Result<Parsed, EnvFault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut out = Parsed::default();
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fault = |message: String| Err(EnvFault { line: number, message });
        let (key, value) = match line.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (line, None),
        };
        if key.is_empty() {
            return fault(format!("no variable name on line {line:?}"));
        }
        if key.contains([' ', '\t']) {
            return fault(format!("variable {key:?} contains whitespaces"));
        }
        out.pairs.push(Pair { key: key.to_owned(), value, line: number });
    }
    Ok(out)
}

/// White space within a line.
fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

struct Reader<'t> {
    rest: &'t str,
    line: u32,
    out: Parsed,
    lookup: &'t Lookup<'t>,
    /// Which of `out` has a name's value.
    known: HashMap<String, usize>,
    /// Bytes of all values.
    bytes: usize,
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
            let line = self.line;
            let (key, bare) = self.key()?;
            let value = if bare { None } else { Some(self.value()?) };
            if let Some(value) = &value {
                self.bytes += value.len();
                if self.bytes > MAX_EXPANDED {
                    return self.fault("with its variables, the file's values come to more than 4 MiB");
                }
                self.known.insert(key.clone(), self.out.pairs.len());
            }
            self.out.pairs.push(Pair { key, value, line });
        }
    }

    /// Goes on behind the first `bytes`.
    fn take(&mut self, bytes: usize) {
        self.line += self.rest[..bytes].bytes().filter(|b| *b == b'\n').count() as u32;
        self.rest = &self.rest[bytes..];
    }

    /// White space, empty lines, comments.
    fn skip_blank(&mut self) {
        loop {
            self.take(self.rest.len() - self.rest.trim_start().len());
            if !self.rest.starts_with('#') {
                return;
            }
            self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
        }
    }

    /// A name up to `=`, `:` or the end of its line; a bare one is `true`.
    fn key(&mut self) -> Result<(String, bool), EnvFault> {
        if let Some(after) = self.rest.strip_prefix("export").filter(|r| r.starts_with(is_blank)) {
            self.rest = after.trim_start_matches(is_blank);
        }
        let line = self.rest.split('\n').next().unwrap_or_default();
        let end = line.find(['=', ':']).unwrap_or(line.len());
        let key = line[..end].trim_end();
        let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']');
        match key.chars().find(|c| !allowed(*c)) {
            Some(c) if is_blank(c) => return self.fault(format!("key cannot contain a space: {key:?}")),
            Some(c) => return self.fault(format!("unexpected character {c:?} in variable name {key:?}")),
            None if key.is_empty() => {
                return self.fault(format!("a variable's name is missing in {:?}", line.trim_end()));
            }
            None => {}
        }
        let bare = end == line.len();
        self.take(end + usize::from(!bare));
        if !bare {
            self.rest = self.rest.trim_start_matches(is_blank);
        }
        Ok((key.to_owned(), bare))
    }

    fn value(&mut self) -> Result<String, EnvFault> {
        if let Some(quote @ ('"' | '\'')) = self.rest.chars().next() {
            return self.quoted(quote);
        }
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        let line = &self.rest[..end];
        // A comment begins at a # behind a space; a tab won't do, and neither will a # that is first.
        let value = line.split(" #").next().unwrap_or_default().trim_end();
        let value = self.expand(value)?;
        self.take(end);
        Ok(value)
    }

    /// What follows the closing quote on its line is a comment, or the next name.
    fn quoted(&mut self, quote: char) -> Result<String, EnvFault> {
        let body = &self.rest[1..];
        let mut inside = String::new();
        let mut escaped = false;
        for (i, c) in body.char_indices() {
            if c == quote && !escaped {
                let value = if quote == '"' { self.expand(&unescape(&inside))? } else { inside };
                self.take(i + 2);
                return Ok(value);
            }
            if c == '\\' && !escaped {
                escaped = true;
                continue;
            }
            if escaped && c != quote {
                inside.push('\\');
            }
            escaped = false;
            inside.push(c);
        }
        let line = self.rest.lines().next().unwrap_or_default();
        self.fault(format!("unterminated quoted value {line}"))
    }

    fn expand(&mut self, text: &str) -> Result<String, EnvFault> {
        let own = |name: &str| self.known.get(name).and_then(|i| self.out.pairs[*i].value.clone());
        let lookup =
            |name: &str| (self.lookup.first)(name).or_else(|| own(name)).or_else(|| (self.lookup.last)(name));
        let mut unset = Vec::new();
        let line = self.line;
        let result = expand(text, &lookup, &mut |seen| {
            if seen.became == Became::Unset {
                unset.push((seen.name.to_owned(), line));
            }
        });
        self.out.unset.extend(unset);
        match result.map_err(|faults| faults.into_iter().next()) {
            Ok(value) => Ok(value),
            Err(Some(Fault::Required { name, message, .. })) => {
                let colon = if message.is_empty() { "" } else { ": " };
                self.fault(format!("required variable {name} is missing a value{colon}{message}"))
            }
            Err(Some(Fault::Large { why, .. })) => self.fault(why),
            Err(_) => self.fault(format!("invalid interpolation format: {text:?}")),
        }
    }
}

/// Escapes of double quotes: those of Go's strings of one letter, and `\0` with three octal digits. `\$` becomes `$$`,
/// which interpolation turns into `$`. Others stay as they are.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(c) = rest.chars().next() else {
            out.push('\\');
            break;
        };
        rest = &rest[c.len_utf8()..];
        match c {
            'a' => out.push('\u{7}'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'v' => out.push('\u{b}'),
            '$' => out.push_str("$$"),
            '"' | '\\' => out.push(c),
            '0' => {
                let digits = rest.bytes().take(3).take_while(u8::is_ascii_digit).count();
                // An octal number that isn't one loses its 0 and stays, as there.
                match u8::from_str_radix(&rest[..digits], 8) {
                    Ok(code) if digits == 3 => out.push(char::from(code)),
                    _ => {
                        out.push('\\');
                        out.push_str(&rest[..digits]);
                    }
                }
                rest = &rest[digits..];
            }
            c => {
                out.push('\\');
                out.push(c);
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Parsed, EnvFault> {
        let first = |n: &str| (n == "SHELL_VAR").then(|| "sh".to_owned());
        let last = |n: &str| matches!(n, "BEFORE" | "SHELL_VAR").then(|| "before".to_owned());
        parse(text, &Lookup { first: &first, last: &last })
    }

    fn one(text: &str) -> String {
        match read(text) {
            Ok(parsed) => {
                let show = |p: &Pair| match &p.value {
                    Some(value) => format!("{}={value:?}", p.key),
                    None => p.key.clone(),
                };
                parsed.pairs.iter().map(show).collect::<Vec<_>>().join(" ")
            }
            Err(e) => format!("{}: {}", e.line, e.message),
        }
    }

    #[test]
    fn default_grammar() {
        let cases = [
            ("A=b", r#"A="b""#),
            ("\u{feff}A=b", r#"A="b""#),
            ("# c\n\nexport A=b # c", r#"A="b""#),
            ("export\tA", "A"),
            ("export", "export"),
            ("A=a#b", r#"A="a#b""#),
            ("A=a\t# b", "A=\"a\\t# b\""),
            ("A= # b", r##"A="# b""##),
            ("KEY =v", r#"KEY="v""#),
            ("A: v", r#"A="v""#),
            ("A==v", r#"A="=v""#),
            ("A=\nB='x\\'y $A'", r#"A="" B="x'y $A""#),
            ("A=1\nB=\"${A}\\n2\"", r#"A="1" B="1\n2""#),
            ("A=\"two\nlines\" # c\nB=1", r#"A="two\nlines" B="1""#),
            ("A=\"two\r\nlines\"\r\nB=1\r\n", r#"A="two\r\nlines" B="1""#),
            ("A=\"x\" B=1", r#"A="x" B="1""#),
            ("A=\"$$x\"", r#"A="$x""#),
            ("A=\"\\$x \\\"q\\\" \\q \\c\"", r#"A="$x \"q\" \\q \\c""#),
            ("A=\"\\0101 \\012 \\0777\"", r#"A="A \\12 \\777""#),
            ("A='\\\\ \\n'", r#"A="\\\\ \\n""#),
            ("A=x\\ny 'z'", r#"A="x\\ny 'z'""#),
            ("BARE\nA=$SHELL_VAR", r#"BARE A="sh""#),
            ("BEFORE=2\nA=$BEFORE", r#"BEFORE="2" A="2""#),
            ("A=$BEFORE", r#"A="before""#),
            ("A=1\nA=${A}2", r#"A="1" A="12""#),
            ("A.b-c[0]=1", r#"A.b-c[0]="1""#),
            ("ключ=значение", r#"ключ="значение""#),
        ];
        for (text, want) in cases {
            assert_eq!(one(text), want, "{text}");
        }
    }

    #[test]
    fn faults_have_their_line() {
        let cases = [
            ("OK=1\nA='x", "2: unterminated quoted value 'x"),
            ("A=\"\n\n\"\nA B=1", "4: key cannot contain a space: \"A B\""),
            ("A\nB!=1", "2: unexpected character '!' in variable name \"B!\""),
            ("=x", "1: a variable's name is missing in \"=x\""),
            ("\nA=${X:?say it}", "2: required variable X is missing a value: say it"),
            ("A=${", "1: invalid interpolation format: \"${\""),
        ];
        for (text, want) in cases {
            assert_eq!(one(text), want, "{text}");
        }
    }

    #[test]
    fn places() {
        let parsed = read("A=\"1\n2\"\n\nB=$NONE\nC").unwrap();
        assert_eq!(parsed.pairs.iter().map(|p| p.line).collect::<Vec<_>>(), [1, 4, 5]);
        assert_eq!(parsed.unset, [("NONE".to_owned(), 4)]);
    }

    #[test]
    fn raw_grammar() {
        let parsed = parse_raw("\u{feff}A=\"q\" # c \n  #x\nB\r\n").unwrap();
        let pairs: Vec<_> = parsed.pairs.into_iter().map(|p| (p.key, p.value)).collect();
        assert_eq!(pairs, [("A".into(), Some("\"q\" # c ".into())), ("B".into(), None)]);
        assert_eq!(parse_raw("A=1\nB C").unwrap_err().line, 2);
        assert!(parse_raw("=x").is_err());
    }

    #[test]
    fn lines() {
        let text = "A=1\n\n# c\nB=\"x\ny\"\r\nC\nD='\n'\nE=$A";
        let lines: Vec<(String, u32)> =
            read(text).unwrap().pairs.into_iter().map(|p| (p.key, p.line)).collect();
        let want = [("A", 1), ("B", 4), ("C", 6), ("D", 7), ("E", 9)];
        assert_eq!(lines, want.map(|(k, l)| (k.to_owned(), l)));
    }
}
