//! Archives as they unpack, on the real file system. Needs root: ownership, devices, trusted attributes.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use crate::common::{Room, Tar, reference, stream};
use rcompose_image::{Digest, ImageError, ImportOptions};
use tar::EntryType;

fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 256];
    let n = rustix::fs::lgetxattr(path, name, &mut value[..]).ok()?;
    value.truncate(n);
    Some(value)
}

#[test]
fn every_kind_of_file() {
    let room = Room::new();
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    let bytes = b"not-utf8-\xff\xfe";
    // Capability CAP_NET_RAW, permitted and effective (capability.h, vfs_cap_data revision 2).
    let caps = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let tar = Tar::new()
        .dir("etc/")
        .file("etc/hello", b"hello\n")
        .file_as("bin/su", b"x", 0o4755, (7, 8))
        .link(EntryType::Link, "etc/hard", "etc/hello")
        .link(EntryType::Symlink, "etc/soft", "../bin/su")
        .link(EntryType::Symlink, "etc/dangling", "/no/where")
        .node(EntryType::Fifo, "run/pipe", 0, 0)
        .node(EntryType::Char, "dev/null", 1, 3)
        .node(EntryType::Block, "dev/loop", 7, 0)
        .file(&long, b"long")
        .raw_file(bytes, b"raw")
        .pax(&[("SCHILY.xattr.user.color", b"blue"), ("SCHILY.xattr.security.capability", &caps)])
        .file_as("bin/ping", b"p", 0o755, (0, 5))
        .pax(&[("mtime", b"1600000000.123456789")])
        .file("etc/timed", b"")
        .done();
    let image = room.import(&tar, "kinds");
    let fs_dir = room.top(&image);
    let meta = |p: &str| fs::symlink_metadata(fs_dir.join(p)).unwrap();
    assert_eq!(fs::read(fs_dir.join("etc/hello")).unwrap(), b"hello\n");
    assert_eq!((meta("bin/su").mode() & 0o7777, meta("bin/su").uid(), meta("bin/su").gid()), (0o4755, 7, 8));
    assert_eq!((meta("etc/hard").ino(), meta("etc/hard").nlink()), (meta("etc/hello").ino(), 2));
    assert_eq!(fs::read_link(fs_dir.join("etc/soft")).unwrap(), Path::new("../bin/su"));
    assert_eq!(fs::read_link(fs_dir.join("etc/dangling")).unwrap(), Path::new("/no/where"));
    assert!(meta("run/pipe").file_type().is_fifo());
    assert!(meta("dev/null").file_type().is_char_device());
    assert_eq!(meta("dev/null").rdev(), rustix::fs::makedev(1, 3));
    assert!(meta("dev/loop").file_type().is_block_device());
    assert_eq!(fs::read(fs_dir.join(&long)).unwrap(), b"long");
    assert_eq!(fs::read(fs_dir.join(std::ffi::OsStr::from_bytes(bytes))).unwrap(), b"raw");
    assert_eq!(xattr(&fs_dir.join("bin/ping"), "user.color"), Some(b"blue".to_vec()));
    assert_eq!(xattr(&fs_dir.join("bin/ping"), "security.capability"), Some(caps.to_vec()));
    assert_eq!((meta("etc/timed").mtime(), meta("etc/timed").mtime_nsec()), (1_600_000_000, 123_456_789));
    assert_eq!(meta("etc").mtime(), 1_700_000_000, "a directory's time is set after its files are made");
    assert_eq!(meta("").mode() & 0o7777, 0o755);
    assert_eq!(image.size, 6 + 1 + 4 + 3 + 1);
    assert_eq!(stream(&room.store, &image), tar, "the stream comes back byte for byte");
}

#[test]
fn whiteouts_and_opaque_directories() {
    let room = Room::new();
    let tar = Tar::new()
        .dir("a/")
        .file("a/.wh.gone", b"")
        .dir("b/")
        .file("b/.wh..wh..opq", b"")
        .file("b/new", b"n")
        .file(".wh..wh.plnk/x", b"")
        .file("c/.wh.d", b"")
        .dir("c/d/")
        .done();
    let image = room.import(&tar, "w");
    let fs_dir = room.top(&image);
    let gone = fs::symlink_metadata(fs_dir.join("a/gone")).unwrap();
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    assert_eq!(xattr(&fs_dir.join("b"), "trusted.overlay.opaque"), Some(b"y".to_vec()));
    assert!(fs_dir.join("b/new").exists() && !fs_dir.join("b/.wh..wh..opq").exists());
    assert_eq!(xattr(&fs_dir.join("c/d"), "trusted.overlay.opaque"), Some(b"y".to_vec()));
    assert_eq!(stream(&room.store, &image), tar);
}

