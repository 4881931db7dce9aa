//! Which files a COPY takes, and where each goes.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use crate::BuildError;
use crate::dockerfile::words::nearest;
use crate::ignore::{Ignore, path_matches};
use crate::view::{Found, Node, View};

/// Where a COPY takes files from.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) view: View,
    pub(crate) ignore: Ignore,
    /// For messages: `the build context`, `stage build`.
    pub(crate) name: String,
    /// Owners stay as they are there; files of a context belong to root.
    pub(crate) keep_owner: bool,
}

/// One thing to make.
#[derive(Debug, Clone)]
pub(crate) struct Pick {
    pub(crate) node: Node,
    /// Below the destination; empty is the destination itself.
    pub(crate) below: PathBuf,
    /// The copied directory itself: merged onto what is there, which keeps its attributes.
    pub(crate) root: bool,
}

/// What the sources of one COPY are.
pub(crate) struct Selection {
    pub(crate) picks: Vec<Pick>,
    /// More than one source, or a wildcard that fits several: the destination must be a directory.
    pub(crate) several: bool,
}

pub(crate) fn select(
    source: &Source,
    patterns: &[String],
    exclude: &[String],
    parents: bool,
) -> Result<Selection, BuildError> {
    let exclude = Ignore::new(exclude.iter().map(String::as_str));
    let mut selection = Selection { picks: Vec::new(), several: false };
    let mut tops = 0;
    for pattern in patterns {
        let found = find(source, pattern)?;
        if found.is_empty() {
            return Err(missing(source, pattern));
        }
        for (given, node) in found {
            tops += 1;
            let relative = relative(&given);
            if exclude.excludes(&relative) {
                continue;
            }
            let pivot = pattern.find("/./").map_or(0, |n| pattern[..n].trim_start_matches(['.', '/']).len());
            let below = if parents {
                PathBuf::from(relative.get(pivot..).unwrap_or("").trim_start_matches('/'))
            } else if node.is_dir() {
                PathBuf::new()
            } else {
                PathBuf::from(given.file_name().unwrap_or(OsStr::new("")))
            };
            let mut walk =
                Walk { source, exclude: &exclude, base: node.path.clone(), picks: &mut selection.picks };
            walk.take(node, below, true).map_err(|e| {
                BuildError::environment(format!("failed to read `{relative}` of {}", source.name), e)
            })?;
        }
    }
    selection.several = tops > 1 || parents;
    Ok(selection)
}

struct Walk<'a> {
    source: &'a Source,
    exclude: &'a Ignore,
    base: PathBuf,
    picks: &'a mut Vec<Pick>,
}

impl Walk<'_> {
    fn take(&mut self, node: Node, below: PathBuf, root: bool) -> io::Result<()> {
        let children = if node.is_dir() { Some(View::list(&node)?) } else { None };
        self.picks.push(Pick { node, below: below.clone(), root });
        for (name, child) in children.into_iter().flatten() {
            let path = relative(&child.path);
            let in_base = child.path.strip_prefix(&self.base).map(relative).unwrap_or_default();
            if !self.exclude.is_empty() && (self.exclude.excludes(&in_base) || self.exclude.excludes(&path)) {
                continue;
            }
            if self.source.ignore.excludes(&path) {
                if child.is_dir() && self.source.ignore.may_keep_below(&path) {
                    let before = self.picks.len();
                    self.take(child, below.join(&name), false)?;
                    // A directory is there only for what is kept in it.
                    if self.picks.len() == before + 1 {
                        self.picks.pop();
                    }
                }
                continue;
            }
            self.take(child, below.join(name), false)?;
        }
        Ok(())
    }
}

pub(crate) fn relative(path: &Path) -> String {
    path.to_string_lossy().trim_matches('/').to_owned()
}

pub(crate) fn has_wildcard(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

/// The things that a source fits, with their paths as given.
fn find(source: &Source, pattern: &str) -> Result<Vec<(PathBuf, Node)>, BuildError> {
    let failed = |e| BuildError::environment(format!("failed to read `{pattern}` of {}", source.name), e);
    if !has_wildcard(pattern) {
        let clean = normal(pattern);
        return match source.view.find(&clean, true) {
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => Ok(Vec::new()),
            Err(e) => Err(failed(e)),
            Ok(Found::Missing(_)) => Ok(Vec::new()),
            Ok(Found::Node(node)) => {
                let path = relative(&clean);
                let hidden = |p: &str| !p.is_empty() && source.ignore.excludes(p);
                let gone = (hidden(&path) && !(node.is_dir() && source.ignore.may_keep_below(&path)))
                    || hidden(&relative(&node.path)) && !node.is_dir();
                Ok(if gone { Vec::new() } else { vec![(clean, node)] })
            }
        };
    }
    let clean = normal(pattern);
    let parts: Vec<Vec<char>> = relative(&clean).split('/').map(|p| p.chars().collect()).collect();
    let mut found = Vec::new();
    if let Found::Node(root) = source.view.find(Path::new("/"), true).map_err(failed)? {
        fits(source, &parts, &root, &mut found).map_err(failed)?;
    }
    Ok(found)
}

fn fits(
    source: &Source,
    parts: &[Vec<char>],
    directory: &Node,
    found: &mut Vec<(PathBuf, Node)>,
) -> io::Result<()> {
    for child in View::list(directory)?.into_values() {
        let path = relative(&child.path);
        let names: Vec<&str> = path.split('/').collect();
        let hidden = source.ignore.excludes(&path);
        let deep = parts.iter().any(|p| p == &['*', '*']);
        if path_matches(parts, &names) {
            if !hidden || child.is_dir() && source.ignore.may_keep_below(&path) {
                let given = child.path.clone();
                if let Found::Node(node) = source.view.find(&given, true)? {
                    found.push((given, node));
                }
            }
        } else if child.is_dir() && (deep || path_matches(&parts[..names.len().min(parts.len())], &names)) {
            fits(source, parts, &child, found)?;
        }
    }
    Ok(())
}

/// Without `.` and `..`; it never leaves the root.
pub(crate) fn normal(path: &str) -> PathBuf {
    let mut out = PathBuf::from("/");
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(out.pop()),
            _ => out.push(part),
        }
    }
    out
}

fn missing(source: &Source, pattern: &str) -> BuildError {
    let path = relative(&normal(pattern));
    let error = BuildError::input(format!("`{pattern}` doesn't exist in {}", source.name));
    if source.ignore.excludes(&path)
        && (has_wildcard(pattern) || matches!(source.view.find(&normal(pattern), true), Ok(Found::Node(_))))
    {
        return BuildError::input(format!("`{pattern}` is excluded from {} by .dockerignore", source.name))
            .help(format!("add `!{path}` to the end of .dockerignore"));
    }
    if has_wildcard(pattern) {
        return BuildError::input(format!("no file fits `{pattern}` in {}", source.name));
    }
    let wanted = Path::new("/").join(&path);
    let parent = wanted.parent().unwrap_or(Path::new("/"));
    let name = wanted.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let Ok(Found::Node(directory)) = source.view.find(parent, true) else { return error };
    let Ok(list) = View::list(&directory) else { return error };
    let names: Vec<String> = list.keys().map(|n| n.to_string_lossy().into_owned()).collect();
    match nearest(&name, names.iter().map(String::as_str)) {
        Some(near) => error.help(format!("did you mean `{}`?", relative(&parent.join(near)))),
        None => error,
    }
}
