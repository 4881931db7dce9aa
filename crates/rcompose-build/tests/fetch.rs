//! ADD of what is elsewhere: a server on loopback, and a repository that is a directory.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use rcompose_build::{
    BaseImage, BuildError, BuildEvent, BuildEvents, BuildRequest, Built, ContextSource, DockerfileSource,
    GitSource, ImageSource, LayerStore, OutsideError, RunStep, StagedLayer, StepRunner, Stream, build, check,
};
use rcompose_image::{Digest, ImageConfig, Platform, Reference};

struct World {
    temp: tempfile::TempDir,
    next: AtomicUsize,
}

struct Staged {
    from: PathBuf,
    to: PathBuf,
    id: Digest,
}

impl StagedLayer for Staged {
    fn upper(&self) -> &Path {
        &self.from
    }
    fn work(&self) -> &Path {
        &self.from
    }
    fn commit(self: Box<Self>) -> Result<Digest, OutsideError> {
        fs::rename(&self.from, &self.to)?;
        Ok(self.id)
    }
}

impl LayerStore for World {
    fn layer(&self, diff_id: &Digest) -> Result<Option<PathBuf>, OutsideError> {
        Ok(Some(self.temp.path().join(diff_id.hex())).filter(|p| p.exists()))
    }
    fn stage(&self) -> Result<Box<dyn StagedLayer + '_>, OutsideError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let id = Digest::of(number.to_string().as_bytes());
        let from = self.temp.path().join(format!("staging{number}"));
        fs::create_dir(&from)?;
        Ok(Box::new(Staged { from, to: self.temp.path().join(id.hex()), id }))
    }
    fn put_image(&self, _: &ImageConfig, _: &[Reference]) -> Result<Digest, OutsideError> {
        Ok(Digest::of(b"image"))
    }
}

impl StepRunner for World {
    fn run(&self, _: &RunStep, _: &mut dyn FnMut(Stream, &[u8])) -> Result<i32, OutsideError> {
        Err("nothing runs here".into())
    }
    fn run_on_terminal(&self, _: &RunStep) -> Result<i32, OutsideError> {
        Err("nothing runs here".into())
    }
}

impl ImageSource for World {
    fn resolve(&self, _: &str, _: &Platform, _: bool) -> Result<BaseImage, OutsideError> {
        Err("no images here".into())
    }
    fn checkout(&self, source: &GitSource) -> Result<(PathBuf, String), OutsideError> {
        if source.reference.as_deref() == Some("gone") {
            return Err("no such branch".into());
        }
        let kept = if source.keep_git_dir == Some(true) { "kept" } else { "repository" };
        let root = self.temp.path().join(kept);
        let directory = source.directory.as_ref().map_or_else(|| root.clone(), |d| root.join(d));
        Ok((directory, "0123456789abcdef0123456789abcdef01234567".to_owned()))
    }
}

impl BuildEvents for World {
    fn event(&self, _: BuildEvent<'_>) {}
}

impl World {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("kept/.git/HEAD", "x"),
            ("kept/a", "a"),
            ("repository/a", "a"),
            ("repository/dir/b", "b"),
            ("ctx/c", "c"),
        ] {
            let path = temp.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self { temp, next: AtomicUsize::new(0) }
    }

    fn build(&self, dockerfile: &str) -> Result<Built, BuildError> {
        let req = BuildRequest {
            context: self.temp.path().join("ctx"),
            dockerfile: DockerfileSource::Inline(dockerfile.to_owned()),
            cache_root: self.temp.path().join("cache"),
            ..BuildRequest::default()
        };
        build(self, &req, self, self, self)
    }

    fn fails(&self, dockerfile: &str) -> String {
        self.build(dockerfile).unwrap_err().to_string()
    }

    fn path(&self, built: &Built, path: &str) -> PathBuf {
        let layer = built.config.rootfs.diff_ids.last().unwrap();
        self.temp.path().join(layer.hex()).join(path)
    }
}

