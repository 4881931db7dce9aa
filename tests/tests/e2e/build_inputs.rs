//! What builds take from outside their files: secrets, agents, other services' images; and what is printed of them.

use std::path::Path;
use std::process::Command;

use rcompose_e2e::Project;

fn mentions(directory: &Path, needle: &str) -> bool {
    let found = Command::new("grep").args(["-rlF", needle]).arg(directory).output().unwrap();
    !found.stdout.is_empty()
}

#[test]
fn secrets_are_seen_by_their_step_and_kept_nowhere() {
    let Some(p) = Project::new(
        "build-secrets",
        "services:
  box:
    build:
      dockerfile_inline: |
        FROM busybox:latest
        RUN --mount=type=secret,id=one --mount=type=secret,id=two,target=/two,mode=0440,uid=5 \
          md5sum /run/secrets/one /two > /sums; stat -c '%a %u' /run/secrets/one /two >> /sums
        RUN --mount=type=secret,id=one,env=TOKEN echo -n \"$$TOKEN\" | wc -c >> /sums
        RUN test ! -e /run/secrets/one && test ! -e /two
        CMD cat /sums
      secrets: [one, {source: other, target: two}]
secrets:
  one: {file: ./one}
  other: {environment: OTHER}
",
    ) else {
        return;
    };
    let p = p.env("OTHER", "a-secret-of-a-variable");
    p.file("one", "a-secret-of-a-file");
    let built = p.run("build --provenance mode=max --sbom true").ok();
    p.run("run --rm -T box").ok().out("400 0\n440 5\n18\n");
    p.file(
        "b/Dockerfile",
        "FROM busybox\nRUN --mount=type=secret,id=one --mount=type=secret,id=two cat /run/secrets/* | wc -c\n",
    );
    let flags = "--provenance mode=max --sbom true --metadata-file b/metadata";
    p.run(&format!("image build --secret id=one,src=one --secret id=two,env=OTHER {flags} -t kept b")).ok();
    p.run("image save -o b/saved.tar kept").ok();
    // Which secrets were asked for is no secret.
    assert!(mentions(&p.dir().join("b/metadata"), "\"id\": \"two\""));
    assert!(mentions(&p.dir().join("b/saved.tar"), "\"id\":\"two\""));
    for secret in ["a-secret-of-a-file", "a-secret-of-a-variable"] {
        assert!(!mentions(p.root(), secret), "{secret} is in the store");
        assert!(!mentions(&p.dir().join("b"), secret), "{secret} is in the archive or its metadata");
        assert!(!format!("{}{}", built.stdout, built.stderr).contains(secret));
    }
    // Its content is no part of the cache's key, as in BuildKit.
    p.file("one", "another");
    let again = p.run("build").ok();
    assert!(again.stderr.contains("CACHED"), "{}", again.describe());
    p.run("down --rmi all").ok();
}

#[test]
fn limits_hosts_and_entitlements() {
    let Some(p) = Project::new(
        "build-limits",
        "services:
  box:
    build:
      dockerfile_inline: |
        FROM busybox:latest
        RUN (ulimit -Sn; ulimit -Hn; grep example /etc/hosts; df -k /dev/shm | tail -1 | awk '{print $$2}') > /seen
        CMD cat /seen
      ulimits: {nofile: {soft: 10, hard: 20}}
      shm_size: 1m
      extra_hosts: [\"example=1.2.3.4\"]
  free:
    build:
      dockerfile_inline: |
        FROM busybox:latest
        RUN --security=insecure true
",
    ) else {
        return;
    };
    p.run("build box").ok();
    p.run("run --rm -T box").ok().out("10\n20\n1.2.3.4\texample\n1024\n");
    p.run("build free").code_is(1).err("security.insecure is not allowed");
    p.run("down --rmi all").ok();
}

#[test]
fn equal_builds_are_one_and_used_images_come_first() {
    let Some(p) = Project::new(
        "build-equal",
        "services:
  a: {build: .}
  b: {build: .}
  user:
    build:
      dockerfile_inline: |
        FROM base
        RUN cat /made
      additional_contexts: {base: \"service:b\"}
",
    ) else {
        return;
    };
    p.file("Dockerfile", "FROM busybox:latest\nRUN echo once; echo made > /made\nCMD cat /made\n");
    let done = p.run("build user").ok();
    assert!(done.stderr.contains("made"), "{}", done.describe());
    p.run("build --no-cache").ok();
    let done = p.run("build --no-cache a b").ok();
    assert_eq!(done.stderr.matches(" once\n").count(), 1, "{}", done.describe());
    p.run("run --rm -T a").ok().out("made\n");
    p.run("run --rm -T b").ok().out("made\n");
    p.run("down --rmi all").ok();
}

#[test]
fn prints_what_bake_takes() {
    let Some(p) = Project::new(
        "build-print",
        "services:
  a:
    build: {context: ctx, args: {A: \"1\", B: null}, ulimits: {nproc: 5}, privileged: true, no_cache_filter: x}
    image: img/a
",
    ) else {
        return;
    };
    let done = p.run("build --print --pull").ok();
    for part in [
        "\"no-cache-filter\": [\n        \"x\"",
        "\"nproc=5\"",
        "\"security.insecure\"",
        "\"img/a\"",
        "\"A\": \"1\"",
        "\"pull\": true",
        "/ctx/Dockerfile\"",
        "\"type=docker\"",
    ] {
        assert!(done.stdout.contains(part), "{part}: {}", done.stdout);
    }
    assert!(!done.stdout.contains("\"B\""));
}

/// Serves a body to everyone who asks; its address.
fn serve(body: Vec<u8>) -> String {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = [0u8; 4096];
            let _ = stream.read(&mut asked).unwrap();
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&body).unwrap();
        }
    });
    format!("http://{address}")
}

