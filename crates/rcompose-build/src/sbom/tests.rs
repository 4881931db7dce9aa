use std::os::unix::fs::PermissionsExt;

use super::*;

const STATUS: &str = "Package: libc6\nStatus: install ok installed\nMaintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>\n\
Architecture: amd64\nMulti-Arch: same\nSource: glibc\nVersion: 2.36-9+deb12u13\nDescription: GNU C Library\n Contains: the standard\n\n\
Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\
Package: epoch\nStatus: install ok installed\nArchitecture: all\nVersion: 1:2.0~rc1-1\n";
const INSTALLED: &str = "C:Q1abc\nP:musl\nV:1.2.5-r0\nA:x86_64\nT:the musl c library\nL:MIT\no:musl\nm:Timo Teras <timo@x.y>\n\n\
P:ssl_client\nV:1.36.1-r29\nA:x86_64\nL:GPL-2.0-only\no:busybox\nF:usr/bin\nR:ssl_client\n";

fn write(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A program with nothing but its build information.
fn go_program() -> Vec<u8> {
    let mut info = MAGIC_AND_FLAGS.to_vec();
    let modules = "path\tx.y/app\nmod\tx.y/app\t(devel)\t\ndep\tgithub.com/a/b\tv1.2.3\th1:x=\n\
dep\tgithub.com/old\tv0.1.0\th1:x=\n=>\tgithub.com/New\tv0.2.0\th1:y=\nbuild\tGOOS=linux\n";
    let modules = [&[b'0'; 16][..], modules.as_bytes(), &[b'1'; 16]].concat();
    for text in [b"go1.22.4".as_slice(), &modules] {
        let mut length = text.len();
        while length >= 0x80 {
            info.push(length as u8 | 0x80);
            length >>= 7;
        }
        info.push(length as u8);
        info.extend_from_slice(text);
    }
    let mut elf = vec![0u8; 64];
    elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
    elf[40..48].copy_from_slice(&64u64.to_le_bytes());
    elf[58..60].copy_from_slice(&64u16.to_le_bytes());
    elf[60..62].copy_from_slice(&2u16.to_le_bytes());
    let mut section = vec![0u8; 64];
    section[4..8].copy_from_slice(&1u32.to_le_bytes());
    section[24..32].copy_from_slice(&192u64.to_le_bytes());
    section[32..40].copy_from_slice(&(info.len() as u64).to_le_bytes());
    [elf, vec![0u8; 64], section, info].concat()
}

const MAGIC_AND_FLAGS: &[u8; 32] = b"\xff Go buildinf:\x08\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

#[test]
fn packages_of_every_kind() {
    let (lower, upper) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (l, u) = (lower.path(), upper.path());
    write(l, "etc/os-release", b"NAME=x\nID=debian\nVERSION_ID=\"12\"\n");
    write(l, "var/lib/dpkg/status", b"Package: old\nStatus: install ok installed\nVersion: 1\n");
    write(u, "var/lib/dpkg/status", STATUS.as_bytes());
    write(l, "var/lib/dpkg/status.d/tz", b"Package: tzdata\nArchitecture: all\nVersion: 2024a-0\n");
    write(l, "var/lib/dpkg/status.d/tz.md5sums", b"Package: no\nVersion: 1\n");
    write(u, "lib/apk/db/installed", INSTALLED.as_bytes());
    write(
        l,
        "usr/lib/python3/dist-packages/Foo_Bar-1.0.dist-info/METADATA",
        b"Metadata-Version: 2.1\nName: Foo_Bar\nVersion: 1.0\nLicense: Some licence of ours\n\nName: no\n",
    );
    write(l, "app/node_modules/@s/p/package.json", br#"{"name":"@s/p","version":"2.0.0","license":"MIT"}"#);
    write(l, "app/node_modules/broken/package.json", b"{");
    write(l, "app/package.json", br#"{"name":"own","version":"1"}"#);
    write(l, "usr/lib/sysimage/rpm/rpmdb.sqlite", b"SQLite format 3");
    write(u, "bin/app", &go_program());
    fs::set_permissions(u.join("bin/app"), fs::Permissions::from_mode(0o755)).unwrap();
    write(u, "bin/cut", &go_program()[..150]);
    fs::set_permissions(u.join("bin/cut"), fs::Permissions::from_mode(0o755)).unwrap();

    let subject = SbomSubject {
        name: "a/b".into(),
        id: "abc".into(),
        purl: Some("pkg:docker/a/b@latest".into()),
        created: "2024-01-01T00:00:00Z".into(),
        purpose: "CONTAINER",
    };
    let (made, warnings) = sbom(&[u.to_owned(), l.to_owned()], &subject).unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let document = &made.predicate;
    let packages = document["packages"].as_array().unwrap();
    let purl = |p: &serde_json::Value| p["externalRefs"][0]["referenceLocator"].as_str().unwrap().to_owned();
    let purls: Vec<String> = packages.iter().map(purl).collect();
    assert_eq!(
        purls,
        [
            "pkg:docker/a/b@latest",
            "pkg:apk/debian/musl@1.2.5-r0?arch=x86_64&distro=debian-12",
            "pkg:apk/debian/ssl_client@1.36.1-r29?arch=x86_64&upstream=busybox&distro=debian-12",
            "pkg:deb/debian/epoch@1:2.0~rc1-1?arch=all&distro=debian-12",
            "pkg:deb/debian/libc6@2.36-9%2Bdeb12u13?arch=amd64&upstream=glibc&distro=debian-12",
            "pkg:deb/debian/tzdata@2024a-0?arch=all&distro=debian-12",
            "pkg:golang/github.com/New@v0.2.0",
            "pkg:golang/github.com/a/b@v1.2.3",
            "pkg:golang/stdlib@1.22.4",
            "pkg:golang/x.y/app",
            "pkg:npm/%40s/p@2.0.0",
            "pkg:pypi/foo-bar@1.0",
        ]
    );
    let of = |name: &str| packages.iter().find(|p| p["name"] == name).unwrap();
    assert_eq!(of("libc6")["supplier"], "Person: GNU Libc Maintainers (debian-glibc@lists.debian.org)");
    assert_eq!(
        (&of("musl")["licenseDeclared"], &of("Foo_Bar")["licenseDeclared"]),
        (&"MIT".into(), &"NOASSERTION".into())
    );
    // Identifiers are unique, and every package hangs on the image.
    let mut ids: Vec<&str> = packages.iter().map(|p| p["SPDXID"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), packages.len());
    assert_eq!(document["relationships"].as_array().unwrap().len(), packages.len());
    assert_eq!(document["creationInfo"]["created"], "2024-01-01T00:00:00Z");
}
