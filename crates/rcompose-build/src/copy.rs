//! COPY and ADD.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rcompose_image::Digest;

use crate::apply::{Attributes, NewLayer};
use crate::archive::{Scratch, is_archive, unpack};
use crate::cache::Key;
use crate::dockerfile::Copy;
use crate::expand::expand_raw;
use crate::ignore::Ignore;
use crate::plan;
use crate::select::{Pick, Source, normal, select};
use crate::stage::{Done, Stage};
use crate::view::{Found, Node, View};
use crate::{BuildError, users};

impl Stage<'_> {
    pub(crate) fn copy(&mut self, copy: &Copy, add: bool) -> Result<Done, BuildError> {
        let solve = self.solve;
        let word = if add { "ADD" } else { "COPY" };
        let source = match &copy.from {
            None => solve.context.clone(),
            Some(name) => {
                let base = plan::from(&solve.file, solve.req, name, self.number)?;
                match solve.source(&base, &self.platform)? {
                    Some(source) => source,
                    None => return Ok(Done::Stopped),
                }
            }
        };
        let expand = |texts: &[String]| -> Result<Vec<String>, BuildError> {
            texts.iter().map(|t| self.state.expand(t)).collect()
        };
        let sources = expand(&copy.sources)?;
        if let Some(remote) = sources.iter().find(|s| is_remote(s)).filter(|_| add) {
            return Err(BuildError::input(format!("ADD can't fetch `{remote}` yet: only local files"))
                .help("fetch it in a RUN, or put the file into the context"));
        }
        let exclude = expand(&copy.exclude)?;
        let target = self.state.expand(&copy.target)?;
        let selection = select(&source, &sources, &exclude, copy.parents)?;
        let heredocs = self.heredocs(copy)?;
        let several = selection.several || sources.len() + heredocs.len() > 1;
        let directory = target.ends_with('/') || target == "." || target.ends_with("/.") || target.is_empty();
        if several && !directory {
            return Err(BuildError::input(format!("several sources can't be copied to the file `{target}`"))
                .help(format!("end the destination with `/`: `{target}/`")));
        }
        let owner = match &copy.chown {
            Some(spec) => Some(users::resolve(&self.view(), &self.state.expand(spec)?)?),
            None if source.keep_owner => None,
            None => Some((0, 0)),
        };
        let mode = copy.chmod.as_ref().map(|m| self.state.expand(m)).transpose()?;
        let mode = mode.map(|m| parse_mode(&m)).transpose()?;
        let set = Attributes { owner, mode };
        let to = normal(&self.state.absolute(&target));

        let mut key = self.key("copy");
        key.part(to.as_os_str().as_encoded_bytes());
        key.part(format!("{directory} {several} {add} {:?} {owner:?} {mode:?}", copy.unpack));
        key.part(copy.chown.is_some().to_string());
        for pick in &selection.picks {
            self.hash(&mut key, pick, owner.is_none(), &source)?;
        }
        for (name, content) in &heredocs {
            key.part(name);
            key.part(content);
        }
        let unpacks = add && copy.unpack != Some(false);
        let names = sources.iter().cloned().chain(heredocs.iter().map(|(n, _)| format!("<<{n}")));
        let shown = format!("{word} {} {target} # buildkit", names.collect::<Vec<_>>().join(" "));
        let place = Place { to, directory: directory || several, set };
        self.cached(&key.finish(), shown, |stage, staged| {
            let mut layer = NewLayer::new(staged.upper(), &stage.lowers);
            for pick in &selection.picks {
                if unpacks && pick.root && pick.node.meta.is_file() && is_archive(&pick.node.real)? {
                    stage.unpack(&mut layer, pick, &place, copy.chown.is_some())?;
                } else {
                    place.put(&mut layer, pick)?;
                }
            }
            for (name, content) in &heredocs {
                place.write(&mut layer, name, content.as_bytes())?;
            }
            layer.finish()?;
            Ok(true)
        })
    }

    /// Names and expanded contents.
    fn heredocs(&self, copy: &Copy) -> Result<Vec<(String, String)>, BuildError> {
        let content = |h: &crate::dockerfile::Heredoc| {
            if !h.expand {
                return Ok((h.name.clone(), h.text()));
            }
            let text = expand_raw(&h.text(), &|n| self.state.get(n));
            Ok((h.name.clone(), text.map_err(BuildError::input)?))
        };
        copy.heredocs.iter().map(content).collect()
    }

    /// What matters of a copied thing: all but its times.
    pub(crate) fn hash(
        &self,
        key: &mut Key,
        pick: &Pick,
        owners: bool,
        from: &Source,
    ) -> Result<(), BuildError> {
        let meta = &pick.node.meta;
        key.part(pick.below.as_os_str().as_encoded_bytes());
        key.part(format!("{:o} {} {}", meta.mode(), pick.root, if meta.is_file() { 0 } else { meta.rdev() }));
        if owners {
            key.part(format!("{}:{}", meta.uid(), meta.gid()));
        }
        let failed = |e| {
            BuildError::environment(
                format!("failed to read `{}` of {}", pick.node.path.display(), from.name),
                e,
            )
        };
        if meta.is_file() {
            let digest: Digest = self.solve.digests.of(&pick.node.real, meta).map_err(failed)?;
            key.part(digest.hex());
        } else if meta.is_symlink() {
            let target = std::fs::read_link(&pick.node.real).map_err(failed)?;
            key.part(target.as_os_str().as_encoded_bytes());
        }
        Ok(())
    }

    fn unpack(
        &self,
        layer: &mut NewLayer,
        pick: &Pick,
        place: &Place,
        chown: bool,
    ) -> Result<(), BuildError> {
        let scratch = Scratch::new(&self.solve.req.cache_root)?;
        unpack(&pick.node.real, scratch.path())?;
        let source = Source {
            view: View::new(vec![scratch.path().to_owned()]),
            ignore: Ignore::default(),
            name: format!("the archive {}", pick.node.path.display()),
            keep_owner: true,
        };
        // Owners in an archive count, unless --chown is given.
        let owner = place.set.owner.filter(|_| chown);
        let inside =
            Place { to: place.to.clone(), directory: true, set: Attributes { owner, mode: place.set.mode } };
        for pick in &select(&source, &["/".to_owned()], &[], false)?.picks {
            inside.put(layer, pick)?;
        }
        Ok(())
    }
}

