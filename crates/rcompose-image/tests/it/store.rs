//! Names, images, layers from overlays, removal.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use rcompose_image::{
    ContainerConfig, Digest, ImageConfig, ImageError, ImportOptions, LayerId, Platform, RemoveOptions, Store,
    inspect_json,
};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::common::{Room, Tar, reference, stream};

fn base(room: &Room) -> rcompose_image::Image {
    room.import(
        &Tar::new()
            .dir("etc/")
            .file("etc/old", b"old")
            .file("etc/gone", b"g")
            .dir("var/d/")
            .file("var/d/x", b"x")
            .done(),
        "base",
    )
}

#[test]
fn import_and_look_up() {
    let room = Room::new();
    let config = ContainerConfig { cmd: Some(vec!["/bin/sh".into()]), ..ContainerConfig::default() };
    let options = ImportOptions {
        config: config.clone(),
        message: Some("made".into()),
        created: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        platform: "linux/arm64".parse().unwrap(),
        ..ImportOptions::new(Some(reference("app:1")))
    };
    let image = room.store.import(&Tar::new().file("f", b"12345").done()[..], &options).unwrap();
    assert_eq!(room.store.get(&reference("app:1")).unwrap(), Some(image.clone()));
    assert_eq!(room.store.get(&reference("docker.io/library/app:1")).unwrap(), Some(image.clone()));
    assert_eq!(room.store.get(&reference("app:2")).unwrap(), None);
    for text in [
        image.id.to_string(),
        image.id.hex(),
        image.id.short(),
        image.id.hex()[..4].to_owned(),
        image.id.to_string()[..11].to_owned(),
        "app:1".into(),
    ] {
        assert_eq!(room.store.find(&text).unwrap().map(|i| i.id), Some(image.id), "{text}");
    }
    assert_eq!(room.store.get_by_id("zzzz").unwrap(), None);
    // As with docker: what is shorter is a name.
    for short in [&image.id.hex()[..1], &image.id.hex()[..3], &image.id.to_string()[..10]] {
        assert_eq!(room.store.find(short).unwrap(), None, "{short}");
        assert_eq!(room.store.find_index(short).unwrap(), None, "{short}");
    }
    // What stands for an image in a file isn't the beginning of an id.
    assert_eq!(room.store.find_named(&image.id.short()).unwrap(), vec![]);
    for whole in ["app:1", &image.id.to_string(), &image.id.hex()] {
        assert_eq!(room.store.find_named(whole).unwrap(), vec![image.clone()], "{whole}");
    }
    assert_eq!((image.size, image.config.config.clone(), image.layers.len()), (5, config, 1));
    let json = inspect_json(&image).unwrap();
    assert_eq!(json["Id"], image.id.to_string());
    assert_eq!(json["RepoTags"][0], "app:1");
    assert_eq!(json["Config"]["Cmd"][0], "/bin/sh");
    assert_eq!((&json["Architecture"], &json["Comment"]), (&"arm64".into(), &"made".into()));
    assert_eq!(json["Created"], "2023-11-14T22:13:20Z");
    let again = Store::open(room.store.root()).unwrap();
    assert_eq!(again.list().unwrap(), vec![image]);
}