/// A server that answers `/file` and `/pkg.tar`, and 404 otherwise; counts what it was asked.
fn server(archive: Vec<u8>) -> (String, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let mut late = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mtime(u64::MAX);
    header.set_size(0);
    late.append_data(&mut header, "late", std::io::empty()).unwrap();
    let late = late.into_inner().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let mut request = [0u8; 4096];
            let n = stream.read(&mut request).unwrap_or(0);
            let text = String::from_utf8_lossy(&request[..n]).into_owned();
            count.fetch_add(1, Ordering::Relaxed);
            let path = text.split(' ').nth(1).unwrap_or("/");
            let body: &[u8] = match path {
                "/file" | "/dir/" => b"hello",
                "/pkg.tar" | "/undated.tar" => &archive,
                "/undated" => b"text",
                "/undated-late.tar" => &late,
                _ => b"",
            };
            let date = match path.starts_with("/undated") {
                true => "",
                false => "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
            };
            let status = if body.is_empty() { "404 Not Found" } else { "200 OK" };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{date}Connection: close\r\n\r\n",
                body.len()
            );
            drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)));
        }
    });
    (address, asked)
}

fn archive() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(2);
    header.set_mode(0o755);
    header.set_mtime(1_234_567_890);
    tar.append_data(&mut header, "tool", &b"hi"[..]).unwrap();
    tar.into_inner().unwrap()
}

#[test]
fn addresses() {
    let w = World::new();
    let (at, asked) = server(archive());
    let built = w.build(&format!("FROM scratch\nADD {at}/file /x/\n")).unwrap();
    let meta = fs::metadata(w.path(&built, "x/file")).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.mtime(), meta.uid()), (0o600, 784_111_777, 0));
    assert_eq!(fs::read_to_string(w.path(&built, "x/file")).unwrap(), "hello");
    assert_eq!(w.build(&format!("FROM scratch\nADD {at}/file /x/\n")).unwrap().cached_steps, 1);
    let built = w.build(&format!("FROM scratch\nADD --chmod=755 --chown=3:4 {at}/file /y\n")).unwrap();
    let meta = fs::metadata(w.path(&built, "y")).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid()), (0o755, 3, 4));
    let built = w.build(&format!("FROM scratch\nADD {at}/pkg.tar /a/\n")).unwrap();
    assert!(w.path(&built, "a/pkg.tar").is_file());
    let built = w.build(&format!("FROM scratch\nADD --unpack=true {at}/pkg.tar /a/\n")).unwrap();
    assert_eq!(fs::read_to_string(w.path(&built, "a/tool")).unwrap(), "hi");
    // A known checksum is enough to know the step.
    let good = Digest::of(b"hello");
    let text = format!("FROM scratch\nADD --checksum={good} {at}/file /z\n");
    assert_eq!(w.build(&text).unwrap().ran_steps, 1);
    let before = asked.load(Ordering::Relaxed);
    assert_eq!((w.build(&text).unwrap().cached_steps, asked.load(Ordering::Relaxed)), (1, before));
    let bad = Digest::of(b"other");
    let said = w.fails(&format!("FROM scratch\nADD --checksum={bad} {at}/file /z\n"));
    assert!(said.contains(&format!("is {good}, not {bad}")), "{said}");
    let said = w.fails(&format!("FROM scratch\nADD {at}/none /z\n"));
    assert!(said.contains("failed to fetch") && said.contains("404"), "{said}");
    assert!(w.fails(&format!("FROM scratch\nCOPY {at}/file /z\n")).contains("COPY can't fetch"));
    assert!(w.fails(&format!("FROM scratch\nADD --checksum={good} c /z\n")).contains("for what is fetched"));
    assert!(
        w.fails(&format!("FROM scratch\nADD --checksum={good} c {at}/file /z/\n")).contains("single source")
    );
    assert!(
        fs::read_dir(w.temp.path().join("cache/tmp")).unwrap().next().is_none(),
        "nothing is left behind"
    );
}

