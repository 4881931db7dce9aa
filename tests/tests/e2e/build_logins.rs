//! Addresses with passwords and secrets that log in: what is behind them arrives, and nobody sees them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use rcompose_e2e::Project;

/// `u:opensesame`, `x-access-token:opensesame` and the bearer `opensesame`.
const ALLOWED: [&str; 3] =
    ["basic dTpvcGVuc2VzYW1l", "basic eC1hY2Nlc3MtdG9rZW46b3BlbnNlc2FtZQ==", "bearer opensesame"];

fn git(at: &Path, words: &[&str]) -> String {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=n", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]);
    let out = git.args(words).current_dir(at).output().unwrap();
    assert!(out.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

/// A server of repositories, and of the file `/file`, for those who log in.
fn serve(base: &Path) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let base = base.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(stream, &base);
        }
    });
    port
}

/// By git's own CGI program, `git http-backend`. Who goes away meanwhile isn't answered.
fn answer(mut stream: TcpStream, base: &Path) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers: Vec<(String, String)> = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        headers.push((name.to_lowercase(), value.to_owned()));
    }
    let header = |name: &str| headers.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str());
    let logged_in = ALLOWED.iter().any(|a| {
        let (given, known) = (header("authorization").split_once(' '), a.split_once(' ').unwrap());
        given.is_some_and(|(kind, value)| kind.eq_ignore_ascii_case(known.0) && value == known.1)
    });
    if !logged_in {
        return stream
            .write_all(b"HTTP/1.0 401 No\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n")
            .ok();
    }
    if target == "/file" {
        return stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nhi\n").ok();
    }
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut backend = Command::new("git");
    backend.arg("http-backend").env("GIT_PROJECT_ROOT", base).env("GIT_HTTP_EXPORT_ALL", "1");
    backend.env("PATH_INFO", path).env("QUERY_STRING", query).env("REQUEST_METHOD", method);
    backend.env("CONTENT_TYPE", header("content-type")).env("GIT_PROTOCOL", header("git-protocol"));
    backend.env("CONTENT_LENGTH", body.len().to_string());
    backend.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = backend.spawn().ok()?;
    child.stdin.take()?.write_all(&body).ok()?;
    let said = child.wait_with_output().ok()?.stdout;
    let status = said.strip_prefix(b"Status: ").and_then(|s| s.get(..3)).unwrap_or(b"200");
    stream.write_all(&[b"HTTP/1.0 ", status, b" X\r\n", &said].concat()).ok()
}

#[test]
fn what_logs_in_is_seen_by_nobody() {
    let Some(p) = Project::empty("build-logins") else { return };
    let work = p.dir().join("served/r");
    fs::create_dir_all(&work).unwrap();
    git(&work, &["init", "-q"]);
    fs::write(work.join("Dockerfile"), "FROM scratch\nCOPY . /\n").unwrap();
    git(&work, &["add", "."]);
    git(&work, &["commit", "-qm", "one"]);
    let commit = git(&work, &["rev-parse", "HEAD"]);
    let port = serve(&p.dir().join("served"));
    let (open, closed) =
        (format!("http://u:opensesame@127.0.0.1:{port}"), format!("http://127.0.0.1:{port}"));
    let mut said = String::new();
    let mut build = |flags: &str, add: &str, code: i32| {
        p.file("b/Dockerfile", &format!("FROM scratch\nADD {add} /\n"));
        let context = if add.is_empty() { "" } else { "b" };
        let words =
            format!("image build --no-cache --progress plain --provenance mode=max {flags} {context}");
        let out = p.cmd(&words).env("TOKEN", "opensesame").env("HEADER", "Bearer opensesame").run().unwrap();
        assert_eq!(out.code(), code, "{}", out.describe());
        said += &format!("{}{}", out.stdout, out.stderr);
    };
    build("-t a", &format!("{open}/file"), 0);
    build("-t b --metadata-file m", &format!("{open}/r/.git"), 0);
    build("", &format!("{open}/none.git"), 1);
    build("", "http://u:opensesame@127.0.0.1:1/file", 1);
    build("", "http://u:opensesame@127.0.0.1:1/r.git?what=opensesam", 1);
    build("", &format!("--checksum=sha256:{} {open}/file", "0".repeat(64)), 1);
    build(&format!("-t c --metadata-file m {open}/r/.git"), "", 0);
    let metadata = fs::read_to_string(p.dir().join("m")).unwrap();
    for want in [&format!("\"sha1\": \"{commit}\""), &format!("http://xxxxx:xxxxx@127.0.0.1:{port}/r/.git")] {
        assert!(metadata.matches(want.as_str()).count() >= 2, "{metadata}");
    }
    build(&format!("http://u:opensesame2@127.0.0.1:{port}/r/.git"), "", 1);
    // By secrets.
    let git = format!("{closed}/r/.git");
    for flags in [
        "--secret id=GIT_AUTH_TOKEN,env=TOKEN".to_owned(),
        "--secret id=GIT_AUTH_HEADER,env=HEADER".to_owned(),
        format!("--secret id=GIT_AUTH_TOKEN.127.0.0.1:{port},env=TOKEN"),
    ] {
        build(&flags, &git, 0);
        build(&format!("{flags} {git}"), "", 0);
    }
    build("--secret id=GIT_AUTH_TOKEN.elsewhere,env=TOKEN", &git, 1);
    build("", &git, 1);
    build("--secret id=HTTP_AUTH_TOKEN_127.0.0.1,env=TOKEN", &format!("{closed}/file"), 0);
    build("", &format!("{closed}/file"), 1);
    for words in
        ["image history --no-trunc a", "image history --no-trunc b", "image inspect a b c", "system df -v"]
    {
        said += &p.run(words).stdout;
    }
    p.run("image save -o saved.tar a b c").ok();
    assert!(!said.contains("opensesame"), "{said}");
    // Nothing of it is kept: neither as it is, nor in base64, where a Dockerfile is.
    let secret = "opensesame|b3BlbnNlc2FtZ|9wZW5zZXNhbW|vcGVuc2VzYW1l";
    let kept = [p.root().join("lib"), p.dir().join("saved.tar"), p.dir().join("m")];
    let found = Command::new("grep").args(["-raElo", secret]).args(kept).output().unwrap();
    assert!(found.stdout.is_empty(), "{}", String::from_utf8_lossy(&found.stdout));
}
