//! Variables in words: docker's shell lexer (moby/buildkit frontend/dockerfile/shell/lex.go; Dockerfile reference,
//! "Environment replacement").

/// Expands one word and removes its quotes. `get` is `None` for an unset variable.
pub(crate) fn expand(
    word: &str,
    escape: char,
    get: &dyn Fn(&str) -> Option<String>,
) -> Result<String, String> {
    Lexer { chars: word.chars().collect(), at: 0, escape, get, raw: false }.until(None)
}

/// Expands variables but leaves quotes and escapes before other characters as they are (heredoc bodies).
pub(crate) fn expand_raw(
    text: &str,
    escape: char,
    get: &dyn Fn(&str) -> Option<String>,
) -> Result<String, String> {
    Lexer { chars: text.chars().collect(), at: 0, escape, get, raw: true }.until(None)
}

struct Lexer<'a> {
    chars: Vec<char>,
    at: usize,
    escape: char,
    get: &'a dyn Fn(&str) -> Option<String>,
    raw: bool,
}

impl Lexer<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn until(&mut self, stop: Option<char>) -> Result<String, String> {
        let mut out = String::new();
        while let Some(c) = self.peek() {
            if Some(c) == stop {
                self.at += 1;
                return Ok(out);
            }
            match c {
                '\'' if !self.raw => out.push_str(&self.single()?),
                '"' if !self.raw => out.push_str(&self.double()?),
                '$' => out.push_str(&self.dollar()?),
                _ => {
                    self.at += 1;
                    if c != self.escape {
                        out.push(c);
                        continue;
                    }
                    match self.next() {
                        Some(next) if self.raw && next != '$' && next != c => out.extend([c, next]),
                        Some(next) => out.push(next),
                        None => out.push(c),
                    }
                }
            }
        }
        match stop {
            Some(c) => Err(format!("`{c}` is missing at the end of a variable")),
            None => Ok(out),
        }
    }

    fn single(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut out = String::new();
        while let Some(c) = self.next() {
            if c == '\'' {
                return Ok(out);
            }
            out.push(c);
        }
        Err("a single quote isn't closed".to_owned())
    }

    fn double(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut out = String::new();
        while let Some(c) = self.peek() {
            match c {
                '"' => {
                    self.at += 1;
                    return Ok(out);
                }
                '$' => out.push_str(&self.dollar()?),
                _ => {
                    self.at += 1;
                    match self.peek() {
                        Some(next) if c == self.escape && (next == '"' || next == '$' || next == c) => {
                            self.at += 1;
                            out.push(next);
                        }
                        _ => out.push(c),
                    }
                }
            }
        }
        Err("a double quote isn't closed".to_owned())
    }

    fn name(&mut self) -> String {
        let mut out = String::new();
        match self.peek() {
            Some(c) if c.is_ascii_digit() => {
                while let Some(c) = self.peek().filter(char::is_ascii_digit) {
                    out.push(c);
                    self.at += 1;
                }
            }
            Some(c) if "@*#?-$!".contains(c) => {
                out.push(c);
                self.at += 1;
            }
            _ => {
                while let Some(c) = self.peek().filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    out.push(c);
                    self.at += 1;
                }
            }
        }
        out
    }

    fn dollar(&mut self) -> Result<String, String> {
        self.at += 1;
        if self.peek() != Some('{') {
            let name = self.name();
            return Ok(if name.is_empty() { "$".to_owned() } else { (self.get)(&name).unwrap_or_default() });
        }
        self.at += 1;
        let name = self.name();
        if name.is_empty() {
            return Err("a variable in `${…}` has no name".to_owned());
        }
        let value = (self.get)(&name);
        match self.next() {
            Some('}') => Ok(value.unwrap_or_default()),
            Some(':') => {
                let operator = self.next();
                self.choose(&name, value.filter(|v| !v.is_empty()), operator)
            }
            Some(c @ ('+' | '-' | '?')) => self.choose(&name, value, Some(c)),
            Some(c @ ('#' | '%')) => {
                let greedy = self.peek() == Some(c);
                self.at += usize::from(greedy);
                let pattern = self.until(Some('}'))?;
                Ok(trim(&value.unwrap_or_default(), &pattern, c == '#', greedy))
            }
            Some('/') => {
                let all = self.peek() == Some('/');
                self.at += usize::from(all);
                let pattern = self.until(Some('/'))?;
                let with = self.until(Some('}'))?;
                Ok(replace(&value.unwrap_or_default(), &pattern, &with, all))
            }
            Some(c) => Err(format!("unknown modifier `{c}` of the variable `{name}`")),
            None => Err(format!("`}}` is missing after the variable `{name}`")),
        }
    }

    fn choose(
        &mut self,
        name: &str,
        value: Option<String>,
        operator: Option<char>,
    ) -> Result<String, String> {
        if !matches!(operator, Some('+' | '-' | '?')) {
            return Err(format!("unknown modifier of the variable `{name}`: use `:-`, `:+` or `:?`"));
        }
        let word = self.until(Some('}'))?;
        Ok(match (operator, value) {
            (Some('+'), Some(_)) | (Some('-'), None) => word,
            (Some('+'), None) => String::new(),
            (Some('?'), None) if word.is_empty() => return Err(format!("the variable `{name}` must be set")),
            (Some('?'), None) => return Err(format!("the variable `{name}` must be set: {word}")),
            (_, Some(v)) => v,
            (_, None) => String::new(),
        })
    }
}