/// `SOURCE_DATE_EPOCH` that names what has the date.
#[test]
fn dates() {
    let w = World::new();
    let (at, _) = server(archive());
    let root = fs::File::open(w.temp.path().join("repository")).unwrap();
    root.set_modified(UNIX_EPOCH + Duration::from_secs(77)).unwrap();
    let end = "FROM scratch\nARG SOURCE_DATE_EPOCH\nLABEL epoch=$SOURCE_DATE_EPOCH\nCOPY c /\n";
    let dated = |dockerfile: &str, given: Option<&str>| {
        let source = |time| ContextSource { uri: "https://x.y/z".into(), commit: None, time };
        let mut req = BuildRequest {
            context: w.temp.path().join("ctx"),
            dockerfile: DockerfileSource::Inline(format!("{dockerfile}{end}")),
            cache_root: w.temp.path().join("cache"),
            context_source: Some(source(Some(88))),
            ..BuildRequest::default()
        };
        let place = w.temp.path().join("ctx").display().to_string();
        for (name, time) in [("old", Some(99)), ("never", None)] {
            req.additional_contexts.insert(name.into(), place.clone());
            req.context_sources.insert(name.into(), source(time));
        }
        req.args.extend(given.map(|g| ("SOURCE_DATE_EPOCH".to_owned(), Some(g.to_owned()))));
        let checked = check(&req, &w).unwrap().error;
        let built = build(&w, &req, &w, &w, &w).map_err(|e| format!("{}:{} {}", e.line, e.column, e.message));
        if let Err(said) = &built {
            let checked = checked.unwrap();
            assert_eq!(said, &format!("{}:{} {}", checked.line, checked.column, checked.message));
        }
        built.map(|b| {
            let label = &b.config.config.labels["epoch"];
            assert_eq!(*label, b.source_date_epoch.map(|s| s.to_string()).unwrap_or_default());
            b.source_date_epoch
        })
    };
    let stage = |add: &str| format!("FROM scratch AS src\nARG AT={at}\n{add}\n");
    for (before, given, want) in [
        ("", Some("12"), Some(12)),
        ("", Some(""), None),
        ("ARG SOURCE_DATE_EPOCH=13\n", None, Some(13)),
        ("ARG SOURCE_DATE_EPOCH=13\n", Some("14"), Some(14)),
        ("ARG SOURCE_DATE_EPOCH=13\n", Some(""), None),
        ("ARG SOURCE_DATE_EPOCH=context\n", None, Some(88)),
        ("ARG SOURCE_DATE_EPOCH=never\n", None, None),
        ("", Some("253402300799"), Some(253_402_300_799)),
        ("", Some("context"), Some(88)),
        ("", Some("old"), Some(99)),
        ("", Some("never"), None),
        (&stage("ADD $AT/file /"), Some("SRC"), Some(784_111_777)),
        (&stage("ADD $AT/pkg.tar /"), Some("src"), Some(784_111_777)),
        (&stage("ADD $AT/undated.tar /"), Some("src"), Some(1_234_567_890)),
        (&stage("ADD $AT/undated /"), Some("src"), None),
        (&stage("ADD https://x.y/r.git#main /"), Some("src"), Some(77)),
    ] {
        assert_eq!(dated(before, given), Ok(want), "{before} {given:?}");
    }
    for (before, given, want) in [
        ("", Some("x"), "0:0 invalid SOURCE_DATE_EPOCH `x`"),
        ("", Some("253402300800"), "0:0 invalid SOURCE_DATE_EPOCH `253402300800`"),
        ("", Some("18446744073709551615"), "0:0 invalid SOURCE_DATE_EPOCH `18446744073709551615`"),
        ("ARG SOURCE_DATE_EPOCH=y\n", None, "1:23 invalid SOURCE_DATE_EPOCH `y`"),
        (&stage("COPY c /"), Some("src"), "3:1 the stage `src` can't date the build: it has COPY"),
        (&stage("ADD c /"), Some("src"), "3:1 the stage `src` can't date the build: its ADD fetches nothing"),
        (&stage(""), Some("src"), "1:1 the stage `src` can't date the build: it has no ADD"),
    ] {
        let said = dated(before, given).unwrap_err();
        assert!(said.starts_with(want), "{said}");
    }
}

