//! Images: a configuration, its layers, its names.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::indexes::{Named, unnamed_index};
use super::layers::Unpacked;
use super::names::{self, Names};
use super::temp::{Temp, entries};
use super::{LayerId, Store, files};
use crate::error::{ImageError, Result};
use crate::{Digest, ImageConfig, Reference};

/// An image in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Digest of its configuration.
    pub id: Digest,
    /// Its configuration.
    pub config: ImageConfig,
    /// Its layers, bottom first.
    pub layers: Vec<LayerId>,
    /// Its names with tags, sorted.
    pub refs: Vec<Reference>,
    /// Its names with the digests that registries have them under, sorted.
    pub repo_digests: Vec<Reference>,
    /// Sum of the lengths of its layers' files, bytes.
    pub size: u64,
    /// When it was made, RFC 3339, as its configuration says.
    pub created: Option<String>,
    /// When it was named last, RFC 3339.
    pub last_tagged: Option<String>,
    /// Names that stand for it only together with its platform.
    pub part_of: Vec<Reference>,
}

impl Image {
    /// Whether it has a name only together with its platform.
    pub fn is_part(&self) -> bool {
        self.refs.is_empty() && self.repo_digests.is_empty() && !self.part_of.is_empty()
    }

    /// Whether it has no name at all.
    pub fn is_dangling(&self) -> bool {
        self.refs.is_empty() && self.repo_digests.is_empty() && self.part_of.is_empty()
    }
}

/// `images/<id>.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Summary {
    layers: Vec<LayerId>,
    size: u64,
}

/// An image about to be added.
pub(crate) struct NewImage<'a> {
    /// Its configuration, byte for byte.
    pub(crate) config: &'a [u8],
    /// Unpacked layers, of this image or not. What it needs beyond them must be in the store.
    pub(crate) layers: &'a [Unpacked],
    pub(crate) names: &'a [Reference],
    /// What a registry has under these names.
    pub(crate) manifest: Option<Digest>,
}

/// The digits of what may be the beginning of an id: four at least, as with docker, since short names look like that, too.
pub(super) fn id_beginning(text: &str) -> Option<&str> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    let digits = hex.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'));
    (hex.len() >= 4 && digits).then_some(hex)
}

impl Store {
    /// The image of a name: of an index, the one for this machine.
    pub fn get(&self, reference: &Reference) -> Result<Option<Image>> {
        let names = self.names()?;
        match names::find(&names, reference) {
            Some(name) => self.image(name.image, &names),
            None => Ok(None),
        }
    }

    /// All images of what a user wrote, the one for this machine first; several if it stands for an index.
    pub fn find_all(&self, text: &str) -> Result<Vec<Image>> {
        let names = self.names()?;
        let name = match text.parse::<Reference>().ok().and_then(|r| names::find(&names, &r)) {
            Some(name) => Some(name),
            None => unnamed_index(text, &names),
        };
        let Some(name) = name else { return Ok(self.find(text)?.into_iter().collect()) };
        let mut all = Vec::new();
        for id in std::iter::once(&name.image).chain(&name.others) {
            all.extend(self.image(*id, &names)?);
        }
        Ok(all)
    }

    /// As `find_all`, but of ids only a whole one: a file's `FROM cafe` means the name, whatever ids there are.
    pub fn find_named(&self, text: &str) -> Result<Vec<Image>> {
        let whole = id_beginning(text).is_some_and(|hex| Digest::from_hex(hex).is_ok());
        let named = match text.parse() {
            Ok(reference) => self.get(&reference)?.is_some(),
            Err(_) => false,
        };
        if whole || named { self.find_all(text) } else { Ok(Vec::new()) }
    }

    /// Whether the store has an image.
    pub fn has(&self, id: &Digest) -> bool {
        self.summary_path(id).exists()
    }

