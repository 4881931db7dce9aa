//! Names that stand for more than one image's configuration: several platforms, annotations, attestations.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use super::images::id_beginning;
use super::names::{self, Name, Names};
use super::{Image, LayerId, NewImage, Store, files};
use crate::error::{ImageError, Result};
use crate::index::{Blob, Documents, manifest};
use crate::pull::Attested;
use crate::registry::Manifest;
use crate::{Digest, ImageConfig, Index, Member, Reference, rfc3339};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// What a name is given to.
pub(super) struct Named {
    image: Digest,
    index: Option<Digest>,
    others: Vec<Digest>,
}

impl Named {
    pub(super) fn image(image: Digest) -> Self {
        Self { image, index: None, others: Vec::new() }
    }

    pub(super) fn put(&self, names: &mut Names, references: &[Reference], manifest: Option<Digest>) {
        for reference in references {
            let key = names::key(reference);
            let old = names.get(&key).filter(|n| n.image == self.image && n.index == self.index);
            // A name that stays with its image keeps what the registry calls it.
            let manifest = manifest.or(reference.digest()).or(old.and_then(|n| n.manifest));
            names.insert(key, self.entry(manifest));
        }
    }

    fn entry(&self, manifest: Option<Digest>) -> Name {
        let tagged = rfc3339(SystemTime::now());
        let (image, index, others) = (self.image, self.index, self.others.clone());
        Name { image, manifest, index, others, tagged }
    }
}

/// An index in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Indexed {
    /// Digest of the document that [`Store::save`] writes of it: an index, or a manifest if it is flat.
    pub digest: Digest,
    /// That document's length, bytes.
    pub size: u64,
    /// Its type.
    pub media_type: String,
    /// The image for this machine, else the first.
    pub image: Image,
}

impl Store {
    /// Adds an index of images whose layers the store has: their configurations, in the members' order. The members'
    /// `image` is set here. All names change at one moment; without names it is found by its digest.
    pub fn put_index(&self, index: &Index, configs: &[ImageConfig], tags: &[Reference]) -> Result<Indexed> {
        let mut index = index.clone();
        let mut all = Vec::new();
        for (member, config) in index.members.iter_mut().zip(configs) {
            let bytes =
                serde_json::to_vec(config).map_err(|e| ImageError::json("the image configuration", e))?;
            member.image = Digest::of(&bytes);
            all.push(bytes);
        }
        self.add_index(&index, &all, &NewImage { config: &[], layers: &[], names: tags, manifest: None })
    }

    /// As [`Store::put_index`], of configurations as bytes. `with` has what is common: unpacked layers and names.
    pub(super) fn add_index(
        &self,
        index: &Index,
        configs: &[impl AsRef<[u8]>],
        with: &NewImage<'_>,
    ) -> Result<Indexed> {
        let temp = self.temp()?;
        let adding = self.adding()?;
        for (member, config) in index.members.iter().zip(configs) {
            let config = config.as_ref();
            let read: ImageConfig =
                serde_json::from_slice(config).map_err(|e| ImageError::json("the image configuration", e))?;
            let layers: Vec<LayerId> = read.rootfs.diff_ids.iter().copied().map(LayerId).collect();
            let new = NewImage { config, layers: with.layers, names: &[], manifest: None };
            self.add_locked(&new, member.image, &layers, &temp)?;
        }
        let indexed = self.name_index(index, with.names, with.manifest)?;
        drop(adding);
        Ok(indexed)
    }

    /// Whether a name has this image of this index of its registry already.
    pub(crate) fn has_pulled(
        &self,
        reference: &Reference,
        manifest: &Digest,
        image: &Digest,
    ) -> Result<bool> {
        let names = self.names()?;
        let name = names.get(&names::key(reference)).filter(|n| n.manifest == Some(*manifest));
        Ok(name.is_some_and(|n| n.image == *image || n.others.contains(image))
            && self.summary_path(image).exists())
    }

