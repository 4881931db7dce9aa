//! Made archives and stores for tests.

use std::path::{Path, PathBuf};

use rcompose_image::{Image, ImportOptions, Reference, Store};
use tar::{EntryType, Header};

pub(crate) struct Tar(pub(crate) tar::Builder<Vec<u8>>);

impl Tar {
    pub(crate) fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn header(kind: EntryType, mode: u32, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_700_000_000);
        header.set_size(size);
        header
    }

    pub(crate) fn dir(&mut self, path: &str) -> &mut Self {
        self.0.append_data(&mut Self::header(EntryType::Directory, 0o755, 0), path, &[][..]).unwrap();
        self
    }

    pub(crate) fn file(&mut self, path: &str, content: &[u8]) -> &mut Self {
        self.file_as(path, content, 0o644, (0, 0))
    }

    pub(crate) fn file_as(&mut self, path: &str, content: &[u8], mode: u32, owner: (u64, u64)) -> &mut Self {
        let mut header = Self::header(EntryType::Regular, mode, content.len() as u64);
        header.set_uid(owner.0);
        header.set_gid(owner.1);
        self.0.append_data(&mut header, path, content).unwrap();
        self
    }

    /// A name of any bytes.
    pub(crate) fn raw_file(&mut self, path: &[u8], content: &[u8]) -> &mut Self {
        use std::os::unix::ffi::OsStrExt;
        let mut header = Self::header(EntryType::Regular, 0o644, content.len() as u64);
        self.0.append_data(&mut header, Path::new(std::ffi::OsStr::from_bytes(path)), content).unwrap();
        self
    }

    pub(crate) fn link(&mut self, kind: EntryType, path: &str, target: &str) -> &mut Self {
        self.0.append_link(&mut Self::header(kind, 0o777, 0), path, target).unwrap();
        self
    }

    /// A hard link whose header says again what its file is like.
    pub(crate) fn link_as(&mut self, path: &str, target: &str, mode: u32, owner: (u64, u64)) -> &mut Self {
        let mut header = Self::header(EntryType::Link, mode, 0);
        header.set_uid(owner.0);
        header.set_gid(owner.1);
        self.0.append_link(&mut header, path, target).unwrap();
        self
    }

    pub(crate) fn node(&mut self, kind: EntryType, path: &str, major: u32, minor: u32) -> &mut Self {
        let mut header = Self::header(kind, 0o660, 0);
        header.set_device_major(major).unwrap();
        header.set_device_minor(minor).unwrap();
        self.0.append_data(&mut header, path, &[][..]).unwrap();
        self
    }

    pub(crate) fn pax(&mut self, records: &[(&str, &[u8])]) -> &mut Self {
        self.0.append_pax_extensions(records.iter().copied()).unwrap();
        self
    }

    /// A member whose path the builder would refuse.
    pub(crate) fn unchecked(
        &mut self,
        kind: EntryType,
        path: &[u8],
        target: &[u8],
        content: &[u8],
    ) -> &mut Self {
        let mut header = Self::header(kind, 0o644, content.len() as u64);
        header.as_old_mut().name[..path.len()].copy_from_slice(path);
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target);
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    pub(crate) fn done(&mut self) -> Vec<u8> {
        std::mem::replace(&mut self.0, tar::Builder::new(Vec::new())).into_inner().unwrap()
    }
}

pub(crate) struct Room {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) store: Store,
}

impl Room {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("images")).unwrap();
        Self { dir, store }
    }

    pub(crate) fn import(&self, tar: &[u8], name: &str) -> Image {
        self.store.import(tar, &ImportOptions::new(Some(reference(name)))).unwrap()
    }

    pub(crate) fn top(&self, image: &Image) -> PathBuf {
        self.store.layer_paths(image).unwrap().remove(0)
    }

    /// Work in progress that is left.
    pub(crate) fn leftovers(&self) -> Vec<PathBuf> {
        let all = std::fs::read_dir(self.store.root().join("tmp")).unwrap().map(|e| e.unwrap().path());
        all.filter(|p| p.is_dir()).collect()
    }

    pub(crate) fn layers(&self) -> usize {
        std::fs::read_dir(self.store.root().join("layers")).unwrap().count()
    }
}

pub(crate) fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

/// The stream of an image's only layer.
pub(crate) fn stream(store: &Store, image: &Image) -> Vec<u8> {
    let mut out = Vec::new();
    store.write_layer(image.layers.last().unwrap(), &mut out).unwrap();
    out
}