/// Shell patterns: `*` and `?`, an escape with `\`.
fn matches(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['*', rest @ ..] => (0..=text.len()).any(|n| matches(rest, &text[n..])),
        ['?', rest @ ..] => !text.is_empty() && matches(rest, &text[1..]),
        ['\\', c, rest @ ..] | [c, rest @ ..] => text.first() == Some(c) && matches(rest, &text[1..]),
    }
}

fn trim(value: &str, pattern: &str, front: bool, greedy: bool) -> String {
    let (text, pattern): (Vec<char>, Vec<char>) = (value.chars().collect(), pattern.chars().collect());
    let fits = |n: &usize| {
        let part = if front { &text[..*n] } else { &text[text.len() - n..] };
        matches(&pattern, part)
    };
    let found = if greedy { (0..=text.len()).rev().find(fits) } else { (0..=text.len()).find(fits) };
    let n = found.unwrap_or(0);
    if front { text[n..].iter().collect() } else { text[..text.len() - n].iter().collect() }
}

fn replace(value: &str, pattern: &str, with: &str, all: bool) -> String {
    let (text, pattern): (Vec<char>, Vec<char>) = (value.chars().collect(), pattern.chars().collect());
    let (mut out, mut at, mut done) = (String::new(), 0, false);
    while at < text.len() {
        let longest = if done && !all {
            None
        } else {
            (at + 1..=text.len()).rev().find(|&end| matches(&pattern, &text[at..end]))
        };
        match longest {
            Some(end) => {
                out.push_str(with);
                at = end;
                done = true;
            }
            None => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let get = |name: &str| match name {
            "v" => Some("value".to_owned()),
            "empty" => Some(String::new()),
            "path" => Some("/a/b/c.tar.gz".to_owned()),
            _ => None,
        };
        for (word, want) in [
            ("$v", "value"),
            ("${v}x", "valuex"),
            ("$vx-$none-", "--"),
            ("'$v'", "$v"),
            ("\"$v w\"", "value w"),
            (r"\$v", "$v"),
            (r#"a\ b"#, "a b"),
            ("${none:-d}", "d"),
            ("${empty:-d}", "d"),
            ("${empty-d}", ""),
            ("${none-$v}", "value"),
            ("${v:+yes}", "yes"),
            ("${none:+yes}", ""),
            ("${empty+yes}", "yes"),
            ("${path#*/}", "a/b/c.tar.gz"),
            ("${path##*/}", "c.tar.gz"),
            ("${path%.*}", "/a/b/c.tar"),
            ("${path%%.*}", "/a/b/c"),
            ("${v/al/AL}", "vALue"),
            ("${path//\\//_}", "_a_b_c.tar.gz"),
            ("cost $", "cost $"),
            (r#""a\"b""#, "a\"b"),
            ("${none}:/home", ":/home"),
        ] {
            assert_eq!(expand(word, '\\', &get), Ok(want.to_owned()), "{word}");
        }
        assert!(expand("${none:?give it}", '\\', &get).unwrap_err().contains("give it"));
        assert!(expand("${v", '\\', &get).is_err());
        assert!(expand("'x", '\\', &get).is_err());
        assert!(expand("${v:=x}", '\\', &get).is_err());
    }
}