    /// The image of an id or of an id's beginning, with or without `sha256:`.
    pub fn get_by_id(&self, prefix: &str) -> Result<Option<Image>> {
        let Some(hex) = id_beginning(prefix) else { return Ok(None) };
        let ids = match Digest::from_hex(hex) {
            Ok(id) if self.summary_path(&id).exists() => vec![id],
            Ok(_) => Vec::new(),
            Err(_) => self.ids()?.into_iter().filter(|id| id.hex().starts_with(hex)).collect(),
        };
        match ids.as_slice() {
            [] => {
                let names = self.names()?;
                match unnamed_index(prefix, &names) {
                    Some(name) => self.image(name.image, &names),
                    None => Ok(None),
                }
            }
            [id] => self.image(*id, &self.names()?),
            _ => Err(ImageError::Ambiguous { prefix: prefix.to_owned(), ids }),
        }
    }

    /// The image of what a user wrote: a name, an id or an id's beginning; names first, as docker does.
    pub fn find(&self, text: &str) -> Result<Option<Image>> {
        if let Ok(reference) = text.parse::<Reference>()
            && let Some(image) = self.get(&reference)?
        {
            return Ok(Some(image));
        }
        self.get_by_id(text)
    }

    /// All images, the newest first.
    pub fn list(&self) -> Result<Vec<Image>> {
        let names = self.names()?;
        let mut images = Vec::new();
        for id in self.ids()? {
            // It may have been removed a moment ago.
            images.extend(self.image(id, &names)?);
        }
        images.sort_by(|a, b| b.created.cmp(&a.created).then(a.id.cmp(&b.id)));
        Ok(images)
    }

    /// The unpacked files of an image's layers, top first: overlayfs's lower directories.
    pub fn layer_paths(&self, image: &Image) -> Result<Vec<PathBuf>> {
        let path = |l: &LayerId| match self.sound(l)? {
            true => Ok(self.layer_dir(l).join("fs")),
            false => Err(ImageError::LayerMissing(l.0)),
        };
        image.layers.iter().rev().map(path).collect()
    }

    /// Gives an image one more name. The name may have been another image's.
    pub fn tag(&self, image: &Digest, reference: &Reference) -> Result<()> {
        let _adding = self.adding()?;
        if !self.summary_path(image).exists() {
            return Err(ImageError::NotFound(image.to_string()));
        }
        self.name(&Named::image(*image), std::slice::from_ref(reference), None)
    }

    /// Adds an image of layers that the store has. The same arguments give the same id.
    pub fn put_image(&self, config: &ImageConfig, layers: &[LayerId], tags: &[Reference]) -> Result<Image> {
        let mut config = config.clone();
        config.rootfs.diff_ids = layers.iter().map(|l| l.0).collect();
        let bytes =
            serde_json::to_vec(&config).map_err(|e| ImageError::json("the image configuration", e))?;
        self.add(&NewImage { config: &bytes, layers: &[], names: tags, manifest: None })
    }

    pub(crate) fn add(&self, new: &NewImage<'_>) -> Result<Image> {
        let id = Digest::of(new.config);
        let config: ImageConfig =
            serde_json::from_slice(new.config).map_err(|e| ImageError::json("the image configuration", e))?;
        let layers: Vec<LayerId> = config.rootfs.diff_ids.iter().copied().map(LayerId).collect();
        let temp = self.temp()?;
        let adding = self.adding()?;
        self.add_locked(new, id, &layers, &temp)?;
        self.name(&Named::image(id), new.names, new.manifest)?;
        // Once others may go on, somebody may remove it.
        let image = self.image(id, &self.names()?)?;
        drop(adding);
        image.ok_or_else(|| ImageError::NotFound(id.to_string()))
    }

