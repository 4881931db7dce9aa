//! Mistakes that people type, and the whole text that they read then.

use std::path::PathBuf;

use rcompose_loader::{LoadRequest, MemorySources, load, render_diagnostics};

#[track_caller]
fn says(text: &str, want: &str) {
    let sources = MemorySources::default().with("/p/compose.yaml", text);
    let req = LoadRequest { cwd: PathBuf::from("/p"), project_name: Some("t".into()), ..Default::default() };
    let got = match load(&req, &sources) {
        Ok(loaded) => panic!("accepted: {}", loaded.canonical.to_yaml()),
        Err(e) => render_diagnostics(&e.diagnostics, false, 100),
    };
    assert_eq!(got.trim_end(), want.trim_matches('\n').trim_end(), "\n{got}");
}

#[test]
fn indentation() {
    says(
        "services:\n  web:\n    image: nginx\n   ports:\n      - \"80:80\"\n",
        r#"
error: invalid YAML: this line is indented by 3 spaces, unlike anything above it
 --> compose.yaml:4:4
  |
4 |    ports:
  |    ^^^^^^
  |
 ::: compose.yaml:3:5
  |
3 |     image: nginx
  |     ------------ 4 spaces
help: indent it by 4 spaces to stand beside line 3, or by 2 spaces to stand beside line 2
"#,
    );
}

#[test]
fn port() {
    says(
        "services:\n  web:\n    image: nginx\n    port:\n      - \"80:80\"\n",
        r#"
error: additional properties 'port' not allowed in services.web
 --> compose.yaml:4:5
  |
4 |     port:
  |     ^^^^
help: did you mean "ports"?
"#,
    );
}

#[test]
fn enviroment() {
    says(
        "services:\n  web:\n    image: nginx\n    enviroment:\n      A: b\n",
        r#"
error: additional properties 'enviroment' not allowed in services.web
 --> compose.yaml:4:5
  |
4 |     enviroment:
  |     ^^^^^^^^^^
help: did you mean "environment"?
"#,
    );
}

#[test]
fn missing_dash() {
    says(
        "services:\n  web:\n    image: nginx\n    ports:\n      \"80:80\"\n      - \"443:443\"\n",
        r#"
error: invalid YAML: an entry of a list without a dash
 --> compose.yaml:5:7
  |
5 |       "80:80"
  |       ^^^^^^^
help: write `- ` before it, as in line 6
"#,
    );
}

#[test]
fn tab() {
    says(
        "services:\n  web:\n\timage: nginx\n",
        r#"
error: invalid YAML: a tab can't indent
 --> compose.yaml:3:1
  |
3 |     image: nginx
  | ^^^^
help: use spaces
"#,
    );
}

#[test]
fn unclosed_quote() {
    says(
        "services:\n  web:\n    image: \"nginx\n    ports:\n      - \"80:80\"\n  db:\n    image: postgres\n",
        r#"
error: invalid YAML: this quote isn't closed
 --> compose.yaml:3:12
  |
3 |     image: "nginx
  |            ^^^^^^
help: write " at the end of the value, too
"#,
    );
}

#[test]
fn pairs_in_a_list() {
    says(
        "services:\n  web:\n    image: nginx\n    ports:\n      - 8080:80\n      - 22:22\n    environment:\n      - A: b\n      - C = d\n",
        r#"
error: services.web.environment.0 must be a string, not a mapping
 --> compose.yaml:8:9
  |
8 |       - A: b
  |         ^
help: write A=b, or leave out the dashes
"#,
    );
}

#[test]
fn undefined_network() {
    says(
        "services:\n  web:\n    image: nginx\n    networks: [frontned]\nnetworks:\n  frontend:\n",
        r#"
error: service "web" refers to undefined network frontned: invalid compose project
 --> compose.yaml:4:16
  |
4 |     networks: [frontned]
  |                ^^^^^^^^
help: did you mean "frontend"?
"#,
    );
}

#[test]
fn condition() {
    says(
        "services:\n  web:\n    image: nginx\n    depends_on:\n      db:\n        condition: healthy\n  db:\n    image: postgres\n",
        r#"
error: services.web.depends_on.db.condition: "healthy" isn't one of service_started, service_healthy, service_completed_successfully
 --> compose.yaml:6:20
  |
6 |         condition: healthy
  |                    ^^^^^^^
help: did you mean "service_healthy"?
"#,
    );
}

