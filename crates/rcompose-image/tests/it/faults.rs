//! Broken archives, killed processes, two at once.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use rcompose_image::{ImageError, ImportOptions, Store};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::common::{Room, Tar, reference};

const ROOT: &str = "RCOMPOSE_TEST_STORE";

/// Not a test of its own: another process that imports from standard input.
#[test]
fn child() {
    if let Some(root) = std::env::var_os(ROOT) {
        let store = Store::open(root.as_ref()).unwrap();
        store.import(std::io::stdin(), &ImportOptions::new(Some(reference("child")))).unwrap();
    }
}

fn spawn(room: &Room) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "faults::child"])
        .env(ROOT, room.store.root())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn large() -> Vec<u8> {
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
fn full_disk() {
    let dir = tempfile::tempdir().unwrap();
    mount("tmpfs", dir.path(), "tmpfs", MountFlags::empty(), Some(c"size=4m")).unwrap();
    let store = Store::open(&dir.path().join("images")).unwrap();
    let error = store.import(&large()[..], &ImportOptions::new(Some(reference("t")))).unwrap_err();
    let left =
        std::fs::read_dir(store.root().join("tmp")).unwrap().filter(|e| e.as_ref().unwrap().path().is_dir());
    let left = (left.count(), std::fs::read_dir(store.root().join("layers")).unwrap().count());
    unmount(dir.path(), UnmountFlags::empty()).unwrap();
    assert!(matches!(error, ImageError::DiskFull { .. }), "{error:?}");
    assert_eq!(left, (0, 0));
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
