//! Projects from repositories and registries: a git daemon and Debian's docker-registry, both on loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rcompose_image::Digest;

struct Room {
    dir: PathBuf,
    server: Option<Child>,
    address: String,
}

impl Room {
    fn new(name: &str) -> Self {
        Self::at(name, "127.0.0.1")
    }

    fn at(name: &str, ip: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("rc-remote-{name}-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("here")).unwrap();
        let address = TcpListener::bind(format!("{ip}:0")).unwrap().local_addr().unwrap().to_string();
        Self { dir, server: None, address }
    }

    fn command(&self, words: &[&str], path: Option<&str>) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rcompose"));
        command.current_dir(self.dir.join("here")).env("RCOMPOSE_ROOT", self.dir.join("root")).args(words);
        if let Some(path) = path {
            command.env("PATH", path);
        }
        command.output().unwrap()
    }

    /// The project's YAML, or the error; cache directories are shown as `CACHE`.
    fn config(&self, file: &str) -> String {
        let out = self.command(&["-f", file, "config"], None);
        let text = if out.status.success() { out.stdout } else { out.stderr };
        let text = String::from_utf8(text).unwrap();
        text.replace(&self.dir.join("root/lib/remote").display().to_string(), "CACHE")
            .replace(&self.address, "HOST")
    }

    fn serve_registry(&mut self) {
        let config = self.dir.join("registry.yml");
        let storage = self.dir.join("storage").display().to_string();
        let text = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {storage}}}}}\nhttp: {{addr: '{}'}}\n",
            self.address
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("docker-registry");
        self.serve(command.arg("serve").arg(&config).stderr(Stdio::piped()));
        // It must not block on a full pipe.
        let log = self.server.as_mut().unwrap().stderr.take().unwrap();
        std::thread::spawn(move || BufReader::new(log).lines().for_each(drop));
    }

    /// Waits until the server takes connections.
    fn serve(&mut self, command: &mut Command) {
        self.server = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
        for _ in 0..200 {
            if TcpStream::connect(&self.address).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("the server doesn't listen");
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
        std::fs::remove_dir_all(&self.dir).unwrap();
    }
}

fn is_there(program: &str, words: &[&str]) -> bool {
    let there = Command::new(program).args(words).output().is_ok_and(|o| o.status.success());
    if !there {
        eprintln!("SKIP: there is no {program} {}", words.join(" "));
    }
    there
}

