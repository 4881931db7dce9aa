//! Repositories, by the program `git`.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rcompose_build::{GitSource, Kept};
use rcompose_loader::{FetchError, GitRemote, without_secret};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

/// The files of a commit, kept until this goes.
#[derive(Debug)]
pub(crate) struct Checkout {
    /// The directory with them.
    pub(crate) at: PathBuf,
    pub(crate) commit: String,
    /// When it was made, in seconds since the epoch.
    pub(crate) time: i64,
    pub(crate) kept: Kept,
}

/// Variables that git gets beside the environment.
pub(crate) type Variables = Vec<(&'static str, String)>;

/// The setting that logs in, and the variable with its value.
const SCOPE: &str = "RCOMPOSE_GIT_SCOPE";
const HEADER: &str = "RCOMPOSE_GIT_HEADER";

/// What a kept directory has once a commit is there: a directory that is as old as the commit, with its files in another one.
const WHOLE: &str = "commit";
const TREE: &str = "tree";

/// The directory with the files of a commit. A commit that was fetched once isn't asked for again.
pub(super) fn fetch(cache: &Path, remote: &GitRemote, variables: &Variables) -> Result<PathBuf, FetchError> {
    let found = resolve(&remote.repository, remote.reference.as_deref(), variables)?;
    let at = cache.join(&found.commit);
    if !at.is_dir() {
        super::make(&at, |new| {
            checkout(new, &remote.repository, &found, variables)?;
            // What logs in there isn't for who finds the files.
            let shown = without_secret(&remote.repository);
            run(variables, new, &remote.repository, &["remote", "set-url", "origin", &shown])
        })?;
    }
    Ok(at)
}

/// The files of a commit as a build wants them.
pub(super) fn fetch_source(
    cache: &Path,
    source: &GitSource,
    variables: &Variables,
) -> Result<Checkout, FetchError> {
    let repository = &source.repository;
    let variables = &with_access(variables, source);
    let found = match (&source.checksum, source.fetch_by_commit) {
        (Some(commit), true) if is_commit(commit) => {
            let full = |name: &str| match name.starts_with("refs/") {
                true => name.to_owned(),
                false => format!("refs/heads/{name}"),
            };
            let name = source.reference.as_deref().filter(|r| !is_commit(r)).map(full);
            Found { commit: commit.clone(), name, object: commit.clone() }
        }
        _ => resolve(repository, source.reference.as_deref(), variables)?,
    };
    let keep = source.keep_git_dir == Some(true) && source.directory.is_none();
    let mut name = found.commit.clone();
    for (on, mark) in [(keep, "k"), (!source.no_submodules, "s"), (source.commit_time, "t")] {
        name.push_str(if on { mark } else { "" });
    }
    // What `.git` tells of names is part of what is asked for.
    if keep && let Some(reference) = &found.name {
        name = format!("{name}-{}", reference.replace('/', "-"));
    }
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |e: io::Error| FetchError::new(format!("failed to write {path}: {e}"))
    };
    let kept = Kept::repository(cache, &name, WHOLE).map_err(failed(cache))?;
    let whole = kept.path().join(WHOLE);
    if !whole.is_dir() {
        super::make(&whole, |new| {
            let tree = &new.join(TREE);
            std::fs::create_dir(tree).map_err(failed(tree))?;
            checkout(tree, repository, &found, variables)?;
            if !source.no_submodules {
                submodules(tree, repository, variables)?;
            }
            let time = finish(tree, repository, &found, (keep, source.commit_time), variables)?;
            kept.note_size(tree).map_err(failed(kept.path()))?;
            set_time(new, time).map_err(failed(new))
        })?;
    }
    let time = std::fs::metadata(&whole).map(|m| m.mtime());
    let time = time.map_err(|e| FetchError::new(format!("failed to read {}: {e}", whole.display())))?;
    Ok(Checkout { at: whole.join(TREE), commit: found.commit, time, kept })
}

