//! The same files in other people's tools: umoci unpacks what is saved here, and packs what is loaded here.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use rcompose_image::Platform;
use tar::EntryType;

use crate::common::{Room, Tar};

fn umoci(arguments: &[&str]) {
    let out = Command::new("umoci").args(arguments).output().unwrap();
    assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
}

fn missing() -> bool {
    let missing = Command::new("umoci").arg("--version").output().is_err();
    if missing {
        eprintln!("skipped: there is no umoci");
    }
    missing
}

/// Kind, mode, owner, length, link, time, number of links and device of each file; and its attributes.
fn tree(dir: &Path) -> Vec<String> {
    let format = "%P|%y|%m|%U|%G|%s|%l|%T@|%n\\n";
    let out = Command::new("find").arg(dir).args(["-mindepth", "1", "-printf", format]).output().unwrap();
    let mut lines: Vec<String> = Vec::new();
    for line in out.stdout.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        let path = dir.join(std::ffi::OsStr::from_bytes(line.split(|b| *b == b'|').next().unwrap()));
        // Their lengths and links are the file system's business.
        let directory = fs::symlink_metadata(&path).unwrap().is_dir();
        let fields: Vec<String> = String::from_utf8_lossy(line).split('|').map(str::to_owned).collect();
        let kept = fields.iter().enumerate().filter(|(n, _)| !directory || !matches!(n, 5 | 8));
        let mut text: Vec<String> = kept.map(|(_, f)| f.clone()).collect();
        for name in ["user.color", "security.capability"] {
            let mut value = [0; 64];
            if let Ok(n) = rustix::fs::lgetxattr(&path, name, &mut value[..]) {
                text.push(format!("{name}={:?}", &value[..n]));
            }
        }
        lines.push(text.join("|"));
    }
    lines.sort();
    lines
}

fn every_kind() -> Vec<u8> {
    // Version 2, CAP_NET_RAW, effective.
    let capability = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    Tar::new()
        .dir("etc/")
        .file_as("etc/secret", b"hidden", 0o640, (1000, 42))
        .file_as("bin-su", b"program", 0o6755, (0, 0))
        .link_as("etc/again", "etc/secret", 0o640, (1000, 42))
        .link(EntryType::Symlink, "sym", "/etc/secret")
        .node(EntryType::Fifo, "pipe", 0, 0)
        .node(EntryType::Char, "null", 1, 3)
        .raw_file(b"caf\xe9", b"any bytes")
        .pax(&[("SCHILY.xattr.user.color", b"blue"), ("SCHILY.xattr.security.capability", &capability)])
        .file_as("ping", b"p", 0o755, (0, 0))
        .pax(&[("mtime", b"1700000000.25")])
        .file("when", b"")
        .dir("empty/")
        .done()
}

#[test]
fn theirs_unpacks_ours() {
    if missing() {
        return;
    }
    let room = Room::new();
    let image = room.import(&every_kind(), "kinds:1");
    let mut archive = Vec::new();
    room.store.save(&["kinds:1".to_owned()], None, &mut archive).unwrap();
    let layout = room.dir.path().join("layout");
    tar::Archive::new(&archive[..]).unpack(&layout).unwrap();
    let bundle = room.dir.path().join("bundle");
    umoci(&["unpack", "--image", &format!("{}:1", layout.display()), bundle.to_str().unwrap()]);
    assert_eq!(tree(&bundle.join("rootfs")), tree(&room.top(&image)));
}

#[test]
fn ours_loads_theirs() {
    if missing() {
        return;
    }
    let room = Room::new();
    let at = |name: &str| room.dir.path().join(name);
    let (layout, bundle) = (at("layout"), at("bundle"));
    let image = format!("{}:new", layout.display());
    umoci(&["init", "--layout", layout.to_str().unwrap()]);
    umoci(&["new", "--image", &image]);
    umoci(&["unpack", "--image", &image, bundle.to_str().unwrap()]);
    let root = bundle.join("rootfs");
    let kinds = room.import(&every_kind(), "kinds");
    let copied = Command::new("cp").arg("-aT").args([room.top(&kinds), root.clone()]).status().unwrap();
    assert!(copied.success());
    // Their archives know whole seconds only.
    let touched = Command::new("touch").args(["-d", "@1700000000"]).arg(root.join("when")).status().unwrap();
    assert!(touched.success());
    umoci(&["repack", "--image", &image, bundle.to_str().unwrap()]);
    let before = tree(&root);
    // A second layer with whiteouts.
    let next = at("next");
    umoci(&["unpack", "--image", &image, next.to_str().unwrap()]);
    fs::remove_file(next.join("rootfs/etc/secret")).unwrap();
    fs::remove_dir(next.join("rootfs/empty")).unwrap();
    fs::write(next.join("rootfs/added"), "a").unwrap();
    let mut rounded = Command::new("find");
    rounded.arg(next.join("rootfs")).args(["-depth", "-newermt", "@1700000001"]);
    rounded.args(["-exec", "touch", "-h", "-d", "@1700000002", "{}", ";"]);
    assert!(rounded.status().unwrap().success());
    umoci(&["repack", "--image", &image, next.to_str().unwrap()]);
    let mut packed = tar::Builder::new(Vec::new());
    packed.append_dir_all(".", &layout).unwrap();
    let loaded =
        room.store.load(&packed.into_inner().unwrap()[..], Some(&Platform::host())).unwrap().remove(0).image;
    let layers = room.store.layer_paths(&loaded).unwrap();
    assert_eq!((layers.len(), tree(&layers[1])), (2, before));
    let mut whole = Vec::new();
    rcompose_image::Store::export(&layers, &mut whole).unwrap();
    let merged = room.import(&whole, "merged");
    assert_eq!(tree(&room.top(&merged)), tree(&next.join("rootfs")));
}
