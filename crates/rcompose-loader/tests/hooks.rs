//! How `post_start` and `pre_stop` are mistyped.

use std::path::PathBuf;

use rcompose_loader::{LoadRequest, MemorySources, load, render_diagnostics};

fn says(text: &str, want: &str) {
    let sources = MemorySources::default().with("/p/compose.yaml", text);
    let req = LoadRequest { cwd: PathBuf::from("/p"), ..LoadRequest::default() };
    let error = load(&req, &sources).unwrap_err();
    assert_eq!(render_diagnostics(&error.diagnostics, false, 100), want.trim_start());
}

#[test]
fn commands_around_a_containers_life() {
    says(
        "services:\n  web:\n    image: a\n    post_start: echo hi\n    pre_stop:\n      - echo bye\n      - {cmd: sleep 5}\n",
        r#"
error: services.web.post_start must be a list, not a string
 --> compose.yaml:4:17
  |
4 |     post_start: echo hi
  |                 ^^^^^^^
help: write it as an entry: - command: echo hi

error: services.web.pre_stop.0 must be a mapping, not a string
 --> compose.yaml:6:9
  |
6 |       - echo bye
  |         ^^^^^^^^
help: write it as - command: echo bye

error: services.web.pre_stop.1: missing property 'command'
 --> compose.yaml:7:9
  |
7 |       - {cmd: sleep 5}
  |         ^
help: add `command:`

error: additional properties 'cmd' not allowed in services.web.pre_stop.1
 --> compose.yaml:7:10
  |
7 |       - {cmd: sleep 5}
  |          ^^^
help: did you mean "command"?
"#,
    );
}