/// Git's own variables rather than arguments, which everybody on this machine could read.
fn with_access(variables: &Variables, source: &GitSource) -> Variables {
    let mut all = variables.clone();
    if let Some(header) = &source.access.header {
        // As actions/checkout and BuildKit do, for all of github.com: submodules are often there.
        let github = ["https://github.com/", "https://www.github.com/"];
        let address = without_secret(&source.repository);
        let scope = github.into_iter().find(|g| address.starts_with(g)).unwrap_or(&address);
        all.push((SCOPE, format!("http.{scope}.extraheader")));
        all.push((HEADER, format!("Authorization: {header}")));
    }
    if let Some(agent) = &source.access.agent {
        all.push(("SSH_AUTH_SOCK", agent.display().to_string()));
    }
    all
}

/// Without what would tell of this machine, or of how it was fetched. Tells when the commit was made.
fn finish(
    new: &Path,
    repository: &str,
    found: &Found,
    (keep, commit_time): (bool, bool),
    variables: &Variables,
) -> Result<i64, FetchError> {
    let failed = |e: io::Error| FetchError::new(format!("failed to write {}: {e}", new.display()));
    let time = git(variables, Some(new), &["log", "-1", "--format=%ct", &found.commit])?;
    if keep {
        let shown = without_secret(repository);
        run(variables, new, repository, &["remote", "set-url", "origin", &shown])?;
        run(variables, new, repository, &["reflog", "expire", "--all", "--expire=now"])?;
        std::fs::remove_file(new.join(".git/FETCH_HEAD")).map_err(failed)?;
    } else {
        // Those of submodules only lead to what isn't there.
        remove_git(new).map_err(failed)?;
    }
    let time = String::from_utf8_lossy(&time.stdout).trim().parse::<i64>();
    let shown = without_secret(repository);
    let time = time.map_err(|_| FetchError::new(format!("{shown}: the commit has no time")))?;
    if commit_time {
        set_times(new, time).map_err(failed)?;
    }
    Ok(time)
}

fn remove_git(directory: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let is_dir = entry.file_type()?.is_dir();
        match (entry.file_name() == ".git", is_dir) {
            (true, true) => std::fs::remove_dir_all(entry.path())?,
            (true, false) => std::fs::remove_file(entry.path())?,
            (false, true) => remove_git(&entry.path())?,
            (false, false) => {}
        }
    }
    Ok(())
}

/// Of a directory last: what is done in it changes its own.
fn set_times(path: &Path, seconds: i64) -> io::Result<()> {
    if std::fs::symlink_metadata(path)?.is_dir() {
        for entry in std::fs::read_dir(path)? {
            set_times(&entry?.path(), seconds)?;
        }
    }
    set_time(path, seconds)
}

fn set_time(path: &Path, seconds: i64) -> io::Result<()> {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// What a reference is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    commit: String,
    /// Its whole name, unless it is a commit.
    name: Option<String>,
    /// What is fetched: a tag may be an object of its own.
    object: String,
}

/// The commit that a branch, a tag or the default branch is at.
fn resolve(repository: &str, reference: Option<&str>, variables: &Variables) -> Result<Found, FetchError> {
    if let Some(commit) = reference.filter(|r| is_commit(r)) {
        return Ok(Found { commit: commit.to_owned(), name: None, object: commit.to_owned() });
    }
    let pattern = reference.unwrap_or("HEAD");
    let peeled = format!("{pattern}^{{}}");
    let words = ["ls-remote", "--symref", "--", repository, pattern, &peeled];
    let out = git(variables, None, &words)?;
    if !out.status.success() {
        return Err(unreachable(repository, &out));
    }
    chosen(&String::from_utf8_lossy(&out.stdout), pattern).ok_or_else(|| {
        FetchError::new(format!("{} has no branch or tag {pattern:?}", without_secret(repository)))
            .help("write #NAME of a branch or a tag behind the address, or #COMMIT with all its digits")
    })
}

