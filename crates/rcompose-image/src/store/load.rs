//! Images from a docker archive or an OCI layout in a tar stream, read once from front to back: what looks like a
//! layer is unpacked aside as it comes, and put in place once a manifest says which image it is of.

use std::collections::HashMap;
use std::io::Read;

use serde::Deserialize;

use super::layers::Unpacked;
use super::layout::oci_images;
use super::{Hold, Image, LayerId, NewImage, Store};
use crate::error::{ImageError, Result};
use crate::stream::{Guard, archive_error, decompressed, feed};
use crate::{Digest, ImageConfig, Index, Platform, Reference};

/// Manifests and configurations are shorter than this.
const LONGEST_JSON: u64 = 8 << 20;
/// All of them together: they are kept until the end.
const LONGEST_ALL: usize = 64 << 20;

/// An image from an archive.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The image.
    pub image: Image,
    /// The names that the archive has for it.
    pub refs: Vec<Reference>,
}

#[derive(Default)]
pub(super) struct Members {
    json: HashMap<String, Vec<u8>>,
    layers: HashMap<String, Result<LayerId>>,
    /// Links within the archive, as old docker archives have them.
    links: HashMap<String, String>,
    unpacked: Vec<Unpacked>,
}

/// An entry of `manifest.json` (moby, image/tarexport).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerManifest {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

/// What a manifest says.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) config: String,
    pub(super) layers: Vec<String>,
    pub(super) refs: Vec<Reference>,
    /// What the names stand for, if that is more than this image: with the images of the other platforms.
    pub(super) index: Option<(Index, Vec<Found>)>,
}

impl Store {
    /// Adds the images of an archive. Of an OCI index with several platforms all that are there are taken, unless
    /// `platform` says which one.
    pub fn load(&self, source: impl Read + Send, platform: Option<&Platform>) -> Result<Vec<Loaded>> {
        let hold = self.hold()?;
        let members = self.read_members(&hold, source)?;
        let found = match (members.json("manifest.json"), members.json("index.json")) {
            // docker's own list knows nothing of indexes.
            (Some(manifest), Some(index)) => match oci_images(&members, index, platform) {
                Ok(found) if found.iter().any(|f| f.index.is_some()) => found,
                _ => docker_images(manifest)?,
            },
            (Some(manifest), None) => docker_images(manifest)?,
            (None, Some(index)) => oci_images(&members, index, platform)?,
            (None, None) => {
                return Err(ImageError::malformed(
                    "the archive",
                    "it has neither `manifest.json` nor `index.json`",
                ));
            }
        };
        // All are checked before the first is added.
        let checked = found
            .into_iter()
            .map(|f| {
                let more = f.index.iter().flat_map(|(_, more)| more);
                let configs = std::iter::once(&f).chain(more).map(|f| members.check(f));
                Ok((configs.collect::<Result<Vec<_>>>()?, f))
            })
            .collect::<Result<Vec<_>>>()?;
        let mut loaded = Vec::new();
        for (configs, found) in checked {
            let (layers, names) = (&members.unpacked[..], &found.refs[..]);
            let new = NewImage { config: configs[0], layers, names, manifest: None };
            let image = match &found.index {
                Some((index, _)) => self.add_index(index, &configs, &new)?.image,
                None => self.add(&new)?,
            };
            loaded.push(Loaded { image, refs: found.refs });
        }
        Ok(loaded)
    }

    fn read_members(&self, hold: &Hold, source: impl Read + Send) -> Result<Members> {
        let read = |e| ImageError::Read { what: "the archive".to_owned(), source: archive_error(e) };
        let (mut members, mut kept) = (Members::default(), 0);
        let mut archive = tar::Archive::new(Guard::new(decompressed(source).map_err(read)?));
        for entry in archive.entries().map_err(read)? {
            let mut entry = entry.map_err(read)?;
            let path = clean(&String::from_utf8_lossy(&entry.path_bytes()));
            let kind = entry.header().entry_type();
            if let (true, Some(target)) = (kind.is_symlink() || kind.is_hard_link(), entry.link_name_bytes())
            {
                let target = String::from_utf8_lossy(&target).into_owned();
                let target = match path.rsplit_once('/') {
                    Some((above, _)) if kind.is_symlink() => format!("{above}/{target}"),
                    _ => target,
                };
                members.links.insert(path, clean(&target));
            } else if kind.is_file() {
                let mut head = Vec::with_capacity(512);
                entry.by_ref().take(512).read_to_end(&mut head).map_err(read)?;
                let size = entry.size();
                let is_tar = head.get(257..262) == Some(b"ustar");
                let json = matches!(head.trim_ascii_start().first(), Some(b'{' | b'['));
                let mut whole = (&head[..]).chain(&mut entry);
                if json && !is_tar && size <= LONGEST_JSON {
                    let mut bytes = Vec::new();
                    whole.read_to_end(&mut bytes).map_err(read)?;
                    if let Some(expected) = address(&path) {
                        verify(&path, expected, Digest::of(&bytes))?;
                    }
                    kept += bytes.len();
                    if kept > LONGEST_ALL {
                        let why = "its manifests and configurations are longer than 64 MiB together";
                        return Err(ImageError::malformed("the archive", why));
                    }
                    members.json.insert(path, bytes);
                } else if is_tar
                    || head.starts_with(&[0x1f, 0x8b])
                    || head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
                {
                    self.read_layer(hold, path, &mut whole, is_tar, &mut members)?;
                } else if head.iter().all(|b| *b == 0) && size >= 1024 {
                    // A tar stream without members, as an empty layer is.
                    self.read_layer(hold, path, &mut whole, true, &mut members)?;
                }
            }
        }
        Ok(members)
    }

