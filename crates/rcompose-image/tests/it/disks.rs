//! Disks without room: nothing is left half made, it works again with room, and what is to make room works without any.

use std::io::{Read, Write};
use std::time::Duration;

use rcompose_image::{ImageError, ImportOptions, Platform, RegistryError, RemoveOptions, Store};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::common::{Room, Tar, reference};
use crate::faults::{is_whole, large, layered, pull_now};
use crate::registry::Registry;

/// A small disk in its own right: a mount that goes when dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new(options: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = std::ffi::CString::new(options).unwrap();
        mount("tmpfs", dir.path(), "tmpfs", MountFlags::empty(), Some(options.as_c_str())).unwrap();
        Self(dir)
    }

    fn store(&self) -> Store {
        Store::open(&self.0.path().join("images")).unwrap()
    }

    fn grow(&self) {
        let more = c"size=128m,nr_inodes=10000";
        rustix::mount::mount_remount(self.0.path(), MountFlags::empty(), more).unwrap();
    }

    /// Takes what room there is.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.path().join("filler")).unwrap();
        while file.write_all(&[1; 4096]).is_ok() {}
        for n in 0.. {
            if std::fs::File::create(self.0.path().join(format!("filler{n}"))).is_err() {
                return;
            }
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Another test may just be starting a process, which has our files open for a moment.
        unmount(self.0.path(), UnmountFlags::DETACH).unwrap();
    }
}

/// Wherever the room ends in an import: it is told, nothing is left, and with room it works.
#[test]
fn imports_on_disks_of_many_sizes() {
    let tar = large();
    let mut full = 0;
    let sizes = (0..14).map(|n| format!("size={}k", 200 + n * 2_300)).chain([String::from("nr_inodes=60")]);
    for size in sizes {
        let disk = Disk::new(&size);
        let store = disk.store();
        let import = || store.import(&tar[..], &ImportOptions::new(Some(reference("t"))));
        let result = import();
        let left = std::fs::read_dir(store.root().join("layers")).unwrap().count();
        match result {
            Ok(_) => assert_eq!(left, 1, "{size}"),
            Err(e) => {
                full += 1;
                assert!(matches!(e, ImageError::DiskFull { .. }), "{size}: {e:?}");
                assert_eq!(left, 0, "{size}");
            }
        }
        disk.grow();
        import().unwrap_or_else(|e| panic!("{size}, with room: {e:?}"));
        is_whole(&store);
    }
    assert!(full > 5);
}

/// Wherever the disk ends, in a pull, a load or a commit.
#[test]
fn every_operation_on_a_full_disk() {
    let source = Room::new();
    let image = layered(&source);
    let mut archive = Vec::new();
    source.store.save(&["layered".to_owned()], None, &mut archive).unwrap();
    let registry = Registry::start(false);
    let name = registry.as_ref().map(|r| {
        r.fill_from(&source, &image, "app:1");
        format!("{}/app:1", r.address)
    });
    type Operation<'a> = Box<dyn Fn(&Store) -> Result<(), ImageError> + 'a>;
    let load: Operation<'_> = Box::new(|s| s.load(&archive[..], Some(&Platform::host())).map(drop));
    let commit: Operation<'_> = Box::new(|s| {
        let (hold, staging) = (s.hold()?, s.new_layer_dir()?);
        let full = |source| ImageError::DiskFull { path: staging.upper(), source };
        for n in 0..200 {
            std::fs::write(staging.upper().join(format!("f{n}")), vec![7; 15_000]).map_err(full)?;
        }
        let layer = s.commit_held(staging, &hold)?;
        s.put_image(&image.config, &[layer.id], &[reference("made")]).map(drop)
    });
    let pull: Operation<'_> = Box::new(|s| match &name {
        None => s.load(&archive[..], Some(&Platform::host())).map(drop),
        Some(name) => pull_now(s, name).map(drop).map_err(|e| match e {
            RegistryError::Store(e) => e,
            other => panic!("{other:?}"),
        }),
    });
    for (what, operation) in [("load", load), ("commit", commit), ("pull", pull)] {
        let (mut full, mut done) = (0, 0);
        let sizes = (0..10).map(|n| format!("size={}k", 300 + n * 600));
        let inodes = [20, 40, 60, 120, 180, 240].map(|n| format!("nr_inodes={n}"));
        for size in sizes.chain(inodes) {
            let disk = Disk::new(&size);
            let store = disk.store();
            match operation(&store) {
                Ok(()) => done += 1,
                Err(ImageError::DiskFull { .. }) => {
                    full += 1;
                    assert_eq!(store.list().unwrap(), [], "{what}, {size}");
                    let layers = std::fs::read_dir(store.root().join("layers")).unwrap().count();
                    assert_eq!(layers, 0, "{what}, {size}");
                }
                Err(e) => panic!("{what}, {size}: {e:?}"),
            }
            disk.grow();
            operation(&store).unwrap_or_else(|e| panic!("{what}, {size}, with room: {e:?}"));
            is_whole(&store);
        }
        assert!(full > 5 && done > 0, "{what}: {full} full, {done} done");
    }
}

