//! Env files of all kinds: `.env`, `--env-file`, an include's and a service's `env_file`, `label_file`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::code::Code;
use crate::cx::Cx;
use crate::dotenv::{self, Lookup, Pair};
use crate::source::unreadable;
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

/// A variable that a file sets or, bare, asks for.
pub(crate) struct Entry {
    pub(crate) key: String,
    /// `None` for a bare name.
    pub(crate) value: Option<String>,
    pub(crate) at: Span,
}

/// Reads one file. What is wrong goes into `cx`: at the line, or where the file is asked for if it can't be read.
pub(crate) fn read(cx: &mut Cx<'_>, file: &EnvFile<'_>, lookup: &Lookup<'_>) -> Vec<Entry> {
    let EnvFile { what, path, at, raw } = *file;
    let text = match cx.read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(e) => {
            let shown = cx.shown(path);
            let (why, help) = unreadable(&e);
            let absent = matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::IsADirectory);
            cx.error(at, format!("{what} {} can't be read: {why}", shown.display()))
                .is(Code::UnreadableFile)
                .help
                .extend(help.or(absent.then_some("make the file, or correct its path")).map(Into::into));
            return Vec::new();
        }
    };
    let parsed = if raw { dotenv::parse_raw(&text) } else { dotenv::parse(&text, lookup) };
    let before = cx.files.len();
    let file = cx.add_file_once(path, &text);
    cx.led_to(before, at, "read here");
    let lines: Vec<&str> = text.lines().collect();
    let at_line = |number: u32| {
        let line = lines.get(number as usize - 1).copied().unwrap_or_default();
        let indent = line.chars().count() - line.trim_start().chars().count();
        Span { file, line: number, col: indent as u32 + 1, len: line.trim().chars().count() as u32 }
    };
    match parsed {
        Ok(parsed) => {
            for (name, line) in parsed.unset {
                cx.unset(&name, |_| at_line(line));
            }
            let entry = |p: Pair| Entry { key: p.key, value: p.value, at: at_line(p.line) };
            parsed.pairs.into_iter().map(entry).collect()
        }
        Err(fault) => {
            cx.error(at_line(fault.line), fault.message).is(Code::InvalidEnvFile);
            Vec::new()
        }
    }
}

/// Reads env files for interpolation, later ones over earlier ones. What is set already stays: it is also what values
/// and bare names take first.
pub(crate) fn interpolation(cx: &mut Cx<'_>, files: &[(PathBuf, Span)]) {
    let outer = cx.env.clone();
    let first = |name: &str| outer.get(name).cloned();
    let mut values: BTreeMap<String, (String, Span)> = BTreeMap::new();
    for (path, at) in files {
        let last = |name: &str| values.get(name).map(|(value, _)| value.clone());
        let file = EnvFile { what: "env file", path, at: *at, raw: false };
        for entry in read(cx, &file, &Lookup { first: &first, last: &last }) {
            // A bare name is the shell's variable, which is there already.
            values.extend(entry.value.map(|value| (entry.key, (value, entry.at))));
        }
    }
    for (key, (value, at)) in values {
        if !outer.contains_key(&key) {
            cx.chain.set_in.insert(key.clone(), at);
            cx.env.insert(key, value);
        } else if outer[&key] != value {
            cx.chain.hidden.insert(key, at);
        }
    }
}
