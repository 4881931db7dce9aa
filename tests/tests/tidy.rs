//! The house's rules that no compiler checks: edges between crates, purity, quiet, sizes. ARCHITECTURE.md says why.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every crate and the crates of ours that it may use. A new edge is a change of architecture: say why in ARCHITECTURE.md.
const EDGES: &[(&str, &[&str])] = &[
    ("rcompose-model", &[]),
    ("rcompose-image", &[]),
    ("rcompose-network", &[]),
    ("rcompose-runtime", &[]),
    ("rcompose-loader", &["rcompose-model"]),
    ("rcompose-plan", &["rcompose-model"]),
    ("rcompose-build", &["rcompose-image"]),
    ("rcompose-engine", &["rcompose-plan", "rcompose-model"]),
    (
        "rcompose-machine",
        &[
            "rcompose-engine",
            "rcompose-plan",
            "rcompose-model",
            "rcompose-image",
            "rcompose-network",
            "rcompose-runtime",
        ],
    ),
    ("rcompose-supervisor", &["rcompose-engine", "rcompose-plan", "rcompose-model"]),
    ("rcompose-testkit", &["rcompose-engine", "rcompose-plan", "rcompose-model"]),
    (
        "rcompose",
        &[
            "rcompose-machine",
            "rcompose-supervisor",
            "rcompose-engine",
            "rcompose-build",
            "rcompose-loader",
            "rcompose-plan",
            "rcompose-model",
            "rcompose-image",
            "rcompose-network",
            "rcompose-runtime",
        ],
    ),
    // What isn't part of the product may use the product's tests' tools.
    ("rcompose-e2e", &[]),
    ("xtask", &["rcompose-e2e"]),
];

/// Crates that only compute.
const PURE: &[&str] = &["rcompose-model", "rcompose-plan"];

/// What pure crates may not name.
const EFFECTS: &[&str] = &[
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "SystemTime",
    "Instant::now",
    "println!",
    "print!(",
];

/// What only the binary may do.
const LOUD: &[&str] = &["println!", "print!(", "env::var", "env::vars", "process::exit", "env::args"];

/// The one crate that may write to standard error: its code runs in keeper, supervisor and build helper, where that is a log file.
const LOGS_TO_STDERR: &str = "rcompose-machine";

/// Longest file, in lines.
const LONGEST: usize = 500;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the workspace").to_owned()
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut left = vec![dir.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            // Links in samples may lead round in a circle.
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                left.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn crates() -> Vec<PathBuf> {
    let entries = fs::read_dir(top().join("crates")).expect("crates/ is there").flatten();
    let mut dirs: Vec<PathBuf> =
        entries.map(|e| e.path()).filter(|p| p.join("Cargo.toml").exists()).collect();
    dirs.sort();
    dirs
}

fn name(dir: &Path) -> String {
    dir.file_name().expect("a crate's folder has a name").to_string_lossy().into_owned()
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|e| panic!("read {}: {e}", file.display()))
}

/// A file's lines that are code of the product: no comments, no tests at its end.
fn code(file: &Path) -> Vec<(usize, String)> {
    let text = read(file);
    let until_tests = text.lines().take_while(|l| l.trim() != "#[cfg(test)]");
    until_tests
        .enumerate()
        .filter(|(_, l)| !l.trim_start().starts_with("//"))
        .map(|(n, l)| (n + 1, l.to_owned()))
        .collect()
}

fn find(files: &[PathBuf], words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for (number, line) in code(file) {
            if let Some(word) = words.iter().find(|w| line.contains(**w)) {
                let place = file.strip_prefix(top()).unwrap_or(file);
                found.push(format!("{}:{number}: {word}", place.display()));
            }
        }
    }
    found
}

#[track_caller]
fn none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

