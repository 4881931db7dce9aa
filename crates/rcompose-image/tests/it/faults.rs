//! Broken archives, killed processes, two at once.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcompose_image::{
    Image, ImageError, ImportOptions, NoProgress, Platform, PullOptions, RegistryError, RegistryOptions,
    RemoveOptions, Store, pull,
};

use crate::common::{Room, Tar, reference};
use crate::registry::Registry;

const ROOT: &str = "RCOMPOSE_TEST_STORE";
const LOADS: &str = "RCOMPOSE_TEST_LOADS";
const PULLS: &str = "RCOMPOSE_TEST_PULLS";

/// Not a test of its own: another process that imports or loads from standard input, or pulls.
#[test]
fn child() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let store = Store::open(root.as_ref()).unwrap();
    if let Ok(name) = std::env::var(PULLS) {
        pull_now(&store, &name).unwrap();
    } else if std::env::var_os(LOADS).is_some() {
        store.load(std::io::stdin(), Some(&Platform::host())).unwrap();
    } else {
        store.import(std::io::stdin(), &ImportOptions::new(Some(reference("child")))).unwrap();
    }
}

pub(crate) fn pull_now(store: &Store, name: &str) -> Result<Image, RegistryError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = PullOptions {
        registry: RegistryOptions { retries: 1, ..RegistryOptions::default() },
        ..PullOptions::default()
    };
    runtime.block_on(pull(store, &reference(name), &options, &NoProgress))
}

fn spawn(room: &Room) -> Child {
    spawn_with(room, &[])
}

fn spawn_with(room: &Room, more: &[(&str, &str)]) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "faults::child"])
        .env(ROOT, room.store.root())
        .envs(more.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

pub(crate) fn pull_in_child(room: &Room, name: &str) -> Child {
    spawn_with(room, &[(PULLS, name)])
}

pub(crate) fn large() -> Vec<u8> {
    let mut tar = Tar::new();
    for n in 0..200u8 {
        tar.file(&format!("dir{}/file{n}", n % 7), &vec![n; 100_000]);
    }
    tar.done()
}

#[test]
fn truncated() {
    let room = Room::new();
    let tar = large();
    let import = |bytes: &[u8]| room.store.import(bytes, &ImportOptions::new(Some(reference("t"))));
    for length in [tar.len() / 2, 700, 100] {
        let error = import(&tar[..length]).unwrap_err();
        assert!(matches!(error, ImageError::Unpack { .. } | ImageError::Read { .. }), "{length}: {error:?}");
    }
    let compressed = zstd::encode_all(&tar[..], 1).unwrap();
    import(&compressed[..compressed.len() / 2]).unwrap_err();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    let gzip = gzip.finish().unwrap();
    import(&gzip[..gzip.len() / 2]).unwrap_err();
    import(b"\xfd7zXZ\0 whatever").unwrap_err();
    import(b"BZh9 whatever").unwrap_err();
    import(&b"not an archive at all, just some text".repeat(50)).unwrap_err();
    assert_eq!((room.layers(), room.leftovers().len(), room.store.list().unwrap().len()), (0, 0, 0));
}

#[test]
fn killed_in_the_middle() {
    let room = Room::new();
    let tar = large();
    let mut child = spawn(&room);
    // Far more than is buffered on the way: most of it is unpacked by the time it is written.
    child.stdin.as_mut().unwrap().write_all(&tar[..tar.len() / 2]).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!room.leftovers().is_empty(), "it was killed too early to leave anything");
    let store = Store::open(room.store.root()).unwrap();
    assert_eq!(
        (room.layers(), store.list().unwrap(), store.get(&reference("child")).unwrap()),
        (0, vec![], None)
    );
    let image = store.import(&tar[..], &ImportOptions::new(Some(reference("child")))).unwrap();
    assert_eq!(image.size, 200 * 100_000);
    assert_eq!(room.leftovers(), Vec::<std::path::PathBuf>::new());
}

/// Whatever moment it is killed at: what can be found is whole, and the next one goes on as if nothing had been.
#[test]
fn killed_at_many_points() {
    let tar = large();
    let source = Room::new();
    source.import(&tar, "child");
    let mut archive = Vec::new();
    source.store.save(&["child".to_owned()], None, &mut archive).unwrap();
    for (bytes, more) in [(&tar, &[][..]), (&archive, &[(LOADS, "1")][..])] {
        let room = Room::new();
        let mut whole = 0;
        for n in 0..40 {
            let mut child = spawn_with(&room, more);
            let mut stdin = child.stdin.take().unwrap();
            // Up to the end, and then later and later behind it.
            stdin.write_all(&bytes[..(bytes.len() * n / 28).min(bytes.len())]).unwrap();
            if n >= 28 {
                drop(stdin);
                std::thread::sleep(Duration::from_millis(4 * (n as u64 - 28)));
            }
            child.kill().unwrap();
            child.wait().unwrap();
            let store = Store::open(room.store.root()).unwrap();
            for image in store.list().unwrap() {
                store.layer_paths(&image).unwrap();
                let mut out = Vec::new();
                store.write_layer(&image.layers[0], &mut out).unwrap();
                assert!(out == tar);
                whole += 1;
            }
        }
        println!("{whole} of 40 were there");
        room.import(&tar, "child");
        assert_eq!((room.layers(), room.leftovers().len()), (1, 0));
    }
}

