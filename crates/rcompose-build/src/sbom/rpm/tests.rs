use std::fs;
use std::io::Read;

use flate2::read::GzDecoder;

use super::*;

/// Made by rpm 4.18: twelve packages installed, one taken away again.
const SQLITE: &[u8] = include_bytes!("../fixtures/rpmdb.sqlite.gz");
/// What SQLite wrote when lib8 went and libX came.
const LOG: &[u8] = include_bytes!("../fixtures/rpmdb.sqlite-wal.gz");
/// The same packages, written by Berkeley DB 5.3.
const BERKELEY: &[u8] = include_bytes!("../fixtures/Packages.gz");

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut out).unwrap();
    out
}

fn read(name: &str, bytes: &[u8], log: Option<&[u8]>) -> Result<Vec<Package>, Unread> {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("var/lib/rpm");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(name), bytes).unwrap();
    if let Some(log) = log {
        fs::write(directory.join(format!("{name}-wal")), log).unwrap();
    }
    let path = format!("var/lib/rpm/{name}");
    let view = View::new(vec![root.path().to_owned()]);
    let Found::Node(node) = view.find(path.as_ref(), true).unwrap() else { panic!("no {path}") };
    let distribution = Distribution::read("ID=fedora\nVERSION_ID=38\n");
    packages(Form::of(&path).unwrap(), &node, &view, &distribution)
}

fn purls(packages: Vec<Package>) -> Vec<String> {
    let mut purls: Vec<String> = packages.into_iter().map(|p| p.purl).collect();
    purls.sort();
    purls
}

fn expected() -> Vec<String> {
    let lib = |n: u32| {
        format!(
            "pkg:rpm/fedora/lib{n}@1.{n}-1.fc38?arch=x86_64&upstream=lib{n}-1.{n}-1.fc38.src.rpm&distro=fedora-38"
        )
    };
    let mut all: Vec<String> = (1..=8).map(lib).collect();
    all.extend(
        [
            "bash@5.2.15-3.fc38?arch=x86_64&upstream=bash-5.2.15-3.fc38.src.rpm",
            "tzdata@2023c-1.fc38?arch=noarch&upstream=tzdata-2023c-1.fc38.src.rpm",
            "vim-minimal@9.0.1-1.fc38?arch=x86_64&epoch=2&upstream=vim-minimal-9.0.1-1.fc38.src.rpm",
        ]
        .map(|p| format!("pkg:rpm/fedora/{p}&distro=fedora-38")),
    );
    all.sort();
    all
}

#[test]
fn sqlite() {
    let found = read("rpmdb.sqlite", &unpacked(SQLITE), Some(b"")).unwrap();
    let vim = found.iter().find(|p| p.name == "vim-minimal").unwrap();
    assert_eq!(
        (&*vim.version, vim.license.as_deref(), vim.supplier.as_deref(), &*vim.found),
        (
            "2:9.0.1-1.fc38",
            Some("Vim AND MIT"),
            Some("Organization: Fedora Project"),
            "var/lib/rpm/rpmdb.sqlite"
        )
    );
    assert_eq!(found.iter().find(|p| p.name == "tzdata").unwrap().supplier, None);
    assert_eq!(purls(found), expected());
}

#[test]
fn sqlite_with_a_log() {
    let found = purls(read("rpmdb.sqlite", &unpacked(SQLITE), Some(&unpacked(LOG))).unwrap());
    let mut expected = expected();
    expected.retain(|p| !p.contains("/lib8@"));
    expected.push(expected.iter().find(|p| p.contains("/lib7@")).unwrap().replace("/lib7@", "/libX@"));
    expected.sort();
    assert_eq!(found, expected);
    // A log that was cut within the second transaction has the first.
    let log = unpacked(LOG);
    let cut = purls(read("rpmdb.sqlite", &unpacked(SQLITE), Some(&log[..log.len() - 1])).unwrap());
    assert!(cut.len() == 10 && !cut.iter().any(|p| p.contains("libX") || p.contains("lib8")), "{cut:?}");
}

#[test]
fn berkeley() {
    assert_eq!(purls(read("Packages", &unpacked(BERKELEY), None).unwrap()), expected());
}