/// Who has no room left must be able to make some.
#[test]
fn images_go_from_a_full_disk() {
    for size in ["size=40m,nr_inodes=3000", "size=60m,nr_inodes=400"] {
        let disk = Disk::new(size);
        let store = disk.store();
        store.import(&large()[..], &ImportOptions::new(Some(reference("t:1")))).unwrap();
        let other = Tar::new().file("f", b"x").done();
        store.import(&other[..], &ImportOptions::new(Some(reference("t:2")))).unwrap();
        disk.fill();
        let error = store.import(&large()[..], &ImportOptions::new(Some(reference("t:3")))).unwrap_err();
        assert!(matches!(error, ImageError::DiskFull { .. }), "{size}: {error:?}");
        let removed = store.remove("t:1", &RemoveOptions { force: false, in_use: &|_| false }).unwrap();
        assert_eq!((removed.layers.len(), store.list().unwrap().len()), (1, 1), "{size}");
        is_whole(&store);
        disk.fill();
        store.prune(&|_| true, &|_| false).unwrap();
        assert_eq!(store.list().unwrap(), [], "{size}");
    }
}

/// Some kilobytes that are ten gigabytes: zeros take no room, and what does leaves some to others.
#[test]
fn bombs() {
    let member = |content: u64| {
        let mut header = tar::Header::new_gnu();
        header.set_path("bomb").unwrap();
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(content);
        header.set_cksum();
        std::io::Cursor::new(header.as_bytes().to_vec())
    };
    let disk = Disk::new("size=64m");
    let store = disk.store();
    let import =
        |bomb: &mut (dyn Read + Send)| store.import(bomb, &ImportOptions::new(Some(reference("bomb"))));
    const LONG: u64 = 10 << 30;
    let end = || std::io::Cursor::new(vec![0; 1024]);
    let image = import(&mut member(1 << 28).chain(std::io::repeat(0).take(1 << 28)).chain(end())).unwrap();
    assert_eq!(image.size, 1 << 28);
    store.prune(&|_| true, &|_| false).unwrap();
    let begun = std::time::Instant::now();
    let error = import(&mut member(LONG).chain(std::io::repeat(b'x').take(LONG)).chain(end())).unwrap_err();
    assert!(matches!(error, ImageError::DiskFull { .. }), "{error:?}");
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert!(why.contains("would be left"), "{why}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    is_whole(&store);
    // Without content: so many files, so many links into layers below, so many pieces of one file.
    let disk = Disk::new("size=64m,nr_inodes=20000");
    let store = disk.store();
    let import =
        |bomb: &mut (dyn Read + Send)| store.import(bomb, &ImportOptions::new(Some(reference("bomb"))));
    let many = |kind: tar::EntryType, directory: &'static str| {
        let mut n = 0u64;
        let mut next = move || {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_path(format!("{directory}/{n}")).unwrap();
            header.set_link_name("nowhere").unwrap();
            header.set_mode(0o755);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_size(0);
            header.set_cksum();
            n += 1;
            header.as_bytes().to_vec()
        };
        Endless { next: move || next(), left: Vec::new() }
    };
    let error = import(&mut many(tar::EntryType::Directory, "d")).unwrap_err();
    assert!(matches!(error, ImageError::DiskFull { .. }), "{error:?}");
    let error = import(&mut many(tar::EntryType::Link, "d")).unwrap_err();
    assert!(error.to_string().contains("too many hard links"), "{error}");
    is_whole(&store);
}

/// What never ends.
struct Endless<F> {
    next: F,
    left: Vec<u8>,
}

impl<F: FnMut() -> Vec<u8>> Read for Endless<F> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        if self.left.is_empty() {
            self.left = (self.next)();
        }
        let n = buf.len().min(self.left.len());
        buf[..n].copy_from_slice(&self.left[..n]);
        self.left.drain(..n);
        Ok(n)
    }
}
