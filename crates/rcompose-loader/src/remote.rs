//! Remote Compose files: `oci://IMAGE` and git addresses, as docker compose tells them from paths.

use std::path::{Path, PathBuf};

/// A Compose file that isn't on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remote {
    /// A Compose project in a registry, by its image reference.
    Oci(String),
    /// A repository.
    Git(GitRemote),
}

/// A place in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitRemote {
    /// What `git` takes as the repository.
    pub repository: String,
    /// Branch, tag or commit; the default branch unless given.
    pub reference: Option<String>,
    /// File or directory in it, without `..`.
    pub path: Option<String>,
}

/// Why a remote file isn't to be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FetchError {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Vec<String>,
}

impl FetchError {
    /// With a message alone.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: Vec::new() }
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }
}

impl Remote {
    /// What a reference means; `None` for a path on this machine.
    ///
    /// # Errors
    /// An address of a repository with options that make no sense.
    pub fn parse(text: &str) -> Result<Option<Self>, FetchError> {
        if let Some(image) = text.strip_prefix("oci://") {
            return Ok(Some(Self::Oci(image.to_owned())));
        }
        Ok(repository(text)?.map(Self::Git))
    }

    /// The directory that stands for all of a remote project whose Compose file lies at `file`, and the address to which
    /// a path in it is added.
    pub(crate) fn place(&self, file: &Path) -> (PathBuf, String) {
        let above = |p: &Path| p.parent().unwrap_or(Path::new("/")).to_owned();
        match self {
            Self::Oci(image) => (above(file), format!("oci://{image}/")),
            Self::Git(git) => {
                // The path names the file, or the directory that it is in.
                let part = Path::new(git.path.as_deref().unwrap_or_default());
                let mut root = if file.ends_with(part) { file.to_owned() } else { above(file) };
                for _ in part.components() {
                    root.pop();
                }
                if part.as_os_str().is_empty() {
                    root = above(file);
                }
                let reference = git.reference.as_deref().unwrap_or_default();
                (root, format!("{}#{reference}:", without_secret(&git.repository)))
            }
        }
    }

    /// Whether it is no path on this machine.
    pub(crate) fn is(text: &str) -> bool {
        !matches!(Self::parse(text), Ok(None))
    }
}

fn repository(text: &str) -> Result<Option<GitRemote>, FetchError> {
    let (address, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (address, query) = address.split_once('?').unwrap_or((address, ""));
    let scheme = address.split_once("://").map(|(s, _)| s.to_ascii_lowercase());
    let repository = match scheme.as_deref() {
        // A page of the web is only taken for a repository if it says so.
        Some("http" | "https") if address.ends_with(".git") => address.to_owned(),
        Some("git" | "ssh") => address.to_owned(),
        None if address.starts_with("github.com/") => format!("https://{address}"),
        None if is_scp(address) => address.to_owned(),
        _ => return Ok(None),
    };
    let (reference, path) = fragment.split_once(':').unwrap_or((fragment, ""));
    let mut found = GitRemote {
        repository,
        reference: Some(reference.to_owned()).filter(|r| !r.is_empty()),
        path: Some(path.to_owned()).filter(|p| !p.is_empty()),
    };
    for option in query.split('&').filter(|o| !o.is_empty()) {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        let slot = match key {
            "ref" | "tag" | "branch" => &mut found.reference,
            "subdir" => &mut found.path,
            _ => {
                return Err(FetchError::new(format!("unexpected query {key:?} in {text}"))
                    .help("ref, tag, branch and subdir can stand there"));
            }
        };
        let value = match key {
            "tag" if !value.starts_with("refs/") => format!("refs/tags/{value}"),
            "branch" if !value.starts_with("refs/") => format!("refs/heads/{value}"),
            _ => value.to_owned(),
        };
        if slot.as_ref().is_some_and(|s| *s != value) {
            return Err(FetchError::new(format!("{key} is given twice in {text}")));
        }
        *slot = Some(value);
    }
    found.path = found.path.map(|p| clean(&p)).filter(|p| !p.is_empty());
    // git would take it for a flag.
    if found.reference.as_ref().is_some_and(|r| r.starts_with('-')) || found.repository.starts_with('-') {
        return Err(FetchError::new(format!("{text} isn't the address of a repository")));
    }
    Ok(Some(found))
}

/// An address without the user and password that may stand in it.
pub fn without_secret(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}/{path}")
}