    /// Adds an image from a registry under its name. Other platforms of the same index stay with the name.
    pub(crate) fn add_pulled(&self, new: &NewImage<'_>, attested: Option<Attested>) -> Result<Image> {
        let names = self.names()?;
        let [reference] = new.names else { return self.add(new) };
        let old = names
            .get(&names::key(reference))
            .filter(|n| new.manifest.is_some() && n.manifest == new.manifest);
        let mut index = match old.and_then(|n| n.index) {
            Some(digest) => self.index(&digest)?.unwrap_or_default(),
            None => Index::default(),
        };
        if let (Some(old), true) = (old, index.members.is_empty()) {
            let before = self.image(old.image, &names)?;
            index.members.extend(before.map(|i| Member::new(i.config.platform(), i.id)));
        }
        let id = Digest::of(new.config);
        if !index.members.iter().any(|m| m.image == id) {
            let config: ImageConfig = serde_json::from_slice(new.config)
                .map_err(|e| ImageError::json("the image configuration", e))?;
            index.members.push(Member::new(config.platform(), id));
        }
        if let (Some(attested), Some(member)) = (attested, index.members.iter_mut().find(|m| m.image == id)) {
            member.annotations = attested.manifest;
            member.descriptor_annotations = attested.entry;
            member.attestations = attested.attestations;
            index.annotations = attested.index;
            index.subjects = attested.subjects;
        }
        if index.is_plain() {
            return self.add(new);
        }
        let config = |m: &Member| match m.image == id {
            true => Ok(new.config.to_vec()),
            false => {
                let bytes = files::read(&self.config_path(&m.image))?;
                bytes.ok_or_else(|| ImageError::NotFound(m.image.to_string()))
            }
        };
        let configs = index.members.iter().map(config).collect::<Result<Vec<_>>>()?;
        // Once others may go on, somebody may remove it.
        let _adding = self.adding()?;
        self.add_index(&index, &configs, new)?;
        self.image(id, &self.names()?)?.ok_or_else(|| ImageError::NotFound(id.to_string()))
    }

    /// Gives names to an index of images that are there. The caller holds the store's lock.
    pub(super) fn name_index(
        &self,
        index: &Index,
        tags: &[Reference],
        manifest: Option<Digest>,
    ) -> Result<Indexed> {
        let primary = index.primary().ok_or_else(|| ImageError::malformed("an index", "it has no images"))?;
        let root = self.documents(index)?.root;
        if index.is_plain() {
            self.name(&Named::image(primary), tags, manifest)?;
        } else {
            let named = Named { image: primary, index: Some(root.digest), others: index.others() };
            self.change_names(|names| {
                let path = self.index_path(&root.digest);
                let bytes = files::to_json(&path, index)?;
                let staged = path.with_extension("new");
                if !path.parent().is_some_and(|p| p.is_dir()) {
                    files::make_dirs(&self.indexes(), 0o755)?;
                }
                match index.members.len() {
                    // Lost in a power cut, its image is there without what is attested: not worth a wait for the disk.
                    1 => std::fs::write(&staged, &bytes)
                        .and_then(|()| std::fs::rename(&staged, &path))
                        .map_err(|e| ImageError::io("write", &path, e))?,
                    _ => files::replace(&staged, &path, &bytes)?,
                }
                named.put(names, tags, manifest);
                if tags.is_empty() {
                    names.retain(|key, n| !(key.starts_with('@') && n.image == primary));
                    names.insert(format!("@{}", root.digest), named.entry(None));
                }
                Ok(())
            })?;
        }
        let image = self.image(primary, &self.names()?)?;
        let image = image.ok_or_else(|| ImageError::NotFound(primary.to_string()))?;
        let size = root.bytes.len() as u64;
        Ok(Indexed { digest: root.digest, size, media_type: root.media_type, image })
    }

    /// Gives one more name to what a user wrote, an index as a whole.
    pub fn tag_as(&self, text: &str, reference: &Reference) -> Result<()> {
        let _adding = self.adding()?;
        let names = self.names()?;
        let named = match self.meant(text, &names)? {
            Some(name) => Named { image: name.image, index: name.index, others: name.others.clone() },
            None => {
                let image = self.get_by_id(text)?;
                Named::image(image.ok_or_else(|| ImageError::NotFound(text.to_owned()))?.id)
            }
        };
        self.name(&named, std::slice::from_ref(reference), None)
    }

