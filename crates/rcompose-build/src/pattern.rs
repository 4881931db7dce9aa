//! Patterns of `${v#p}`, `${v%p}` and `${v/p/r}`: `*`, `?` and escapes with `\`.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Any,
    One,
    Char(char),
}

/// A pattern; like BuildKit's regular expressions, its wildcards don't fit a line's end.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(Vec<Token>);

impl Pattern {
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let mut tokens = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' => Token::Any,
                '?' => Token::One,
                '\\' => match chars.peek() {
                    // They are escaped for the sake of `${…}` only.
                    Some('}' | '/') => continue,
                    Some(&next @ ('*' | '?' | '\\')) => {
                        chars.next();
                        Token::Char(next)
                    }
                    Some(next) => return Err(format!("invalid escape `\\{next}` in the pattern `{text}`")),
                    None => return Err(format!("the pattern `{text}` ends with an escape")),
                },
                _ => Token::Char(c),
            });
        }
        tokens.dedup_by(|a, b| *a == Token::Any && *b == Token::Any);
        Ok(Self(tokens))
    }

    pub(crate) fn reversed(mut self) -> Self {
        self.0.reverse();
        self
    }

    /// Length of the longest or shortest beginning of the text that fits. All states at once: no backtracking.
    pub(crate) fn prefix(&self, text: &[char], longest: bool) -> Option<usize> {
        let end = self.0.len();
        let mut states = vec![false; end + 1];
        states[0] = true;
        let mut found = None;
        for at in 0..=text.len() {
            for (i, token) in self.0.iter().enumerate() {
                if states[i] && *token == Token::Any {
                    states[i + 1] = true;
                }
            }
            if states[end] {
                found = Some(at);
                if !longest {
                    break;
                }
            }
            let Some(&c) = text.get(at) else { break };
            let mut next = vec![false; end + 1];
            for (i, token) in self.0.iter().enumerate().filter(|(i, _)| states[*i]) {
                match token {
                    Token::Any if c != '\n' => next[i] = true,
                    Token::One if c != '\n' => next[i + 1] = true,
                    Token::Char(p) if *p == c => next[i + 1] = true,
                    _ => {}
                }
            }
            if !next.contains(&true) {
                break;
            }
            states = next;
        }
        found
    }
}

/// Replaces the first fit or all, each as long as can be. A pattern that fits nothing fits between characters too.
pub(crate) fn replace(value: &str, pattern: &Pattern, with: &str, all: bool) -> String {
    let text: Vec<char> = value.chars().collect();
    let (mut out, mut at, mut last_end) = (String::new(), 0, None);
    while at <= text.len() {
        match pattern.prefix(&text[at..], true) {
            // An empty fit right behind another one doesn't count.
            Some(n) if n > 0 || last_end != Some(at) => {
                out.push_str(with);
                at += n;
                last_end = Some(at);
                if !all {
                    break;
                }
                if n == 0 {
                    out.extend(text.get(at));
                    at += 1;
                }
            }
            _ => {
                out.extend(text.get(at));
                at += 1;
            }
        }
    }
    out.extend(text.get(at..).into_iter().flatten());
    out
}
