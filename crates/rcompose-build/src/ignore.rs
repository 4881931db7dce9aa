//! `.dockerignore`, `--exclude` and `--parents` (moby/patternmatcher; Dockerfile reference, ".dockerignore file"), and
//! Go's filepath.Match for wildcards in sources.

use crate::BuildError;

/// Patterns; the last one that fits a path or one of its parents decides, and `!` takes back.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    keep: bool,
    /// As it counts, `**` and all.
    text: String,
    how: How,
}

#[derive(Debug, Clone)]
enum How {
    Exact(String),
    Prefix(String),
    /// `**` and no other wildcard: the end of a path, at any place.
    Suffix(String),
    Pattern(Vec<Token>),
}

/// What a path's parents fit, so that each is asked once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parents(Vec<bool>);

impl Ignore {
    /// The text of a `.dockerignore`.
    pub(crate) fn parse(text: &str) -> Result<Self, BuildError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text.lines().filter(|l| !l.starts_with('#')).map(str::trim).filter(|l| !l.is_empty());
        let patterns: Vec<String> = lines
            .map(|line| {
                let (mark, path) = line.strip_prefix('!').map_or(("", line), |p| ("!", p.trim()));
                if path.is_empty() {
                    return mark.to_owned();
                }
                let path = clean(path);
                let rooted = if path.len() > 1 { path.strip_prefix('/').unwrap_or(&path) } else { &path };
                format!("{mark}{rooted}")
            })
            .collect();
        Self::new(patterns.iter().map(String::as_str))
    }

    pub(crate) fn new<'a>(patterns: impl Iterator<Item = &'a str>) -> Result<Self, BuildError> {
        let mut rules = Vec::new();
        for given in patterns.map(str::trim).filter(|p| !p.is_empty()) {
            let wrong = |why: &str| BuildError::input(format!("the pattern `{given}` {why}"));
            let cleaned = clean(given);
            let (keep, text) = cleaned.strip_prefix('!').map_or((false, cleaned.as_str()), |p| (true, p));
            if text.is_empty() {
                return Err(wrong("takes back nothing").help("write the path behind the `!`"));
            }
            let how =
                compile(text).ok_or_else(|| wrong("has a `[` without an end or an escape of nothing"))?;
            rules.push(Rule { keep, text: text.to_owned(), how });
        }
        Ok(Self { rules })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Some pattern takes back.
    pub(crate) fn takes_back(&self) -> bool {
        self.rules.iter().any(|r| r.keep)
    }

    /// Patterns that leave the whole out.
    pub(crate) fn is_all(&self) -> bool {
        self.rules.iter().any(|r| !r.keep && ["*", "**", "**/*"].contains(&r.text.as_str()))
    }

    /// Whether a path fits, its parents' outcome being known. `path` is relative, with `/`.
    pub(crate) fn fits(&self, path: &str, parents: &Parents) -> (bool, Parents) {
        let mut all = Vec::with_capacity(self.rules.len());
        let mut excluded = false;
        for (n, rule) in self.rules.iter().enumerate() {
            let mut fits = parents.0.get(n).copied().unwrap_or(false);
            // A rule can only change what the ones before said.
            if !fits && rule.keep == excluded {
                fits = rule.how.fits(path);
            }
            if fits {
                excluded = !rule.keep;
            }
            all.push(fits);
        }
        (excluded, Parents(all))
    }

    /// As above, for a path alone: its parents are asked before it.
    pub(crate) fn excludes(&self, path: &str) -> bool {
        if self.rules.is_empty() {
            return false;
        }
        let mut parents = Parents::default();
        let mut excluded = false;
        let ends = path.match_indices('/').map(|(n, _)| n).chain([path.len()]);
        for end in ends.filter(|&n| n > 0) {
            (excluded, parents) = self.fits(&path[..end], &parents);
        }
        excluded
    }

    /// Something below an excluded directory may be taken back.
    pub(crate) fn may_keep_below(&self, directory: &str) -> bool {
        self.rules.iter().filter(|r| r.keep).any(|rule| match &rule.how {
            How::Exact(path) => path.strip_prefix(directory).is_some_and(|r| r.starts_with('/')),
            _ => true,
        })
    }
}

