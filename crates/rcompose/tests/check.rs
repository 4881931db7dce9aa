//! `rcompose check` and `config --why` as a person and as a machine call it.

use std::path::PathBuf;
use std::process::{Command, Output};

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let path = std::env::temp_dir().join(format!("rc-check-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        for (file, text) in files {
            std::fs::write(path.join(file), text).unwrap();
        }
        Self(path)
    }

    fn run(&self, args: &[&str]) -> (i32, String) {
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_rcompose"))
            .args(args)
            .current_dir(&self.0)
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&stderr), "");
        (status.code().unwrap(), String::from_utf8(stdout).unwrap())
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn all_at_once_with_a_sum() {
    let text = "services:\n  web:\n    imgae: x\n  off:\n    profiles: [debug]\n    prots: [80]\n";
    let dir = Dir::new("sum", &[("compose.yaml", text)]);
    let (code, out) = dir.run(&["check"]);
    assert_eq!(code, 1);
    assert!(out.contains("compose.yaml:3:5"), "{out}");
    assert!(out.contains("compose.yaml:6:5"), "{out}");
    assert!(out.ends_with("\n2 errors, no warnings\n"), "{out}");
}

#[test]
fn nothing_wrong() {
    let dir = Dir::new("good", &[("compose.yaml", "services:\n  web:\n    image: x\n")]);
    assert_eq!(dir.run(&["check", "--strict"]), (0, "nothing to complain about\n".into()));
    let usual = "services:\n  web:\n    isolation: default\n    build: {context: ., isolation: default}\n";
    let dir = Dir::new("usual", &[("compose.yaml", usual)]);
    assert_eq!(dir.run(&["check", "--strict"]), (0, "nothing to complain about\n".into()));
}

#[test]
fn strict_tells_what_is_not_done() {
    let text = "services:\n  web:\n    image: x\n    logging: {options: {tag: a}}\n    volumes: ['v1:/v']\nvolumes:\n  v1: {driver: nfs}\n";
    let dir = Dir::new("strict", &[("compose.yaml", text)]);
    let (code, out) = dir.run(&["check"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("services.web.logging.options.tag isn't honoured yet: it is ignored"), "{out}");
    let (code, out) = dir.run(&["check", "--strict"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("volumes.v1.driver isn't supported yet"), "{out}");
    assert!(out.contains("compose.yaml:7:16"), "{out}");
    assert!(out.ends_with("no errors, 2 warnings\n"), "{out}");
}

#[test]
fn for_programs() {
    let text = "services:\n  web:\n    image: x\n    ports: [\"${PORT}:80\"]\n";
    let dir = Dir::new("formats", &[("compose.yaml", text), (".env", "PORT=http\n")]);
    let (code, out) = dir.run(&["check", "--format", "json"]);
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &value["errors"]), (1, &serde_json::json!(1)));
    let d = &value["diagnostics"][0];
    assert_eq!((&d["code"], &d["place"]["line"]), (&"invalid-value".into(), &4.into()));
    assert_eq!((&d["related"][0]["file"], &d["related"][0]["line"]), (&".env".into(), &1.into()));
    let (_, out) = dir.run(&["check", "--format", "sarif"]);
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    let result = &value["runs"][0]["results"][0];
    assert_eq!((&value["version"], &result["ruleId"]), (&"2.1.0".into(), &"invalid-value".into()));
    assert_eq!(result["locations"][0]["physicalLocation"]["region"]["startLine"], 4);
    assert_eq!(result["relatedLocations"][0]["message"]["text"], "PORT is set here");
}

#[test]
fn why_a_value_is_what_it_is() {
    let files = [
        ("compose.yaml", "services:\n  web:\n    image: x\n    environment: {A: first}\n"),
        ("compose.override.yaml", "services:\n  web:\n    environment: {A: \"$B\"}\n"),
        (".env", "B=second\n"),
    ];
    let dir = Dir::new("why", &files);
    let (code, out) = dir.run(&["config", "--why", "services.web.environment.A"]);
    assert_eq!(code, 0, "{out}");
    for part in ["compose.override.yaml:3:22", "B is set here", "replaced: \"first\"", "set in .env line 1"] {
        assert!(out.contains(part), "{part} in\n{out}");
    }
    let (_, out) = dir.run(&["config", "--format", "json", "--why", "services.web.environment.A"]);
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&value[0]["value"], &value[0]["replaced"][0]["value"]), (&"second".into(), &"first".into()));
}
