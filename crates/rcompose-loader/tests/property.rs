//! What holds of any input: printing and loading again gives the same, an empty file changes nothing, nothing panics.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rcompose_loader::{LoadRequest, MemorySources, load};

fn request() -> LoadRequest {
    LoadRequest { cwd: PathBuf::from("/p"), project_name: Some("t".into()), ..Default::default() }
}

/// As JSON, or nothing for input that is refused.
fn loaded(text: &[u8]) -> Option<(String, String)> {
    let sources = MemorySources::default().with("/p/compose.yaml", text).with("/p/e", "E=1\n");
    let loaded = load(&request(), &sources).ok()?;
    Some((loaded.canonical.to_yaml(), loaded.canonical.to_json()))
}

/// As [`loaded`], for what must be taken.
fn taken(text: &str) -> (String, String) {
    loaded(text.as_bytes()).unwrap_or_else(|| {
        let sources = MemorySources::default().with("/p/compose.yaml", text).with("/p/e", "E=1\n");
        let e = load(&request(), &sources).expect_err("was refused just now");
        panic!("{text}\n{}", rcompose_loader::render_diagnostics(&e.diagnostics, false, 120))
    })
}

fn word() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9_.-]{0,6}"
}

/// A value's text in flow style: quoted, so that any character may come.
fn text() -> impl Strategy<Value = String> {
    "[ -#%-~äß\u{1F600}]{0,12}".prop_map(|t| format!("{t:?}"))
}

fn attribute() -> impl Strategy<Value = (&'static str, String)> {
    let duration = || (0u32..5000).prop_map(|n| format!("{}m{}s", n / 60, n % 60));
    let pairs = || {
        prop::collection::btree_map(word(), text(), 0..4).prop_map(|m| {
            let all: Vec<String> = m.iter().map(|(k, v)| format!("{k}: {v}")).collect();
            format!("{{{}}}", all.join(", "))
        })
    };
    prop_oneof![
        pairs().prop_map(|t| ("environment", t)),
        pairs().prop_map(|t| ("labels", t)),
        prop::collection::vec(text(), 0..4).prop_map(|v| ("command", format!("[{}]", v.join(", ")))),
        (1u16..60000, 1u16..60000).prop_map(|(a, b)| ("ports", format!("['{a}:{b}/udp', {{target: {b}}}]"))),
        (1u16..600, 1u16..60000, 0u16..9)
            .prop_map(|(a, b, n)| ("ports", format!("['127.0.0.1:{a}-{}:{b}-{}']", a + n, b + n))),
        (word(), word())
            .prop_map(|(a, b)| ("volumes", format!("['./{a}:/{b}:ro', '/{a}', 'data:/{a}/{b}']"))),
        (duration(), duration()).prop_map(|(a, b)| {
            ("healthcheck", format!("{{test: 'curl {a}', interval: {a}, timeout: {b}, retries: 3}}"))
        }),
        duration().prop_map(|d| ("stop_grace_period", d)),
        (1u32..900).prop_map(|n| ("mem_limit", format!("{n}m"))),
        prop_oneof!["no", "always", "on-failure:3", "unless-stopped"]
            .prop_map(|r: String| ("restart", format!("'{r}'"))),
        any::<bool>().prop_map(|b| ("init", b.to_string())),
        (0u8..4).prop_map(|n| (
            "deploy",
            format!("{{replicas: {n}, resources: {{reservations: {{cpus: '0.{n}5'}}}}}}")
        )),
        word().prop_map(|w| ("networks", format!("{{net: {{aliases: [{w}]}}, default: }}"))),
        word().prop_map(|w| ("x-note", w)),
        Just(("env_file", "e".to_owned())),
        Just(("depends_on", "{last: {condition: service_started}}".to_owned())),
        Just(("extra_hosts", "[a=1.2.3.4, 'b:::1']".to_owned())),
        Just(("ulimits", "{nofile: {soft: 10, hard: 20}, nproc: 5}".to_owned())),
        Just(("tmpfs", "/run".to_owned())),
        Just(("secrets", "[s, {source: s, target: t, mode: 0440}]".to_owned())),
        Just(("build", "{context: ., args: [A=1], tags: [a, b]}".to_owned())),
    ]
}

