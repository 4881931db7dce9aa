//! Debian's docker-registry on loopback.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rcompose_image::{Digest, Image};

use crate::common::Room;

/// `user`, `U*U`: a test vector of crypt_blowfish.
const HTPASSWD: &str = "user:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n";

pub(crate) struct Registry {
    child: Child,
    dir: tempfile::TempDir,
    pub(crate) address: String,
    login: bool,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Registry {
    /// `None`, said aloud, where there is no registry program.
    pub(crate) fn start(login: bool) -> Option<Self> {
        Self::listen("127.0.0.1", login, false)
    }

    /// On another address than loopback's, with TLS, a certificate that nobody trusts, and a password.
    pub(crate) fn secure(address: &str) -> Option<Self> {
        Self::listen(address, true, true)
    }

    /// Who signed its certificate.
    pub(crate) fn authority(&self) -> PathBuf {
        self.dir.path().join("ca.crt")
    }

    fn listen(ip: &str, login: bool, tls: bool) -> Option<Self> {
        for program in ["docker-registry", "skopeo"] {
            if Command::new(program).arg("--version").output().is_err() {
                eprintln!("skipped: there is no {program}");
                return None;
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let address = TcpListener::bind(format!("{ip}:0")).unwrap().local_addr().unwrap().to_string();
        let at = |name: &str| dir.path().join(name).display().to_string();
        fs::write(at("htpasswd"), HTPASSWD).unwrap();
        let auth = match login {
            true => format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", at("htpasswd")),
            false => String::new(),
        };
        let tls = match tls {
            true => {
                certificates(dir.path(), ip);
                format!(", tls: {{certificate: {}, key: {}}}", at("server.crt"), at("server.key"))
            }
            false => String::new(),
        };
        let config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}, maintenance: {{uploadpurging: {{enabled: false}}}}}}\nhttp: {{addr: '{address}'{tls}}}\n{auth}",
            at("storage")
        );
        fs::write(at("config.yml"), config).unwrap();
        let mut child = Command::new("docker-registry")
            .args(["serve", &at("config.yml")])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("listening on") {
            assert!(log.read_line(&mut said).unwrap() > 0, "the registry ended: {said}");
        }
        // It must not block on a full pipe.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Some(Self { child, dir, address, login })
    }

    /// Copies an image (`docker-archive:…`, `oci:…`) into the registry.
    pub(crate) fn fill(&self, from: &str, name: &str, options: &[&str]) {
        let mut command = Command::new("skopeo");
        command.args(["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"]).args(options);
        if self.login {
            command.args(["--dest-creds", "user:U*U"]);
        }
        let out = command.arg(from).arg(format!("docker://{}/{name}", self.address)).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    /// Copies an image of a store into the registry.
    pub(crate) fn fill_from(&self, room: &Room, image: &Image, name: &str) {
        let path = self.dir.path().join("image.tar");
        room.store.save(&[image.id.to_string()], None, &mut fs::File::create(&path).unwrap()).unwrap();
        self.fill(&format!("docker-archive:{}", path.display()), name, &[]);
    }

    fn get(&self, path: &str, accept: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nAccept: {accept}\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let at = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        answer.split_off(at + 4)
    }

    /// The files that hold an image's layers, bottom first, and the digest of its manifest.
    pub(crate) fn blobs(&self, name: &str, tag: &str) -> (Vec<PathBuf>, Digest) {
        let accept = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json";
        let bytes = self.get(&format!("/v2/{name}/manifests/{tag}"), accept);
        let manifest: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let file = |layer: &serde_json::Value| {
            let hex = &layer["digest"].as_str().unwrap()[7..];
            self.dir
                .path()
                .join("storage/docker/registry/v2/blobs/sha256")
                .join(&hex[..2])
                .join(hex)
                .join("data")
        };
        (manifest["layers"].as_array().unwrap().iter().map(file).collect(), Digest::of(&bytes))
    }
}

/// An authority, and a certificate of it for an address.
fn certificates(dir: &Path, ip: &str) {
    let run = |line: &str| {
        let out = Command::new("openssl").current_dir(dir).args(line.split(' ')).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
    run(&format!("req -x509 {key} -subj /CN=test-authority -keyout ca.key -out ca.crt"));
    run(&format!("req {key} -subj /CN=test-registry -keyout server.key -out server.csr"));
    fs::write(dir.join("names"), format!("subjectAltName=IP:{ip}\n")).unwrap();
    run(
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt",
    );
}