    /// The index of what a user wrote; `None` if that is an image alone. Members that were removed are left out.
    pub fn find_index(&self, text: &str) -> Result<Option<Index>> {
        let names = self.names()?;
        let digest = self.meant(text, &names)?.and_then(|n| n.index);
        digest.map_or(Ok(None), |d| self.index(&d))
    }

    /// What a user wrote: a name; an index's digest; or an image's id, which then means what it was named last as.
    pub(super) fn meant<'a>(&self, text: &str, names: &'a Names) -> Result<Option<&'a Name>> {
        let named = text.parse::<Reference>().ok().and_then(|r| names::find(names, &r));
        if let Some(name) = named.or_else(|| unnamed_index(text, names)) {
            return Ok(Some(name));
        }
        let Some(image) = self.get_by_id(text)? else { return Ok(None) };
        let of = names.values().filter(|n| n.image == image.id && n.index.is_some());
        Ok(of.max_by_key(|n| &n.tagged))
    }

    /// `None` too if it was lost in a power cut.
    pub(super) fn index(&self, digest: &Digest) -> Result<Option<Index>> {
        let bytes = files::read(&self.index_path(digest))?;
        let index: Option<Index> = bytes.and_then(|b| serde_json::from_slice(&b).ok());
        Ok(index
            .map(|mut index| {
                index.members.retain(|m| self.summary_path(&m.image).exists());
                index
            })
            .filter(|i| !i.members.is_empty()))
    }

    /// The documents that an archive has of an index: its layers aren't compressed there.
    pub(super) fn documents(&self, index: &Index) -> Result<Documents> {
        let manifests = index
            .members
            .iter()
            .map(|m| self.plain_manifest(&m.image, &m.annotations))
            .collect::<Result<Vec<_>>>()?;
        Ok(index.documents(manifests))
    }

    /// The manifest of an image whose layers aren't compressed.
    pub(super) fn plain_manifest(
        &self,
        image: &Digest,
        annotations: &std::collections::BTreeMap<String, String>,
    ) -> Result<Manifest> {
        let mut layers = Vec::new();
        for layer in self.layers_of(image)? {
            let info = self.layer_info(&layer)?.ok_or(ImageError::LayerMissing(layer.0))?;
            layers.push(Blob { media_type: LAYER.to_owned(), digest: layer.0, size: info.stream });
        }
        let path = self.config_path(image);
        let config = files::read(&path)?.ok_or_else(|| ImageError::NotFound(image.to_string()))?;
        Ok(manifest((*image, config.len()), &layers, annotations))
    }

    /// Removes the records that the names have let go.
    pub(super) fn forget_indexes(&self, before: &Names, after: &Names) -> Result<()> {
        let of = |names: &Names| names.values().filter_map(|n| n.index).collect::<BTreeSet<_>>();
        for digest in of(before).difference(&of(after)) {
            files::remove(&self.index_path(digest))?;
        }
        Ok(())
    }

    fn indexes(&self) -> PathBuf {
        self.root.join("indexes")
    }

    fn index_path(&self, digest: &Digest) -> PathBuf {
        self.indexes().join(format!("{}.json", digest.hex()))
    }

    /// Removes records that no name has: what a process left that was killed. The caller holds the store's lock alone.
    pub(super) fn sweep_indexes(&self) -> Result<()> {
        let used: BTreeSet<PathBuf> =
            self.names()?.values().filter_map(|n| n.index).map(|d| self.index_path(&d)).collect();
        for path in super::temp::entries(&self.indexes())?.into_iter().filter(|p| !used.contains(p)) {
            match std::fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(ImageError::io("remove", &path, e));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// An index without a name, by its digest or that's beginning.
pub(super) fn unnamed_index<'a>(text: &str, names: &'a Names) -> Option<&'a Name> {
    let hex = id_beginning(text)?;
    names.values().find(|n| n.index.is_some_and(|d| d.hex().starts_with(hex)))
}
