//! Where values come from, as a person reads it.

use std::path::PathBuf;

use rcompose_loader::{LoadRequest, MemorySources, load, render_answers, render_diagnostics};

const FILES: [(&str, &str); 6] = [
    (
        "compose.yaml",
        "x-common: &common\n  restart: always\nservices:\n  web:\n    <<: *common\n    image: \"nginx:${TAG:-1.25}\"\n    \
         extends: {file: base.yaml, service: base}\n    env_file: [a.env, b.env]\n    environment:\n      \
         FOO: ${BAR}\n    ports: [\"8080:80\"]\n    labels: {com.example.x: y}\n    links: [db]\n  db:\n    image: pg\n",
    ),
    (
        "compose.override.yaml",
        "services:\n  web:\n    environment:\n      FOO: \"over-$BAR\"\n    command: [b]\n",
    ),
    ("base.yaml", "services:\n  base:\n    image: old\n    stop_signal: SIGINT\n    command: a\n"),
    (".env", "# c\nBAR=bar\n"),
    ("a.env", "FOO=lost\nONLY=1\n"),
    ("b.env", "ONLY=2\n"),
];

fn ask(paths: &[&str], env: &[(&str, &str)]) -> String {
    let mut sources = MemorySources::default();
    for (path, text) in FILES {
        sources = sources.with(format!("/p/{path}"), text);
    }
    let req = LoadRequest {
        cwd: PathBuf::from("/p"),
        project_name: Some("t".into()),
        environment: env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        why: paths.iter().map(|p| (*p).to_owned()).collect(),
        ..Default::default()
    };
    match load(&req, &sources) {
        Ok(loaded) => render_answers(&loaded.answers, false, 100),
        Err(e) => render_diagnostics(&e.diagnostics, false, 100),
    }
}

#[track_caller]
fn says(paths: &[&str], env: &[(&str, &str)], want: &str) {
    let got = ask(paths, env);
    assert_eq!(got.trim_end(), want.trim_matches('\n').trim_end(), "\n{got}");
}

#[test]
fn variables_overrides_and_env_files() {
    says(
        &["services.web.environment"],
        &[("BAR", "shell")],
        r#"
services.web.environment.FOO = "over-shell"
  --> compose.override.yaml:4:12
   |
 4 |       FOO: "over-$BAR"
   |            ^^^^^^^^^^^
   |
  ::: .env:2:1
   |
 2 | BAR=bar
   | ------- the environment wins over this
   |
  ::: compose.yaml:10:12
   |
10 |       FOO: ${BAR}
   |            ------ replaced: "shell"
   |
  ::: a.env:1:1
   |
 1 | FOO=lost
   | -------- replaced: "lost"
  BAR is "shell": it is set in the environment

services.web.environment.ONLY = "2"
 --> b.env:1:1
  |
1 | ONLY=2
  | ^^^^^^
  |
 ::: compose.yaml:8:23
  |
8 |     env_file: [a.env, b.env]
  |                       ----- read here
  |
 ::: a.env:2:1
  |
2 | ONLY=1
  | ------ replaced: "1"
"#,
    );
}

#[test]
fn extends_anchors_defaults() {
    says(
        &["services.web.stop_signal", "services.web.restart", "services.web.image", "services.web.command"],
        &[],
        r#"
services.web.stop_signal = "SIGINT"
 --> base.yaml:4:18
  |
4 |     stop_signal: SIGINT
  |                  ^^^^^^
  |
 ::: compose.yaml:7:41
  |
7 |     extends: {file: base.yaml, service: base}
  |                                         ---- "web" extends it here

services.web.restart = "always"
 --> compose.yaml:2:12
  |
2 |   restart: always
  |            ^^^^^^
  |
 ::: compose.yaml:5:9
  |
5 |     <<: *common
  |         ------- used here

services.web.image = "nginx:1.25"
 --> compose.yaml:6:12
  |
6 |     image: "nginx:${TAG:-1.25}"
  |            ^^^^^^^^^^^^^^^^^^^^
  |
 ::: base.yaml:3:12
  |
3 |     image: old
  |            --- replaced: "old"
  TAG isn't set: its default is "1.25"

services.web.command = ["b"]
 --> compose.override.yaml:5:15
  |
5 |     command: [b]
  |               ^
  |
 ::: base.yaml:5:14
  |
5 |     command: a
  |              - replaced: "a"
"#,
    );
}

#[test]
fn short_forms_and_what_nobody_wrote() {
    says(
        &["services.web.ports.0", "services.web.labels.com.example.x", "services.web.depends_on", "name"],
        &[],
        r#"
services.web.ports[0] = {mode: "ingress", target: 80, published: "8080", protocol: "tcp"}
  --> compose.yaml:11:13
   |
11 |     ports: ["8080:80"]
   |             ^^^^^^^^^

services.web.labels.com.example.x = "y"
  --> compose.yaml:12:29
   |
12 |     labels: {com.example.x: y}
   |                             ^

services.web.depends_on = {db: {condition: "service_started", restart: true, required: true}}
  --> compose.yaml:13:13
   |
13 |     links: [db]
   |             ^^ because of this
  no file says it: rcompose sets it, as docker compose does

name = "t"
  the project's name: from -p, COMPOSE_PROJECT_NAME, `name:` or the directory
"#,
    );
}

#[test]
fn paths_that_are_not_there() {
    says(&["services.wbe.image"], &[], "error: services has no \"wbe\"\nhelp: did you mean \"web\"?");
    says(
        &["services.web.ports[4]"],
        &[],
        "error: services.web.ports has no entry \"4\"\nhelp: its entries are [0] to [0]",
    );
    says(&["services.db.image.x"], &[], "error: services.db.image is a single value: it has no \"x\"");
    says(&["services.db.zzz"], &[], "error: services.db has no \"zzz\"\nhelp: it has image, networks");
}

/// However many there are, and whatever they are called.
#[test]
fn each_service_of_a_chain_is_named() {
    let mut sources = MemorySources::default()
        .with("/p/compose.yaml", "services:\n  web:\n    extends: {file: f1.yaml, service: web}\n");
    for i in 1..7 {
        let text = format!("services:\n  web:\n    extends: {{file: f{}.yaml, service: web}}\n", i + 1);
        sources = sources.with(format!("/p/f{i}.yaml"), text);
    }
    sources = sources.with(
        "/p/f7.yaml",
        "services:\n  web: {extends: {service: other}}\n  other: {extends: low}\n  low:\n    image: deep\n",
    );
    let req = LoadRequest {
        cwd: PathBuf::from("/p"),
        why: vec!["services.web.image".into()],
        ..LoadRequest::default()
    };
    let text = render_answers(&load(&req, &sources).unwrap().answers, false, 100);
    for place in (1..7).map(|i| format!("::: f{i}.yaml:3:")).chain(["::: compose.yaml:3:".into()]) {
        assert!(text.contains(&place), "{place} isn't in\n{text}");
    }
    assert!(text.contains("\"web\" extends it here") && text.contains("\"other\" extends it here"), "{text}");
    assert!(text.starts_with("services.web.image = \"deep\"\n --> f7.yaml:5:12\n"), "{text}");
}
