//! Repositories, by the program `git`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rcompose_loader::{FetchError, GitRemote};

/// Variables that git gets beside the environment.
pub(crate) type Variables = Vec<(&'static str, &'static str)>;

/// The directory with the files of a commit. A commit that was fetched once isn't asked for again.
pub(super) fn fetch(cache: &Path, remote: &GitRemote, variables: &Variables) -> Result<PathBuf, FetchError> {
    let commit = match &remote.reference {
        Some(reference) if is_commit(reference) => reference.clone(),
        reference => resolve(remote, reference.as_deref().unwrap_or("HEAD"), variables)?,
    };
    let at = cache.join(&commit);
    if !at.is_dir() {
        super::make(&at, |new| checkout(new, &remote.repository, &commit, variables))?;
    }
    Ok(at)
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The commit that a branch or a tag is at.
fn resolve(remote: &GitRemote, reference: &str, variables: &Variables) -> Result<String, FetchError> {
    let out = git(variables, None, &["ls-remote", "--exit-code", "--", &remote.repository, reference])?;
    if out.status.code() == Some(2) {
        return Err(FetchError::new(format!("{} has no branch or tag {reference:?}", remote.repository))
            .help("write #NAME of a branch or a tag behind the address, or #COMMIT with all 40 digits"));
    }
    let text = String::from_utf8_lossy(&out.stdout);
    let commit = text.get(..40).filter(|c| is_commit(c));
    match commit {
        Some(commit) if out.status.success() => Ok(commit.to_owned()),
        _ => Err(unreachable(&remote.repository, &out)),
    }
}

fn checkout(new: &Path, repository: &str, commit: &str, variables: &Variables) -> Result<(), FetchError> {
    let steps: [&[&str]; 3] = [
        &["init", "--quiet"],
        &["fetch", "--quiet", "--depth=1", "--", repository, commit],
        &["checkout", "--quiet", "--detach", "FETCH_HEAD"],
    ];
    for step in steps {
        let out = git(variables, Some(new), step)?;
        if !out.status.success() {
            return Err(unreachable(repository, &out));
        }
    }
    Ok(())
}

fn unreachable(repository: &str, out: &Output) -> FetchError {
    let said = String::from_utf8_lossy(&out.stderr);
    let said =
        said.lines().find(|l| l.starts_with("fatal:") || l.starts_with("error:")).unwrap_or(said.trim());
    FetchError::new(format!("failed to fetch {repository}: {said}")).help(
        "check the address and the network; git asks for no password here, so set up its credentials before",
    )
}

/// Runs git so that it asks nothing and runs nothing of the repository's.
fn git(variables: &Variables, directory: Option<&Path>, words: &[&str]) -> Result<Output, FetchError> {
    let mut command = Command::new("git");
    command.args(["-c", "core.hooksPath=/dev/null", "-c", "protocol.ext.allow=never"]).args(words);
    if let Some(directory) = directory {
        command.current_dir(directory);
    }
    // A git around this command would otherwise have its own repository worked on.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    command.stdin(std::process::Stdio::null()).output().map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => {
            FetchError::new("git isn't installed, which fetches projects from repositories")
                .help("install git, or give a Compose file on this machine")
        }
        _ => FetchError::new(format!("failed to run git: {e}")),
    })
}
