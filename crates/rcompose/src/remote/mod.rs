//! Where the loader reads from: the file system, and projects from registries and repositories, kept in a cache.

mod git;
mod oci;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use rcompose_build::{GitSource, Scratch};
use rcompose_loader::{FetchError, FsSources, Remote, Sources, without_secret};

use crate::env::Registries;

pub(crate) use git::Checkout;

/// Default names of a Compose file, best first.
const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

/// Files here and elsewhere.
#[derive(Debug)]
pub(crate) struct Files {
    /// Of projects.
    cache: PathBuf,
    /// Of builds.
    builds: PathBuf,
    registries: Registries,
    /// Variables for git.
    git: git::Variables,
    /// What this command has asked for: one load sees one state of a branch or a tag.
    known: RefCell<BTreeMap<String, PathBuf>>,
}

impl Files {
    pub(crate) fn new(cache: PathBuf, builds: PathBuf, registries: Registries, git: git::Variables) -> Self {
        Self { cache, builds, registries, git, known: RefCell::default() }
    }

    /// What a build wants of a repository. Links may not lead out of it.
    pub(crate) fn source(&self, source: &GitSource) -> Result<Checkout, FetchError> {
        let mut all = git::fetch_source(&self.builds, source, &self.git)?;
        if let Some(part) = &source.directory {
            all.at = part_of(&all.at, part, &source.repository)?;
        }
        Ok(all)
    }

    /// The directory of a remote project.
    fn root(&self, remote: &Remote) -> Result<PathBuf, FetchError> {
        let key = match remote {
            Remote::Oci(image) => format!("oci {image}"),
            Remote::Git(git) => {
                format!("git {} {}", git.repository, git.reference.as_deref().unwrap_or_default())
            }
        };
        if let Some(root) = self.known.borrow().get(&key) {
            return Ok(root.clone());
        }
        let root = match remote {
            Remote::Oci(image) => oci::fetch(&self.cache.join("oci"), image, &self.registries)?,
            Remote::Git(git) => git::fetch(&self.cache.join("git"), git, &self.git)?,
        };
        self.known.borrow_mut().insert(key, root.clone());
        Ok(root)
    }
}

impl Sources for Files {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        FsSources.read(path)
    }
    fn is_file(&self, path: &Path) -> bool {
        FsSources.is_file(path)
    }
    fn is_dir(&self, path: &Path) -> bool {
        FsSources.is_dir(path)
    }
    fn fetch(&self, remote: &Remote) -> Result<PathBuf, FetchError> {
        let root = self.root(remote)?;
        match remote {
            Remote::Oci(_) => Ok(root.join("compose.yaml")),
            Remote::Git(git) => inside(&root, git.path.as_deref(), &git.repository),
        }
    }
}

fn part_of(root: &Path, part: &str, repository: &str) -> Result<PathBuf, FetchError> {
    let repository = without_secret(repository);
    let real = |p: &Path| p.canonicalize().ok().filter(|p| p.is_dir());
    match (real(&root.join(part)), real(root)) {
        (Some(at), Some(root)) if at.starts_with(&root) => Ok(at),
        _ => Err(FetchError::new(format!("{repository} has no directory {part}"))),
    }
}

/// The Compose file at `path` of a checkout. Links may not lead out of it.
fn inside(root: &Path, path: Option<&str>, repository: &str) -> Result<PathBuf, FetchError> {
    let (shown, repository) = (path.unwrap_or("its root"), without_secret(repository));
    let mut file = path.map_or_else(|| root.to_owned(), |p| root.join(p));
    if file.is_dir() {
        let found = NAMES.iter().map(|n| file.join(n)).find(|f| f.is_file());
        file = found.ok_or_else(|| {
            FetchError::new(format!("no Compose file in {shown} of {repository}"))
                .help(format!("{} is looked for; name another with #REF:PATH", NAMES.join(", ")))
        })?;
    }
    let real =
        |p: &Path| p.canonicalize().map_err(|_| FetchError::new(format!("{repository} has no {shown}")));
    if !real(&file)?.starts_with(real(root)?) {
        return Err(FetchError::new(format!("{shown} of {repository} is a link that leads out of it")));
    }
    Ok(file)
}

/// Makes a directory of the cache whole or not at all: `fill` works on another one, which then takes the name.
fn make(at: &Path, fill: impl FnOnce(&Path) -> Result<(), FetchError>) -> Result<(), FetchError> {
    let cannot = |e: io::Error| FetchError::new(format!("failed to write the cache {}: {e}", at.display()));
    let new = Scratch::within(at.parent().unwrap_or(at)).map_err(cannot)?;
    fill(new.path())?;
    match std::fs::rename(new.path(), at) {
        // Another command, or another stage, was faster with the same.
        Err(_) if at.is_dir() => Ok(()),
        other => other.map_err(cannot),
    }
}
