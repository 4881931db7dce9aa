//! Save and load, also to and from other programs.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use rcompose_image::{Digest, ImageError, Platform, RemoveOptions, ToSave};

use crate::common::{Room, Tar, reference, stream};

fn two_layers(room: &Room) -> rcompose_image::Image {
    let base = room.import(&Tar::new().dir("etc/").file("etc/a", b"one").done(), "base:1");
    let staging = room.store.new_layer_dir().unwrap();
    std::fs::write(staging.upper().join("b"), vec![7; 300_000]).unwrap();
    let layer = room.store.commit_layer(staging).unwrap();
    let layers = [base.layers[0], layer.id];
    room.store
        .put_image(&base.config, &layers, &[reference("app:1"), reference("localhost:5000/x/y:z")])
        .unwrap()
}

fn saved(room: &Room, what: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    let what: Vec<String> = what.iter().map(|s| (*s).to_owned()).collect();
    room.store.save(&what, None, &mut out).unwrap();
    out
}

fn members(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        out.insert(entry.path().unwrap().display().to_string(), bytes);
    }
    out
}

/// The same members, without some, others changed.
fn rewritten(archive: &[u8], change: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>) -> Vec<u8> {
    let mut tar = Tar::new();
    for (path, bytes) in members(archive) {
        if let Some(bytes) = change(&path, bytes) {
            tar.file(&path, &bytes);
        }
    }
    tar.done()
}

#[test]
fn round_trip() {
    let room = Room::new();
    let image = two_layers(&room);
    let archive = saved(&room, &["app:1", "localhost:5000/x/y:z", "base:1"]);
    assert_eq!(archive, saved(&room, &["app:1", "localhost:5000/x/y:z", "base:1"]));
    let oci_only = rewritten(&archive, |path, bytes| (path != "manifest.json").then_some(bytes));
    let docker_only = rewritten(&archive, |path, bytes| (path != "index.json").then_some(bytes));
    let compressed = zstd::encode_all(&archive[..], 1).unwrap();
    for archive in [archive, oci_only, docker_only, compressed] {
        let other = Room::new();
        let loaded = other.store.load(&archive[..], Some(&Platform::host())).unwrap();
        assert_eq!(loaded.len(), 2);
        assert_eq!(loaded[0].refs, vec![reference("app:1"), reference("localhost:5000/x/y:z")]);
        let copy = other.store.get(&reference("app:1")).unwrap().unwrap();
        assert_eq!((copy.id, &copy.layers, copy.size), (image.id, &image.layers, image.size));
        assert_eq!(stream(&other.store, &copy), stream(&room.store, &image));
        assert_eq!((other.layers(), other.leftovers().len()), (2, 0));
        // Once more, with everything there already.
        assert_eq!(other.store.load(&archive[..], Some(&Platform::host())).unwrap().len(), 2);
    }
    let by_id = saved(&room, &[&image.id.short()]);
    let other = Room::new();
    assert!(other.store.load(&by_id[..], Some(&Platform::host())).unwrap()[0].refs.is_empty());
    let missing = room.store.save(&["nothing".into()], None, &mut std::io::sink()).unwrap_err();
    assert!(matches!(missing, ImageError::NotFound(_)));
}

/// Who removes the image meanwhile gets it, and the archive is whole; who was faster leaves nothing to save.
#[test]
fn removed_while_it_is_saved() {
    struct Removes<'a>(&'a Room, Vec<u8>);
    impl std::io::Write for Removes<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if self.1.is_empty() {
                self.0.store.remove("app:1", &RemoveOptions { force: true, in_use: &|_| false }).unwrap();
            }
            self.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let room = Room::new();
    let image = two_layers(&room);
    for name in image.refs.iter().filter(|r| **r != reference("app:1")) {
        room.store.remove(&name.to_string(), &RemoveOptions { force: true, in_use: &|_| false }).unwrap();
    }
    let mut out = Removes(&room, Vec::new());
    room.store.save(&["app:1".to_owned()], None, &mut out).unwrap();
    assert!(room.store.get(&reference("app:1")).unwrap().is_none());
    assert_eq!(room.store.content_size(&image).unwrap(), None);
    let other = Room::new();
    other.store.load(out.1.as_slice(), None).unwrap();
    assert_eq!(other.store.get(&reference("app:1")).unwrap().unwrap().layers, image.layers);
    let what = [(ToSave::Image(Box::new(image)), Vec::new())];
    let error = room.store.save_as(&what, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, ImageError::NotFound(_)), "{error:?}");
}

#[test]
fn damaged_archives() {
    let room = Room::new();
    let image = two_layers(&room);
    let archive = saved(&room, &["app:1"]);
    let layer = format!("blobs/sha256/{}", image.layers[1].0.hex());
    let other = Room::new();
    let load = |bytes: &[u8]| other.store.load(bytes, Some(&Platform::host())).unwrap_err();
    let flipped = rewritten(&archive, |path, mut bytes| {
        if path == layer {
            bytes[1000] ^= 1;
        }
        Some(bytes)
    });
    assert!(matches!(load(&flipped), ImageError::Mismatch { .. }));
    let missing = rewritten(&archive, |path, bytes| (path != layer).then_some(bytes));
    assert!(load(&missing).to_string().contains("is missing"));
    load(&archive[..archive.len() / 2]);
    assert!(load(&Tar::new().file("etc/passwd", b"x").done()).to_string().contains("neither"));
    // A docker archive's paths say nothing of digests: the configuration does.
    let flat = |text: &str| text.replace("blobs/sha256/", "");
    let mut tar = Tar::new();
    for (path, bytes) in members(&archive).into_iter().filter(|(path, _)| path != "index.json") {
        let bytes = match path.as_str() {
            "manifest.json" => flat(std::str::from_utf8(&bytes).unwrap()).into_bytes(),
            path if path == layer => Tar::new().file("other", b"content").done(),
            _ => bytes,
        };
        tar.file(&flat(&path), &bytes);
    }
    assert!(matches!(load(&tar.done()), ImageError::Mismatch { .. }));
    assert_eq!((other.layers(), other.leftovers().len(), other.store.list().unwrap().len()), (0, 0, 0));
}

fn skopeo(from: &str, to: &str) {
    let out =
        Command::new("skopeo").args(["--insecure-policy", "copy", "--quiet", from, to]).output().unwrap();
    assert!(out.status.success(), "{from} → {to}: {}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn with_skopeo() {
    if Command::new("skopeo").arg("--version").output().is_err() {
        eprintln!("skipped: there is no skopeo");
        return;
    }
    let room = Room::new();
    let image = two_layers(&room);
    let at = |name: &str| room.dir.path().join(name).display().to_string();
    let ours = at("ours.tar");
    std::fs::File::create(&ours).unwrap().write_all(&saved(&room, &["app:1"])).unwrap();
    // It checks every digest on the way.
    skopeo(&format!("docker-archive:{ours}"), &format!("oci-archive:{}:app:2", at("oci.tar")));
    skopeo(&format!("oci-archive:{ours}"), &format!("docker-archive:{}:app:3", at("docker.tar")));
    for (file, name) in [("oci.tar", "app:2"), ("docker.tar", "app:3")] {
        let other = Room::new();
        let bytes = std::fs::read(Path::new(&at(file))).unwrap();
        let loaded = other.store.load(&bytes[..], Some(&Platform::host())).unwrap();
        assert_eq!(loaded[0].refs, vec![reference(name)], "{file}");
        assert_eq!(loaded[0].image.layers, image.layers);
        let top = stream(&other.store, &loaded[0].image);
        assert_eq!(Digest::of(&top), image.layers[1].0);
    }
}