#[test]
fn replaced_members_and_compression() {
    let room = Room::new();
    let tar = Tar::new()
        .file("x", b"first")
        .file("x", b"second, longer")
        .dir("y/")
        .file("y/z", b"in a directory")
        .link(EntryType::Symlink, "y", "x")
        .done();
    let image = room.import(&tar, "plain");
    assert_eq!(fs::read(room.top(&image).join("x")).unwrap(), b"second, longer");
    assert_eq!(fs::read(room.top(&image).join("y")).unwrap(), b"second, longer");
    assert_eq!(stream(&room.store, &image), tar);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &tar).unwrap();
    assert_eq!(room.import(&gzip.finish().unwrap(), "gz").layers, image.layers);
    assert_eq!(room.import(&zstd::encode_all(&tar[..], 1).unwrap(), "zst").layers, image.layers);
    assert_eq!(room.layers(), 1);
}

/// A capability's bits may be the byte of a new line.
#[test]
fn attributes_are_any_bytes() {
    let room = Room::new();
    let (color, capability) =
        (b"a\n=\0b 9 x=y\n", [1, 0, 0, 2, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let tar = Tar::new()
        .pax(&[("SCHILY.xattr.user.color", color), ("SCHILY.xattr.security.capability", &capability)])
        .file("f", b"x")
        .file("g", b"y")
        .done();
    let image = room.import(&tar, "bytes");
    let path = room.top(&image).join("f");
    assert_eq!(xattr(&path, "user.color").as_deref(), Some(&color[..]));
    assert_eq!(xattr(&path, "security.capability").as_deref(), Some(&capability[..]));
    assert_eq!(xattr(&room.top(&image).join("g"), "user.color"), None);
    assert_eq!(stream(&room.store, &image), tar);
}

/// Some kilobytes that want all memory.
#[test]
fn long_headers_are_refused() {
    let room = Room::new();
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(4 << 30);
    header.set_cksum();
    let error = room.store.import(header.as_bytes().as_slice(), &ImportOptions::new(None)).unwrap_err();
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert!(why.contains("extended header"), "{why}");
    assert_eq!((room.layers(), room.leftovers().len()), (0, 0));
}

#[test]
fn sparse_files_keep_their_holes() {
    let room = Room::new();
    let map = b"2\n0\n4\n1048576\n4\n";
    let mut content = map.to_vec();
    content.resize(512, 0);
    content.extend_from_slice(b"headtail");
    let tar = Tar::new()
        .pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"hole"),
            ("GNU.sparse.realsize", b"1048580"),
        ])
        .file("GNUSparseFile.0/hole", &content)
        .done();
    let image = room.import(&tar, "sparse");
    let path = room.top(&image).join("hole");
    let bytes = fs::read(&path).unwrap();
    assert_eq!((bytes.len(), &bytes[..4], &bytes[1_048_576..]), (1_048_580, &b"head"[..], &b"tail"[..]));
    assert!(fs::metadata(&path).unwrap().blocks() * 512 < 100_000);
    assert_eq!(stream(&room.store, &image), tar);
}

#[test]
fn nothing_leads_out() {
    let room = Room::new();
    let outside = room.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let outside_text = outside.to_str().unwrap();
    let refused = |tar: Vec<u8>| {
        let error = room.store.import(&tar[..], &ImportOptions::new(Some(reference("evil")))).unwrap_err();
        assert!(room.leftovers().is_empty() && room.layers() == 0);
        error
    };
    let up = Tar::new().unchecked(EntryType::Regular, b"../escape", b"", b"x").done();
    assert!(matches!(refused(up), ImageError::Member { .. }));
    let hard = Tar::new().unchecked(EntryType::Link, b"x", b"../../etc/passwd", b"").done();
    assert!(matches!(refused(hard), ImageError::Member { .. }));
    let missing = Tar::new().link(EntryType::Link, "x", "nothing").done();
    assert!(refused(missing).to_string().contains("which the layer doesn't have"));
    // An absolute link is followed inside the layer, as in a container.
    let tar = Tar::new().link(EntryType::Symlink, "l", outside_text).file("l/f", b"x").done();
    let image = room.import(&tar, "inside");
    assert!(fs::read_dir(&outside).unwrap().next().is_none());
    assert_eq!(fs::read(room.top(&image).join(&outside_text[1..]).join("f")).unwrap(), b"x");
    assert!(room.store.get(&reference("evil")).unwrap().is_none());
}