/// `user@host:path`, as ssh has it.
fn is_scp(address: &str) -> bool {
    let Some((user, rest)) = address.split_once('@') else { return false };
    let Some((host, _)) = rest.split_once(':') else { return false };
    let word = |text: &str, more: &[char]| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(&c))
    };
    word(user, &['-', '_']) && word(host, &['-', '.'])
}

/// A path below the repository's root: `..` doesn't leave it.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match Remote::parse(text) {
            Ok(None) => "local".into(),
            Ok(Some(Remote::Oci(image))) => format!("oci {image}"),
            Ok(Some(Remote::Git(g))) => {
                let word = |o: Option<String>| o.unwrap_or_else(|| "-".into());
                format!("{} {} {}", g.repository, word(g.reference), word(g.path))
            }
            Err(e) => format!("error: {e}"),
        }
    }

    #[test]
    fn references() {
        for (text, want) in [
            ("compose.yaml", "local"),
            ("./a@b:c", "local"),
            ("/srv/x.git", "local"),
            ("https://example.org/compose.yaml", "local"),
            ("oci://r.example/p:v1", "oci r.example/p:v1"),
            ("https://example.org/r.git", "https://example.org/r.git - -"),
            ("https://example.org/r.git#main:dir/c.yaml", "https://example.org/r.git main dir/c.yaml"),
            ("https://example.org/r.git#:dir", "https://example.org/r.git - dir"),
            ("https://example.org/r.git?tag=v1&subdir=d", "https://example.org/r.git refs/tags/v1 d"),
            ("git://h/r#v1", "git://h/r v1 -"),
            ("ssh://git@h/r", "ssh://git@h/r - -"),
            ("git@github.com:u/r.git#x", "git@github.com:u/r.git x -"),
            ("github.com/u/r", "https://github.com/u/r - -"),
            ("git://h/r#main:../../etc/passwd", "git://h/r main etc/passwd"),
            ("git://h/r?x=y", "error: unexpected query \"x\" in git://h/r?x=y"),
            (
                "git://h/r#--upload-pack=x",
                "error: git://h/r#--upload-pack=x isn't the address of a repository",
            ),
        ] {
            assert_eq!(shown(text), want, "{text}");
        }
    }

    #[test]
    fn places() {
        for (address, file, want) in [
            ("https://e.org/r.git", "/c/1/compose.yaml", "/c/1 https://e.org/r.git#:"),
            ("https://e.org/r.git#v1:a/b", "/c/1/a/b/compose.yaml", "/c/1 https://e.org/r.git#v1:"),
            ("https://e.org/r.git#v1:a/b.yaml", "/c/1/a/b.yaml", "/c/1 https://e.org/r.git#v1:"),
            ("https://e.org/r.git#v1:compose.yaml", "/c/1/compose.yaml", "/c/1 https://e.org/r.git#v1:"),
            ("https://u:pw@e.org/r.git", "/c/1/compose.yaml", "/c/1 https://e.org/r.git#:"),
            ("git@e.org:a/r.git#:x", "/c/1/x/compose.yaml", "/c/1 git@e.org:a/r.git#:"),
            ("oci://r.e/p:v1", "/c/2/compose.yaml", "/c/2 oci://r.e/p:v1/"),
        ] {
            let (root, shown) = Remote::parse(address).unwrap().unwrap().place(Path::new(file));
            assert_eq!(format!("{} {shown}", root.display()), want);
        }
    }
}