/// An archive with a date that there isn't.
#[test]
fn dates_after_all_time() {
    let w = World::new();
    let (at, _) = server(archive());
    let said = w.fails(&format!(
        "ARG SOURCE_DATE_EPOCH=src\nFROM scratch AS src\nADD {at}/undated-late.tar /\nFROM scratch\nCOPY c /\n"
    ));
    assert!(said.contains("from after the year 9999"), "{said}");
}

/// An archive whose extended header says that it is huge.
#[test]
fn an_archive_that_wants_all_memory() {
    let w = World::new();
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::XHeader);
    header.set_path("x").unwrap();
    header.set_size(1 << 40);
    header.set_cksum();
    let mut bytes = archive()[..1024].to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend(std::iter::repeat_n(b'1', 1 << 20));
    fs::write(w.temp.path().join("ctx/evil.tar"), bytes).unwrap();
    let said = w.fails("FROM scratch\nADD evil.tar /x/\n");
    assert!(said.contains("failed to unpack"), "{said}");
}

#[test]
fn repositories() {
    let w = World::new();
    let built = w.build("FROM scratch\nADD https://x.example/r.git#main /src\n").unwrap();
    assert!(w.path(&built, "src/dir/b").is_file() && !w.path(&built, "src/.git").exists());
    let built = w.build("FROM scratch\nADD --keep-git-dir=true git@x.example:o/r.git /src\n").unwrap();
    assert!(w.path(&built, "src/.git/HEAD").is_file());
    let built = w.build("FROM scratch\nADD https://x.example/r.git#main:dir /src/\n").unwrap();
    assert!(w.path(&built, "src/b").is_file() && !w.path(&built, "src/a").exists());
    assert!(w.build("FROM scratch\nADD --checksum=0123456 https://x.example/r.git /src\n").is_ok());
    let said = w.fails("FROM scratch\nADD --checksum=0123456 https://x.example/r.git?checksum=0123 /src\n");
    assert!(said.contains("the checksum is `0123` there and `0123456` in --checksum"), "{said}");
    let said = w.fails("FROM scratch\nADD https://x.example/r.git?fetch-by-commit /src\n");
    assert!(said.contains("needs the whole commit"), "{said}");
    let said = w.fails("FROM scratch\nADD --checksum=ffffffff https://x.example/r.git /src\n");
    assert!(said.contains("not at ffffffff"), "{said}");
    assert!(w.fails("FROM scratch\nADD https://x.example/r.git#gone /src\n").contains("failed to fetch"));
}

/// A server whose one file can be changed, with an entity tag of its contents; what it was asked and what it sent.
struct Tagged {
    address: String,
    body: Arc<Mutex<String>>,
    said: Arc<Mutex<Vec<String>>>,
}

impl Tagged {
    /// `obedient`: it answers 304 where it may.
    fn serve(obedient: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let body = Arc::new(Mutex::new("first".to_owned()));
        let said = Arc::new(Mutex::new(Vec::new()));
        let (bodies, log) = (body.clone(), said.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = [0u8; 4096];
                let n = stream.read(&mut request).unwrap_or(0);
                let text = String::from_utf8_lossy(&request[..n]).to_lowercase();
                let body = bodies.lock().unwrap().clone();
                let tag = format!("\"tag-{body}\"");
                let (status, body) = match text.split(' ').nth(1) {
                    Some("/old") => ("302 Found\r\nLocation: /file".to_owned(), String::new()),
                    _ if obedient && text.contains(&tag) => {
                        (format!("304 Not Modified\r\nETag: {tag}"), String::new())
                    }
                    _ => (
                        format!("200 OK\r\nETag: W/{tag}\r\nContent-Disposition: attachment; filename=other"),
                        body,
                    ),
                };
                log.lock().unwrap().push(status[..3].to_owned());
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                drop(stream.write_all(head.as_bytes()));
            }
        });
        Self { address, body, said }
    }

    fn said(&self) -> String {
        std::mem::take(&mut *self.said.lock().unwrap()).join(" ")
    }
}

