//! Images as an archive that is both a docker archive and an OCI layout, as docker writes it since version 25
//! (moby, image/tarexport/save.go; OCI image spec, image-layout.md).

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use serde_json::{Value, json};

use super::{Hold, Image, LayerId, Store, files};
use crate::error::{ImageError, Result};
use crate::index::{Documents, INDEX};
use crate::registry::Manifest;
use crate::{Digest, Index, Platform, Reference};

/// What is written into an archive.
#[derive(Debug, Clone)]
pub enum ToSave {
    /// One image.
    Image(Box<Image>),
    /// All of an index.
    Index(Box<Index>),
}

impl Store {
    /// Writes what a user wrote (names, ids) as one archive; of an index, only `platform`'s image if one is given. What is
    /// given by id has no name in it. The archive is a function of the images alone.
    pub fn save(&self, what: &[String], platform: Option<&Platform>, out: &mut dyn Write) -> Result<()> {
        let mut all: Vec<(ToSave, Vec<Reference>)> = Vec::new();
        for text in what {
            let images = self.find_all(text)?;
            let wanted = images.iter().find(|i| platform.is_none_or(|p| p.accepts(&i.config.platform())));
            let image = wanted.cloned().ok_or_else(|| ImageError::NotFound(text.clone()))?;
            let name = text.parse::<Reference>().ok().filter(|r| images[0].refs.contains(r));
            let what = match self.find_index(text)?.filter(|_| platform.is_none()) {
                Some(index) => ToSave::Index(Box::new(index)),
                None => ToSave::Image(Box::new(image)),
            };
            match all.iter_mut().find(|(w, _)| w.same(&what)) {
                Some((_, names)) => names.extend(name),
                None => all.push((what, Vec::from_iter(name))),
            }
        }
        self.save_as(&all, out)
    }

    /// Writes images under names that they need not have here.
    pub fn save_as(&self, all: &[(ToSave, Vec<Reference>)], out: &mut dyn Write) -> Result<()> {
        let hold = self.hold()?;
        let mut archive = Archive { out, blobs: BTreeSet::new() };
        let (mut docker, mut index) = (Vec::new(), Vec::new());
        for (what, names) in all {
            let (images, primary) = match what {
                ToSave::Image(image) => (vec![image.id], image.id),
                ToSave::Index(index) => {
                    let empty = || ImageError::malformed("an index", "it has no images");
                    let primary = index.primary().ok_or_else(empty)?;
                    (index.members.iter().map(|m| m.image).collect(), primary)
                }
            };
            // All that is to be read is kept or read before the first of it is written: somebody may remove the image.
            let parts = images.iter().map(|i| self.parts(i, &hold)).collect::<Result<Vec<_>>>()?;
            let root = self.written(what)?;
            for (image, (layers, config)) in images.iter().zip(&parts) {
                self.write_image(&mut archive, image, layers, config)?;
            }
            let of_primary = images.iter().zip(&parts).find(|(image, _)| **image == primary);
            let layers = of_primary.map(|(_, (layers, _))| layers.as_slice()).unwrap_or_default();
            for (digest, bytes) in &root.blobs {
                archive.blob(digest, bytes)?;
            }
            for document in root.manifests.iter().chain([&root.root]) {
                archive.blob(&document.digest, &document.bytes)?;
            }
            let annotations = match what {
                ToSave::Index(index) if !index.flat => &index.descriptor_annotations,
                _ => &BTreeMap::new(),
            };
            entries(&root.root, annotations, names, &mut index);
            docker.push(json!({
                "Config": blob(&primary),
                "RepoTags": names.iter().map(Reference::to_string).collect::<Vec<_>>(),
                "Layers": layers.iter().map(|l| blob(&l.0)).collect::<Vec<_>>(),
            }));
        }
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": index });
        archive.file("index.json", index.to_string().as_bytes())?;
        archive.file("manifest.json", Value::Array(docker).to_string().as_bytes())?;
        archive.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        archive.write(&[0; 1024])
    }

    /// Digest, length and type of what an archive's `index.json` points to.
    pub fn describe(&self, what: &ToSave) -> Result<(Digest, u64, String)> {
        let Manifest { digest, bytes, media_type } = self.written(what)?.root;
        Ok((digest, bytes.len() as u64, media_type))
    }

    fn written(&self, what: &ToSave) -> Result<Documents> {
        match what {
            ToSave::Image(image) => Ok(Documents::of(self.plain_manifest(&image.id, &BTreeMap::new())?)),
            ToSave::Index(index) => self.documents(index),
        }
    }

    /// An image's layers, held, and its configuration.
    fn parts(&self, image: &Digest, hold: &Hold) -> Result<(Vec<LayerId>, Vec<u8>)> {
        let gone = || ImageError::NotFound(image.to_string());
        let layers = self.layers_of(image)?;
        let config = files::read(&self.config_path(image))?.ok_or_else(gone)?;
        hold.image(image, &layers)?;
        // Before its parts an image goes itself: what is here now was whole when it was read.
        if self.summary_path(image).exists() { Ok((layers, config)) } else { Err(gone()) }
    }

    fn write_image(
        &self,
        archive: &mut Archive<'_>,
        image: &Digest,
        layers: &[LayerId],
        config: &[u8],
    ) -> Result<()> {
        for layer in layers {
            let info = self.layer_info(layer)?.ok_or(ImageError::LayerMissing(layer.0))?;
            if archive.blobs.insert(layer.0) {
                archive.header(&blob(&layer.0), info.stream)?;
                self.write_layer(layer, archive.out)?;
                archive.pad(info.stream)?;
            }
        }
        archive.blob(image, config)
    }
}

impl ToSave {
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Image(a), Self::Image(b)) => a.id == b.id,
            (Self::Index(a), Self::Index(b)) => a == b,
            _ => false,
        }
    }
}

/// What points to an image in `index.json`, once for each name.
fn entries(
    root: &Manifest,
    annotations: &BTreeMap<String, String>,
    names: &[Reference],
    index: &mut Vec<Value>,
) {
    let entry = |more: &[(&str, String)]| {
        let mut all: BTreeMap<&str, &str> =
            annotations.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        all.extend(more.iter().map(|(k, v)| (*k, v.as_str())));
        let mut entry =
            json!({ "mediaType": root.media_type, "digest": root.digest, "size": root.bytes.len() });
        if !all.is_empty() {
            entry["annotations"] = json!(all);
        }
        entry
    };
    if names.is_empty() {
        index.push(entry(&[]));
    }
    for name in names {
        index.push(entry(&[
            ("io.containerd.image.name", name.canonical()),
            ("org.opencontainers.image.ref.name", name.tag().unwrap_or_default().to_owned()),
        ]));
    }
}

fn blob(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

struct Archive<'a> {
    out: &'a mut dyn Write,
    blobs: BTreeSet<Digest>,
}

impl Archive<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|e| ImageError::io("write", "the archive", e))
    }

    fn header(&mut self, path: &str, size: u64) -> Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_path(path).map_err(|e| ImageError::io("write", path, e))?;
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(size);
        header.set_cksum();
        self.write(header.as_bytes())
    }

    fn pad(&mut self, size: u64) -> Result<()> {
        let padding = size.next_multiple_of(512) - size;
        self.write(&[0; 512][..padding as usize])
    }

    fn file(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        self.header(path, bytes.len() as u64)?;
        self.write(bytes)?;
        self.pad(bytes.len() as u64)
    }

    fn blob(&mut self, digest: &Digest, bytes: &[u8]) -> Result<()> {
        if self.blobs.insert(*digest) { self.file(&blob(digest), bytes) } else { Ok(()) }
    }
}
