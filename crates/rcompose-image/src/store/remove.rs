//! Removing names, images, and layers that no image has any more.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::names::Names;
use super::temp::Temp;
use super::{Image, LayerId, Store, files, names};
use crate::error::{ImageError, Result};
use crate::{Digest, Index, Platform, Reference};

/// How to remove.
pub struct RemoveOptions<'a> {
    /// Remove an id with several names too; take the names of an image that containers use.
    pub force: bool,
    /// Whether a container uses an image. Such an image stays, without names if `force` is set. It is asked while nobody
    /// else may remove or add anything, and looks itself then: what was found before may not be so any more.
    pub in_use: &'a dyn Fn(&Digest) -> bool,
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// Names.
    pub untagged: Vec<Reference>,
    /// The image, unless it has other names or is in use, and those of other platforms with it.
    pub deleted: Vec<Digest>,
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

/// The names of an image, also together with others.
fn names_of(names: &Names, image: &Digest) -> Vec<Reference> {
    names.iter().filter(|(_, n)| n.image == *image).filter_map(|(k, _)| k.parse().ok()).collect()
}

/// The images that have no name left without these: one of several platforms, and the others with it.
fn nameless(names: &Names, image: &Digest, gone: &[Reference]) -> Vec<Digest> {
    let keys: Vec<String> = gone.iter().map(names::key).collect();
    let (mut all, mut kept) = (vec![*image], BTreeSet::new());
    for (key, name) in names {
        // What has no name but its digest goes with its image.
        if keys.contains(key) || (key.starts_with('@') && name.image == *image) {
            all.extend(name.others.iter().copied());
        } else {
            kept.insert(name.image);
            kept.extend(name.others.iter().copied());
        }
    }
    let mut out: Vec<Digest> = Vec::new();
    for id in all {
        if !kept.contains(&id) && !out.contains(&id) {
            out.push(id);
        }
    }
    out
}

impl Store {
    /// Removes what a user wrote, as `docker image rm` does: a name, and the image with its last name; or, by id, the
    /// image with its names, unless it has names in several repositories.
    pub fn remove(&self, text: &str, options: &RemoveOptions<'_>) -> Result<Removed> {
        let temp = self.temp_or_spare()?;
        let alone = self.alone()?;
        let image = self.find(text)?.ok_or_else(|| ImageError::NotFound(text.to_owned()))?;
        let names = self.names()?;
        let named = text.parse::<Reference>().ok().filter(|r| names::find(&names, r).is_some());
        let all = names_of(&names, &image.id);
        if let (None, [], [whole, ..]) = (&named, all.as_slice(), image.part_of.as_slice()) {
            let name = format!("{whole} for {}", image.config.platform());
            return Err(ImageError::PartOf { id: image.id.short(), name });
        }
        let gone: Vec<Reference> = match &named {
            Some(reference) => {
                all.iter().filter(|n| names::key(n) == names::key(reference)).cloned().collect()
            }
            None => all.clone(),
        };
        if named.is_none() && !options.force && !gone.iter().all(|n| n.same_repository(&gone[0])) {
            let names = all.iter().map(Reference::to_string).collect();
            return Err(ImageError::SeveralNames { id: image.id.short(), names });
        }
        let nameless = nameless(&names, &image.id, &gone);
        let (used, free): (Vec<Digest>, Vec<Digest>) =
            nameless.into_iter().partition(|id| (options.in_use)(id));
        if !used.is_empty() && !options.force {
            return Err(ImageError::InUse(text.to_owned()));
        }
        self.untag(&gone)?;
        let mut removed = Removed { untagged: gone, ..Removed::default() };
        for id in free {
            self.delete(&id, &temp, &mut removed)?;
        }
        drop(alone);
        Ok(removed)
    }

