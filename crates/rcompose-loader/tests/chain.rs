//! How a place came to count: the whole text that a person reads.

use std::path::PathBuf;

use rcompose_loader::{Code, LoadRequest, MemorySources, load, render_diagnostics};

fn request() -> LoadRequest {
    LoadRequest { cwd: PathBuf::from("/p"), project_name: Some("t".into()), ..Default::default() }
}

fn tell(files: &[(&str, &str)], env: &[(&str, &str)]) -> String {
    let mut sources = MemorySources::default();
    for (path, text) in files {
        sources = sources.with(format!("/p/{path}"), *text);
    }
    let mut req = request();
    req.environment = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let found = match load(&req, &sources) {
        Ok(loaded) => loaded.warnings,
        Err(e) => e.diagnostics,
    };
    assert!(found.iter().all(|d| d.code.is_some()));
    render_diagnostics(&found, false, 100)
}

#[track_caller]
fn says(files: &[(&str, &str)], env: &[(&str, &str)], want: &str) {
    let got = tell(files, env);
    assert_eq!(got.trim_end(), want.trim_matches('\n').trim_end(), "\n{got}");
}

#[test]
fn a_file_that_was_included() {
    says(
        &[
            ("compose.yaml", "include: [a/one.yaml]\n"),
            ("a/one.yaml", "include:\n  - two.yaml\n"),
            ("a/two.yaml", "services:\n  web:\n    imgae: nginx\n"),
        ],
        &[],
        r#"
error: additional properties 'imgae' not allowed in services.web
 --> a/two.yaml:3:5
  |
3 |     imgae: nginx
  |     ^^^^^
  |
 ::: a/one.yaml:2:5
  |
2 |   - two.yaml
  |     -------- included here
  |
 ::: compose.yaml:1:11
  |
1 | include: [a/one.yaml]
  |           ---------- included here
help: did you mean "image"?
"#,
    );
}

#[test]
fn a_service_that_was_extended() {
    says(
        &[
            (
                "compose.yaml",
                "services:\n  web:\n    extends: {file: base.yaml, service: base}\n    image: x\n",
            ),
            ("base.yaml", "services:\n  base:\n    extends: root\n  root:\n    stop_signal: SIGNOPE\n"),
        ],
        &[],
        r#"
error: invalid signal: SIGNOPE
 --> base.yaml:5:18
  |
5 |     stop_signal: SIGNOPE
  |                  ^^^^^^^
  |
 ::: compose.yaml:3:41
  |
3 |     extends: {file: base.yaml, service: base}
  |                                         ---- "web" extends it here
  |
 ::: base.yaml:3:14
  |
3 |     extends: root
  |              ---- "base" extends it here
help: write a name like SIGTERM, or a number
"#,
    );
}

#[test]
fn an_anchor_is_wrong_once() {
    let mut text = "x-web: &web\n  image: x\n  depends_on: [d]\nservices:\n".to_owned();
    for n in 1..6 {
        text.push_str(&format!("  a{n}:\n    <<: *web\n"));
    }
    says(
        &[("compose.yaml", &text)],
        &[],
        r#"
error: service "a1" depends on undefined service "d": invalid compose project
  --> compose.yaml:3:16
   |
 3 |   depends_on: [d]
   |                ^
   |
  ::: compose.yaml:6:9
   |
 6 |     <<: *web
   |         ---- used here
   |
  ::: compose.yaml:8:9
   |
 8 |     <<: *web
   |         ---- used here
   |
  ::: compose.yaml:10:9
   |
10 |     <<: *web
   |         ---- used here, and 2 times more
help: there are: a2, a3, a4, a5
"#,
    );
}