#[test]
fn what_was_fetched_is_asked_for_but_not_sent_again() {
    let (w, web) = (World::new(), Tagged::serve(true));
    let text = format!("FROM scratch\nADD {}/file /x/\n", web.address);
    let first = w.build(&text).unwrap();
    assert_eq!(fs::read_to_string(w.path(&first, "x/file")).unwrap(), "first");
    assert_eq!(web.said(), "200");
    assert_eq!((w.build(&text).unwrap().cached_steps, web.said().as_str()), (1, "304"));
    // Another step with the same file.
    let moved = w.build(&format!("FROM scratch\nADD {}/file /y/\n", web.address)).unwrap();
    assert_eq!(
        (fs::read_to_string(w.path(&moved, "y/file")).unwrap(), web.said()),
        ("first".into(), "304".into())
    );
    *web.body.lock().unwrap() = "second".to_owned();
    let changed = w.build(&text).unwrap();
    assert_eq!(fs::read_to_string(w.path(&changed, "x/file")).unwrap(), "second");
    assert_eq!(web.said(), "200");
    assert_eq!((w.build(&text).unwrap().cached_steps, web.said().as_str()), (1, "304"));
    // What was replaced goes, and what is kept is found by those who prune.
    let kept = rcompose_build::cache_records(&w.temp.path().join("cache")).unwrap();
    let kept: Vec<_> = kept.into_iter().filter(|r| r.bytes > 0).collect();
    let files: Vec<_> = fs::read_dir(w.temp.path().join("cache/downloads")).unwrap().collect();
    assert_eq!((kept.len(), files.len()), (1, 1));
    assert!(rcompose_build::forget_record(&kept[0]).unwrap());
    assert_eq!((w.build(&text).unwrap().cached_steps, web.said().as_str()), (1, "200"));
    // By an address that leads on the name stays as it is written.
    let old = w.build(&format!("FROM scratch\nADD {}/old /z/\n", web.address)).unwrap();
    assert_eq!(
        (fs::read_to_string(w.path(&old, "z/old")).unwrap(), web.said()),
        ("second".into(), "302 200".into())
    );
    // A checksum that is known asks nobody.
    let sum = Digest::of(b"second");
    w.build(&format!("FROM scratch\nADD --checksum={sum} {}/file /w/\n", web.address)).unwrap();
    assert_eq!(web.said(), "");
}

#[test]
fn nothing_stays_of_what_could_not_be_fetched() {
    let w = World::new();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let downloads = w.temp.path().join("cache/downloads");
    let left = || fs::read_dir(&downloads).map_or(0, Iterator::count);
    w.build(&format!("FROM scratch\nADD http://{gone}/file /\n")).unwrap_err();
    assert_eq!(left(), 0);
    // Nobody's download is taken from under another one.
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (w, downloads) = (&w, &downloads);
            scope.spawn(move || {
                for _ in 0..5 {
                    let e = w.build(&format!("FROM scratch\nADD http://{gone}/{} /\n", n % 2)).unwrap_err();
                    assert!(e.message.contains("failed to fetch"), "{e}");
                }
                assert!(downloads.is_dir());
            });
        }
    });
    assert_eq!(left(), 0);
}

#[test]
fn a_server_that_always_answers_in_full() {
    let (w, web) = (World::new(), Tagged::serve(false));
    let text = format!("FROM scratch\nADD {}/file /x/\n", web.address);
    w.build(&text).unwrap();
    assert_eq!(w.build(&text).unwrap().cached_steps, 1);
    *web.body.lock().unwrap() = "second".to_owned();
    assert_eq!(w.build(&text).unwrap().cached_steps, 0);
}
