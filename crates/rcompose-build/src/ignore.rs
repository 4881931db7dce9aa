//! `.dockerignore` (moby/patternmatcher; Dockerfile reference, ".dockerignore file").

/// The rules of a `.dockerignore`, and of `COPY --exclude`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    keep: bool,
    parts: Vec<Vec<char>>,
}

impl Ignore {
    pub(crate) fn parse(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text.lines().filter(|l| !l.starts_with('#')).map(str::trim).filter(|l| !l.is_empty());
        Self::new(lines)
    }

    pub(crate) fn new<'a>(patterns: impl Iterator<Item = &'a str>) -> Self {
        let rules = patterns.filter_map(|p| {
            let (keep, p) = p.strip_prefix('!').map_or((false, p), |p| (true, p.trim()));
            let parts = clean(p);
            (!parts.is_empty())
                .then(|| Rule { keep, parts: parts.iter().map(|p| p.chars().collect()).collect() })
        });
        Self { rules: rules.collect() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The last rule that fits the path or one of its parents decides. `path` is relative, with `/`.
    pub(crate) fn excludes(&self, path: &str) -> bool {
        let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
        let mut excluded = false;
        for rule in &self.rules {
            // A rule can only change what the ones before said.
            if rule.keep == excluded && (1..=parts.len()).any(|n| path_matches(&rule.parts, &parts[..n])) {
                excluded = !rule.keep;
            }
        }
        excluded
    }

    /// Something below an excluded directory may be kept by an exception.
    pub(crate) fn may_keep_below(&self, directory: &str) -> bool {
        let parts: Vec<&str> = directory.split('/').filter(|p| !p.is_empty()).collect();
        self.rules.iter().filter(|r| r.keep).any(|rule| {
            for (n, part) in parts.iter().enumerate() {
                match rule.parts.get(n) {
                    Some(p) if p == &['*', '*'] => return true,
                    Some(p) if name_matches(p, &part.chars().collect::<Vec<_>>()) => {}
                    _ => return false,
                }
            }
            rule.parts.len() > parts.len()
        })
    }
}

/// Go's `filepath.Clean` of a pattern, as parts; it never leaves the root.
fn clean(pattern: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts
}

/// Parts against parts; `**` is any number of them.
pub(crate) fn path_matches(pattern: &[Vec<char>], path: &[&str]) -> bool {
    match pattern {
        [] => path.is_empty(),
        [any] if any == &['*', '*'] => !path.is_empty(),
        [any, rest @ ..] if any == &['*', '*'] => (0..=path.len()).any(|n| path_matches(rest, &path[n..])),
        [first, rest @ ..] => {
            !path.is_empty()
                && name_matches(first, &path[0].chars().collect::<Vec<_>>())
                && path_matches(rest, &path[1..])
        }
    }
}

/// Go's `filepath.Match` on one name.
pub(crate) fn name_matches(pattern: &[char], name: &[char]) -> bool {
    match pattern {
        [] => name.is_empty(),
        ['*', rest @ ..] => (0..=name.len()).any(|n| name_matches(rest, &name[n..])),
        ['?', rest @ ..] => !name.is_empty() && name_matches(rest, &name[1..]),
        ['[', rest @ ..] => {
            let Some((&c, after)) = name.split_first() else { return false };
            class(rest, c).is_some_and(|(fits, rest)| fits && name_matches(rest, after))
        }
        ['\\', c, rest @ ..] | [c, rest @ ..] => name.first() == Some(c) && name_matches(rest, &name[1..]),
    }
}

/// What follows `[`; `None` for a class without an end.
fn class(mut pattern: &[char], c: char) -> Option<(bool, &[char])> {
    let negated = matches!(pattern.first(), Some('^'));
    pattern = &pattern[usize::from(negated)..];
    let (mut fits, mut first) = (false, true);
    loop {
        if let [']', rest @ ..] = pattern
            && !first
        {
            return Some((fits != negated, rest));
        }
        first = false;
        let (low, rest) = one(pattern)?;
        let (high, rest) = match rest {
            ['-', rest @ ..] => one(rest)?,
            _ => (low, rest),
        };
        fits |= (low..=high).contains(&c);
        pattern = rest;
    }
}

fn one(pattern: &[char]) -> Option<(char, &[char])> {
    match pattern {
        ['\\', c, rest @ ..] | [c, rest @ ..] => Some((*c, rest)),
        [] => None,
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
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("a/**/c", "a/c", true),
            ("*\n!README.md", "README.md", false),
            ("*\n!src/keep", "src/keep/x", false),
            ("*\n!src/keep", "src/other", true),
            ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", true),
            ("# x\n\n  foo  ", "foo", true),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("te?t", "test", true),
            ("a/../b", "b", true),
            ("!foo", "foo", false),
            (r"a\*", "a*", true),
            (r"a\*", "ab", false),
        ] {
            assert_eq!(Ignore::parse(rules).excludes(path), want, "{rules:?} {path}");
        }
        assert!(Ignore::parse("*\n!src/keep").may_keep_below("src"));
        assert!(!Ignore::parse("node_modules\n!src/keep").may_keep_below("node_modules"));
    }
}
