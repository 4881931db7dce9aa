//! Which files a COPY takes.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use crate::BuildError;
use crate::dockerfile::words::nearest;
use crate::ignore::{Glob, Ignore, Parents};
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

/// One source: a file, or a directory whose contents are copied.
#[derive(Debug, Clone)]
pub(crate) struct Pick {
    /// The name that it is copied by, if it is a file.
    pub(crate) name: OsString,
    pub(crate) root: Node,
    /// What is below a directory, parents first.
    pub(crate) entries: Vec<Entry>,
}

/// Something below a source directory.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) below: PathBuf,
    pub(crate) node: Node,
}

/// How the sources of one COPY are read.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    pub(crate) exclude: Ignore,
    pub(crate) parents: bool,
    /// Wildcards mean nothing.
    pub(crate) literal: bool,
}

/// What a source's pattern stands for, in order.
pub(crate) fn select(source: &Source, pattern: &str, choice: &Choice) -> Result<Vec<Pick>, BuildError> {
    if !choice.parents {
        return picks(source, pattern, choice, None);
    }
    // `a/./b`: what is kept of the path begins behind the pivot.
    let (base, rest) = pattern.split_once("/./").unwrap_or(("/", pattern));
    let wanted = relative(&normal(rest));
    if wanted.is_empty() {
        return Err(BuildError::input(format!("`{pattern}` names no path that --parents could keep"))
            .help("name what is in it, `*` for all, or copy it without --parents"));
    }
    let include = Ignore::new(std::iter::once(wanted.as_str()))?;
    let found = picks(source, base, choice, Some(&include))?;
    if !has_wildcard(base) && !has_wildcard(rest) {
        let whole = format!("{base}/{rest}");
        let path = normal(&whole);
        let there = find(source, &path).map_err(|e| failed(source, pattern, e))?.is_some();
        if !there {
            return Err(missing(source, &whole));
        }
        // The directories that are kept are real ones.
        let parent = path.parent().unwrap_or(Path::new("/"));
        let real = source.view.find(parent, true).map_err(|e| failed(source, pattern, e))?;
        if let Found::Node(real) = real
            && real.path != parent
        {
            return Err(BuildError::input(format!(
                "`{pattern}` leads through a symbolic link of {}, which --parents doesn't follow",
                source.name
            ))
            .help(format!("name the directory itself: `{}`", relative(&real.path))));
        }
    }
    Ok(found)
}

fn picks(
    source: &Source,
    pattern: &str,
    choice: &Choice,
    include: Option<&Ignore>,
) -> Result<Vec<Pick>, BuildError> {
    let err = |e| failed(source, pattern, e);
    let mut all = Vec::new();
    let clean = normal(pattern);
    let several = !choice.literal && has_wildcard(pattern);
    let given = if several { wildcard(source, pattern, &clean)? } else { vec![clean] };
    for path in given {
        let Some(root) = find(source, &path).map_err(err)? else {
            return Err(match several {
                true => {
                    missing(source, &relative(&path)).help("it fits the wildcard, but is a link to nothing")
                }
                false => missing(source, pattern),
            });
        };
        let mut walk =
            Walk { source, exclude: &choice.exclude, include, base: root.path.clone(), entries: Vec::new() };
        if root.is_dir() {
            walk.below(&root, &Fits::of(source, &root)).map_err(err)?;
        }
        let entries = walk.entries;
        let name = path.file_name().unwrap_or(OsStr::new("")).to_owned();
        all.push(Pick { name, root, entries });
    }
    Ok(all)
}

fn failed(source: &Source, pattern: &str, e: io::Error) -> BuildError {
    BuildError::environment(format!("failed to read `{pattern}` of {}", source.name), e)
}

/// What a directory's path fits, for the paths below it.
#[derive(Clone, Default)]
struct Fits {
    ignored: Parents,
    excluded: Parents,
    included: Parents,
}

impl Fits {
    /// At the root of a walk only the context's own rules have seen anything.
    fn of(source: &Source, root: &Node) -> Self {
        let mut ignored = Parents::default();
        let path = relative(&root.path);
        if !source.ignore.is_empty() && !path.is_empty() {
            for end in path.match_indices('/').map(|(n, _)| n).chain([path.len()]) {
                ignored = source.ignore.fits(&path[..end], &ignored).1;
            }
        }
        Self { ignored, ..Self::default() }
    }
}

struct Walk<'a> {
    source: &'a Source,
    exclude: &'a Ignore,
    include: Option<&'a Ignore>,
    base: PathBuf,
    entries: Vec<Entry>,
}

impl Walk<'_> {
    fn below(&mut self, directory: &Node, fits: &Fits) -> io::Result<()> {
        for child in View::list(directory)?.into_values() {
            let path = relative(&child.path);
            let below = child.path.strip_prefix(&self.base).unwrap_or(&child.path).to_owned();
            let inside = below.to_string_lossy();
            let (ignored, own_ignored) = self.source.ignore.fits(&path, &fits.ignored);
            let (excluded, own_excluded) = self.exclude.fits(&inside, &fits.excluded);
            let (included, own_included) = match self.include {
                Some(include) => include.fits(&inside, &fits.included),
                None => (true, Parents::default()),
            };
            let taken = !ignored && !excluded && included;
            if !taken && !child.is_dir() {
                continue;
            }
            let hopeless = ignored && !self.source.ignore.may_keep_below(&path)
                || excluded && !self.exclude.takes_back();
            if !taken && hopeless {
                continue;
            }
            let before = self.entries.len();
            let directory = child.is_dir().then(|| child.clone());
            self.entries.push(Entry { below, node: child });
            if let Some(directory) = directory {
                let own = Fits { ignored: own_ignored, excluded: own_excluded, included: own_included };
                self.below(&directory, &own)?;
            }
            // A directory that isn't taken itself is there only for what is taken in it.
            if !taken && self.entries.len() == before + 1 {
                self.entries.pop();
            }
        }
        Ok(())
    }
}