    /// Removes the image of one platform from what a name stands for; with the last one goes the name.
    pub fn remove_platform(
        &self,
        text: &str,
        platform: &Platform,
        options: &RemoveOptions<'_>,
    ) -> Result<Removed> {
        let wanted = |index: &Index| index.members.iter().position(|m| platform.accepts(&m.platform));
        let Some(mut index) = self.find_index(text)?.filter(|i| i.members.len() > 1 && wanted(i).is_some())
        else {
            return self.remove(text, options);
        };
        let temp = self.temp()?;
        let _alone = self.alone()?;
        let before = self.names()?;
        let Some(name) = self.meant(text, &before)?.cloned() else {
            return Err(ImageError::NotFound(text.to_owned()));
        };
        let at = wanted(&index).ok_or_else(|| ImageError::NotFound(text.to_owned()))?;
        let gone = index.members.remove(at).image;
        let keys: Vec<String> =
            before.iter().filter(|(_, n)| n.index == name.index).map(|(k, _)| k.clone()).collect();
        let named: Vec<Reference> = match text.parse::<Reference>() {
            Ok(reference) if names::find(&before, &reference).is_some() => vec![reference],
            _ => keys.iter().filter_map(|k| k.parse().ok()).collect(),
        };
        let others = before.iter().filter(|(k, _)| !named.iter().any(|r| names::key(r) == **k));
        let elsewhere = others.clone().any(|(_, n)| n.image == gone || n.others.contains(&gone));
        let stays = elsewhere || index.members.iter().any(|m| m.image == gone);
        let used = !stays && (options.in_use)(&gone);
        if used && !options.force {
            return Err(ImageError::InUse(text.to_owned()));
        }
        self.name_index(&index, &named, None)?;
        let mut removed = Removed::default();
        if !stays && !used {
            self.delete(&gone, &temp, &mut removed)?;
        }
        Ok(removed)
    }

    /// Removes the chosen images, names and all, but those that containers use (see [`RemoveOptions::in_use`]); and what
    /// pulls left that broke off.
    pub fn prune(&self, chosen: &dyn Fn(&Image) -> bool, in_use: &dyn Fn(&Digest) -> bool) -> Result<Pruned> {
        let temp = self.temp_or_spare()?;
        let _alone = self.alone()?;
        let mut pruned = Pruned::default();
        self.unmark_idle()?;
        for image in self.list()? {
            let names = self.names()?;
            // One that is only part of a name goes with it.
            if image.is_part() || !self.summary_path(&image.id).exists() || !chosen(&image) {
                continue;
            }
            let gone = names_of(&names, &image.id);
            let nameless = nameless(&names, &image.id, &gone);
            if nameless.iter().any(in_use) {
                continue;
            }
            self.untag(&gone)?;
            let mut removed = Removed { untagged: gone, ..Removed::default() };
            for id in nameless {
                self.delete(&id, &temp, &mut removed)?;
            }
            pruned.freed += removed.freed;
            pruned.images.push(removed);
        }
        let mut loose = Removed::default();
        self.sweep(&temp, &mut loose)?;
        pruned.freed += loose.freed;
        pruned.layers = loose.layers;
        self.sweep_indexes()?;
        Ok(pruned)
    }

    /// Removes layers that no image has and nobody holds: what builds leave for later ones. What pulls left stays.
    pub fn prune_layers(&self) -> Result<Pruned> {
        let temp = self.temp_or_spare()?;
        let _alone = self.alone()?;
        let mut removed = Removed::default();
        self.sweep(&temp, &mut removed)?;
        Ok(Pruned { images: Vec::new(), layers: removed.layers, freed: removed.freed })
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
    fn delete(&self, image: &Digest, temp: &Temp, removed: &mut Removed) -> Result<()> {
        let layers = self.layers_of(image)?;
        if !files::remove(&self.summary_path(image))? {
            return Ok(());
        }
        files::remove(&self.manifest_path(image))?;
        files::remove(&self.config_path(image))?;
        removed.deleted.push(*image);
        // An index without a name isn't kept without its image.
        self.change_names(|names| {
            names.retain(|key, n| !(key.starts_with('@') && n.image == *image));
            Ok(())
        })?;
        let kept = self.kept()?;
        for layer in layers.iter().filter(|l| !kept.contains(l)) {
            self.delete_layer(layer, temp, removed)?;
        }
        Ok(())
    }

    /// Layers that stay: those that are needed, and those that a pull goes on with.
    pub(super) fn kept(&self) -> Result<BTreeSet<LayerId>> {
        let mut kept = self.needed()?;
        kept.append(&mut self.pulled_layers()?);
        Ok(kept)
    }

    /// Layers that images have, or that somebody holds or keeps.
    pub(super) fn needed(&self) -> Result<BTreeSet<LayerId>> {
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