/// Where a COPY puts things.
pub(crate) struct Place {
    /// Absolute, links not resolved.
    pub(crate) to: PathBuf,
    /// It is a directory even if nothing is there.
    pub(crate) directory: bool,
    pub(crate) set: Attributes,
}

impl Place {
    /// The resolved path of a file named `name`; its parent is made.
    fn file(&self, layer: &mut NewLayer, below: &Path) -> Result<PathBuf, BuildError> {
        let failed = |e| BuildError::io("look up", &self.to, e);
        let there = layer.view.find(&self.to, true).map_err(failed)?;
        let into = self.directory || matches!(&there, Found::Node(n) if n.is_dir());
        let wanted = if into { self.to.join(below) } else { self.to.clone() };
        let name = wanted.file_name().map(ToOwned::to_owned).unwrap_or_default();
        let parent = layer.resolve(wanted.parent().unwrap_or(Path::new("/")))?;
        layer.make_dir(&parent, self.set.owner.unwrap_or((0, 0)))?;
        Ok(parent.join(name))
    }

    pub(crate) fn put(&self, layer: &mut NewLayer, pick: &Pick) -> Result<(), BuildError> {
        let node: &Node = &pick.node;
        if node.is_dir() {
            let path = if pick.below.as_os_str().is_empty() {
                layer.resolve(&self.to)?
            } else {
                let whole = self.to.join(&pick.below);
                let parent = layer.resolve(whole.parent().unwrap_or(Path::new("/")))?;
                parent.join(whole.file_name().unwrap_or_default())
            };
            let parent = path.parent().unwrap_or(Path::new("/"));
            layer.make_dir(parent, self.set.owner.unwrap_or((0, 0)))?;
            return layer.put(node, &path, self.set, pick.root);
        }
        let path = if pick.root {
            self.file(layer, &pick.below)?
        } else {
            let whole = self.to.join(&pick.below);
            let parent = layer.resolve(whole.parent().unwrap_or(Path::new("/")))?;
            layer.make_dir(&parent, (0, 0))?;
            parent.join(whole.file_name().unwrap_or_default())
        };
        layer.put(node, &path, self.set, pick.root)
    }

    fn write(&self, layer: &mut NewLayer, name: &str, bytes: &[u8]) -> Result<(), BuildError> {
        let path = self.file(layer, Path::new(name))?;
        layer.write(&path, bytes, self.set)
    }
}

fn is_remote(source: &str) -> bool {
    ["http://", "https://", "git://", "git@", "ssh://"].iter().any(|p| source.starts_with(p))
}

fn parse_mode(text: &str) -> Result<u32, BuildError> {
    u32::from_str_radix(text, 8).ok().filter(|m| *m <= 0o7777).ok_or_else(|| {
        BuildError::input(format!("`--chmod={text}` isn't an octal mode")).help("write it as 755 or 0644")
    })
}
