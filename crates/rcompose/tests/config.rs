//! `config`: what it prints for each of its flags. What is expected was seen from docker compose v5.5.1.

use std::path::PathBuf;
use std::process::{Command, Output};

const PROJECT: &str = r"
name: rich
services:
  web:
    image: 'nginx:${TAG:-latest}'
    build: {context: ./web, args: {A: '${ARG?need}', B: }}
    env_file: [web.env]
    ports: ['${PORT:-8080}:80']
    volumes: ['data:/data', './src:/src']
    depends_on: [db, cache]
  db:
    image: postgres
    pre_start: [{image: 'init:1', command: [a]}]
  cache:
    build: .
  debug:
    image: dbg
    profiles: [debug, zz]
    networks: [front]
    command: echo ${HI+there}
    models: [llm]
volumes: {data: , unused: }
networks: {front: }
models: {llm: {model: ai/x}, other: {model: ai/y}}
";

struct Room(PathBuf);

impl Room {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("rc-config-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("compose.yaml"), PROJECT).unwrap();
        std::fs::write(dir.join("web.env"), "FROM=file\n").unwrap();
        std::fs::write(dir.join(".env"), "ARG=arg\n").unwrap();
        Self(dir)
    }

    fn run(&self, words: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rcompose"));
        command.current_dir(&self.0).env_clear().env("RCOMPOSE_ROOT", &self.0);
        command.args(words.split_whitespace()).output().unwrap()
    }

