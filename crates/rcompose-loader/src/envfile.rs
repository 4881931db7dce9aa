//! Env files of all kinds: `.env`, `--env-file`, an include's and a service's `env_file`, `label_file`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::cx::Cx;
use crate::dotenv::{self, Lookup, Pair};
use crate::tree::Span;

/// Reads an env file's text in Compose's default grammar; a bare name has no value.
///
/// # Errors
/// The line and what is wrong with it.
pub fn parse_env_file(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<(String, Option<String>)>, String> {
    let parsed = dotenv::parse(text, &Lookup { first: lookup, last: &|_| None })
        .map_err(|f| format!("line {}: {}", f.line, f.message))?;
    Ok(parsed.pairs.into_iter().map(|p| (p.key, p.value)).collect())
}

/// A file to read.
#[derive(Clone, Copy)]
pub(crate) struct EnvFile<'f> {
    /// For messages: `env file`.
    pub(crate) what: &'static str,
    pub(crate) path: &'f Path,
    /// Where it is asked for.
    pub(crate) at: Span,
    pub(crate) raw: bool,
}

/// Reads one file. What is wrong goes into `cx`: at the line, or where the file is asked for if it can't be read.
pub(crate) fn read(cx: &mut Cx<'_>, file: &EnvFile<'_>, lookup: &Lookup<'_>) -> Vec<Pair> {
    let EnvFile { what, path, at, raw } = *file;
    let text = match cx.sources.read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(e) => {
            let shown = cx.shown(path);
            let why = match e.kind() {
                std::io::ErrorKind::NotFound => "no such file".to_owned(),
                std::io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
                _ => e.to_string(),
            };
            cx.error(at, format!("{what} {} can't be read: {why}", shown.display()))
                .help
                .push("make the file, or correct its path".into());
            return Vec::new();
        }
    };
    let parsed = if raw { dotenv::parse_raw(&text) } else { dotenv::parse(&text, lookup) };
    let at_line = |file: u16, line: u32| {
        let len = text.lines().nth(line as usize - 1).unwrap_or_default().chars().count() as u32;
        Span { file, line, col: 1, len }
    };
    match parsed {
        Ok(parsed) => {
            if !parsed.unset.is_empty() {
                let file = cx.add_file(path, &text);
                for (name, line) in parsed.unset {
                    let span = at_line(file, line);
                    cx.warn(span, format!("The {name:?} variable is not set. Defaulting to a blank string."));
                }
            }
            parsed.pairs
        }
        Err(fault) => {
            let file = cx.add_file(path, &text);
            cx.error(at_line(file, fault.line), fault.message);
            Vec::new()
        }
    }
}

/// Reads env files for interpolation, later ones over earlier ones. What is set already stays: it is also what values
/// and bare names take first.
pub(crate) fn interpolation(cx: &mut Cx<'_>, files: &[(PathBuf, Span)]) {
    let outer = cx.env.clone();
    let first = |name: &str| outer.get(name).cloned();
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    for (path, at) in files {
        let last = |name: &str| values.get(name).cloned();
        let file = EnvFile { what: "env file", path, at: *at, raw: false };
        for pair in read(cx, &file, &Lookup { first: &first, last: &last }) {
            // A bare name is the shell's variable, which is there already.
            values.extend(pair.value.map(|value| (pair.key, value)));
        }
    }
    for (key, value) in values {
        cx.env.entry(key).or_insert(value);
    }
}
