//! Any text as a value with variables.
#![no_main]

use rcompose_loader::{LoadRequest, MemorySources, load};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let mut req = LoadRequest { cwd: "/p".into(), project_name: Some("p".into()), ..Default::default() };
    for (name, value) in [("A", "a"), ("B", "$A ${A}"), ("EMPTY", ""), ("LONG", "0123456789abcdef")] {
        req.environment.insert(name.into(), value.into());
    }
    let quoted: String = text.chars().filter(|c| !c.is_control()).collect::<String>().replace('\'', "''");
    let file = format!("services:\n  a:\n    image: x\n    labels:\n      l: '{quoted}'\n");
    let _ = load(&req, &MemorySources::default().with("/p/compose.yaml", file));
});
