//! COPY and ADD.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rcompose_image::{Digest, without_password};

use crate::apply::{Attributes, NewLayer};
use crate::archive::is_archive;
use crate::cache::Key;
use crate::chmod::Chmod;
use crate::dockerfile::Copy;
use crate::expand::expand_raw;
use crate::ignore::Ignore;
use crate::plan;
use crate::remote::Remote;
use crate::select::{Choice, Pick, Source, normal, select};
use crate::stage::{Done, Made, Stage};
use crate::view::{Found, Node};
use crate::{BuildError, Material, users};

/// One source of a COPY, in order.
enum Item {
    /// Archives among them are unpacked, or not.
    Files(Vec<Pick>, bool),
    /// What an address of which the checksum is known gives.
    Later(String, String, Digest),
    /// A file given in the Dockerfile: its name and contents.
    Text(String, String),
}

impl Stage<'_> {
    pub(crate) fn copy(&mut self, copy: &Copy, add: bool) -> Result<Done, BuildError> {
        let solve = self.solve;
        let source = match &copy.from {
            None => solve.context.clone(),
            Some(name) => {
                if self.state.expand(name)? != *name {
                    return Err(BuildError::input("--from can't have variables")
                        .help("define a stage with `FROM $NAME AS …` and copy from it"));
                }
                let base = plan::from(&solve.file, solve.req, name, self.number)?;
                match solve.source(self.number, &base, &self.platform)? {
                    Some(source) => source,
                    None => return Ok(Done::Stopped),
                }
            }
        };
        let texts: Result<Vec<String>, _> = copy.sources.iter().map(|t| self.state.expand(t)).collect();
        let (texts, target) = (texts?, self.state.expand(&copy.target)?);
        let exclude = Ignore::new(copy.exclude.iter().map(String::as_str))?;
        let choice = Choice { exclude, parents: copy.parents, literal: false };
        let place = self.place(copy, &target, source.keep_owner)?;

        // As in BuildKit, what changes modes looks at what is below after all.
        let link = copy.link && place.set.mode.is_none();
        let mut key = if link { Key::new("link", &[]) } else { self.key("copy") };
        place.hash(&mut key);
        let checksum = copy.checksum.as_ref().map(|c| self.state.expand(c)).transpose()?;
        let checksum = checked_sum(checksum, &texts)?;
        let keep_owner = place.set.owner.is_none();
        // What was fetched stays until the step is done.
        let mut holds = Vec::new();
        let mut items = Vec::new();
        for text in &texts {
            key.part("source");
            let remote = Remote::parse(text)?;
            if remote.is_some() && !add {
                return Err(BuildError::input(format!("COPY can't fetch `{text}`")).help("ADD can"));
            }
            let unpack = add && copy.unpack.unwrap_or(remote.is_none());
            key.part(format!("{unpack}"));
            let picks = match remote {
                None => select(&source, text, &choice)?,
                Some(Remote::Http { url, name }) => match &checksum {
                    Some(digest) => {
                        let digest = sum_of_file(digest)?;
                        key.part(format!("{name} {digest}"));
                        self.solve
                            .note(Material::Http(without_password(&url)), Some(("sha256", digest.hex())));
                        items.push(Item::Later(url, name, digest));
                        continue;
                    }
                    None => {
                        let (held, pick) = self.download(&url, &name, None)?;
                        holds.push(held);
                        vec![pick]
                    }
                },
                Some(Remote::Git(mut source)) => {
                    if let Some(given) = &checksum {
                        let other = source.checksum.replace(given.clone());
                        if let Some(other) = other.filter(|o| o != given) {
                            return Err(BuildError::input(format!(
                                "`{text}`: the checksum is `{other}` there and `{given}` in --checksum"
                            )));
                        }
                    }
                    source.keep_git_dir.get_or_insert(copy.keep_git_dir);
                    vec![self.repository(&source)?]
                }
            };
            for pick in &picks {
                self.hash(&mut key, pick, keep_owner, &source)?;
            }
            items.push(Item::Files(picks, unpack));
        }
        for (name, content) in self.heredocs(copy)? {
            key.part(&name);
            key.part(&content);
            items.push(Item::Text(name, content));
        }
        let shown = self.shown(copy, add, &texts, &target)?;
        let owner = self.chown(copy)?;
        self.cached(&key.finish(), shown, |stage, staged| {
            // Linked files don't look at what is below.
            let below: &[PathBuf] = if link { &[] } else { &stage.lowers };
            let mut layer = NewLayer::new(staged.upper(), below);
            for item in &items {
                match item {
                    Item::Text(name, content) => place.write(&mut layer, name, content.as_bytes())?,
                    Item::Files(picks, unpack) => {
                        for pick in picks {
                            place.add(&mut layer, pick, *unpack, owner)?;
                        }
                    }
                    Item::Later(url, name, digest) => {
                        let (_held, pick) = stage.download(url, name, Some(digest))?;
                        place.add(&mut layer, &pick, copy.unpack == Some(true), owner)?;
                    }
                }
            }
            layer.finish()?;
            Ok(Made::Files)
        })
    }

    /// `--chown`, by the stage's own users.
    fn chown(&self, copy: &Copy) -> Result<Option<(u32, u32)>, BuildError> {
        let Some(spec) = &copy.chown else { return Ok(None) };
        let spec = self.state.expand(spec)?;
        if spec.is_empty() {
            return Ok(None);
        }
        let mode = copy.chmod.as_ref().map(|m| self.state.expand(m)).transpose()?.unwrap_or_default();
        if copy.link && mode.is_empty() && spec.contains(|c: char| !c.is_ascii_digit() && c != ':') {
            return Err(BuildError::input(format!("`--chown={spec}` with --link needs numbers")).help(
                "a linked layer doesn't look into the image below it, so it doesn't know the names there",
            ));
        }
        users::resolve(&self.view(), &spec).map(Some)
    }

    fn place(&self, copy: &Copy, target: &str, keep_owner: bool) -> Result<Place, BuildError> {
        let directory = target.ends_with('/') || target == "." || target.ends_with("/.") || target.is_empty();
        let owner = self.chown(copy)?.or((!keep_owner).then_some((0, 0)));
        let mode = copy.chmod.as_ref().map(|m| self.state.expand(m)).transpose()?;
        let mode = mode.filter(|m| !m.is_empty()).map(|m| Chmod::parse(&m)).transpose()?;
        let to = normal(&self.state.absolute(target));
        Ok(Place { to, directory, set: Attributes { owner, mode } })
    }

    /// The line of the history.
    fn shown(&self, copy: &Copy, add: bool, sources: &[String], target: &str) -> Result<String, BuildError> {
        let mut shown = if add { "ADD" } else { "COPY" }.to_owned();
        if copy.parents {
            shown.push_str(" --parents");
        }
        for (flag, value) in [("chown", &copy.chown), ("chmod", &copy.chmod)] {
            let value = value.as_ref().map(|v| self.state.expand(v)).transpose()?;
            if let Some(value) = value.filter(|v| !v.is_empty()) {
                shown.push_str(&format!(" --{flag}={value}"));
            }
        }
        let texts = copy.heredocs.iter().map(|h| format!("<<{}", h.name));
        for source in sources.iter().cloned().chain(texts) {
            shown.push_str(&format!(" {source}"));
        }
        Ok(format!("{} {target} # buildkit", without_password(&shown)))
    }

    /// Names and expanded contents.
    fn heredocs(&self, copy: &Copy) -> Result<Vec<(String, String)>, BuildError> {
        let content = |h: &crate::dockerfile::Heredoc| {
            if !h.expand {
                return Ok((h.name.clone(), h.text()));
            }
            let text = expand_raw(&h.text(), &|n| self.state.get(n));
            Ok((h.name.clone(), text?))
        };
        copy.heredocs.iter().map(content).collect()
    }

    /// What matters of a source: all but its times.
    pub(crate) fn hash(
        &self,
        key: &mut Key,
        pick: &Pick,
        owners: bool,
        from: &Source,
    ) -> Result<(), BuildError> {
        key.part(pick.name.as_encoded_bytes());
        let root = std::iter::once((Path::new(""), &pick.root));
        for (below, node) in root.chain(pick.entries.iter().map(|e| (e.below.as_path(), &e.node))) {
            let meta = &node.meta;
            key.part(below.as_os_str().as_encoded_bytes());
            key.part(format!("{:o} {}", meta.mode(), if meta.is_file() { 0 } else { meta.rdev() }));
            if owners {
                key.part(format!("{}:{}", meta.uid(), meta.gid()));
            }
            let failed = |e| {
                BuildError::environment(
                    format!("failed to read `{}` of {}", node.path.display(), from.name),
                    e,
                )
            };
            if meta.is_file() {
                let digest: Digest = self.solve.digests.of(&node.real, meta).map_err(failed)?;
                key.part(digest.hex());
            } else if meta.is_symlink() {
                let target = std::fs::read_link(&node.real).map_err(failed)?;
                key.part(target.as_os_str().as_encoded_bytes());
            }
        }
        Ok(())
    }
}

