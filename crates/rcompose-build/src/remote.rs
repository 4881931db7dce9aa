//! What ADD fetches: files by HTTP, and repositories.

use std::path::{Path, PathBuf};

use rcompose_image::without_password;

use crate::git::{decoded, is_remote};
use crate::ignore::Ignore;
use crate::provenance::git_algorithm;
use crate::select::{Choice, Pick, Source, select};
use crate::stage::Stage;
use crate::view::View;
use crate::{BuildError, Facts, GitAccess, GitSource, Material};

/// An address that ADD takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Remote {
    Http {
        url: String,
        /// The file's name.
        name: String,
    },
    Git(GitSource),
}

impl Remote {
    /// `None`: a path. An `http` address is a repository if its path ends with `.git`
    /// (frontend/dockerfile/dfgitutil/git_ref.go).
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, BuildError> {
        if let Some(source) = GitSource::parse(text, false)? {
            return Ok(Some(Self::Git(source)));
        }
        if !is_remote(text) {
            return Ok(None);
        }
        let bare = text.split(['#', '?']).next().unwrap_or_default();
        let path = bare.split_once("://").and_then(|(_, r)| r.split_once('/')).map_or("", |(_, p)| p);
        let last = decoded(path.trim_end_matches('/').rsplit('/').next().unwrap_or(""));
        let name = match last.as_str() {
            "" | "." | ".." => "__unnamed__".to_owned(),
            name => name.replace(['/', '\0'], "_"),
        };
        Ok(Some(Self::Http { url: text.to_owned(), name }))
    }
}

impl Stage<'_> {
    /// The files of a commit.
    pub(crate) fn repository(&self, source: &GitSource) -> Result<Pick, BuildError> {
        let shown = &without_password(&source.repository);
        source.check()?;
        let mut source = source.clone();
        source.access = GitAccess::of(&source.repository, &self.solve.req.secrets, &self.solve.req.ssh)?;
        let (root, commit) =
            self.solve.images.checkout(&source).map_err(|e| match e.downcast::<BuildError>() {
                // It says all by itself.
                Ok(told) => *told,
                Err(e) => BuildError::environment(format!("failed to fetch `{shown}`"), e),
            })?;
        if let Some(want) = source.checksum.as_ref().filter(|w| w.len() < 7 || !commit.starts_with(*w)) {
            return Err(BuildError::input(format!(
                "`{shown}` is at {commit}, not at {want} as the checksum says"
            ))
            .help("give the commit as the reference, or correct the checksum"));
        }
        self.solve.noted(note_git_secrets);
        self.solve.note(Material::Git(shown.clone()), Some((git_algorithm(&commit), commit)));
        one(&root, "/", &Ignore::default(), shown)
    }
}

/// Those that log in at repositories are looked for whenever there is one.
pub(crate) fn note_git_secrets(facts: &mut Facts) {
    facts.secrets.extend(GitAccess::SECRETS.map(|s| (s.to_owned(), true)));
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
        assert!(Remote::parse("https://x.y/r.git?what=1").is_err());
        assert_eq!(Remote::parse("a/b.git").unwrap(), None);
    }
}