/// Members that want to be, to change or to read something outside, each in an archive of its own.
#[test]
fn tricks() {
    let room = Room::new();
    let outside = room.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("kept"), b"kept").unwrap();
    let meta = |path: &Path| {
        let m = fs::symlink_metadata(path).unwrap();
        (m.mode(), m.uid(), m.mtime(), m.nlink(), m.len())
    };
    let before = (meta(&outside), meta(&outside.join("kept")));
    let (to, up) = (outside.to_str().unwrap(), "../".repeat(40));
    let out = format!("{up}{}", &to[1..]);
    let soft = |path: &str, target: &str| {
        let mut tar = Tar::new();
        tar.link(EntryType::Symlink, path, target);
        tar
    };
    let archives = [
        // Through links that lead out, absolute, relative, in steps, through another link, as the last part.
        soft("l", &out).file("l/kept", b"changed").done(),
        soft("l", "..").file("l/l/l/kept", b"changed").done(),
        soft("a", "/").link(EntryType::Symlink, "b", "a/..").file(&format!("b{to}/kept"), b"changed").done(),
        soft("l", &format!("{to}/kept")).file("l", b"changed").done(),
        soft("l", &format!("{to}/new")).file("l", b"made").done(),
        soft("l", "/proc/self/root").file(&format!("l{to}/kept"), b"changed").done(),
        // Hard links to what a link leads to, and whatever changes a file's attributes by its name.
        soft("l", &format!("{to}/kept"))
            .link(EntryType::Link, "h", "l")
            .file_as("h", b"x", 0o777, (9, 9))
            .done(),
        soft("l", to).link(EntryType::Link, "h", "l/kept").done(),
        soft("l", to).dir("l/").file("l/kept", b"changed").done(),
        soft("l", to).node(EntryType::Char, "l/node", 1, 3).done(),
        soft("l", to).file("l/.wh.kept", b"").file("l/.wh..wh..opq", b"").done(),
        soft("l", to)
            .pax(&[("SCHILY.xattr.user.mark", b"x")])
            .link(EntryType::Symlink, "l", &format!("{to}/kept"))
            .done(),
        Tar::new().pax(&[("path", out.as_bytes())]).file("x", b"x").done(),
        Tar::new()
            .pax(&[("linkpath", format!("{out}/kept").as_bytes())])
            .link(EntryType::Link, "h", "x")
            .done(),
        Tar::new().pax(&[("path", b"a\0b")]).file("x", b"x").done(),
        Tar::new().pax(&[("path", &[b'n'; 300])]).file("x", b"x").done(),
        Tar::new().unchecked(EntryType::Regular, b"d/.wh...", b"", b"").done(),
        Tar::new().unchecked(EntryType::Regular, b".wh.", b"", b"").done(),
        Tar::new().unchecked(EntryType::Regular, b"..", b"", b"x").done(),
        Tar::new().unchecked(EntryType::Symlink, b".", b"/etc", b"").done(),
        Tar::new().unchecked(EntryType::Link, b"h", b".", b"").done(),
        Tar::new().file("f", b"x").unchecked(EntryType::Link, b"f", b"f", b"").done(),
        Tar::new().file("f", b"x").file("f/below", b"x").done(),
        Tar::new()
            .pax(&[("GNU.sparse.realsize", b"10"), ("GNU.sparse.map", b"5,18446744073709551615")])
            .file("s", b"x")
            .done(),
        Tar::new().pax(&[("uid", b"-1"), ("size", b"99999999999999999999")]).file("f", b"x").done(),
        Tar::new().unchecked(EntryType::new(b'Z'), b"f", b"", b"x").done(),
    ];
    for (n, tar) in archives.iter().enumerate() {
        match room.store.import(&tar[..], &ImportOptions::new(Some(reference("trick")))) {
            // What it made is inside, and comes back as it was.
            Ok(image) => assert!(stream(&room.store, &image) == *tar, "{n}"),
            Err(e) => assert!(
                matches!(e, ImageError::Member { .. } | ImageError::Unpack { .. } | ImageError::Read { .. }),
                "{n}: {e:?}"
            ),
        }
        assert_eq!((meta(&outside), meta(&outside.join("kept"))), before, "{n}");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "{n}");
        assert!(room.leftovers().is_empty(), "{n}");
    }
}

