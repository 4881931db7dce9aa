//! What bad input is told, as a person reads it.

use std::path::PathBuf;

use rcompose_loader::{LoadRequest, MemorySources, load, render_diagnostics};

fn request() -> LoadRequest {
    LoadRequest { cwd: PathBuf::from("/p"), project_name: Some("t".into()), ..Default::default() }
}

fn errors(text: &str) -> String {
    let sources = MemorySources::default().with("/p/compose.yaml", text);
    match load(&request(), &sources) {
        Ok(loaded) => panic!("accepted: {}", loaded.canonical.to_yaml()),
        Err(e) => render_diagnostics(&e.diagnostics, false, 120),
    }
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    let got = errors(text);
    for part in parts {
        assert!(got.contains(part), "wanted {part:?} in:\n{got}");
    }
}

#[test]
fn unknown_keys_with_place_and_nearest_word() {
    let text = "services:\n  web:\n    imgae: nginx\n    ports: ['80']\nnetwork: {}\n";
    says(
        text,
        &[
            "compose.yaml:3:5",
            "'imgae' not allowed",
            "did you mean \"image\"?",
            "compose.yaml:5:1",
            "\"networks\"",
        ],
    );
    says(
        "services:\n  web:\n    image: a\n    healthcheck: {tets: x}\n",
        &["services.web.healthcheck", "compose.yaml:4:19"],
    );
}

#[test]
fn several_at_once_in_order() {
    let got = errors("services:\n  a:\n    image: [x]\n    tty: maybe\n  b:\n    ports: 80\n");
    let at = |s: &str| got.find(s).unwrap_or_else(|| panic!("{s} in\n{got}"));
    assert!(at("services.a.image must be a string") < at("services.a.tty must be a boolean"));
    assert!(at("services.a.tty") < at("services.b.ports must be a list"));
}

#[test]
fn broken_yaml() {
    says("services:\n  web:\n  image: 'x\n", &["invalid YAML", "compose.yaml:"]);
    says("services:\n\tweb: {}\n", &["tab", "compose.yaml:2:"]);
    says(
        "services:\n  a: {image: x}\n  a: {image: y}\n",
        &["mapping key \"a\" already defined at line 2", "compose.yaml:3:3"],
    );
    says("services:\n  9: {image: x}\n", &["non-string key 9", "\"9\""]);
    says("- a\n", &["the top level must be a mapping, not a list"]);
    says("", &["empty compose file"]);
    let sources = MemorySources::default().with("/p/compose.yaml", b"services:\n  a\xff: {}\n".to_vec());
    let e = load(&request(), &sources).unwrap_err();
    assert!(render_diagnostics(&e.diagnostics, false, 100).contains("compose.yaml:2:4"), "{e}");
}

#[test]
fn undefined_things() {
    let text = "services:\n  web:\n    image: a\n    networks: [bakc]\n    volumes: ['dta:/d']\n    depends_on: [bd]\n  db: {image: b}\nnetworks: {back: {}}\nvolumes: {data: {}}\n";
    says(
        text,
        &[
            "refers to undefined network bakc",
            "did you mean \"back\"?",
            "compose.yaml:4:16",
            "refers to undefined volume dta",
            "depends on undefined service \"bd\"",
            "did you mean \"db\"?",
        ],
    );
}

#[test]
fn upper_case_names() {
    for (wrong, right) in [("My/App:V1", "my/app:V1"), ("R.io:5/A/b", "R.io:5/a/b"), ("Nginx", "nginx")] {
        says(&format!("services:\n  web:\n    image: {wrong}\n"), &[&format!("help: write \"{right}\"")]);
    }
}

