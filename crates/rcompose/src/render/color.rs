//! Prefixes of log lines, and their colours, as docker compose's.

use std::collections::BTreeMap;

/// SGR parameters in docker compose's order.
const RAINBOW: [&str; 10] = ["36", "33", "32", "35", "34", "36;1", "33;1", "32;1", "35;1", "34;1"];

/// Gives every container its prefix and colour.
#[derive(Debug, Default)]
pub(crate) struct Prefixes {
    color: bool,
    pad: bool,
    hidden: bool,
    width: usize,
    colors: BTreeMap<String, usize>,
}

impl Prefixes {
    /// `color`: with colours; `pad`: all prefixes equally wide (on a terminal); `hidden`: none at all.
    pub(crate) fn new(color: bool, pad: bool, hidden: bool) -> Self {
        Self { color, pad, hidden, ..Self::default() }
    }

    /// Makes a name known: prefixes get as wide as the longest known name.
    pub(crate) fn add(&mut self, name: &str) {
        let next = self.colors.len();
        self.width = self.width.max(name.chars().count());
        self.colors.entry(name.to_owned()).or_insert(next);
    }

    /// `db-1  | `.
    pub(crate) fn of(&mut self, name: &str) -> String {
        if self.hidden {
            return String::new();
        }
        self.add(name);
        let width = if self.pad { self.width } else { 0 };
        let text = format!("{name:<width$}  | ");
        match self.colors.get(name) {
            Some(i) if self.color => paint(&text, RAINBOW[i % RAINBOW.len()]),
            _ => text,
        }
    }
}

/// Puts a text between SGR `parameters` and a reset.
pub(crate) fn paint(text: &str, parameters: &str) -> String {
    format!("\x1b[{parameters}m{text}\x1b[0m")
}

/// A container's name in log prefixes: `db-1` for `app-db-1`, else the whole name.
pub(crate) fn log_name<'a>(container: &'a str, project: &str) -> &'a str {
    match container.strip_prefix(project) {
        Some(rest) if rest.len() > 1 && rest.starts_with('-') => &rest[1..],
        _ => container,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_padded_on_terminals_only() {
        let mut p = Prefixes::new(false, false, false);
        p.add("bbbb-1");
        assert_eq!(p.of("a-1"), "a-1  | ");
        let mut p = Prefixes::new(true, true, false);
        p.add("bbbb-1");
        assert_eq!(p.of("a-1"), "\x1b[33ma-1     | \x1b[0m");
        assert_eq!(Prefixes::new(true, true, true).of("a"), "");
    }

    #[test]
    fn names_lose_their_project() {
        assert_eq!(log_name("app-db-1", "app"), "db-1");
        assert_eq!(log_name("mydb", "app"), "mydb");
        assert_eq!(log_name("apple", "app"), "apple");
    }
}