#[test]
fn two_at_once() {
    let room = Room::new();
    let tar = large();
    let mut children = [spawn(&room), spawn(&room)];
    std::thread::scope(|scope| {
        for child in &mut children {
            let mut stdin = child.stdin.take().unwrap();
            let tar = &tar;
            scope.spawn(move || stdin.write_all(tar).unwrap());
        }
    });
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    let image = room.store.get(&reference("child")).unwrap().unwrap();
    let mut first = Vec::new();
    room.store.write_layer(&image.layers[0], &mut first).unwrap();
    assert_eq!((first == tar, room.layers(), room.leftovers().len()), (true, 1, 0));
}

#[test]
fn damaged_layer_is_told() {
    let room = Room::new();
    let image = room.import(&Tar::new().file("f", b"12345").done(), "x");
    std::fs::write(room.top(&image).join("f"), b"12346").unwrap();
    let error = room.store.write_layer(&image.layers[0], &mut std::io::sink()).unwrap_err();
    assert!(matches!(error, ImageError::Mismatch { .. }));
    std::fs::remove_dir_all(room.store.root().join("layers").join(image.layers[0].0.hex())).unwrap();
    assert!(matches!(room.store.layer_paths(&image), Err(ImageError::LayerMissing(_))));
}

/// As after a power cut: the layer's directory is there, the end of its content isn't.
#[test]
fn layers_of_an_earlier_boot_are_checked_once() {
    let room = Room::new();
    let tar = Tar::new().file("f", b"12345").done();
    let image = room.import(&tar, "x");
    let dir = room.store.root().join("layers").join(image.layers[0].0.hex());
    let rebooted = || std::fs::write(dir.join("unsynced"), "another boot").unwrap();
    rebooted();
    room.store.layer_paths(&image).unwrap();
    assert!(!dir.join("unsynced").exists());
    rebooted();
    std::fs::write(dir.join("fs/f"), b"123").unwrap();
    assert!(matches!(room.store.layer_paths(&image), Err(ImageError::LayerMissing(_))));
    assert!(!room.store.hold().unwrap().layer(&image.layers[0]).unwrap());
    let again = room.import(&tar, "x");
    assert_eq!(std::fs::read(room.top(&again).join("f")).unwrap(), b"12345");
    // With its record lost as well.
    rebooted();
    std::fs::write(dir.join("layer.json"), b"").unwrap();
    room.import(&tar, "x");
    assert!(room.store.layer_paths(&image).is_ok() && room.leftovers().is_empty());
}

/// Prints how long an import of 130 MB takes: run it alone, with `--release` and `--nocapture`.
#[test]
#[ignore = "a measurement"]
fn import_speed() {
    let mut tar = Tar::new();
    let mut random = std::fs::File::open("/dev/urandom").unwrap();
    for n in 0..6000 {
        let mut content = vec![0; 22_000];
        random.read_exact(&mut content[..11_000]).unwrap();
        tar.file(&format!("dir{}/file{n}", n / 50), &content);
    }
    let tar = tar.done();
    for _ in 0..3 {
        let room = Room::new();
        let start = std::time::Instant::now();
        room.import(&tar, "speed");
        println!("import of {} MB: {:?}", tar.len() / 1_000_000, start.elapsed());
        let staging = room.store.new_layer_dir().unwrap();
        std::fs::write(staging.upper().join("f"), "x").unwrap();
        let start = std::time::Instant::now();
        room.store.commit_layer(staging).unwrap();
        println!("commit of a small layer: {:?}", start.elapsed());
    }
}

/// An image of five layers, some megabytes.
pub(crate) fn layered(room: &Room) -> Image {
    let mut tar = Tar::new();
    for n in 0..200u8 {
        tar.file(&format!("dir{}/file{n}", n % 7), &vec![n; 10_000]);
    }
    let base = room.import(&tar.done(), "base");
    let mut layers = base.layers.clone();
    for n in 0..4u8 {
        let staging = room.store.new_layer_dir().unwrap();
        for f in 0..40 {
            std::fs::write(staging.upper().join(format!("f{n}-{f}")), vec![n; 10_000]).unwrap();
        }
        layers.push(room.store.commit_layer(staging).unwrap().id);
    }
    room.store.put_image(&base.config, &layers, &[reference("layered")]).unwrap()
}

