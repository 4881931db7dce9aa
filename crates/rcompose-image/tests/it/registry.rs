//! Debian's docker-registry on loopback.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

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
        for program in ["docker-registry", "skopeo"] {
            if Command::new(program).arg("--version").output().is_err() {
                eprintln!("skipped: there is no {program}");
                return None;
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let at = |name: &str| dir.path().join(name).display().to_string();
        fs::write(at("htpasswd"), HTPASSWD).unwrap();
        let auth = match login {
            true => format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", at("htpasswd")),
            false => String::new(),
        };
        let config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}, maintenance: {{uploadpurging: {{enabled: false}}}}}}\nhttp: {{addr: '{address}'}}\n{auth}",
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
        room.store.save(&[image.id.to_string()], &mut fs::File::create(&path).unwrap()).unwrap();
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

/// Stands between client and registry and breaks the first connection that has carried `cut` bytes of answers.
pub(crate) struct Proxy {
    pub(crate) address: String,
    pub(crate) broke: Arc<AtomicBool>,
}

impl Proxy {
    pub(crate) fn start(registry: &Registry, cut: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (to, broke) = (registry.address.clone(), Arc::new(AtomicBool::new(false)));
        let flag = broke.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server, flag) =
                    (client.unwrap(), TcpStream::connect(&to).unwrap(), flag.clone());
                let (mut from, mut into) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut from, &mut into));
                std::thread::spawn(move || carry(server, client, cut, &flag));
            }
        });
        Self { address, broke }
    }
}

fn carry(mut server: TcpStream, mut client: TcpStream, cut: usize, broke: &AtomicBool) {
    let (mut carried, mut buffer) = (0, [0; 16 * 1024]);
    while let Ok(n @ 1..) = server.read(&mut buffer) {
        carried += n;
        if carried > cut && !broke.swap(true, Ordering::SeqCst) {
            break;
        }
        if client.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    for stream in [server, client] {
        // The other side may be gone already.
        let _ = stream.shutdown(std::net::Shutdown::Both);
    }
}

/// Answers every request alike, and keeps what was asked.
pub(crate) struct Parrot {
    pub(crate) address: String,
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

impl Parrot {
    pub(crate) fn start(answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = vec![0; 16 * 1024];
                let n = stream.read(&mut request).unwrap_or_default();
                let request = String::from_utf8_lossy(&request[..n]).into_owned();
                // TLS hellos get no answer.
                if request.starts_with("GET") || request.starts_with("POST") {
                    let answer = answer(&request);
                    kept.lock().unwrap().push(request);
                    let _ = stream.write_all(answer.as_bytes());
                }
            }
        });
        Self { address, asked }
    }
}

/// An HTTP answer that ends its connection.
pub(crate) fn http(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}
