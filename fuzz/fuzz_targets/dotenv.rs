//! Any text as an env file, in both grammars.
#![no_main]

use rcompose_loader::{LoadRequest, MemorySources, load, parse_env_file};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = parse_env_file(text, &|name| (name == "A").then(|| "a".to_owned()));
    let file = "services:\n  a:\n    image: x\n    env_file: [{path: e, format: raw}]\n    label_file: e\n";
    let sources = MemorySources::default().with("/p/compose.yaml", file).with("/p/e", text).with("/p/.env", text);
    let req = LoadRequest { cwd: "/p".into(), project_name: Some("p".into()), ..Default::default() };
    let _ = load(&req, &sources);
});
