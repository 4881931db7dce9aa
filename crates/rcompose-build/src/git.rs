//! Addresses of repositories, for ADD and as build contexts (BuildKit, frontend/dockerfile/dfgitutil/git_ref.go).

use rcompose_image::without_password;

use crate::ignore::clean;
use crate::{BuildError, GitAccess, parse_bool};

/// A repository of git.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GitSource {
    /// What `git` takes as the repository.
    pub repository: String,
    /// Branch, tag or commit; the default branch unless given.
    pub reference: Option<String>,
    /// A directory in it, without `..`.
    pub directory: Option<String>,
    /// What the commit must begin with.
    pub checksum: Option<String>,
    /// Whether `.git` is wanted, if that is said.
    pub keep_git_dir: Option<bool>,
    /// Without the repositories in it.
    pub no_submodules: bool,
    /// Files are as old as the commit, not as the checkout.
    pub commit_time: bool,
    /// The checksum is the commit: the reference isn't looked up, only given to it.
    pub fetch_by_commit: bool,
    /// What logs in there.
    pub access: GitAccess,
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

/// 40 or 64 digits.
fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

impl GitSource {
    /// A build context's address; `github.com/…` is one here, too. `None`: no repository.
    ///
    /// Errors: what stands behind the address makes no sense.
    pub fn context(text: &str) -> Result<Option<Self>, BuildError> {
        match text.starts_with("github.com/") {
            true => Self::parse(&format!("https://{text}"), true),
            false => Self::parse(text, false),
        }
    }

    /// `None`: a path, or a file. An `http` address is a repository if its path ends with `.git`.
    pub(crate) fn parse(text: &str, any: bool) -> Result<Option<Self>, BuildError> {
        if !is_remote(text) {
            return Ok(None);
        }
        let (bare, fragment) = text.split_once('#').map_or((text, ""), |(b, f)| (b, f));
        let (bare, query) = bare.split_once('?').map_or((bare, ""), |(b, q)| (b, q));
        if text.starts_with("http") && !is_scp(text) && !bare.ends_with(".git") && !any {
            return Ok(None);
        }
        let (reference, directory) = fragment.split_once(':').unwrap_or((fragment, ""));
        let some = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
        let mut source = Self {
            repository: bare.to_owned(),
            reference: some(reference),
            directory: some(directory),
            ..Self::default()
        };
        source
            .query(query)
            .map_err(|why| BuildError::input(format!("`{}`: {why}", without_password(text))))?;
        source.directory =
            source.directory.and_then(|d| some(clean(&format!("/{d}")).trim_start_matches('/')));
        // git would take them for flags.
        if source.repository.starts_with('-') || source.reference.as_ref().is_some_and(|r| r.starts_with('-'))
        {
            let shown = without_password(text);
            return Err(BuildError::input(format!("`{shown}` isn't the address of a repository")));
        }
        Ok(Some(source))
    }

    fn query(&mut self, query: &str) -> Result<(), String> {
        let (mut tag, mut branch) = (None, None);
        let mut seen: Vec<&str> = Vec::new();
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let (key, value) = pair.split_once('=').map_or((pair, String::new()), |(k, v)| (k, decoded(v)));
            if seen.contains(&key) {
                return Err(format!("`{key}` is given twice"));
            }
            seen.push(key);
            let is_switch = matches!(key, "keep-git-dir" | "submodules" | "fetch-by-commit");
            if value.is_empty() && !is_switch {
                return Err(format!("`{key}` has no value"));
            }
            let truth = || match value.as_str() {
                "" => Ok(true),
                other => parse_bool(other).ok_or_else(|| format!("`{key}` is true or false, not `{other}`")),
            };
            match key {
                "ref" => set(&mut self.reference, value, "the reference")?,
                "subdir" => set(&mut self.directory, value, "the directory")?,
                "tag" => tag = Some(format!("refs/tags/{}", value.trim_start_matches("refs/tags/"))),
                "branch" => branch = Some(format!("refs/heads/{}", value.trim_start_matches("refs/heads/"))),
                "checksum" | "commit" => set(&mut self.checksum, value, "the checksum")?,
                "keep-git-dir" => self.keep_git_dir = Some(truth()?),
                "submodules" => self.no_submodules = !truth()?,
                "fetch-by-commit" => self.fetch_by_commit = truth()?,
                "mtime" => match value.as_str() {
                    "checkout" => {}
                    "commit" => self.commit_time = true,
                    other => return Err(format!("mtime is checkout or commit, not `{other}`")),
                },
                _ => return Err(format!("unexpected query `{key}`")),
            }
        }
        if tag.is_some() && branch.is_some() {
            return Err("a branch and a tag are given".to_owned());
        }
        if let Some(name) = tag.or(branch) {
            set(&mut self.reference, name, "the reference")?;
        }
        Ok(())
    }

    /// What must hold once a checksum may have come from elsewhere, too.
    ///
    /// Errors: it doesn't.
    pub fn check(&self) -> Result<(), BuildError> {
        let shown = without_password(&self.repository);
        if self.fetch_by_commit
            && !self.reference.as_deref().is_some_and(is_commit)
            && !self.checksum.as_deref().is_some_and(is_commit)
        {
            return Err(BuildError::input(format!("`{shown}`: fetch-by-commit needs the whole commit"))
                .help("write checksum=COMMIT with all its digits"));
        }
        Ok(())
    }
}