#[test]
fn depends_on() {
    says(
        "services:\n  web:\n    image: nginx\n    depends_on: [bd]\n  db:\n    image: postgres\n",
        r#"
error: service "web" depends on undefined service "bd": invalid compose project
 --> compose.yaml:4:18
  |
4 |     depends_on: [bd]
  |                  ^^
help: did you mean "db"?
"#,
    );
}

#[test]
fn env_file() {
    says(
        "services:\n  web:\n    image: nginx\n    env_file: .env.local\n",
        r#"
error: env file .env.local can't be read: no such file
 --> compose.yaml:4:15
  |
4 |     env_file: .env.local
  |               ^^^^^^^^^^
help: make the file, or correct its path
"#,
    );
}

#[test]
fn two_colons() {
    says(
        "services:\n  web:\n    image: nginx\n    command: echo: hello\n    labels:\n      a: [1\n",
        r#"
error: invalid YAML: a value with a colon in it has to be in quotes
 --> compose.yaml:4:18
  |
4 |     command: echo: hello
  |                  ^
help: write command: "echo: hello"
"#,
    );
}

#[test]
fn missing_colon_above_a_whole_section() {
    says(
        "name: x\n\nservices\n  app:\n    image: nginx\n",
        r#"
error: invalid YAML: a colon is missing behind the key
 --> compose.yaml:3:1
  |
3 | services
  | ^^^^^^^^
help: write `services:`
"#,
    );
}

#[test]
fn missing_colon() {
    says(
        "services:\n  web:\n    image nginx\n    ports:\n      - \"80:80\"\n",
        r#"
error: invalid YAML: a colon is missing behind the key
 --> compose.yaml:3:5
  |
3 |     image nginx
  |     ^^^^^^^^^^^
help: write `image: nginx`
"#,
    );
}

#[test]
fn flat_service() {
    says(
        "services:\n  web:\n  image: nginx\n  ports:\n    - \"80:80\"\n",
        r#"
error: services.web has no value: it must be a mapping
 --> compose.yaml:2:3
  |
2 |   web:
  |   ^^^
help: write its attributes on the lines below, indented further

error: services.image must be a mapping, not a string
 --> compose.yaml:3:10
  |
3 |   image: nginx
  |          ^^^^^
help: "image" is an attribute of a service: indent it below one

error: services.ports must be a mapping, not a list
 --> compose.yaml:5:5
  |
5 |     - "80:80"
  |     ^
help: "ports" is an attribute of a service: indent it below one
"#,
    );
}

#[test]
fn alias() {
    says(
        "services:\n  web:\n    image: nginx\n    command: *default\n    labels: {a: b\n    ports: [\"80:80\"]\n",
        r#"
error: invalid YAML: *default refers to an anchor that isn't there
 --> compose.yaml:4:14
  |
4 |     command: *default
  |              ^^^^^^^^
help: write &default before the value that is meant, above this line; text with a star goes into quotes
"#,
    );
}

#[test]
fn at_sign() {
    says(
        "services:\n  web:\n    image: @foo\n    environment:\n      X: %bar\n      Y: `ls`\n",
        r#"
error: invalid YAML: a value can't begin with @
 --> compose.yaml:3:12
  |
3 |     image: @foo
  |            ^^^^
help: put it into quotes: '@foo'
"#,
    );
}

#[test]
fn no_services() {
    says(
        "web:\n  image: nginx\n",
        r#"
error: additional properties 'web' not allowed in the top level
 --> compose.yaml:1:1
  |
1 | web:
  | ^^^
help: services stand below `services:`
"#,
    );
}

#[test]
fn list_of_services() {
    says(
        "services:\n- web:\n    image: nginx\n",
        r#"
error: services must be a mapping, not a list
 --> compose.yaml:2:3
  |
2 | - web:
  |   ^
help: leave out the dashes
"#,
    );
}