#[test]
fn overlay_upper_becomes_a_layer() {
    let room = Room::new();
    let base = base(&room);
    let staging = room.store.new_layer_dir().unwrap();
    let merged = room.dir.path().join("merged");
    fs::create_dir(&merged).unwrap();
    let data = format!(
        "lowerdir={},upperdir={},workdir={}",
        room.top(&base).display(),
        staging.upper().display(),
        staging.work().display()
    );
    mount(
        "overlay",
        &merged,
        "overlay",
        MountFlags::empty(),
        Some(std::ffi::CString::new(data).unwrap().as_c_str()),
    )
    .unwrap();
    fs::write(merged.join("etc/new"), "new").unwrap();
    fs::write(merged.join("etc/old"), "changed").unwrap();
    fs::remove_file(merged.join("etc/gone")).unwrap();
    fs::remove_dir_all(merged.join("var/d")).unwrap();
    fs::create_dir(merged.join("var/d")).unwrap();
    fs::hard_link(merged.join("etc/new"), merged.join("etc/new2")).unwrap();
    symlink("x".repeat(150), merged.join("long")).unwrap();
    std::os::unix::net::UnixListener::bind(merged.join("etc/socket")).unwrap();
    // As one archive, and as a layer while it is in use: what is there is what the mount shows.
    let (hold, mut archive) = (room.store.hold().unwrap(), Vec::new());
    Store::export(&[staging.upper(), room.top(&base)], &mut archive).unwrap();
    let out = room.dir.path().join("out");
    tar::Archive::new(&archive[..]).unpack(&out).unwrap();
    let tree = |dir: &Path| {
        // An overlay's directories have one link always.
        let words = "-mindepth 1 ( -type d -printf %P|d|%m\\n -o ! -type s -printf %P|%y|%m|%n|%l\\n )";
        let find = Command::new("find").arg(dir).args(words.split(' ')).output().unwrap();
        let mut lines: Vec<String> =
            String::from_utf8(find.stdout).unwrap().lines().map(String::from).collect();
        lines.sort();
        lines
    };
    assert_eq!(tree(&out), tree(&merged));
    let skip = |path: &[u8], _: u32, _: u64| path == b"etc/new2";
    let copied = room.store.copy_layer(&staging.upper(), &skip, &hold).unwrap();
    assert!(room.store.layer_path(&copied.id).is_some_and(|p| !p.join("etc/new2").exists()));
    unmount(&merged, UnmountFlags::empty()).unwrap();
    let layer = room.store.commit_layer(staging).unwrap();
    assert_ne!(layer.id, copied.id);
    drop(hold);
    assert!(room.leftovers().is_empty());

    let image =
        room.store.put_image(&base.config, &[base.layers[0], layer.id], &[reference("child")]).unwrap();
    assert_eq!(image.config.rootfs.diff_ids, vec![base.layers[0].0, layer.id.0]);
    let tar = stream(&room.store, &image);
    assert_eq!((Digest::of(&tar), tar.len() as u64), (layer.id.0, layer.stream));
    // Unpacked elsewhere it is the same layer, in the same form.
    let other = Room::new();
    let copy = other.import(&tar, "copy");
    assert_eq!(copy.layers, vec![layer.id]);
    let top = other.top(&copy);
    assert_eq!(fs::read_to_string(top.join("etc/old")).unwrap(), "changed");
    assert!(fs::symlink_metadata(top.join("etc/gone")).unwrap().file_type().is_char_device());
    assert_eq!(fs::metadata(top.join("etc/new")).unwrap().nlink(), 2);
    assert!(!top.join("etc/socket").exists());
    let mut opaque = [0; 8];
    let n = rustix::fs::lgetxattr(top.join("var/d"), "trusted.overlay.opaque", &mut opaque[..]).unwrap();
    assert_eq!(&opaque[..n], b"y");
    let paths = room.store.layer_paths(&image).unwrap();
    assert_eq!(
        paths,
        vec![room.store.layer_path(&layer.id).unwrap(), room.top(&base)],
        "the top comes first"
    );
}

#[test]
fn equal_files_make_equal_layers_and_images() {
    let room = Room::new();
    let make = |order: [&str; 2]| {
        let staging = room.store.new_layer_dir().unwrap();
        for name in order {
            fs::write(staging.upper().join(name), name).unwrap();
            let time = fs::FileTimes::new().set_modified(UNIX_EPOCH + Duration::new(1_700_000_000, 5));
            fs::File::options()
                .write(true)
                .open(staging.upper().join(name))
                .unwrap()
                .set_times(time)
                .unwrap();
        }
        room.store.commit_layer(staging).unwrap()
    };
    let (one, two) = (make(["a", "b"]), make(["b", "a"]));
    assert_eq!((one, room.layers()), (two, 1));
    let config = ImageConfig::new(&Platform::host());
    let first = room.store.put_image(&config, &[one.id], &[]).unwrap();
    let tagged = room.store.put_image(&config, &[two.id], &[reference("x:1"), reference("x:2")]).unwrap();
    assert_eq!((first.id, first.refs), (tagged.id, vec![]));
    assert_eq!(tagged.refs, vec![reference("x:1"), reference("x:2")]);
    let missing = LayerId(Digest::of(b"nothing"));
    let error = room.store.put_image(&config, &[missing], &[reference("x:1")]).unwrap_err();
    assert!(matches!(error, ImageError::LayerMissing(d) if d == missing.0));
    drop(room.store.new_layer_dir().unwrap());
    assert!(room.leftovers().is_empty());
}