#[test]
fn contexts_from_the_web() {
    let Some(p) = Project::empty("build-web") else { return };
    p.file("Dockerfile", "FROM scratch\nCOPY file /\n");
    p.file("file", "of the web\n");
    let tar = Command::new("tar").args(["-cz", "Dockerfile", "file"]).current_dir(p.dir()).output().unwrap();
    let archive = format!("{}/context.tar.gz", serve(tar.stdout));
    p.run(&format!("image build -o out {archive}")).ok();
    assert_eq!(std::fs::read_to_string(p.dir().join("out/file")).unwrap(), "of the web\n");
    p.file("compose.yaml", &format!("services:\n  box: {{build: \"{archive}\"}}\n"));
    p.run("build").ok();
    p.run("down --rmi all").ok();
    let dockerfile = serve(b"FROM busybox:latest\nRUN true\n".to_vec());
    p.run(&format!("image build -q {dockerfile}/Dockerfile")).ok();
}

#[test]
fn what_is_not_built_is_not_warned_of() {
    let Some(p) = Project::empty("build-warnings") else { return };
    let service = |name: &str| {
        format!(
            "  {name}:\n    build: {{context: ., dockerfile_inline: FROM scratch, isolation: x}}\n    command: x\n"
        )
    };
    p.file(
        "compose.yaml",
        &format!("services:\n{}    depends_on: [b]\n{}{}", service("a"), service("b"), service("c")),
    );
    let warned = |args: &str| {
        let said = p.run(args).ok().stderr;
        ["a", "b", "c"].map(|s| said.contains(&format!("services.{s}.build.isolation isn't honoured")))
    };
    assert_eq!(warned("build"), [true, true, true]);
    assert_eq!(warned("build a"), [true, false, false]);
    assert_eq!(warned("build --with-dependencies a"), [true, true, false]);
    assert_eq!(warned("up --dry-run --build c"), [false, false, true]);
    assert_eq!(warned("config -q"), [true, true, true]);
    p.run("down --rmi local").ok();
}

/// What isn't an archive, or isn't a whole one, is told so, without quoting it.
#[test]
fn broken_archives() {
    let Some(p) = Project::empty("build-broken") else { return };
    let whole = vec![b'x'; 4000];
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(whole.len() as u64);
    header.set_cksum();
    tar.append_data(&mut header, "file", whole.as_slice()).unwrap();
    let tar = tar.into_inner().unwrap();
    let cut = &tar[..2000];
    let lines = "root:x:0:0:root:/root:/bin/sh\n".repeat(40);
    let short = "it ends too early";
    for (verb, short) in [("import -", "the archive ends within this member"), ("load", short)] {
        let tell = |bytes: &[u8]| p.cmd(&format!("image {verb}")).stdin(bytes).run().unwrap().code_is(1);
        let none = tell(lines.as_bytes()).err("it isn't a tar archive");
        assert!(!none.stderr.contains("root:"), "{}", none.describe());
        tell(cut).err(short);
    }
    std::fs::write(p.dir().join("cut.tar"), cut).unwrap();
    p.file("Dockerfile", "FROM busybox:latest\nADD cut.tar /x/\n");
    p.run("image build .").code_is(1).err("Dockerfile:2:1").err(short);
    let lost = ["image", "build", "--build-context", "lost=nowhere", "-f", "-", "."];
    p.cmd_args(lost).stdin("FROM lost\n").run().unwrap().code_is(1).err("nowhere");
    p.nothing_left(true);
}