/// Old and careless writers leave numbers out.
#[test]
fn numbers_that_are_not_written() {
    let room = Room::new();
    let mut header = tar::Header::new_gnu();
    header.set_path("file").unwrap();
    header.set_size(1);
    header.set_cksum();
    let mut tar = header.as_bytes().to_vec();
    tar.extend([b'x'; 1].into_iter().chain([0; 511 + 1024]));
    let image = room.import(&tar, "blank");
    let meta = fs::metadata(room.top(&image).join("file")).unwrap();
    assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777, meta.mtime()), (0, 0, 0, 0));
    assert_eq!(stream(&room.store, &image), tar);
}

/// As with docker: what a file's last name says counts.
#[test]
fn links_say_what_the_file_is_like() {
    let room = Room::new();
    let caps = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let tar = Tar::new()
        .file_as("owned", b"x", 0o4640, (1000, 42))
        .link(EntryType::Link, "other", "owned")
        .pax(&[("SCHILY.xattr.security.capability", &caps)])
        .file_as("capable", b"x", 0o755, (0, 0))
        .link(EntryType::Link, "again", "capable")
        .done();
    let image = room.import(&tar, "linked");
    let meta = |name: &str| fs::metadata(room.top(&image).join(name)).unwrap();
    assert_eq!((meta("owned").mode() & 0o7777, meta("owned").uid(), meta("owned").gid()), (0o777, 0, 0));
    assert_eq!((meta("capable").mode() & 0o7777, meta("capable").nlink()), (0o777, 2));
    assert_eq!(xattr(&room.top(&image).join("capable"), "security.capability"), Some(caps.to_vec()));
    assert_eq!(stream(&room.store, &image), tar);
}

/// As layers of other tools have them: the target is in a layer below.
#[test]
fn hard_links_into_lower_layers() {
    let room = Room::new();
    let base = Tar::new().dir("d/").file_as("d/f", b"below", 0o4711, (7, 8)).file("d/gone", b"x").done();
    let base = room.import(&base, "base");
    let links = |target: &str| {
        Tar::new()
            .dir("e/")
            .link(EntryType::Link, "e/one", target)
            .link(EntryType::Link, "e/two", target)
            .done()
    };
    // They come as an archive: alone such a layer is no image.
    let with = |upper: &[u8], name: &str| {
        let mut config = base.config.clone();
        config.rootfs.diff_ids.push(Digest::of(upper));
        let mut archive = Tar::new();
        let mut lower = Vec::new();
        room.store.write_layer(&base.layers[0], &mut lower).unwrap();
        archive.file("lower.tar", &lower).file("upper.tar", upper);
        archive.file("config.json", &serde_json::to_vec(&config).unwrap());
        let manifest = format!(
            r#"[{{"Config":"config.json","RepoTags":["{name}"],"Layers":["lower.tar","upper.tar"]}}]"#
        );
        archive.file("manifest.json", manifest.as_bytes());
        room.store.load(&archive.done()[..], Some(&rcompose_image::Platform::host()))
    };
    let upper = links("d/f");
    let image = with(&upper, "linked:1").unwrap().remove(0).image;
    let top = room.top(&image);
    for name in ["e/one", "e/two"] {
        let meta = fs::metadata(top.join(name)).unwrap();
        assert_eq!(
            (meta.mode() & 0o7777, meta.uid(), meta.gid(), meta.mtime()),
            (0o4711, 7, 8, 1_700_000_000)
        );
        assert_eq!(fs::read(top.join(name)).unwrap(), b"below");
    }
    assert_eq!(fs::metadata(top.join("e")).unwrap().mtime(), 1_700_000_000);
    assert_eq!(stream(&room.store, &image), upper);
    // Again, and what isn't there either.
    with(&upper, "linked:2").unwrap();
    let error = with(&links("d/nothing"), "bad:1").unwrap_err();
    assert!(error.to_string().contains("nor one below"), "{error}");
    assert!(room.store.get(&reference("bad:1")).unwrap().is_none() && room.leftovers().is_empty());
}

#[test]
fn attributes_that_cannot_be_are_left_out() {
    let room = Room::new();
    let tar = Tar::new()
        .pax(&[("SCHILY.xattr.user.color", b"blue")])
        .link(EntryType::Symlink, "link", "target")
        .pax(&[("SCHILY.xattr.nonsense.name", b"x"), ("SCHILY.xattr.trusted.overlay.opaque", b"y")])
        .file("file", b"")
        .done();
    let image = room.import(&tar, "x");
    assert_eq!(xattr(&room.top(&image).join("file"), "trusted.overlay.opaque"), None);
    assert_eq!(stream(&room.store, &image), tar);
}