/// Of what `git ls-remote --symref` lists: it takes a pattern for the end of a name. A branch comes before a tag.
fn chosen(listed: &str, pattern: &str) -> Option<Found> {
    let lines: Vec<(&str, &str)> = listed.lines().filter_map(|l| l.split_once('\t')).collect();
    let at = |name: &str| {
        let found = lines.iter().find(|(of, n)| *n == name && is_commit(of));
        found.map(|(of, _)| (*of).to_owned())
    };
    let bare = pattern.trim_start_matches("refs/");
    let names = [format!("refs/heads/{bare}"), format!("refs/tags/{bare}"), format!("refs/{bare}")];
    for name in names {
        if let Some(object) = at(&name) {
            let commit = at(&format!("{name}^{{}}")).unwrap_or_else(|| object.clone());
            return Some(Found { commit, name: Some(name), object });
        }
    }
    let commit = at(pattern)?;
    let named = lines.iter().find(|(of, n)| *n == pattern && of.starts_with("ref: "));
    let name = named.map(|(of, _)| of.trim_start_matches("ref: ").to_owned());
    Some(Found { object: commit.clone(), commit, name })
}

/// Fetches one commit, under its name if it has one, and checks it out.
fn checkout(new: &Path, repository: &str, found: &Found, variables: &Variables) -> Result<(), FetchError> {
    let format = if found.commit.len() == 64 { "sha256" } else { "sha1" };
    run(variables, new, repository, &["init", "--quiet", &format!("--object-format={format}")])?;
    run(variables, new, repository, &["remote", "add", "origin", repository])?;
    let one = ["fetch", "--quiet", "--depth=1", "--no-tags", "origin", &found.object];
    let out = git(variables, Some(new), &one)?;
    if !out.status.success() {
        if !wants_all(&out) {
            return Err(unreachable(repository, &out));
        }
        let mut all = vec!["fetch", "--quiet", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*"];
        // What is neither a branch nor a tag, as of a pull request.
        all.extend(found.name.as_deref().filter(|name| !name.starts_with("refs/heads/")));
        run(variables, new, repository, &all)?;
        if !git(variables, Some(new), &["cat-file", "-e", &found.object])?.status.success() {
            let shown = without_secret(repository);
            return Err(FetchError::new(format!(
                "no branch or tag of {shown} has the commit {}",
                found.object
            ))
            .help("check the commit, or name a branch or a tag that has it"));
        }
    }
    if let Some(name) = &found.name {
        run(variables, new, repository, &["update-ref", name, &found.object])?;
    }
    run(variables, new, repository, &["checkout", "--quiet", "--detach", &found.object])
}

/// The submodules, each at its commit alone where that can be had.
fn submodules(tree: &Path, repository: &str, variables: &Variables) -> Result<(), FetchError> {
    let all = ["submodule", "--quiet", "update", "--init", "--recursive"];
    let out = git(variables, Some(tree), &[all.as_slice(), &["--depth=1"]].concat())?;
    match out.status.success() {
        true => Ok(()),
        false if wants_all(&out) => run(variables, tree, repository, &all),
        false => Err(unreachable(repository, &out)),
    }
}

/// A server that gives no part of a history (plain files behind HTTP), or no commit that isn't at the end of a branch.
fn wants_all(out: &Output) -> bool {
    let said = String::from_utf8_lossy(&out.stderr);
    ["shallow capabilities", "not our ref", "unadvertised object"].iter().any(|part| said.contains(part))
}

fn run(variables: &Variables, at: &Path, repository: &str, words: &[&str]) -> Result<(), FetchError> {
    let out = git(variables, Some(at), words)?;
    if out.status.success() { Ok(()) } else { Err(unreachable(repository, &out)) }
}

fn unreachable(repository: &str, out: &Output) -> FetchError {
    let said = String::from_utf8_lossy(&out.stderr);
    let (why, help) = reason(&said);
    FetchError::new(format!("failed to fetch {}: {why}", without_secret(repository))).help(help)
}

/// Of what git said, the line that matters, and what to do.
fn reason(said: &str) -> (&str, &'static str) {
    let lines = || said.lines().map(str::trim).filter(|l| !l.is_empty());
    // ssh says more than git, which only sees that there is nothing to read.
    if lines().any(|l| l.starts_with("fatal: Could not read from remote repository")) {
        let of_ssh = |l: &&str| {
            ["Permission denied (", "Host key verification failed"].iter().any(|part| l.contains(part))
                || l.starts_with("ssh: ")
        };
        match lines().find(of_ssh) {
            Some(line) if line.contains("Permission denied (") => {
                return (
                    line,
                    "give a key that may log in there: `--ssh default=KEY`, `build.ssh`, or ssh-add",
                );
            }
            Some(line) if line.starts_with("Host key") => {
                return (
                    line,
                    "compare the server's key with what its owner says, and add it to known_hosts",
                );
            }
            Some(line) => return (line, "check the address and the network"),
            None => {}
        }
    }
    let line = lines().find(|l| l.starts_with("fatal:") || l.starts_with("error:"));
    (
        line.unwrap_or(said.trim()),
        "check the address and the network; git asks for no password here, so set up its credentials before",
    )
}

/// Runs git so that it asks nothing and runs nothing of the repository's.
fn git(variables: &Variables, directory: Option<&Path>, words: &[&str]) -> Result<Output, FetchError> {
    let mut command = Command::new("git");
    command.args(["-c", "core.hooksPath=/dev/null", "-c", "protocol.ext.allow=never"]);
    if let Some((_, key)) = variables.iter().find(|(name, _)| *name == SCOPE) {
        command.arg(format!("--config-env={key}={HEADER}"));
    }
    command.args(words);
    if let Some(directory) = directory {
        command.current_dir(directory);
    }
    // A git around this command would otherwise have its own repository worked on.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    // What it says is read here, too.
    command.env("LC_ALL", "C");
    command.stdin(std::process::Stdio::null()).output().map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => {
            FetchError::new("git isn't installed, which fetches projects from repositories")
                .help("install git, or give a Compose file on this machine")
        }
        _ => FetchError::new(format!("failed to run git: {e}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_says_why() {
        let end = "fatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\n";
        for (said, line, help) in [
            ("git@x.y: Permission denied (publickey).", "git@x.y: Permission denied (publickey).", "--ssh"),
            ("Host key verification failed.", "Host key verification failed.", "known_hosts"),
            (
                "ssh: Could not resolve hostname x.y: Name or service not known",
                "ssh: Could not resolve hostname x.y: Name or service not known",
                "the network",
            ),
            ("ERROR: Repository not found.", "fatal: Could not read from remote repository.", "credentials"),
        ] {
            let said = format!("Warning: added\r\n{said}\r\n{end}");
            let (got, remedy) = reason(&said);
            assert_eq!(got, line);
            assert!(remedy.contains(help), "{remedy}");
        }
        assert_eq!(reason("fatal: repository 'x' not found\n").0, "fatal: repository 'x' not found");
    }

    /// Whatever the user's language is.
    #[test]
    fn git_speaks_english() {
        let german = vec![("LC_ALL", "C.UTF-8".to_owned()), ("LANGUAGE", "de".to_owned())];
        let out = git(&german, None, &["ls-remote", "/no/where"]).unwrap();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(reason(&said).0.starts_with("fatal: '/no/where' does not appear"), "{said}");
    }

    #[test]
    fn names_are_whole() {
        let commit = |n: u8| char::from(b'a' + n).to_string().repeat(40);
        let list = |lines: &[(String, &str)]| -> String {
            lines.iter().map(|(of, name)| format!("{of}\t{name}\n")).collect()
        };
        let branches = list(&[(commit(0), "refs/heads/feature/main"), (commit(1), "refs/heads/main")]);
        assert_eq!(chosen(&branches, "main").unwrap().commit, commit(1));
        assert_eq!(chosen(&branches, "ain"), None);
        let both = list(&[(commit(0), "refs/heads/v1"), (commit(1), "refs/tags/v1")]);
        assert_eq!(chosen(&both, "v1").unwrap().name.as_deref(), Some("refs/heads/v1"));
        let tag = list(&[(commit(2), "refs/tags/v1"), (commit(3), "refs/tags/v1^{}")]);
        for pattern in ["v1", "refs/tags/v1", "tags/v1"] {
            let found = chosen(&tag, pattern).unwrap_or_else(|| panic!("{pattern}"));
            assert_eq!((found.commit, found.object), (commit(3), commit(2)));
        }
        let head = list(&[("ref: refs/heads/main".into(), "HEAD"), (commit(4), "HEAD")]);
        let found = chosen(&head, "HEAD").unwrap();
        assert_eq!((found.commit, found.name.as_deref()), (commit(4), Some("refs/heads/main")));
    }
}