impl How {
    fn fits(&self, path: &str) -> bool {
        match self {
            Self::Exact(own) => path == own,
            Self::Prefix(own) => path.starts_with(own.as_str()),
            Self::Suffix(own) => path.ends_with(own.as_str()) || own.strip_prefix('/') == Some(path),
            Self::Pattern(tokens) => run(tokens, path),
        }
    }
}

/// One step of a pattern.
#[derive(Debug, Clone)]
enum Token {
    Char(char),
    /// `?`: any but `/`.
    One,
    /// `*`: any number but `/`.
    Star,
    /// `[…]`: what it may be.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    /// Any number of anything.
    Deep,
    /// The next so many may be left out.
    Maybe(usize),
}

/// `None` for a pattern that means nothing.
fn compile(text: &str) -> Option<How> {
    let chars: Vec<char> = text.chars().collect();
    let (mut tokens, mut plain, mut at) = (Vec::new(), true, 0);
    while let Some(&c) = chars.get(at) {
        at += 1;
        match c {
            '*' if chars.get(at) == Some(&'*') => {
                at += 1;
                at += usize::from(chars.get(at) == Some(&'/'));
                if at >= chars.len() {
                    if plain {
                        return Some(How::Prefix(text[..text.len() - 2].to_owned()));
                    }
                    tokens.push(Token::Deep);
                } else {
                    let rest: String = chars[2.min(at)..].iter().collect();
                    if at <= 3 && tokens.is_empty() && !rest.contains(['*', '?', '[', ']', '\\']) {
                        return Some(How::Suffix(rest));
                    }
                    tokens.extend([Token::Maybe(2), Token::Deep, Token::Char('/')]);
                }
                plain = false;
            }
            '*' => {
                tokens.push(Token::Star);
                plain = false;
            }
            '?' => {
                tokens.push(Token::One);
                plain = false;
            }
            '[' => {
                let (class, length) = class_token(&chars[at..])?;
                tokens.push(class);
                at += length;
                plain = false;
            }
            '\\' => {
                tokens.push(Token::Char(*chars.get(at)?));
                at += 1;
                plain = false;
            }
            _ => tokens.push(Token::Char(c)),
        }
    }
    Some(if plain { How::Exact(text.to_owned()) } else { How::Pattern(tokens) })
}

/// What follows `[`, and how long it is with its `]`.
fn class_token(chars: &[char]) -> Option<(Token, usize)> {
    let negated = chars.first() == Some(&'^');
    let mut at = usize::from(negated);
    let mut ranges = Vec::new();
    // As Go, which takes a bare `]` or `-` for a mistake where a character belongs.
    let one = |at: &mut usize| {
        let escaped = chars.get(*at) == Some(&'\\');
        if !escaped && matches!(chars.get(*at), Some(']' | '-')) {
            return None;
        }
        *at += usize::from(escaped);
        let c = chars.get(*at).copied();
        *at += 1;
        c
    };
    loop {
        if chars.get(at) == Some(&']') && !ranges.is_empty() {
            return Some((Token::Class { negated, ranges }, at + 1));
        }
        let low = one(&mut at)?;
        let high = if chars.get(at) == Some(&'-') {
            at += 1;
            one(&mut at)?
        } else {
            low
        };
        ranges.push((low, high));
    }
}

/// All ways at once: no backtracking.
fn run(tokens: &[Token], path: &str) -> bool {
    let end = tokens.len();
    let mut states = vec![false; end + 1];
    states[0] = true;
    let spread = |states: &mut Vec<bool>| {
        for (i, token) in tokens.iter().enumerate() {
            if !states[i] {
                continue;
            }
            match token {
                Token::Star | Token::Deep => states[i + 1] = true,
                Token::Maybe(n) => {
                    states[i + 1] = true;
                    states[i + 1 + n] = true;
                }
                _ => {}
            }
        }
    };
    spread(&mut states);
    for c in path.chars() {
        let mut next = vec![false; end + 1];
        for (i, token) in tokens.iter().enumerate().filter(|(i, _)| states[*i]) {
            match token {
                Token::Char(own) if *own == c => next[i + 1] = true,
                Token::One if c != '/' => next[i + 1] = true,
                Token::Star if c != '/' => next[i] = true,
                Token::Deep => next[i] = true,
                Token::Class { negated, ranges }
                    if ranges.iter().any(|(l, h)| (l..=h).contains(&&c)) != *negated =>
                {
                    next[i + 1] = true;
                }
                _ => {}
            }
        }
        if !next.contains(&true) {
            return false;
        }
        spread(&mut next);
        states = next;
    }
    states[end]
}