/// What is said twice must be the same.
fn set(slot: &mut Option<String>, value: String, what: &str) -> Result<(), String> {
    match slot {
        Some(there) if *there != value => Err(format!("{what} is `{there}` and `{value}`")),
        _ => {
            *slot = Some(value);
            Ok(())
        }
    }
}

/// `%20` and the like.
pub(crate) fn decoded(text: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match GitSource::parse(text, false) {
            Err(e) => format!("error: {}", e.message),
            Ok(None) => "none".to_owned(),
            Ok(Some(g)) => {
                let mut out = vec![g.repository.clone()];
                for (name, value) in [("ref", &g.reference), ("dir", &g.directory), ("sum", &g.checksum)] {
                    out.extend(value.iter().map(|v| format!("{name}={v}")));
                }
                out.extend(g.keep_git_dir.map(|k| format!("keep={k}")));
                let switches = [
                    (g.no_submodules, "no-submodules"),
                    (g.commit_time, "commit-time"),
                    (g.fetch_by_commit, "by-commit"),
                ];
                out.extend(switches.iter().filter(|(on, _)| *on).map(|(_, n)| (*n).to_owned()));
                out.join(" ")
            }
        }
    }

    #[test]
    fn forms_and_queries() {
        let r = "https://x.y/r.git";
        for (text, want) in [
            ("https://x.y/r.git#main:sub/../dir".to_owned(), format!("{r} ref=main dir=dir")),
            ("git@x.y:o/r".to_owned(), "git@x.y:o/r".to_owned()),
            ("https://x.y/r".to_owned(), "none".to_owned()),
            ("a/b.git".to_owned(), "none".to_owned()),
            (
                format!("{r}?tag=v1&keep-git-dir&commit=abc"),
                format!("{r} ref=refs/tags/v1 sum=abc keep=true"),
            ),
            (format!("{r}?branch=refs/heads/a%2Fb&subdir=/c/"), format!("{r} ref=refs/heads/a/b dir=c")),
            (
                format!("{r}?submodules=false&mtime=commit&keep-git-dir=0"),
                format!("{r} keep=false no-submodules commit-time"),
            ),
            (format!("{r}?fetch-by-commit&checksum=ab&mtime=checkout"), format!("{r} sum=ab by-commit")),
            (format!("{r}?ref=a#a:b"), format!("{r} ref=a dir=b")),
            (format!("{r}?ref=a#b"), format!("error: `{r}?ref=a#b`: the reference is `b` and `a`")),
            (
                format!("{r}?tag=a&branch=b"),
                format!("error: `{r}?tag=a&branch=b`: a branch and a tag are given"),
            ),
            (format!("{r}?what=1"), format!("error: `{r}?what=1`: unexpected query `what`")),
            (format!("{r}?ref="), format!("error: `{r}?ref=`: `ref` has no value")),
            (format!("{r}?mtime=x"), format!("error: `{r}?mtime=x`: mtime is checkout or commit, not `x`")),
            (
                format!("{r}?submodules=x"),
                format!("error: `{r}?submodules=x`: `submodules` is true or false, not `x`"),
            ),
            (format!("{r}?ref=a&ref=a"), format!("error: `{r}?ref=a&ref=a`: `ref` is given twice")),
            (
                format!("{r}#--upload-pack=x"),
                format!("error: `{r}#--upload-pack=x` isn't the address of a repository"),
            ),
        ] {
            assert_eq!(shown(&text), want);
        }
        let github = GitSource::context("github.com/a/b#c").unwrap().unwrap();
        assert_eq!(
            (github.repository.as_str(), github.reference.as_deref()),
            ("https://github.com/a/b", Some("c"))
        );
        let by = |text: &str| GitSource::parse(text, false).unwrap().unwrap().check().is_ok();
        assert!(!by("https://x.y/r.git?fetch-by-commit&checksum=ab"));
        assert!(by(&format!("https://x.y/r.git?fetch-by-commit&checksum={}", "a".repeat(40))));
    }
}