#[test]
fn edges_between_crates_are_the_allowed_ones() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
        .current_dir(top())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let data: serde_json::Value = serde_json::from_slice(&output.stdout).expect("metadata is JSON");
    let packages = data["packages"].as_array().expect("there are packages");
    let ours: BTreeSet<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    let allowed: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in packages {
        let from = package["name"].as_str().unwrap_or_default();
        let Some(may) = allowed.get(from) else {
            wrong.push(format!("{from} has no line in the table"));
            continue;
        };
        for edge in package["dependencies"].as_array().into_iter().flatten() {
            let to = edge["name"].as_str().unwrap_or_default();
            // Tests may use the kit for tests.
            let by_a_test = edge["kind"] == "dev" && to == "rcompose-testkit";
            if ours.contains(to) && !by_a_test && !may.contains(&to) {
                wrong.push(format!("{from} -> {to}"));
            }
        }
    }
    none("edges that the architecture doesn't have", &wrong);
    let gone: Vec<String> = allowed.keys().filter(|n| !ours.contains(**n)).map(|n| (*n).to_owned()).collect();
    none("crates of the table that don't exist", &gone);
}

#[test]
fn folders_are_named_like_their_crates_and_described() {
    let index = read(&top().join("crates/README.md"));
    for dir in crates() {
        let manifest = read(&dir.join("Cargo.toml"));
        assert!(manifest.contains(&format!("name = \"{}\"", name(&dir))), "{}", dir.display());
        assert!(index.contains(&format!("[{}]", name(&dir))), "{} isn't in crates/README.md", name(&dir));
    }
}

#[test]
fn pure_crates_have_no_effects() {
    for pure in PURE {
        let dir = top().join("crates").join(pure);
        assert!(dir.join("clippy.toml").exists(), "{pure} has no clippy.toml");
        none(&format!("effects in {pure}"), &find(&rust_files(&dir.join("src")), EFFECTS));
    }
}

#[test]
fn unsafe_code_is_forbidden_outside_the_runtime() {
    let roots = |dir: &Path| {
        let files = ["src/lib.rs", "src/main.rs"].map(|f| dir.join(f));
        files.into_iter().filter(|f| f.exists()).collect::<Vec<_>>()
    };
    let mut dirs = crates();
    dirs.extend([top().join("tests"), top().join("xtask")]);
    let mut open = Vec::new();
    for dir in dirs.iter().filter(|d| name(d) != "rcompose-runtime") {
        for file in roots(dir) {
            if !read(&file).contains("#![forbid(unsafe_code)]") {
                open.push(file.display().to_string());
            }
        }
    }
    none("roots without #![forbid(unsafe_code)]", &open);
}

#[test]
fn only_the_binary_speaks_and_listens() {
    let mut found = Vec::new();
    for dir in crates().iter().filter(|d| name(d) != "rcompose") {
        for file in rust_files(&dir.join("src")) {
            for (number, line) in code(&file) {
                let line = if name(dir) == LOGS_TO_STDERR { line.replace("eprintln!", "") } else { line };
                if let Some(word) = LOUD.iter().find(|w| line.contains(**w)) {
                    found.push(format!("{}:{number}: {word}", file.display()));
                }
            }
        }
    }
    none("output, environment or exit below the binary", &found);
}

#[test]
fn library_roots_only_declare() {
    let mut wrong = Vec::new();
    for dir in crates() {
        let root = dir.join("src/lib.rs");
        if root.exists() {
            wrong.extend(find(&[root], &["fn ", "impl ", "struct ", "enum "]));
        }
    }
    none("definitions in lib.rs", &wrong);
}

#[test]
fn lints_are_expected_with_a_reason_never_allowed() {
    // Put together, so that this file doesn't find itself.
    let inner = ["#![all", "ow("].concat();
    let outer = ["#[all", "ow("].concat();
    let mut files = Vec::new();
    for dir in ["crates", "tests", "xtask"] {
        files.extend(rust_files(&top().join(dir)));
    }
    none("use #[expect(lint, reason = \"…\")]", &find(&files, &[&inner, &outer]));
}

#[test]
fn files_are_short() {
    let mut long = Vec::new();
    for dir in ["crates", "tests", "xtask"] {
        for file in rust_files(&top().join(dir)) {
            let lines = read(&file).lines().count();
            if lines > LONGEST {
                long.push(format!("{}: {lines} lines", file.display()));
            }
        }
    }
    none("files in which two rooms may live", &long);
}