/// Go's `filepath.Clean`.
pub(crate) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|p| *p != "..") => drop(parts.pop()),
            ".." if rooted => {}
            _ => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// A wildcard of a source: Go's `filepath.Match`, where `**` is no more than `*`.
#[derive(Debug, Clone)]
pub(crate) struct Glob(Vec<Token>);

impl Glob {
    pub(crate) fn new(text: &str) -> Option<Self> {
        let chars: Vec<char> = text.chars().collect();
        let (mut tokens, mut at) = (Vec::new(), 0);
        while let Some(&c) = chars.get(at) {
            at += 1;
            tokens.push(match c {
                '*' => Token::Star,
                '?' => Token::One,
                '[' => {
                    let (class, length) = class_token(&chars[at..])?;
                    at += length;
                    class
                }
                '\\' => {
                    at += 1;
                    Token::Char(*chars.get(at - 1)?)
                }
                _ => Token::Char(c),
            });
        }
        Some(Self(tokens))
    }

    pub(crate) fn fits(&self, path: &str) -> bool {
        run(&self.0, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (rules, path, want) in [
            ("foo", "foo", true),
            ("foo", "foo/bar", true),
            ("foo", "sub/foo", false),
            ("*.md", "x.md", true),
            ("*.md", "sub/x.md", false),
            ("**/*.md", "sub/x.md", true),
            ("**/*.md", "x.md", true),
            ("build/", "build/x", true),
            ("build/", "sub/build", false),
            ("/foo", "foo", true),
            ("./foo", "foo", true),
            ("**/venv", "a/b/venv/x", true),
            ("**/venv", "a/myvenv", false),
            ("**venv", "a/myvenv", true),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("a/**/c", "a/c", true),
            ("a/**/c", "a/xc", false),
            ("a/**/c", "a/x/y/c", true),
            ("a**", "abc/d", true),
            ("a*/**", "ab/d", true),
            ("**", "x", true),
            ("*\n!README.md", "README.md", false),
            ("*\n!src/keep", "src/keep/x", false),
            ("*\n!src/keep", "src/other", true),
            ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", true),
            ("# x\n\n  foo  ", "foo", true),
            ("\u{feff}foo", "foo", true),
            (" #foo", "#foo", true),
            ("! foo\nbar", "bar", true),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("te?t", "test", true),
            ("te?t", "te/t", false),
            ("a/../b", "b", true),
            ("..", "x", false),
            (".", "x", false),
            ("!foo", "foo", false),
            (r"a\*", "a*", true),
            (r"a\*", "ab", false),
            ("a.b+(c)$", "a.b+(c)$", true),
            ("dir\n!dir/keep\ndir/keep/not", "dir/keep/not/x", true),
        ] {
            let rules = Ignore::parse(rules).unwrap_or_else(|e| panic!("{rules:?}: {e}"));
            assert_eq!(rules.excludes(path), want, "{rules:?} {path}");
        }
        let keeps = |rules, directory| Ignore::parse(rules).unwrap().may_keep_below(directory);
        assert!(keeps("*\n!src/keep", "src") && keeps("*\n!**/keep", "any"));
        assert!(!keeps("node_modules\n!src/keep", "node_modules"));
        for bad in ["!", "[a", "a\\", "[]a]", "[-a]", "[^]a]"] {
            assert!(Ignore::parse(bad).is_err(), "{bad}");
        }
        let many = "*a".repeat(40);
        assert!(!Ignore::parse(&many).unwrap().excludes(&"a".repeat(39)));
    }
}
