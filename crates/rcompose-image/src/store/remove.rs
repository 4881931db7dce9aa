//! Removing names, images, and layers that no image has any more.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::temp::Temp;
use super::{Image, LayerId, Store, files, names};
use crate::error::{ImageError, Result};
use crate::{Digest, Reference};

/// How to remove.
pub struct RemoveOptions<'a> {
    /// Remove an id with several names too; take the names of an image that containers use.
    pub force: bool,
    /// Whether a container uses an image. Such an image stays, without names if `force` is set.
    pub in_use: &'a dyn Fn(&Digest) -> bool,
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// Names.
    pub untagged: Vec<Reference>,
    /// The image, unless it has other names or is in use.
    pub deleted: Option<Digest>,
    /// Layers that no other image has.
    pub layers: Vec<LayerId>,
    /// Sum of the lengths of those layers' files, bytes.
    pub freed: u64,
}

/// What a pruning removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Per image.
    pub images: Vec<Removed>,
    /// Layers that no image had.
    pub layers: Vec<LayerId>,
    /// Sum of the lengths of all removed layers' files, bytes.
    pub freed: u64,
}

impl Store {
    /// Removes what a user wrote, as `docker image rm` does: a name, and the image with its last name; or, by id, the
    /// image with its names, unless it has names in several repositories.
    pub fn remove(&self, text: &str, options: &RemoveOptions<'_>) -> Result<Removed> {
        let temp = self.temp_or_spare()?;
        let alone = self.alone()?;
        let image = self.find(text)?.ok_or_else(|| ImageError::NotFound(text.to_owned()))?;
        let named = text.parse::<Reference>().ok().filter(|r| self.get(r).is_ok_and(|i| i.is_some()));
        let names = self.names_of(&image)?;
        let gone: Vec<Reference> = match &named {
            Some(reference) => {
                names.iter().filter(|n| names::key(n) == names::key(reference)).cloned().collect()
            }
            None => names.clone(),
        };
        if named.is_none() && !options.force && !gone.iter().all(|n| n.same_repository(&gone[0])) {
            let names = names.iter().map(Reference::to_string).collect();
            return Err(ImageError::SeveralNames { id: image.id.short(), names });
        }
        let last = gone.len() == names.len();
        let in_use = last && (options.in_use)(&image.id);
        if in_use && !options.force {
            return Err(ImageError::InUse(text.to_owned()));
        }
        self.untag(&gone)?;
        let mut removed = Removed { untagged: gone, ..Removed::default() };
        if last && !in_use {
            self.delete(&image, &temp, &mut removed)?;
        }
        drop(alone);
        Ok(removed)
    }

    /// Removes the chosen images, names and all, but those that containers use.
    pub fn prune(&self, chosen: &dyn Fn(&Image) -> bool, in_use: &dyn Fn(&Digest) -> bool) -> Result<Pruned> {
        let temp = self.temp_or_spare()?;
        let _alone = self.alone()?;
        let mut pruned = Pruned::default();
        for image in self.list()? {
            if !chosen(&image) || in_use(&image.id) {
                continue;
            }
            let names = self.names_of(&image)?;
            self.untag(&names)?;
            let mut removed = Removed { untagged: names, ..Removed::default() };
            self.delete(&image, &temp, &mut removed)?;
            pruned.freed += removed.freed;
            pruned.images.push(removed);
        }
        let mut loose = Removed::default();
        self.sweep(&temp, &mut loose)?;
        pruned.freed += loose.freed;
        pruned.layers = loose.layers;
        Ok(pruned)
    }

    /// Removes layers that no image has and nobody holds: what builds leave for later ones.
    pub fn prune_layers(&self) -> Result<Pruned> {
        let temp = self.temp_or_spare()?;
        let _alone = self.alone()?;
        let mut removed = Removed::default();
        self.sweep(&temp, &mut removed)?;
        Ok(Pruned { images: Vec::new(), layers: removed.layers, freed: removed.freed })
    }

    fn names_of(&self, image: &Image) -> Result<Vec<Reference>> {
        let names = self.names()?;
        Ok(names.iter().filter(|(_, n)| n.image == image.id).filter_map(|(k, _)| k.parse().ok()).collect())
    }

    fn untag(&self, gone: &[Reference]) -> Result<()> {
        self.change_names(|names| {
            for name in gone {
                names.remove(&names::key(name));
            }
            Ok(())
        })
    }

    /// Removes an image without names. The caller holds the store's lock alone.
    fn delete(&self, image: &Image, temp: &Temp, removed: &mut Removed) -> Result<()> {
        files::remove(&self.summary_path(&image.id))?;
        files::remove(&self.manifest_path(&image.id))?;
        files::remove(&self.config_path(&image.id))?;
        removed.deleted = Some(image.id);
        let kept = self.kept()?;
        for layer in image.layers.iter().filter(|l| !kept.contains(l)) {
            self.delete_layer(layer, temp, removed)?;
        }
        Ok(())
    }

    pub(super) fn kept(&self) -> Result<BTreeSet<LayerId>> {
        let mut kept: BTreeSet<LayerId> = self.held()?.into_iter().collect();
        kept.append(&mut self.kept_layers()?);
        for id in self.ids()? {
            kept.extend(self.layers_of(&id)?);
        }
        Ok(kept)
    }

    /// Gone at once by a rename; the files themselves go with `temp`, after the lock.
    pub(super) fn delete_layer(&self, layer: &LayerId, temp: &Temp, removed: &mut Removed) -> Result<()> {
        // One that was lost in a power cut has no readable record, and nothing of value.
        let content = self.layer_info(layer).ok().flatten().map(|i| i.content).unwrap_or_default();
        let to: PathBuf = temp.path().join(layer.0.hex());
        let from = self.layer_dir(layer);
        match fs::rename(&from, &to) {
            Ok(()) => {
                removed.layers.push(*layer);
                removed.freed += content;
                Ok(())
            }
            // An image may have the same layer twice.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(ImageError::io("remove", &from, e)),
        }
    }
}