fn git(dir: &Path, words: &[&str]) -> String {
    let identity = ["-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "init.defaultBranch=main"];
    let out = Command::new("git").args(identity).args(words).current_dir(dir).output().unwrap();
    assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// A repository with the commit `v1` and another on top; the digest of `v1`.
fn repository(at: &Path) -> String {
    let put = |path: &str, text: &str| {
        let path = at.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    put("compose.yaml", "services: {root: {image: 'one:${V-none}', build: ./b, env_file: e.env}}\n");
    put("e.env", "E=1\n");
    put(".env", "V=theirs\n");
    put(
        "sub/compose.yml",
        "include: [deep/x.yaml]\nservices: {s: {extends: {file: ../compose.yaml, service: root}}}\n",
    );
    put("sub/deep/x.yaml", "services: {deep: {image: deep}}\n");
    put("none/x", "");
    put("bad/compose.yaml", "services: {b: {imag: x}}\n");
    std::fs::create_dir_all(at.join("evil")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", at.join("evil/compose.yaml")).unwrap();
    git(at, &["init", "--quiet"]);
    git(at, &["add", "--all"]);
    git(at, &["commit", "--quiet", "-m", "one"]);
    git(at, &["tag", "v1"]);
    put("compose.yaml", "services: {root: {image: two}}\n");
    git(at, &["commit", "--quiet", "--all", "-m", "two"]);
    git(at, &["rev-parse", "v1"])
}

#[test]
fn repositories() {
    if !is_there("git", &["--version"]) {
        return;
    }
    // By its own name: `git daemon` would be a parent that leaves it behind.
    let daemon = Path::new(&git(Path::new("/"), &["--exec-path"])).join("git-daemon");
    if !daemon.exists() {
        eprintln!("SKIP: there is no {}", daemon.display());
        return;
    }
    let mut room = Room::new("git");
    std::fs::create_dir_all(room.dir.join("srv/r.git")).unwrap();
    let v1 = repository(&room.dir.join("srv/r.git"));
    let base = format!("--base-path={}", room.dir.join("srv").display());
    let port = format!("--port={}", room.address.rsplit(':').next().unwrap());
    let words = ["--export-all", "--reuseaddr", "--listen=127.0.0.1", &base, &port];
    room.serve(Command::new(daemon).args(words).stderr(Stdio::null()));
    let url = format!("git://{}/r.git", room.address);
    std::fs::write(room.dir.join("here/.env"), "V=ours\n").unwrap();

    // The project's name and variables are of here, its paths of there.
    let one = room.config(&format!("{url}#v1"));
    assert!(
        one.starts_with("name: here\n") && one.contains("image: one:ours\n") && one.contains("E: \"1\"\n"),
        "{one}"
    );
    assert!(one.contains(&format!("context: CACHE/git/{v1}/b\n")), "{one}");
    assert!(room.config(&url).contains("image: two\n"));
    assert!(room.config(&format!("{url}#main")).contains("image: two\n"));
    let sub = room.config(&format!("{url}#v1:sub"));
    assert!(sub.contains("  deep:\n") && sub.contains("  s:\n") && !sub.contains("  root:\n"), "{sub}");
    assert!(room.config(&format!("{url}#v1:sub/deep/x.yaml")).contains("image: deep\n"));

    for (what, want) in [
        ("#nope", "error: git://HOST/r.git has no branch or tag \"nope\""),
        ("#v1:none", "error: no Compose file in none of git://HOST/r.git"),
        ("#v1:nope", "error: git://HOST/r.git has no nope"),
        ("#v1:evil", "error: evil of git://HOST/r.git is a link that leads out of it"),
        ("?x=1", "error: unexpected query \"x\" in git://HOST/r.git?x=1"),
    ] {
        let error = room.config(&format!("{url}{what}"));
        assert_eq!(error.lines().next().unwrap(), want);
    }
    assert!(
        room.config(&format!("git://{}/zz.git", room.address))
            .starts_with("error: failed to fetch git://HOST/zz.git: fatal: ")
    );

    // What is wrong in it is told by its address.
    let bad = room.config(&format!("{url}#v1:bad"));
    assert!(bad.contains("\n --> git://HOST/r.git#v1:bad/compose.yaml:1:"), "{bad}");

    // Included, an included project has its own variables; extended from.
    let here = |name: &str, text: String| std::fs::write(room.dir.join("here").join(name), text).unwrap();
    here("inc.yaml", format!("include: ['{url}#v1']\nservices: {{a: {{image: a}}}}\n"));
    let included = room.config("inc.yaml");
    assert!(
        included.contains("  a:\n") && included.contains(&format!("context: CACHE/git/{v1}/b\n")),
        "{included}"
    );
    here("ext.yaml", format!("services: {{a: {{extends: {{file: '{url}#v1', service: root}}}}}}\n"));
    assert!(room.config("ext.yaml").contains("image: one:ours\n"));
    here("bad.yaml", format!("include: ['{url}#nope']\n"));
    assert!(room.config("bad.yaml").contains(" --> bad.yaml:1:11\n"));

    // A commit that was fetched is asked for no more.
    let mut server = room.server.take().unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(room.config(&format!("{url}#{v1}")).contains("image: one:ours\n"));
    let gone = room.config(&format!("{url}#v1"));
    assert!(gone.starts_with("error: failed to fetch git://HOST/r.git: "), "{gone}");
    let out = room.command(&["-f", &url, "config"], Some("/nowhere"));
    assert!(String::from_utf8_lossy(&out.stderr).starts_with("error: git isn't installed"));
    let left = std::fs::read_dir(room.dir.join("root/lib/remote/git")).unwrap();
    assert!(
        left.flatten().all(|e| !e.file_name().to_string_lossy().starts_with('.')),
        "half-made directories are left"
    );
}

/// One request to the registry; the answer's `Location`.
fn send(address: &str, method: &str, path: &str, kind: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n").unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 20"), "{method} {path}: {answer}");
    let location = answer.lines().find_map(|l| l.strip_prefix("Location: ")).unwrap_or_default();
    location.trim().replace(&format!("http://{address}"), "")
}

fn blob(address: &str, bytes: &[u8]) -> String {
    let digest = Digest::of(bytes).to_string();
    let at = send(address, "POST", "/v2/p/blobs/uploads/", "text/plain", b"");
    let mark = if at.contains('?') { '&' } else { '?' };
    send(address, "PUT", &format!("{at}{mark}digest={digest}"), "application/octet-stream", bytes);
    format!("\"digest\": \"{digest}\", \"size\": {}", bytes.len())
}

fn manifest(address: &str, tag: &str, kind: &str, layers: &[(&str, &str, &str)]) -> String {
    let config = blob(address, b"{}");
    let layers: Vec<String> = layers
        .iter()
        .map(|(kind, annotations, text)| {
            let of = blob(address, text.as_bytes());
            format!("{{\"mediaType\": \"application/vnd.docker.compose.{kind}\", {of}, \"annotations\": {annotations}}}")
        })
        .collect();
    let oci = "application/vnd.oci.image.manifest.v1+json";
    let text = format!(
        "{{\"schemaVersion\": 2, \"mediaType\": \"{oci}\", \"artifactType\": \"{kind}\", \"config\": \
         {{\"mediaType\": \"application/vnd.oci.empty.v1+json\", {config}}}, \"layers\": [{}]}}",
        layers.join(", ")
    );
    send(address, "PUT", &format!("/v2/p/manifests/{tag}"), oci, text.as_bytes());
    Digest::of(text.as_bytes()).to_string()
}

#[test]
fn registries() {
    if !is_there("docker-registry", &["--version"]) {
        return;
    }
    let mut room = Room::new("oci");
    room.serve_registry();
    let project = "application/vnd.docker.compose.project";
    let main =
        "services: {a: {image: one, env_file: x.env, build: ./b, extends: {file: base.yaml, service: b}}}\n";
    let layers = [
        ("file+yaml", r#"{"com.docker.compose.file": "compose.yaml"}"#, main),
        ("file+yaml", r#"{"com.docker.compose.file": "over.yaml"}"#, "services: {a: {image: two}}\n"),
        (
            "file+yaml",
            r#"{"com.docker.compose.file": "base.yaml", "com.docker.compose.extends": "true"}"#,
            "services: {b: {image: base, command: hi}}\n",
        ),
        ("envfile", r#"{"com.docker.compose.envfile": "x.env"}"#, "E=1\n"),
    ];
    let digest = manifest(&room.address, "v1", project, &layers);
    let evil = [layers[0], ("envfile", r#"{"com.docker.compose.envfile": "../../x"}"#, "E=1\n")];
    manifest(&room.address, "evil", project, &evil);
    manifest(&room.address, "other", "application/x", &[]);
    let url = format!("oci://{}/p", room.address);

    let one = room.config(&format!("{url}:v1"));
    assert!(
        one.starts_with("name: here\n") && one.contains("image: two\n") && one.contains("      - hi\n"),
        "{one}"
    );
    assert!(one.contains("E: \"1\"\n") && one.contains("context: CACHE/oci/"), "{one}");
    std::fs::write(room.dir.join("here/inc.yaml"), format!("include: ['{url}:v1']\n")).unwrap();
    assert!(room.config("inc.yaml").contains("image: two\n"));
    for (what, want) in [
        (":nope", "error: failed to fetch oci://HOST/p:nope: image HOST/p:nope is not in its registry"),
        (":evil", "error: oci://HOST/p:evil is no usable project: \"../../x\" isn't the name of a file"),
        ("//x", "error: oci://HOST/p//x: "),
    ] {
        let error = room.config(&format!("{url}{what}"));
        assert!(error.starts_with(want), "{error}");
    }
    assert!(
        room.config(&format!("{url}:other"))
            .contains("it is no application/vnd.docker.compose.project, but application/x")
    );

    // Images by what the registry has.
    let pinned = format!("{}/p:v1@{digest}", room.address);
    std::fs::write(
        room.dir.join("here/pin.yaml"),
        format!("services: {{a: {{image: '{}/p:v1', command: x}}, b: {{build: .}}}}\n", room.address),
    )
    .unwrap();
    let whole = String::from_utf8(
        room.command(&["-f", "pin.yaml", "config", "--resolve-image-digests"], None).stdout,
    )
    .unwrap();
    assert!(
        whole.contains(&format!("    image: {pinned}\n")) && whole.contains("  b:\n    build:"),
        "{whole}"
    );
    let lock =
        String::from_utf8(room.command(&["-f", "pin.yaml", "config", "--lock-image-digests"], None).stdout)
            .unwrap();
    assert_eq!(lock, format!("services:\n  a:\n    image: {pinned}\n  b: {{}}\n"));

    // With its digest, it needs no registry the second time.
    let mut server = room.server.take().unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(room.config(&format!("{url}@{digest}")).contains("image: two\n"));
    assert!(room.config(&format!("{url}:v1")).contains("can't be reached"));
}

const APART: &str = "RCOMPOSE_TEST_APART";

/// In a network of its own: a registry without TLS that isn't on loopback is spoken to if that is asked for.
#[test]
fn registries_without_tls() {
    let script =
        r#"ip link set lo up && ip address add 10.9.9.2/32 dev lo && exec "$0" --exact apart --nocapture"#;
    let out = Command::new("unshare")
        .args(["--net", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .env(APART, "1")
        .output();
    let Ok(out) = out else { return eprintln!("SKIP: there is no unshare") };
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}");
}

#[test]
fn apart() {
    if std::env::var_os(APART).is_none() || !is_there("docker-registry", &["--version"]) {
        return;
    }
    let mut room = Room::at("plain", "10.9.9.2");
    room.serve_registry();
    let file =
        ("file+yaml", r#"{"com.docker.compose.file": "compose.yaml"}"#, "services: {a: {image: one}}\n");
    manifest(&room.address, "v1", "application/vnd.docker.compose.project", &[file]);
    let url = format!("oci://{}/p:v1", room.address);
    let config = |more: &[&str]| {
        let out = room.command(&[more, &["-f", &url, "config"]].concat(), None);
        String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
    };
    let refused = config(&[]);
    assert!(refused.contains("it doesn't speak TLS"), "{refused}");
    assert!(config(&["--insecure-registry", "10.9.9.3:5000"]).contains("it doesn't speak TLS"));
    let taken = config(&["--insecure-registry", &room.address]);
    assert!(taken.contains("image: one"), "{taken}");
}
