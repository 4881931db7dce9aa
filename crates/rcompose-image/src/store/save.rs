//! Images as an archive that is both a docker archive and an OCI layout, as docker writes it since version 25
//! (moby, image/tarexport/save.go; OCI image spec, image-layout.md).

use std::collections::BTreeSet;
use std::io::Write;

use serde_json::{Value, json};

use super::{Image, Store, files};
use crate::error::{ImageError, Result};
use crate::{Digest, Reference};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

impl Store {
    /// Writes what a user wrote (names, ids) as one archive. An image given by id has no name in it. The archive is
    /// a function of the images alone.
    pub fn save(&self, what: &[String], out: &mut dyn Write) -> Result<()> {
        let mut images: Vec<(Image, Vec<Reference>)> = Vec::new();
        for text in what {
            let image = self.find(text)?.ok_or_else(|| ImageError::NotFound(text.clone()))?;
            let name = text.parse::<Reference>().ok().filter(|r| image.refs.contains(r));
            match images.iter_mut().find(|(i, _)| i.id == image.id) {
                Some((_, names)) => names.extend(name),
                None => images.push((image, Vec::from_iter(name))),
            }
        }
        self.save_as(&images, out)
    }

    /// Writes images under names that they need not have here.
    pub fn save_as(&self, images: &[(Image, Vec<Reference>)], out: &mut dyn Write) -> Result<()> {
        let hold = self.hold()?;
        for layer in images.iter().flat_map(|(image, _)| &image.layers) {
            if !hold.layer(layer)? {
                return Err(ImageError::LayerMissing(layer.0));
            }
        }
        let mut archive = Archive { out, blobs: BTreeSet::new() };
        let (mut docker, mut index) = (Vec::new(), Vec::new());
        for (image, names) in images {
            self.write_image(&mut archive, image, names, &mut docker, &mut index)?;
        }
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": index,
        });
        archive.file("index.json", index.to_string().as_bytes())?;
        archive.file("manifest.json", Value::Array(docker).to_string().as_bytes())?;
        archive.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        archive.write(&[0; 1024])
    }

    fn write_image(
        &self,
        archive: &mut Archive<'_>,
        image: &Image,
        names: &[Reference],
        docker: &mut Vec<Value>,
        index: &mut Vec<Value>,
    ) -> Result<()> {
        let mut layers = Vec::new();
        for layer in &image.layers {
            let info = self.layer_info(layer)?.ok_or(ImageError::LayerMissing(layer.0))?;
            layers.push(json!({ "mediaType": LAYER, "digest": layer, "size": info.stream }));
            if archive.blobs.insert(layer.0) {
                archive.header(&blob(&layer.0), info.stream)?;
                self.write_layer(layer, archive.out)?;
                archive.pad(info.stream)?;
            }
        }
        let path = self.config_path(&image.id);
        let config = files::read(&path)?.ok_or_else(|| ImageError::NotFound(image.id.to_string()))?;
        archive.blob(&image.id, &config)?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": { "mediaType": CONFIG, "digest": image.id, "size": config.len() },
            "layers": layers,
        })
        .to_string();
        let digest = Digest::of(manifest.as_bytes());
        archive.blob(&digest, manifest.as_bytes())?;
        let entry = json!({ "mediaType": MANIFEST, "digest": digest, "size": manifest.len() });
        if names.is_empty() {
            index.push(entry.clone());
        }
        for name in names {
            let mut entry = entry.clone();
            entry["annotations"] = json!({
                "io.containerd.image.name": name.canonical(),
                "org.opencontainers.image.ref.name": name.tag().unwrap_or_default(),
            });
            index.push(entry);
        }
        docker.push(json!({
            "Config": blob(&image.id),
            "RepoTags": names.iter().map(Reference::to_string).collect::<Vec<_>>(),
            "Layers": image.layers.iter().map(|l| blob(&l.0)).collect::<Vec<_>>(),
        }));
        Ok(())
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