    fn read_layer(
        &self,
        hold: &Hold,
        path: String,
        content: &mut dyn Read,
        plain: bool,
        members: &mut Members,
    ) -> Result<()> {
        let address = address(&path);
        if let Some(diff_id) = address.filter(|_| plain).map(LayerId)
            && hold.layer(&diff_id)?
        {
            members.layers.insert(path, Ok(diff_id));
            return Ok(());
        }
        let (summed, unpacked) = feed(content, |reader| Self::unpack_in(hold.within()?, reader, None));
        let summed = summed.map_err(|source| ImageError::Read { what: format!("`{path}`"), source })?;
        if let Some(expected) = address {
            verify(&path, expected, summed.digest)?;
        }
        // What isn't a layer after all matters only if a manifest says that it is one; trouble of ours matters now.
        let unpacked = match unpacked {
            Err(e @ (ImageError::DiskFull { .. } | ImageError::Io { .. })) => return Err(e),
            unpacked => unpacked,
        };
        let layer = unpacked.map(|unpacked| {
            let id = unpacked.info.id;
            members.unpacked.push(unpacked);
            id
        });
        members.layers.insert(path, layer);
        Ok(())
    }
}

impl Members {
    /// Whether an image is in the archive as a whole.
    pub(super) fn has(&self, found: &Found) -> bool {
        let layer = |path: &String| self.layers.contains_key(self.resolve(path));
        self.json(&found.config).is_some() && found.layers.iter().all(layer)
    }

    fn resolve<'a>(&'a self, path: &'a str) -> &'a str {
        let mut path = path;
        for _ in 0..40 {
            match self.links.get(path) {
                Some(target) => path = target,
                None => break,
            }
        }
        path
    }

    pub(super) fn json(&self, path: &str) -> Option<&[u8]> {
        self.json.get(self.resolve(path)).map(Vec::as_slice)
    }

    pub(super) fn need(&self, path: &str) -> Result<&[u8]> {
        self.json(path).ok_or_else(|| ImageError::malformed("the archive", format!("`{path}` is missing")))
    }

    /// The configuration of an image, once its layers are what it says.
    fn check(&self, found: &Found) -> Result<&[u8]> {
        let bytes = self.need(&found.config)?;
        let config: ImageConfig =
            serde_json::from_slice(bytes).map_err(|e| ImageError::json(format!("`{}`", found.config), e))?;
        let diff_ids = &config.rootfs.diff_ids;
        if diff_ids.len() != found.layers.len() {
            let why = format!("it has {} layers, its configuration {}", found.layers.len(), diff_ids.len());
            return Err(ImageError::malformed("an image in the archive", why));
        }
        for (path, expected) in found.layers.iter().zip(diff_ids) {
            match self.layers.get(self.resolve(path)) {
                Some(Ok(layer)) => verify(path, *expected, layer.0)?,
                Some(Err(e)) => {
                    let why = std::error::Error::source(e).map(|s| format!(": {s}")).unwrap_or_default();
                    return Err(ImageError::malformed(format!("layer `{path}`"), format!("{e}{why}")));
                }
                None => {
                    return Err(ImageError::malformed("the archive", format!("layer `{path}` is missing")));
                }
            }
        }
        Ok(bytes)
    }
}

fn docker_images(manifest: &[u8]) -> Result<Vec<Found>> {
    let entries: Vec<DockerManifest> =
        serde_json::from_slice(manifest).map_err(|e| ImageError::json("`manifest.json`", e))?;
    let image = |entry: DockerManifest| {
        let parse = |name: &String| {
            name.parse().map_err(|e| ImageError::malformed("`manifest.json`", format!("{e}")))
        };
        Ok(Found {
            config: clean(&entry.config),
            layers: entry.layers.unwrap_or_default().iter().map(|l| clean(l)).collect(),
            refs: entry.repo_tags.unwrap_or_default().iter().map(parse).collect::<Result<_>>()?,
            index: None,
        })
    };
    entries.into_iter().map(image).collect()
}

fn verify(path: &str, expected: Digest, actual: Digest) -> Result<()> {
    match expected == actual {
        true => Ok(()),
        false => Err(ImageError::Mismatch { what: format!("`{path}`"), expected, actual }),
    }
}

/// What the content of a member must be, if its name says so.
fn address(path: &str) -> Option<Digest> {
    Digest::from_hex(path.strip_prefix("blobs/sha256/")?).ok()
}

pub(super) fn blob(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Without `.` and `..` parts.
fn clean(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}