    fn out(&self, words: &str) -> String {
        let out = self.run(words);
        assert!(out.status.success(), "{words}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    /// The first line of an error.
    fn refused(&self, words: &str) -> String {
        let out = self.run(words);
        assert_eq!(out.status.code(), Some(1), "{words}");
        let text = String::from_utf8(out.stderr).unwrap();
        text.lines().find(|l| l.starts_with("error")).unwrap_or_default().to_owned()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn lists() {
    let room = Room::new("lists");
    for (words, want) in [
        // Dependencies first; services that are named don't matter.
        ("config --services", "cache\ndb\nweb\n"),
        ("config --services db", "cache\ndb\nweb\n"),
        ("convert --services --volumes", "cache\ndb\nweb\n"),
        ("--profile debug config --services --no-interpolate", "cache\ndb\ndebug\nweb\n"),
        ("config --volumes", "data\n"),
        ("--all-resources config --volumes", "data\nunused\n"),
        ("config --networks", "default\n"),
        ("--profile zz config --networks", "default\nfront\n"),
        ("config --models", ""),
        ("--profile zz config --models", "ai/x\n"),
        ("config --images", "rich-cache\npostgres\ninit:1\nnginx:latest\n"),
        ("config --images db", "postgres\ninit:1\n"),
        ("config --profiles", "debug\nzz\n"),
        ("config --environment", "ARG=arg\nCOMPOSE_PROJECT_NAME=rich\nPWD=@\nRCOMPOSE_ROOT=@\n"),
        ("config -q", ""),
        ("config -q --environment", ""),
    ] {
        assert_eq!(room.out(words), want.replace('@', &room.0.display().to_string()), "{words}");
    }
    let hashes = room.out("config --hash *");
    assert_eq!(
        hashes.lines().map(|l| l.split(' ').next().unwrap()).collect::<Vec<_>>(),
        ["cache", "db", "web"]
    );
    assert!(hashes.lines().all(|l| l.split(' ').nth(1).unwrap().len() == 64));
    assert_eq!(
        room.out("config --hash web,db"),
        hashes.lines().skip(1).map(|l| format!("{l}\n")).collect::<String>()
    );
}

#[test]
fn variables() {
    let room = Room::new("variables");
    let table = "\
NAME                REQUIRED            DEFAULT VALUE       ALTERNATE VALUE
ARG                 true                                    \nHI                  false                                   there
PORT                false               8080                \nTAG                 false               latest              \n";
    assert_eq!(room.out("config --variables"), table);
    let json = room.out("config --variables --format json");
    let first = "{\n    \"ARG\": {\n        \"Name\": \"ARG\",\n        \"DefaultValue\": \"\",\n        \"PresenceValue\": \"\",\n        \"Required\": true\n    },";
    assert!(json.starts_with(first), "{json}");
    let yaml = room.out("config --variables --format yaml");
    assert!(
        yaml.starts_with(
            "ARG:\n    name: ARG\n    defaultvalue: \"\"\n    presencevalue: \"\"\n    required: true\nHI:\n"
        ),
        "{yaml}"
    );
}

#[test]
fn services_with_what_they_need() {
    let room = Room::new("services");
    let yaml = room.out("config db");
    assert!(yaml.contains("  db:\n") && !yaml.contains("  web:\n") && !yaml.contains("volumes:"), "{yaml}");
    assert!(room.out("config web").contains("  cache:\n"));
    // Naming a service activates its profiles.
    assert!(room.out("config debug").contains("  debug:\n"));
    assert_eq!(room.refused("config nope"), "error: no such service: nope");
    assert_eq!(room.refused("config --images nope"), "error: no such service: nope");
    assert_eq!(room.refused("config --profiles nope"), "error: no such service: nope");
    assert_eq!(room.refused("config --hash debug"), "error: no such service: debug");
    assert_eq!(room.refused("config --format xml"), "error: unsupported format \"xml\"");
}

#[test]
fn steps_left_out() {
    let room = Room::new("steps");
    let whole = room.out("config");
    for part in ["        A: arg\n", "      FROM: file\n", "published: \"8080\"", "name: rich_data"] {
        assert!(whole.contains(part), "{part} in {whole}");
    }
    assert!(!whole.contains("B: null") && !whole.contains("env_file"));
    let here = room.0.display().to_string();
    let env = room.out("config --no-env-resolution");
    assert!(env.contains(&format!("    env_file:\n      - path: {here}/web.env\n    image:")), "{env}");
    let normal = room.out("config --no-normalize");
    assert!(normal.contains("        B: null\n") && normal.contains("  data: {}\n"), "{normal}");
    let paths = room.out("config --no-path-resolution");
    assert!(paths.contains("context: ./web") && paths.contains("source: ./src") && !paths.contains(&here));
    // The raw form: sorted, complete, with all services, as written.
    let raw = room.out("config --no-interpolate");
    for part in [
        "        A: ${ARG?need}\n",
        "      - ${PORT:-8080}:80\n",
        "    command: echo ${HI+there}\n",
        "    image: nginx:${TAG:-latest}\n",
        "  unused:\n    name: rich_unused\n",
        "          create_host_path: true\n",
    ] {
        assert!(raw.contains(part), "{part} in {raw}");
    }
    assert!(raw.starts_with("models:\n  llm:\n"));
    let json = room.out("config --no-interpolate --format json");
    assert!(json.contains("\"image\": \"nginx:${TAG:-latest}\""));
}

#[test]
fn into_a_file() {
    let room = Room::new("file");
    assert_eq!(room.out("config -o out.yaml"), "");
    assert_eq!(std::fs::read_to_string(room.0.join("out.yaml")).unwrap(), room.out("config"));
    // Lists are printed all the same.
    assert_eq!(room.out("config -o other --volumes"), "data\n");
    assert!(!room.0.join("other").exists());
    assert!(room.refused("config -o no/such/dir").starts_with("error: failed to create"));
}

#[test]
fn hashes_are_those_of_docker_compose() {
    let room = Room::new("hash");
    let text = r#"name: h
services:
  a: {image: a}
  b:
    image: 'b:${T:-1}'
    environment: {B10: '<&>', B2: "a$$b", C: é}
    deploy: {replicas: 3, resources: {limits: {cpus: '0.5', memory: 50M}}}
    healthcheck: {test: [CMD, x], interval: 90s}
    ports: ['8080:80']
    volumes: ['vol:/v', '/x:/y:ro']
    depends_on: [a]
    labels: [x=y]
    ulimits: {nofile: {soft: 1, hard: 2}}
volumes: {vol: }
"#;
    std::fs::write(room.0.join("compose.yaml"), text).unwrap();
    let want = "a ead32641ace023dfb5148a9f4e8937d023a3b7fcc8af8f3e47f76229311a2be6\n\
         b f020eadd24b43effadbdcb85bf78a4f773c716b38ba741f0006429a528a767d9\n";
    assert_eq!(room.out("config --hash *"), want);
    // How it is built and how many there are makes no other container; what it is made from does.
    std::fs::write(room.0.join("compose.yaml"), text.replace("replicas: 3", "replicas: 4")).unwrap();
    assert_eq!(room.out("config --hash *"), want);
    std::fs::write(room.0.join("compose.yaml"), text.replace("x=y", "x=z")).unwrap();
    assert_ne!(room.out("config --hash *"), want);
}

/// What comes through a pipe has no end, or none that anybody waits for.
#[test]
fn standard_input_is_bounded_as_files_are() {
    let room = Room::new("stdin");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rcompose"));
    let zero = std::fs::File::open("/dev/zero").unwrap();
    let out = command.args(["-f", "-", "config"]).current_dir(&room.0).stdin(zero).output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(text.starts_with("error: this file is larger than 8 MiB\n--> <stdin>\n"), "{text}");
}