/// Where a COPY puts things (tonistiigi/fsutil copy.Copy).
pub(crate) struct Place {
    /// Absolute, links not resolved.
    pub(crate) to: PathBuf,
    /// It is a directory even if nothing is there.
    pub(crate) directory: bool,
    pub(crate) set: Attributes,
}

impl Place {
    fn hash(&self, key: &mut Key) {
        key.part(self.to.as_os_str().as_encoded_bytes());
        key.part(format!("{} {:?}", self.directory, self.set));
    }

    /// Makes a directory and those above it; its path without links.
    fn make(&self, layer: &mut NewLayer, path: &Path) -> Result<PathBuf, BuildError> {
        let path = layer.resolve(path)?;
        let mode = self.set.mode.as_ref().map_or(0o755, Chmod::of_parents);
        layer.make_dir(&path, self.set.owner.unwrap_or((0, 0)), mode)?;
        Ok(path)
    }

    /// The path of a source named `name`, all above it being made. Links at the destination are followed.
    fn find(&self, layer: &mut NewLayer, name: &OsStr, directory: bool) -> Result<PathBuf, BuildError> {
        self.make(layer, if self.directory { &self.to } else { parent(&self.to) })?;
        let to = layer.resolve(&self.to)?;
        let there = match layer.view.find(&to, false).map_err(|e| BuildError::io("look up", &to, e))? {
            Found::Node(node) => Some(node),
            Found::Missing(_) => None,
        };
        if directory {
            return if there.is_some() { Ok(to) } else { self.make(layer, &to) };
        }
        let path = if there.as_ref().is_some_and(Node::is_dir) { to.join(name) } else { to };
        self.make(layer, parent(&path))?;
        Ok(path)
    }