#[test]
fn services_that_are_not_there() {
    let others: String = (0..9).map(|n| format!("  s{n}: {{image: x}}\n")).collect();
    for attribute in ["depends_on: [queue]", "network_mode: 'service:queue'", "links: [queue]"] {
        let text = format!("services:\n  web:\n    image: x\n    {attribute}\n{others}");
        let e = load(&request(), &MemorySources::default().with("/p/compose.yaml", &*text)).unwrap_err();
        let said = render_diagnostics(&e.diagnostics, false, 100);
        assert!(said.ends_with("help: there are: s0, s1, s2, s3, s4, s5, s6, s7 and 1 more\n"), "{said}");
        assert_eq!(e.diagnostics.len(), 1, "{said}");
    }
    says(
        "services:\n  web:\n    build: {context: ., additional_contexts: {b: 'service:bsae'}}\n  base:\n    build: .\n",
        &[
            "declares unknown service \"bsae\" as additional context b",
            "compose.yaml:3:50",
            "did you mean \"base\"?",
        ],
    );
}

#[test]
fn cycles_name_the_loop() {
    let text = "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [c]}\n  c: {image: x, depends_on: [a]}\n";
    says(text, &["dependency cycle detected: a -> b -> c -> a", "compose.yaml:4:"]);
    let text = "services:\n  a: {image: x, extends: b}\n  b: {extends: a}\n";
    says(text, &["circular extends"]);
}

#[test]
fn variables() {
    says(
        "services:\n  a:\n    image: \"x:${TAG:?say which}\"\n",
        &["required variable TAG is missing a value: say which", "compose.yaml:3:15"],
    );
    says("services:\n  a:\n    image: ${\n", &["invalid interpolation format", "$$"]);
    let sources = MemorySources::default().with("/p/compose.yaml", "services: {a: {image: \"x$NOPE\"}}");
    let loaded = load(&request(), &sources).unwrap();
    assert_eq!(loaded.warnings[0].message, "The \"NOPE\" variable is not set. Defaulting to a blank string.");
}

#[test]
fn values() {
    says("services: {a: {image: x, ports: ['80:99999']}}", &["99999", "isn't a port"]);
    says("services: {a: {image: x, stop_grace_period: soon}}", &["invalid duration \"soon\""]);
    says("services: {a: {image: x, mem_limit: 5q}}", &["invalid size \"5q\""]);
    says(
        "services: {a: {image: x, restart: alway}}",
        &["invalid restart policy", "did you mean \"always\"?"],
    );
    says("services: {a: {image: x, cap_add: [NET_ADMN]}}", &["did you mean \"NET_ADMIN\"?"]);
    says(
        "services: {a: {image: x, depends_on: {b: {condition: service_helthy}}}, b: {image: y}}",
        &["service_healthy"],
    );
    says("services: {a: {}}", &["neither an image nor a build context"]);
    says(
        "services: {a: {image: x, network_mode: host, networks: [n]}}\nnetworks: {n: {}}",
        &["mutually exclusive"],
    );
    says("services: {a: {image: x, privileged: 1}}", &["must be a boolean"]);
}

#[test]
fn missing_files() {
    let e = load(&request(), &MemorySources::default()).unwrap_err();
    assert_eq!(e.diagnostics[0].message, "no configuration file provided: not found");
    says(
        "services:\n  a:\n    image: x\n    env_file: nope.env\n",
        &["env file nope.env can't be read: no such file", "compose.yaml:4:15"],
    );
    says(
        "include: [other.yaml]\nservices: {}\n",
        &["can't read other.yaml: no such file", "compose.yaml:1:11"],
    );
    let mut req = request();
    req.files = vec!["x.yaml".into()];
    let e = load(&req, &MemorySources::default()).unwrap_err();
    assert!(e.to_string().contains("can't read x.yaml: no such file"), "{e}");
}

#[test]
fn bombs_end() {
    let mut text = String::from("x-a: &a [1,1,1,1,1,1,1,1,1,1]\n");
    for (one, next) in ["a", "b", "c", "d", "e", "f"].iter().zip(["b", "c", "d", "e", "f", "g"]) {
        text.push_str(&format!(
            "x-{next}: &{next} [*{one},*{one},*{one},*{one},*{one},*{one},*{one},*{one},*{one},*{one}]\n"
        ));
    }
    says(&text, &["more than"]);
    says(&format!("a: {}", "[".repeat(5000)), &["compose.yaml"]);
}
