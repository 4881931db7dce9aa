//! Broken archives, killed processes, two at once.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcompose_image::{ImageError, ImportOptions, Platform, Store};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::common::{Room, Tar, reference};

const ROOT: &str = "RCOMPOSE_TEST_STORE";
const LOADS: &str = "RCOMPOSE_TEST_LOADS";

/// Not a test of its own: another process that imports or loads from standard input.
#[test]
fn child() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let store = Store::open(root.as_ref()).unwrap();
    if std::env::var_os(LOADS).is_some() {
        store.load(std::io::stdin(), &Platform::host()).unwrap();
    } else {
        store.import(std::io::stdin(), &ImportOptions::new(Some(reference("child")))).unwrap();
    }
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

/// Whatever moment it is killed at: what can be found is whole, and the next one goes on as if nothing had been.
#[test]
fn killed_at_many_points() {
    let tar = large();
    let source = Room::new();
    source.import(&tar, "child");
    let mut archive = Vec::new();
    source.store.save(&["child".to_owned()], &mut archive).unwrap();
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

/// Wherever the room ends: it is told, nothing is left, and with room it works.
#[test]
fn disks_of_many_sizes() {
    let tar = large();
    let mut full = 0;
    let sizes = (0..14).map(|n| format!("size={}k", 200 + n * 2_300)).chain([String::from("nr_inodes=60")]);
    for size in sizes {
        let dir = tempfile::tempdir().unwrap();
        let options = std::ffi::CString::new(size.clone()).unwrap();
        mount("tmpfs", dir.path(), "tmpfs", MountFlags::empty(), Some(options.as_c_str())).unwrap();
        let store = Store::open(&dir.path().join("images")).unwrap();
        let import = || store.import(&tar[..], &ImportOptions::new(Some(reference("t"))));
        let (result, mut left) = (import(), 0);
        for below in ["tmp", "layers"] {
            let all = std::fs::read_dir(store.root().join(below)).unwrap();
            left += all.filter(|e| e.as_ref().unwrap().path().is_dir()).count();
        }
        let more = std::ffi::CString::new("size=64m,nr_inodes=10000").unwrap();
        rustix::mount::mount_remount(dir.path(), MountFlags::empty(), more.as_c_str()).unwrap();
        let again = import();
        let whole =
            again.as_ref().is_ok_and(|i| store.write_layer(&i.layers[0], &mut std::io::sink()).is_ok());
        // Another test may just be starting a process, which has our files open for a moment.
        unmount(dir.path(), UnmountFlags::DETACH).unwrap();
        assert!(whole, "{size}: {again:?}");
        match result {
            Ok(_) => assert_eq!(left, 1, "{size}"),
            Err(e) => {
                full += 1;
                assert!(matches!(e, ImageError::DiskFull { .. }), "{size}: {e:?}");
                assert_eq!(left, 0, "{size}");
            }
        }
    }
    assert!(full > 5);
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
