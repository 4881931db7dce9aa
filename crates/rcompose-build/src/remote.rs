//! What ADD fetches: files by HTTP, and repositories.

use std::path::{Path, PathBuf};

use crate::ignore::{Ignore, clean};
use crate::select::{Choice, Pick, Source, select};
use crate::stage::Stage;
use crate::view::View;
use crate::{BuildError, GitSource};

/// An address that ADD takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Remote {
    Http {
        url: String,
        /// The file's name.
        name: String,
    },
    Git {
        source: GitSource,
        /// A commit that it must be.
        checksum: Option<String>,
        keep_git_dir: Option<bool>,
    },
}

/// An address rather than a path: ADD fetches it, COPY refuses it.
pub(crate) fn is_remote(source: &str) -> bool {
    ["http://", "https://", "git://", "ssh://"].iter().any(|p| source.starts_with(p)) || is_scp(source)
}

/// `git@host:path`.
fn is_scp(source: &str) -> bool {
    let host = source.split_once(':').map(|(h, _)| h).filter(|h| !h.contains('/'));
    host.is_some_and(|h| h.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty()))
}

impl Remote {
    /// `None`: a path. An `http` address is a repository if its path ends with `.git`
    /// (frontend/dockerfile/dfgitutil/git_ref.go).
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, BuildError> {
        if !is_remote(text) {
            return Ok(None);
        }
        let (bare, fragment) = text.split_once('#').map_or((text, ""), |(b, f)| (b, f));
        let (bare, query) = bare.split_once('?').map_or((bare, ""), |(b, q)| (b, q));
        if text.starts_with("http") && !is_scp(text) && !bare.ends_with(".git") {
            let path = bare.split_once("://").and_then(|(_, r)| r.split_once('/')).map_or("", |(_, p)| p);
            let last = decoded(path.trim_end_matches('/').rsplit('/').next().unwrap_or(""));
            let name = match last.as_str() {
                "" | "." | ".." => "__unnamed__".to_owned(),
                name => name.replace(['/', '\0'], "_"),
            };
            return Ok(Some(Self::Http { url: text.to_owned(), name }));
        }
        let (reference, directory) = fragment.split_once(':').unwrap_or((fragment, ""));
        let directory = clean(&format!("/{directory}")).trim_start_matches('/').to_owned();
        let mut source = GitSource {
            repository: bare.to_owned(),
            reference: Some(reference.to_owned()).filter(|r| !r.is_empty()),
            directory: Some(directory).filter(|d| !d.is_empty()),
        };
        let (mut checksum, mut keep_git_dir) = (None, None);
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let (key, value) = pair.split_once('=').map_or((pair, String::new()), |(k, v)| (k, decoded(v)));
            let wrong = |why: &str| BuildError::input(format!("`{text}`: {why} `{key}`"));
            let truth = || match value.as_str() {
                "" | "1" | "true" => Ok(true),
                "0" | "false" => Ok(false),
                _ => Err(wrong("true or false is the value of")),
            };
            match key {
                "ref" => source.reference = Some(value),
                "tag" => {
                    source.reference = Some(format!("refs/tags/{}", value.trim_start_matches("refs/tags/")))
                }
                "branch" => {
                    source.reference =
                        Some(format!("refs/heads/{}", value.trim_start_matches("refs/heads/")));
                }
                "subdir" => {
                    source.directory = Some(clean(&format!("/{value}")).trim_start_matches('/').to_owned())
                }
                "checksum" | "commit" => checksum = Some(value),
                "keep-git-dir" => keep_git_dir = Some(truth()?),
                // Submodules aren't fetched; saying so is no mistake.
                "submodules" if !truth()? => {}
                _ => return Err(wrong("unexpected query")),
            }
        }
        Ok(Some(Self::Git { source, checksum, keep_git_dir }))
    }
}

/// `%20` and the like.
fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl Stage<'_> {
    /// The files of a commit.
    pub(crate) fn repository(
        &self,
        source: &GitSource,
        checksum: Option<&str>,
        keep_git_dir: bool,
    ) -> Result<Pick, BuildError> {
        let shown = &source.repository;
        let (root, commit) = self
            .solve
            .images
            .checkout(source)
            .map_err(|e| BuildError::environment(format!("failed to fetch `{shown}`"), e))?;
        if let Some(want) = checksum.filter(|w| w.len() < 7 || !commit.starts_with(*w)) {
            return Err(BuildError::input(format!(
                "`{shown}` is at {commit}, not at {want} as the checksum says"
            ))
            .help("give the commit as the reference, or correct the checksum"));
        }
        let left_out = if keep_git_dir { Vec::new() } else { vec![".git"] };
        one(&root, "/", &Ignore::new(left_out.into_iter())?, shown)
    }
}

/// What is at a path of a directory.
pub(crate) fn one(directory: &Path, path: &str, exclude: &Ignore, name: &str) -> Result<Pick, BuildError> {
    let view = View::new(vec![PathBuf::from(directory)]);
    let source = Source { view, ignore: Ignore::default(), name: name.to_owned(), keep_owner: false };
    let choice = Choice { exclude: exclude.clone(), parents: false, literal: true };
    let mut picks = select(&source, path, &choice)?;
    picks.pop().ok_or_else(|| BuildError::input(format!("`{name}` is empty")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let http = |text: &str| match Remote::parse(text) {
            Ok(Some(Remote::Http { name, .. })) => name,
            other => format!("{other:?}"),
        };
        assert_eq!(http("https://x.y/a/b%20c.tar?d=e#f"), "b c.tar");
        assert_eq!(
            (http("http://x.y/"), http("https://x.y/a/..")),
            ("__unnamed__".into(), "__unnamed__".into())
        );
        let git = |text: &str| match Remote::parse(text) {
            Ok(Some(Remote::Git { source, checksum, keep_git_dir })) => {
                let g = source;
                format!("{} {:?} {:?} {checksum:?} {keep_git_dir:?}", g.repository, g.reference, g.directory)
            }
            other => format!("{other:?}"),
        };
        assert_eq!(
            git("https://x.y/r.git#main:sub/../dir"),
            r#"https://x.y/r.git Some("main") Some("dir") None None"#
        );
        assert_eq!(git("git@x.y:o/r"), "git@x.y:o/r None None None None");
        assert_eq!(
            git("https://x.y/r.git?tag=v1&keep-git-dir&commit=abc"),
            r#"https://x.y/r.git Some("refs/tags/v1") None Some("abc") Some(true)"#
        );
        assert!(Remote::parse("https://x.y/r.git?what=1").is_err());
        assert_eq!(Remote::parse("a/b.git").unwrap(), None);
    }
}