/// As rpmpkg.c writes it: a free slot first, blobs after one page of slots.
fn written_as_ndb() -> Vec<u8> {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("rpmdb.sqlite");
    fs::write(&path, unpacked(SQLITE)).unwrap();
    let file = File::open(&path).unwrap();
    let database = Pages::of(file).unwrap();
    let mut headers: Vec<Vec<u8>> = Vec::new();
    let mut each = |blob: &[u8]| {
        headers.push(blob.to_vec());
        Ok(())
    };
    sqlite::headers(database, None, &mut each).unwrap();
    let words = |words: &[u32]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
    let mut slots = [b"RpmP".to_vec(), words(&[0, 9, 1, 99, 0, 0, 0])].concat();
    slots.extend([b"Slot".to_vec(), words(&[0, 0, 0])].concat());
    let mut blobs = Vec::new();
    for (n, header) in (7u32..).zip(&headers) {
        let block = (4096 + blobs.len() as u32) / 16;
        let start = blobs.len();
        blobs.extend([b"BlbS".to_vec(), words(&[n, 9, header.len() as u32]), header.clone()].concat());
        while !(blobs.len() - start + 12).is_multiple_of(16) {
            blobs.push(0);
        }
        blobs.extend([words(&[0, header.len() as u32]), b"BlbE".to_vec()].concat());
        let blocks = (blobs.len() - start) as u32 / 16;
        slots.extend([b"Slot".to_vec(), words(&[n, block, blocks])].concat());
    }
    while slots.len() < 4096 {
        slots.extend([b"Slot".to_vec(), words(&[0, 0, 0])].concat());
    }
    [slots, blobs].concat()
}

#[test]
fn ndb() {
    assert_eq!(purls(read("Packages.db", &written_as_ndb(), None).unwrap()), expected());
}

#[test]
fn broken_ones_are_told_and_end() {
    let forms = [
        ("rpmdb.sqlite", unpacked(SQLITE)),
        ("Packages", unpacked(BERKELEY)),
        ("Packages.db", written_as_ndb()),
    ];
    let mut state = 1u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    for (name, bytes) in forms {
        for cut in [0, 1, 15, 16, 100, 512, 4096, bytes.len() / 2] {
            match read(name, &bytes[..cut], None) {
                Err(Unread::Broken(_)) => {}
                other => panic!("{name} cut at {cut}: {other:?}"),
            }
        }
        // Any bytes, those of the structures above all.
        for n in 0..400 {
            let mut bytes = bytes.clone();
            for _ in 0..=n % 3 {
                let at = if n % 2 == 0 { random() % 256 } else { random() % bytes.len() };
                bytes[at] = random() as u8;
            }
            if let Err(Unread::Io(e)) = read(name, &bytes, None) {
                panic!("{name}: {e}");
            }
        }
    }
}

/// A small file that would be a huge list: all slots lead to one header, all entries of a header to one text.
#[test]
fn no_more_than_is_there() {
    let header = |entries: u32, text: usize| {
        let big = |words: &[u32]| words.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<u8>>();
        let mut header = big(&[entries, text as u32 + 1]);
        for n in 0..entries {
            header.extend(big(&[if n == 0 { 1001 } else { 1000 }, 6, 0, 1]));
        }
        header.resize(header.len() + text, b'x');
        [header, vec![0]].concat()
    };
    let little = |words: &[u32]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
    let database = |slots: u32, header: &[u8]| {
        let pages = slots.div_ceil(256);
        let block = pages * 4096 / 16;
        let mut file = [b"RpmP".to_vec(), little(&[0, 9, pages, 99, 0, 0, 0])].concat();
        while file.len() < pages as usize * 4096 {
            file.extend([b"Slot".to_vec(), little(&[7, block, 1])].concat());
        }
        [file, b"BlbS".to_vec(), little(&[7, 9, header.len() as u32]), header.to_vec()].concat()
    };
    let begun = std::time::Instant::now();
    let said = read("Packages.db", &database(50_000, &header(2, 1 << 20)), None);
    assert!(matches!(said, Err(Unread::Broken(_))), "{}", said.unwrap().len());
    let found = read("Packages.db", &database(1, &header(40_000, 1 << 20)), None);
    assert!(matches!(found, Err(Unread::Broken(_))), "{}", found.unwrap().len());
    // All cells of SQLite's first page are one of many pages, which is the same one over and over.
    let mut file = vec![0; 2 * 65536];
    file[..16].copy_from_slice(b"SQLite format 3\0");
    file[16..18].copy_from_slice(&1u16.to_be_bytes());
    file[100] = 13;
    file[103..105].copy_from_slice(&30_000u16.to_be_bytes());
    for n in 0..30_000 {
        file[108 + 2 * n..][..2].copy_from_slice(&65_000u16.to_be_bytes());
    }
    // 64 MiB less a little, row 1.
    file[65_000..65_005].copy_from_slice(&[0x9f, 0xff, 0xff, 0x7f, 1]);
    file[65536..65540].copy_from_slice(&2u32.to_be_bytes());
    let found = read("rpmdb.sqlite", &file, None);
    assert!(matches!(found, Err(Unread::Broken(_))), "{found:?}");
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
}