    /// Unpacks an archive if it is one and that is wanted, else copies.
    fn add(
        &self,
        layer: &mut NewLayer,
        pick: &Pick,
        unpack: bool,
        owner: Option<(u32, u32)>,
    ) -> Result<(), BuildError> {
        if unpack && pick.root.meta.is_file() && is_archive(&pick.root.real)? {
            return layer.unpack(&pick.root.real, &self.to, owner);
        }
        self.put(layer, pick)
    }

    /// Copies a file, or what is in a directory.
    pub(crate) fn put(&self, layer: &mut NewLayer, pick: &Pick) -> Result<(), BuildError> {
        let path = self.find(layer, &pick.name, pick.root.is_dir())?;
        layer.links.clear();
        if !pick.root.is_dir() {
            return layer.put(&pick.root, &path, &self.set);
        }
        layer.put_root(&pick.root, &path)?;
        for entry in &pick.entries {
            layer.put(&entry.node, &path.join(&entry.below), &self.set)?;
        }
        Ok(())
    }

    fn write(&self, layer: &mut NewLayer, name: &str, bytes: &[u8]) -> Result<(), BuildError> {
        let path = self.find(layer, OsStr::new(name), false)?;
        layer.write(&path, bytes, &self.set)
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

/// `--checksum`, where it can be: of one source, which is fetched.
pub(crate) fn checked_sum(text: Option<String>, sources: &[String]) -> Result<Option<String>, BuildError> {
    let Some(text) = text.filter(|c| !c.is_empty()) else { return Ok(None) };
    let [source] = sources else {
        return Err(BuildError::input("--checksum is for a single source").help("write an ADD for each"));
    };
    match Remote::parse(source)? {
        Some(Remote::Http { .. }) => drop(sum_of_file(&text)?),
        Some(Remote::Git(_)) => {}
        None => {
            return Err(BuildError::input("--checksum is for what is fetched")
                .help("take it out: the files of the context are known by their contents"));
        }
    }
    Ok(Some(text))
}

/// The digest of a file.
pub(crate) fn sum_of_file(text: &str) -> Result<Digest, BuildError> {
    text.parse().map_err(|e| {
        BuildError::environment(format!("wrong checksum `{text}`"), e)
            .help("write sha256: and 64 digits, as sha256sum counts them")
    })
}