/// Everything that can be found is whole, and there is nothing that nothing leads to.
pub(crate) fn is_whole(store: &Store) {
    for image in store.list().unwrap() {
        store.layer_paths(&image).unwrap();
        for layer in &image.layers {
            store.write_layer(layer, &mut std::io::sink()).unwrap();
        }
    }
    // The next operation clears up, whatever it is.
    drop(store.hold().unwrap());
    let pulled = store.pulled_layers().unwrap();
    assert!(store.loose_layers().unwrap().iter().all(|l| pulled.contains(l)));
    let tmp =
        std::fs::read_dir(store.root().join("tmp")).unwrap().filter(|e| e.as_ref().unwrap().path().is_dir());
    assert_eq!(tmp.count(), 0);
    let names = |dir: &str| -> Vec<String> {
        let all = std::fs::read_dir(store.root().join(dir)).unwrap();
        let mut all: Vec<String> =
            all.map(|e| e.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        all.sort();
        all.dedup();
        all
    };
    assert_eq!(names("blobs/sha256"), names("images"));
}

#[test]
fn pulls_killed_at_many_points() {
    let Some(registry) = Registry::start(false) else { return };
    let source = Room::new();
    let image = layered(&source);
    registry.fill_from(&source, &image, "app:1");
    let name = format!("{}/app:1", registry.address);
    let begun = std::time::Instant::now();
    let room = Room::new();
    assert!(spawn_with(&room, &[(PULLS, &name)]).wait().unwrap().success());
    let whole = begun.elapsed();
    let (mut before, mut after) = (0, 0);
    for n in 0..30u32 {
        let room = Room::new();
        let mut child = spawn_with(&room, &[(PULLS, &name)]);
        std::thread::sleep(whole * n / 24);
        child.kill().unwrap();
        child.wait().unwrap();
        let store = Store::open(room.store.root()).unwrap();
        match store.get(&reference(&name)).unwrap() {
            Some(_) => after += 1,
            None => before += 1,
        }
        is_whole(&store);
        assert_eq!(pull_now(&store, &name).unwrap().layers, image.layers);
        assert_eq!((room.layers(), room.leftovers().len()), (5, 0));
        assert!(store.pulled_layers().unwrap().is_empty());
        store.prune(&|_| true, &|_| false).unwrap();
        assert_eq!((room.layers(), store.pulled_layers().unwrap().len()), (0, 0));
        is_whole(&store);
    }
    println!("killed {before} times before the image was there, {after} times behind");
    assert!(before > 8);
}

/// What is left where a process is killed between two steps of adding or removing.
#[test]
fn parts_without_an_image_go() {
    let room = Room::new();
    let image = layered(&room);
    let (id, killed) = (image.id.hex(), room.store.root().join("tmp/killed"));
    std::fs::remove_file(room.store.root().join(format!("images/{id}.json"))).unwrap();
    std::fs::write(room.store.root().join(format!("images/{id}.manifest")), "{}").unwrap();
    let staging = room.store.new_layer_dir().unwrap();
    std::fs::write(staging.upper().join("alone"), "x").unwrap();
    let alone = room.store.commit_layer(staging).unwrap().id;
    assert_eq!(room.store.loose_layers().unwrap().len(), 5);
    // Nobody was killed yet: whoever is at work may still want them.
    let hold = room.store.hold().unwrap();
    assert!(hold.layer(&alone).unwrap());
    std::fs::create_dir(&killed).unwrap();
    drop(room.store.hold().unwrap());
    assert_eq!((killed.exists(), room.layers(), room.store.loose_layers().unwrap()), (false, 2, vec![]));
    drop(hold);
    std::fs::create_dir(&killed).unwrap();
    is_whole(&room.store);
    assert_eq!(room.layers(), 1, "only the base image's is left");
    room.store.remove("base", &RemoveOptions { force: false, in_use: &|_| false }).unwrap();
    assert_eq!(room.layers(), 0);
}

#[test]
fn a_layer_of_any_depth_goes_again() {
    let room = Room::new();
    let mut tar = Tar::new();
    let deep = "d/".repeat(2_000);
    tar.file("first", b"x").pax(&[("path", deep.as_bytes())]).dir("d/");
    let image = room.import(&tar.done(), "deep");
    assert_eq!(image.layers.len(), 1);
    room.store.prune(&|_| true, &|_| false).unwrap();
    assert_eq!((room.layers(), room.leftovers().len()), (0, 0));
}