    /// Adds an image without its names. The caller holds the store's lock.
    pub(super) fn add_locked(
        &self,
        new: &NewImage<'_>,
        id: Digest,
        layers: &[LayerId],
        temp: &Temp,
    ) -> Result<()> {
        let mut dirs = Vec::new();
        for layer in layers {
            let aside = new.layers.iter().find(|l| l.info.id == *layer);
            dirs.push(match aside {
                Some(aside) if !self.sound(layer)? => aside.dir(),
                _ => self.layer_dir(layer),
            });
        }
        self.make_links(&dirs, temp)?;
        for layer in new.layers.iter().filter(|l| layers.contains(&l.info.id)) {
            self.place_unpacked(layer)?;
        }
        let mut size = 0;
        for layer in layers {
            if !self.sound(layer)? {
                return Err(ImageError::LayerMissing(layer.0));
            }
            size += self.layer_info(layer)?.ok_or(ImageError::LayerMissing(layer.0))?.content;
        }
        let blob = self.config_path(&id);
        if !blob.exists() {
            files::replace(&temp.path().join("config"), &blob, new.config)?;
        }
        let summary = self.summary_path(&id);
        if !summary.exists() {
            let json = files::to_json(&summary, &Summary { layers: layers.to_vec(), size })?;
            files::replace(&temp.path().join("summary"), &summary, &json)?;
        }
        Ok(())
    }

    /// Gives names. The caller holds the store's lock.
    pub(super) fn name(
        &self,
        what: &Named,
        references: &[Reference],
        manifest: Option<Digest>,
    ) -> Result<()> {
        if references.is_empty() {
            return Ok(());
        }
        self.change_names(|names| {
            what.put(names, references, manifest);
            Ok(())
        })
    }

    pub(super) fn ids(&self) -> Result<Vec<Digest>> {
        let mut ids: Vec<Digest> = entries(&self.root.join("images"))?
            .iter()
            .filter_map(|p| Digest::from_hex(p.file_name()?.to_str()?.strip_suffix(".json")?).ok())
            .collect();
        ids.sort();
        Ok(ids)
    }

    pub(super) fn image(&self, id: Digest, names: &Names) -> Result<Option<Image>> {
        let Some(summary) = files::read_json::<Summary>(&self.summary_path(&id))? else { return Ok(None) };
        let Some(config) = files::read_json::<ImageConfig>(&self.config_path(&id))? else { return Ok(None) };
        let (mut refs, mut repo_digests, mut part_of) = (Vec::new(), Vec::new(), Vec::new());
        let mut last_tagged = None;
        for (key, name) in names {
            let whole = name.image == id;
            // Names are many: only those of this image are read.
            if !whole && !name.others.contains(&id) {
                continue;
            }
            let Ok(reference) = key.parse::<Reference>() else { continue };
            if !whole {
                part_of.push(reference);
                continue;
            }
            last_tagged = last_tagged.max(Some(name.tagged.clone()));
            repo_digests.extend(name.manifest.map(|m| reference.with_digest(m)));
            if reference.digest().is_none() {
                refs.push(reference);
            }
        }
        repo_digests.sort();
        repo_digests.dedup();
        let created = config.created.clone();
        let Summary { layers, size } = summary;
        Ok(Some(Image { id, config, layers, refs, repo_digests, size, created, last_tagged, part_of }))
    }

    pub(super) fn layers_of(&self, id: &Digest) -> Result<Vec<LayerId>> {
        Ok(files::read_json::<Summary>(&self.summary_path(id))?.map(|s| s.layers).unwrap_or_default())
    }

    /// An image's configuration, byte for byte.
    pub(crate) fn config_bytes(&self, image: &Image) -> Result<Vec<u8>> {
        let path = self.config_path(&image.id);
        files::read(&path)?.ok_or_else(|| ImageError::NotFound(image.id.to_string()))
    }

    pub(super) fn config_path(&self, id: &Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(id.hex())
    }

    pub(super) fn summary_path(&self, id: &Digest) -> PathBuf {
        self.root.join("images").join(format!("{}.json", id.hex()))
    }
}