#[test]
fn variables_and_where_they_are_set() {
    let text = "services:\n  web:\n    image: x\n    ports: [\"${PORT}:80\"]\n    stop_signal: ${SIG}\n    mem_limit: ${MEM:-lots}\n";
    says(
        &[("compose.yaml", text), (".env", "# ports\nPORT=http\n")],
        &[("SIG", "NOPE")],
        r#"
error: invalid port "http:80": "http" isn't a port between 1 and 65535
 --> compose.yaml:4:13
  |
4 |     ports: ["${PORT}:80"]
  |             ^^^^^^^^^^^^
  |
 ::: .env:2:1
  |
2 | PORT=http
  | --------- PORT is set here
help: write [[IP:]HOST:]CONTAINER[/PROTOCOL], like "8080:80"
help: PORT is "http": it is set in .env line 2

error: invalid signal: NOPE
 --> compose.yaml:5:18
  |
5 |     stop_signal: ${SIG}
  |                  ^^^^^^
help: write a name like SIGTERM, or a number
help: SIG is "NOPE": it is set in the environment

error: invalid size "lots": write a number of bytes or a unit, like 512m or 1.5gb
 --> compose.yaml:6:16
  |
6 |     mem_limit: ${MEM:-lots}
  |                ^^^^^^^^^^^^
help: MEM isn't set: its default is "lots"
"#,
    );
}

#[test]
fn a_variable_that_is_not_set_is_told_once() {
    let text =
        "services:\n  web:\n    image: \"x$TAG\"\n    command: |\n      echo one\n      echo ${TAG} $TAG\n";
    says(
        &[("compose.yaml", text)],
        &[],
        r#"
warning: The "TAG" variable is not set. Defaulting to a blank string.
 --> compose.yaml:3:14
  |
3 |     image: "x$TAG"
  |              ^^^^
  |
 ::: compose.yaml:6:12
  |
6 |       echo ${TAG} $TAG
  |            ------ ---- used here, too
  |            |
  |            used here, too
"#,
    );
}

#[test]
fn all_required_variables_at_their_columns() {
    let text = "services:\n  web:\n    image: \"\\x61${ONE:?first}b${TWO?}\"\n    command: >\n      a\n      ${THREE:?}\n      ${\n";
    says(
        &[("compose.yaml", text)],
        &[],
        r#"
error: required variable ONE is missing a value: first
 --> compose.yaml:3:17
  |
3 |     image: "\x61${ONE:?first}b${TWO?}"
  |                 ^^^^^^^^^^^^^
help: set ONE in the environment or in .env

error: required variable TWO is missing a value
 --> compose.yaml:3:31
  |
3 |     image: "\x61${ONE:?first}b${TWO?}"
  |                               ^^^^^^^
help: set TWO in the environment or in .env

error: required variable THREE is missing a value
 --> compose.yaml:6:7
  |
6 |       ${THREE:?}
  |       ^^^^^^^^^^
help: set THREE in the environment or in .env

error: invalid interpolation format: "a ${THREE:?} ${\n"
 --> compose.yaml:7:7
  |
7 |       ${
  |       ^
help: the closing } is missing
help: if no variable is meant, write $$ for the dollar sign
"#,
    );
}

#[test]
fn a_line_of_an_env_file() {
    says(
        &[
            ("compose.yaml", "services:\n  web:\n    image: x\n    env_file: web.env\n"),
            ("web.env", "A=1\n  B C=2\n"),
        ],
        &[],
        r#"
error: key cannot contain a space: "B C"
 --> web.env:2:3
  |
2 |   B C=2
  |   ^^^^^
  |
 ::: compose.yaml:4:15
  |
4 |     env_file: web.env
  |               ------- read here
"#,
    );
}

#[test]
fn codes_are_stable() {
    let sources = MemorySources::default()
        .with("/p/compose.yaml", "services:\n  a:\n    imgae: x\n    tty: maybe\n    ports: 80\n");
    let found = load(&request(), &sources).unwrap_err().diagnostics;
    let codes: Vec<_> = found.iter().filter_map(|d| d.code.map(Code::id)).collect();
    assert_eq!(codes, ["unknown-key", "wrong-type", "wrong-type"]);
}