#[test]
fn removal() {
    let room = Room::new();
    let base = base(&room);
    let staging = room.store.new_layer_dir().unwrap();
    fs::write(staging.upper().join("f"), "12345678").unwrap();
    let top = room.store.commit_layer(staging).unwrap();
    let child = room.store.put_image(&base.config, &[base.layers[0], top.id], &[reference("child")]).unwrap();
    room.store.tag(&child.id, &reference("other/child:2")).unwrap();
    let none = RemoveOptions { force: false, in_use: &|_| false };
    let used = RemoveOptions { force: false, in_use: &|_| true };

    assert!(matches!(room.store.remove("nothing", &none), Err(ImageError::NotFound(_))));
    assert!(matches!(room.store.remove(&child.id.short(), &none), Err(ImageError::SeveralNames { .. })));
    let removed = room.store.remove("other/child:2", &used).unwrap();
    assert_eq!((removed.untagged, removed.deleted), (vec![reference("other/child:2")], vec![]));
    assert!(matches!(room.store.remove("child", &used), Err(ImageError::InUse(_))));
    let removed = room.store.remove(&child.id.short(), &none).unwrap();
    assert_eq!((removed.deleted, removed.layers, removed.freed), (vec![child.id], vec![top.id], 8));
    assert!(room.store.layer_path(&top.id).is_none() && room.store.layer_paths(&base).is_ok());
    assert!(room.store.get(&reference("child")).unwrap().is_none());

    // A name that moves leaves its image without one.
    let second = room.import(&Tar::new().file("g", b"g").done(), "base");
    assert_eq!(room.store.get_by_id(&base.id.hex()).unwrap().unwrap().refs, vec![]);
    let nameless = rcompose_image::Image::is_dangling;
    assert_eq!(room.store.prune(&nameless, &|_| true).unwrap().images, vec![]);
    let pruned = room.store.prune(&nameless, &|_| false).unwrap();
    assert_eq!((pruned.images.len(), pruned.images[0].deleted.clone()), (1, vec![base.id]));
    assert_eq!(room.store.list().unwrap().iter().map(|i| i.id).collect::<Vec<_>>(), vec![second.id]);

    // In use, by force: the name goes, the image stays.
    let removed = room.store.remove("base", &RemoveOptions { force: true, in_use: &|_| true }).unwrap();
    assert_eq!((removed.untagged.len(), removed.deleted), (1, vec![]));
    assert_eq!(room.store.prune(&|_| true, &|_| false).unwrap().images.len(), 1);
    assert_eq!((room.layers(), room.leftovers()), (0, Vec::<std::path::PathBuf>::new()));
    assert_eq!(fs::read_dir(room.store.root().join("blobs/sha256")).unwrap().count(), 0);
}

#[test]
fn held_layers_stay() {
    let room = Room::new();
    let hold = room.store.hold().unwrap();
    let staging = room.store.new_layer_dir().unwrap();
    fs::write(staging.upper().join("f"), "1").unwrap();
    let layer = room.store.commit_layer(staging).unwrap();
    assert!(hold.layer(&layer.id).unwrap());
    assert!(!hold.layer(&LayerId(Digest::of(b""))).unwrap());
    assert_eq!(room.store.prune_layers().unwrap().layers, vec![]);
    drop(hold);
    assert_eq!(room.store.prune_layers().unwrap().layers, vec![layer.id]);
    assert!(!Path::new(&room.store.root().join("layers").join(layer.id.0.hex())).exists());
}

#[test]
fn opening_is_cheap() {
    let room = Room::new();
    base(&room);
    let start = std::time::Instant::now();
    for _ in 0..100 {
        Store::open(room.store.root()).unwrap();
    }
    println!("open: {:?} each", start.elapsed() / 100);
    let start = std::time::Instant::now();
    room.store.get(&reference("base")).unwrap();
    println!("get: {:?}", start.elapsed());
}

#[test]
fn what_a_build_at_work_keeps_is_not_idle() {
    let room = Room::new();
    let hold = room.store.hold().unwrap();
    let staging = room.store.new_layer_dir().unwrap();
    std::fs::write(staging.upper().join("file"), "x").unwrap();
    let layer = room.store.commit_held(staging, &hold).unwrap().id;
    room.store.keep(&layer).unwrap();
    assert!(room.store.idle_layers().unwrap().is_empty());
    drop(hold);
    assert_eq!(room.store.idle_layers().unwrap().into_iter().collect::<Vec<_>>(), [layer]);
}

#[test]
fn a_held_layer_is_never_pruned() {
    let room = Room::new();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                room.store.prune_layers().unwrap();
            }
        });
        for n in 0..100 {
            let hold = room.store.hold().unwrap();
            let staging = room.store.new_layer_dir().unwrap();
            fs::write(staging.upper().join("file"), n.to_string()).unwrap();
            let layer = room.store.commit_held(staging, &hold).unwrap();
            assert!(room.store.layer_path(&layer.id).is_some(), "layer {n}");
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
