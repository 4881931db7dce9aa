//! `--filter` of images, with docker's keys.

use std::collections::BTreeMap;
use std::time::Duration;

use rcompose_build::parse_bool;
use rcompose_image::{Image, Reference, Store};

use crate::failure::Failure;
use crate::render::time;

/// What images must be like.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    pub(crate) dangling: Option<bool>,
    /// Name, value, and whether it must not be so.
    labels: Vec<(String, Option<String>, bool)>,
    references: Vec<String>,
    /// Made before and after these times, nanoseconds since 1970.
    before: Option<i64>,
    since: Option<i64>,
}

impl Filters {
    /// `known`: the keys that the command has.
    pub(crate) fn parse(words: &[String], known: &[&str], store: &Store) -> Result<Self, Failure> {
        let mut out = Self::default();
        for word in words {
            let wrong = || {
                Failure::user(format!("invalid filter \"{word}\""))
                    .hint(format!("it is KEY=VALUE, and KEY is one of {}", known.join(", ")))
            };
            let (key, value) = word.split_once('=').ok_or_else(wrong)?;
            let key = key.trim().to_ascii_lowercase();
            if !known.contains(&key.as_str()) {
                return Err(wrong());
            }
            let label = || match value.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (value.to_owned(), None),
            };
            let created = || {
                let image = super::find(store, value)?;
                Ok::<_, Failure>(created(&image).unwrap_or_default())
            };
            match key.as_str() {
                "dangling" => {
                    let on = parse_bool(value);
                    out.dangling = Some(on.ok_or_else(|| wrong().hint("dangling is true or false"))?);
                }
                "label" => {
                    let (name, value) = label();
                    out.labels.push((name, value, false));
                }
                "label!" => {
                    let (name, value) = label();
                    out.labels.push((name, value, true));
                }
                "reference" => out.references.push(value.to_owned()),
                "before" => out.earlier(created()?),
                "since" => {
                    let at = created()?;
                    out.since = Some(out.since.map_or(at, |s| s.max(at)));
                }
                _ => out.earlier(until(value)?),
            }
        }
        Ok(out)
    }

    fn earlier(&mut self, at: i64) {
        self.before = Some(self.before.map_or(at, |b| b.min(at)));
    }

    /// One more pattern of names.
    pub(crate) fn named(&mut self, pattern: &str) {
        self.references.push(pattern.to_owned());
    }

    /// All but what concerns single names.
    pub(crate) fn accepts(&self, image: &Image) -> bool {
        let at = created(image);
        self.dangling.is_none_or(|d| d == image.is_dangling())
            && self.accepts_labels(&image.config.config.labels)
            && self.before.is_none_or(|b| at.is_some_and(|at| at < b))
            && self.since.is_none_or(|s| at.is_some_and(|at| at > s))
    }

    /// Only what concerns the time it was made at, nanoseconds since 1970.
    pub(crate) fn accepts_time(&self, at: i64) -> bool {
        self.before.is_none_or(|b| at < b) && self.since.is_none_or(|s| at > s)
    }

    /// Only what concerns labels.
    pub(crate) fn accepts_labels(&self, labels: &BTreeMap<String, String>) -> bool {
        self.labels.iter().all(|(name, value, not)| {
            let has = labels.get(name).is_some_and(|v| value.as_ref().is_none_or(|w| w == v));
            has != *not
        })
    }

    /// Whether a name is asked for; images without a name never are.
    pub(crate) fn accepts_name(&self, name: Option<&Reference>) -> bool {
        let matches = |pattern: &String| {
            name.is_some_and(|r| glob(pattern, &r.familiar_name()) || glob(pattern, &r.to_string()))
        };
        self.references.is_empty() || self.references.iter().any(matches)
    }
}

fn created(image: &Image) -> Option<i64> {
    image.created.as_deref().and_then(time::parse_rfc3339)
}

/// A time, or a while ago in Go's words.
pub(crate) fn until(value: &str) -> Result<i64, Failure> {
    time::moment(value, time::now(), &go_duration).map_err(Failure::user)
}

fn go_duration(text: &str) -> Result<Duration, String> {
    rcompose_loader::parse_duration(text).map_err(|e| e.to_string())
}

/// Go's path.Match: `*` and `?` don't cross a slash.
fn glob(pattern: &str, name: &str) -> bool {
    let (p, n): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    matches(&p, &n)
}

fn matches(p: &[char], n: &[char]) -> bool {
    match (p.first(), n.first()) {
        (None, None) => true,
        (Some('*'), _) => {
            let longest = n.iter().position(|c| *c == '/').unwrap_or(n.len());
            (0..=longest).any(|taken| matches(&p[1..], &n[taken..]))
        }
        (Some('?'), Some(c)) if *c != '/' => matches(&p[1..], &n[1..]),
        (Some('['), Some(c)) => {
            let Some(end) = p[1..].iter().skip(1).position(|c| *c == ']').map(|e| e + 2) else {
                return false;
            };
            let (not, set) = match p[1] {
                '^' => (true, &p[2..end]),
                _ => (false, &p[1..end]),
            };
            let within = |i: usize| match set.get(i + 1) {
                Some('-') if i + 2 < set.len() => (set[i]..=set[i + 2]).contains(c),
                _ => set[i] == *c,
            };
            *c != '/' && (0..set.len()).any(within) != not && matches(&p[end + 1..], &n[1..])
        }
        (Some('\\'), Some(c)) if p.get(1) == Some(c) => matches(&p[2..], &n[1..]),
        (Some(a), Some(b)) if a == b => matches(&p[1..], &n[1..]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn patterns() {
        for (pattern, name, want) in [
            ("nginx", "nginx", true),
            ("ngin?", "nginx", true),
            ("*", "a/b", false),
            ("*/*", "a/b", true),
            ("a*:1.[0-3]", "app:1.2", true),
            ("a*:1.[^0-3]", "app:1.2", false),
            ("[", "a", false),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
        ] {
            assert_eq!(glob(pattern, name), want, "{pattern} {name}");
        }
    }
}