fn project() -> impl Strategy<Value = String> {
    let service = prop::collection::vec(attribute(), 0..8);
    prop::collection::btree_map("[a-k][a-z0-9]{0,4}", service, 1..4).prop_map(|services| {
        let mut text = "services:\n  last: {image: z}\n".to_owned();
        for (name, attributes) in services {
            text += &format!("  {name}:\n    image: x/{name}\n");
            let mut seen: Vec<&str> = Vec::new();
            for (key, value) in attributes {
                if !seen.contains(&key) {
                    seen.push(key);
                    text += &format!("    {key}: {value}\n");
                }
            }
        }
        text + "networks: {net: }\nvolumes: {data: }\nsecrets: {s: {file: ./s}}\n"
    })
}

/// Real files: what stands in the folders of samples, and one that uses much.
fn samples() -> Vec<Vec<u8>> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compose-samples");
    let mut left = vec![top];
    let mut out = vec![include_bytes!("property.yaml").to_vec()];
    while let Some(dir) = left.pop() {
        for path in std::fs::read_dir(&dir).into_iter().flatten().flatten().map(|e| e.path()) {
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
                out.extend(std::fs::read(&path));
            }
        }
    }
    out.sort();
    out
}

/// One change to a file: bytes away, bytes twice, or others in their place.
#[derive(Debug, Clone)]
enum Change {
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
    Put(prop::sample::Index, String),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    let token = prop_oneof![
        "[ \n\t:,\\[\\]{}&*!|>'\"#$%@`<=?-]{1,3}",
        Just("<<: *a".to_owned()),
        Just("&a ".to_owned()),
        Just("${A:-".to_owned()),
        Just("!reset ".to_owned()),
        Just("0x".to_owned()),
        Just("\u{feff}".to_owned()),
        Just("99999999999999999999".to_owned()),
        "[\\PC]{1,4}",
    ];
    prop_oneof![
        (at(), 1usize..20).prop_map(|(i, n)| Change::Remove(i, n)),
        (at(), 1usize..40).prop_map(|(i, n)| Change::Repeat(i, n)),
        (at(), token).prop_map(|(i, t)| Change::Put(i, t)),
    ]
}

fn apply(mut bytes: Vec<u8>, change: Change) -> Vec<u8> {
    let len = bytes.len() + 1;
    match change {
        Change::Remove(i, n) => {
            let from = i.index(len);
            bytes.drain(from..(from + n).min(len - 1));
        }
        Change::Repeat(i, n) => {
            let from = i.index(len);
            let part = bytes[from..(from + n).min(len - 1)].to_vec();
            bytes.splice(from..from, part);
        }
        Change::Put(i, token) => {
            let at = i.index(len);
            bytes.splice(at..at, token.into_bytes());
        }
    }
    bytes
}

/// What fuzzing found: a source with a drive's letter changed each time that it was loaded.
#[test]
fn paths_of_windows_stay_as_they_are_read() {
    let text = "services:\n  a:\n    image: x\n    volumes: ['m:data:/a', 'c:/x:/b', {type: bind, source: 'c:/x', target: /c}]\n";
    let (yaml, json) = taken(text);
    assert_eq!(taken(&yaml).1, json);
    for source in ["/p/m:data", "\"c:/x\""] {
        assert!(json.contains(source), "{source} in {json}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn printing_and_loading_again_is_the_same(text in project()) {
        let (yaml, json) = taken(&text);
        let again = taken(&yaml);
        prop_assert_eq!(&again.1, &json, "{}", yaml);
        prop_assert_eq!(again.0, yaml);
        let of_json = taken(&json);
        prop_assert_eq!(of_json.1, json);
    }

    #[test]
    fn an_empty_file_changes_nothing(text in project(), before in any::<bool>()) {
        let alone = taken(&text);
        let sources = MemorySources::default()
            .with("/p/compose.yaml", text.as_str())
            .with("/p/empty.yaml", "# nothing\n")
            .with("/p/e", "E=1\n");
        let mut files = vec![PathBuf::from("/p/compose.yaml"), PathBuf::from("/p/empty.yaml")];
        if before {
            files.reverse();
        }
        let both = load(&LoadRequest { files, ..request() }, &sources).expect("is a good project");
        prop_assert_eq!(both.canonical.to_json(), alone.1);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        loaded(&bytes);
    }

    #[test]
    fn no_changed_file_panics(which in any::<prop::sample::Index>(), changes in prop::collection::vec(change(), 1..8)) {
        let all = samples();
        let bytes = changes.into_iter().fold(which.get(&all).clone(), apply);
        if let Some((yaml, json)) = loaded(&bytes)
            && !yaml.contains('$')
        {
            let again = loaded(yaml.as_bytes());
            prop_assert!(again.is_some(), "{}\nisn't taken, which was\n{}", yaml, String::from_utf8_lossy(&bytes));
            prop_assert_eq!(again.unwrap().1, json, "{}", yaml);
        }
    }
}