#[test]
fn dash_without_space() {
    says(
        "services:\n  web:\n    image: nginx\n    volumes:\n      -./data:/data\n    restart: always:5\n",
        r#"
error: services.web.volumes must be a list, not a string
 --> compose.yaml:5:7
  |
5 |       -./data:/data
  |       ^^^^^^^^^^^^^
help: write a space behind the dash: - ./data:/data

error: invalid restart policy "always:5"
 --> compose.yaml:6:14
  |
6 |     restart: always:5
  |              ^^^^^^^^
help: valid values: no, always, on-failure[:N], unless-stopped
help: did you mean "always"?
"#,
    );
}

#[test]
fn bare_interval() {
    says(
        "version: \"3\"\nservices:\n  web:\n    image: nginx\n    mem_limit: 1gib\n    healthcheck:\n      test: curl localhost\n      interval: 30\n    logging: {driver: syslog, options: {max-size: 1m}}\n",
        r#"
error: services.web.healthcheck.interval must be a string, not a number
 --> compose.yaml:8:17
  |
8 |       interval: 30
  |                 ^^
help: write it with its unit: 30s
"#,
    );
}

#[test]
fn open_bracket() {
    says(
        "services:\n  web:\n    image: nginx\n    command: [a, b\n    ports: [\"80\"]\n",
        r#"
error: invalid YAML: this [ isn't closed, or a comma is missing behind it
 --> compose.yaml:4:14
  |
4 |     command: [a, b
  |              ^
  |
 ::: compose.yaml:5:10
  |
5 |     ports: ["80"]
  |          - reading ended here
help: write ] at its end, and commas between its entries
"#,
    );
}

#[test]
fn list_on_the_line() {
    says(
        "services:\n  web:\n    ports: - \"80:80\"\n",
        r#"
error: invalid YAML: a list can't begin on the line of its key
 --> compose.yaml:3:12
  |
3 |     ports: - "80:80"
  |            ^
help: begin a new line, indented, with the dash
"#,
    );
}

#[test]
fn too_deep() {
    says(
        "services:\n  web:\n    image: nginx\n      ports: [\"80\"]\n",
        r#"
error: invalid YAML: this line is indented below line 3, which has a value already
 --> compose.yaml:4:7
  |
4 |       ports: ["80"]
  |       ^^^^^^^^^^^^^
  |
 ::: compose.yaml:3:5
  |
3 |     image: nginx
  |     ------------ this has a value
help: indent it by 4 spaces to stand beside line 3
"#,
    );
}

#[test]
fn space_behind_colon() {
    says(
        "services:\n  web:\n    image:nginx\n    ports: [\"80\"]\n",
        r#"
error: invalid YAML: a space is missing behind the colon
 --> compose.yaml:3:5
  |
3 |     image:nginx
  |     ^^^^^^^^^^^
help: write `image: nginx`
"#,
    );
}

#[test]
fn last_dash() {
    says(
        "services:\n  web:\n    ports:\n      - \"80\"\n      \"81\"\n",
        r#"
error: invalid YAML: an entry of a list without a dash
 --> compose.yaml:5:7
  |
5 |       "81"
  |       ^^^^
help: write `- ` before it, as in line 4, or indent it otherwise
"#,
    );
}

#[test]
fn behind_the_quote() {
    says(
        "services:\n  web:\n    image: \"nginx\" latest\n",
        r#"
error: invalid YAML: something stands behind the closing quote
 --> compose.yaml:3:20
  |
3 |     image: "nginx" latest
  |                    ^
help: put all of the value between the quotes, or all of it in single ones
"#,
    );
}

#[test]
fn open_brace() {
    says(
        "services:\n  web:\n    environment: {A: b, C: d\n    image: x\n",
        r#"
error: invalid YAML: this { isn't closed, or a comma is missing behind it
 --> compose.yaml:3:18
  |
3 |     environment: {A: b, C: d
  |                  ^
  |
 ::: compose.yaml:4:10
  |
4 |     image: x
  |          - reading ended here
help: write } at its end, and commas between its entries
"#,
    );
}

#[test]
fn escape() {
    says(
        "services:\n  web:\n    command: \"a\\d\"\n",
        r#"
error: invalid YAML: a backslash in double quotes begins an escape, and this isn't one
 --> compose.yaml:3:14
  |
3 |     command: "a\d"
  |              ^
help: write \\ for a backslash, or use single quotes
"#,
    );
}