pub(crate) fn relative(path: &Path) -> String {
    path.to_string_lossy().trim_matches('/').to_owned()
}

pub(crate) fn has_wildcard(pattern: &str) -> bool {
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

/// What is at a path, links followed inside the source. What is ignored isn't there.
fn find(source: &Source, path: &Path) -> io::Result<Option<Node>> {
    let node = match source.view.find(path, true) {
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => return Ok(None),
        Err(e) => return Err(e),
        Ok(Found::Missing(_)) => return Ok(None),
        Ok(Found::Node(node)) => node,
    };
    let hidden = |path: &Path, directory: bool| {
        let path = relative(path);
        !path.is_empty()
            && source.ignore.excludes(&path)
            && !(directory && source.ignore.may_keep_below(&path))
    };
    let gone = hidden(path, node.is_dir()) || hidden(&node.path, node.is_dir());
    Ok((!gone).then_some(node))
}

/// The paths that a wildcard fits. Links are followed in the part before the first wildcard only.
fn wildcard(source: &Source, pattern: &str, clean: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let parts: Vec<String> = relative(clean).split('/').map(str::to_owned).collect();
    let fixed = parts.iter().position(|p| has_wildcard(p)).unwrap_or(parts.len());
    let base = normal(&parts[..fixed].join("/"));
    let rest = parts[fixed..].join("/");
    let glob = Glob::new(&rest).ok_or_else(|| {
        let message = format!("the wildcard `{pattern}` has a `[` without an end or an escape of nothing");
        BuildError::input(message).help(
            "write `\\[` for the character itself; a JSON array has every element in double quotes and ends with `]`",
        )
    })?;
    let err = |e| failed(source, pattern, e);
    let Some(root) = find(source, &base).map_err(err)? else { return Err(missing(source, &relative(&base))) };
    let mut found = Vec::new();
    let depth = parts.len() - fixed;
    fits(source, &glob, &root, PathBuf::new(), depth, &mut found).map_err(err)?;
    Ok(found.into_iter().map(|p| base.join(p)).collect())
}

fn fits(
    source: &Source,
    glob: &Glob,
    directory: &Node,
    below: PathBuf,
    depth: usize,
    found: &mut Vec<PathBuf>,
) -> io::Result<()> {
    if depth == 0 || !directory.is_dir() {
        return Ok(());
    }
    for (name, child) in View::list(directory)? {
        let path = below.join(&name);
        if glob.fits(&path.to_string_lossy()) {
            let hidden = source.ignore.excludes(&relative(&child.path));
            if !hidden || child.is_dir() && source.ignore.may_keep_below(&relative(&child.path)) {
                found.push(path);
            }
        } else {
            fits(source, glob, &child, path, depth - 1, found)?;
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
    if source.ignore.excludes(&path) && matches!(source.view.find(&normal(pattern), true), Ok(Found::Node(_)))
    {
        return BuildError::input(format!("`{pattern}` is excluded from {} by .dockerignore", source.name))
            .help(format!("add `!{path}` to the end of .dockerignore"));
    }
    let wanted = Path::new("/").join(&path);
    let parent = wanted.parent().unwrap_or(Path::new("/"));
    let name = wanted.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let list = match source.view.find(parent, true) {
        Ok(Found::Node(directory)) => View::list(&directory).unwrap_or_default(),
        _ => Default::default(),
    };
    let names: Vec<String> = list.keys().map(|n| n.to_string_lossy().into_owned()).collect();
    // A link that leads nowhere is there itself.
    if names.contains(&name)
        && let Ok(Found::Node(link)) = source.view.find(&wanted, false)
        && let Ok(target) = std::fs::read_link(&link.real)
    {
        return BuildError::input(format!(
            "`{pattern}` is a symbolic link to {}, which doesn't exist in {}",
            target.display(),
            source.name
        ))
        .help(format!("links are followed inside {} only: put what it leads to there", source.name));
    }
    let near = nearest(&name, names.iter().map(String::as_str));
    match near.filter(|_| source.keep_owner || !climbs(pattern)) {
        Some(near) => error.help(format!("did you mean `{}`?", relative(&parent.join(near)))),
        None if source.keep_owner => error,
        None => outside(error, source, pattern),
    }
}

/// Does a path lead up somewhere?
fn climbs(pattern: &str) -> bool {
    pattern.starts_with("../") || pattern.contains("/../")
}

/// What doesn't come from a directory of the user's.
fn outside(error: BuildError, source: &Source, pattern: &str) -> BuildError {
    let name = &source.name;
    let help = match pattern {
        p if climbs(p) => {
            format!(
                "nothing outside {name} can be copied: build from a directory above, or add another context"
            )
        }
        p if p.starts_with('/') => format!("the path begins in {name}, not at the root of this machine"),
        p if p.starts_with('~') => format!("`~` means nothing here: write a path in {name}"),
        p if p.contains("://") => "ADD fetches addresses with http, https and git".to_owned(),
        _ => format!("paths are those of {name}, wherever the Dockerfile is"),
    };
    error.help(help)
}
