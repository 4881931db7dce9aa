//! Any bytes as a Compose file: loading ends, and what it prints means the same.
#![no_main]

use rcompose_loader::{LoadRequest, MemorySources, load};

fn request() -> LoadRequest {
    LoadRequest { cwd: "/p".into(), project_name: Some("p".into()), ..Default::default() }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let sources = MemorySources::default().with("/p/compose.yaml", bytes);
    let Ok(first) = load(&request(), &sources) else { return };
    let printed = first.canonical.to_yaml();
    // As docker compose does it, the dollar signs of keys are doubled, too, though nobody reads keys as expressions.
    // And a build from `""` is printed without its context, which is read as one from the project's directory; a service
    // that may do without another is printed without it. A variable without a name is taken in a list only.
    let other = ["$", "build:\n      dockerfile", "required: false", "\"\": "];
    if other.iter().any(|o| printed.contains(o)) {
        return;
    }
    let sources = MemorySources::default().with("/p/compose.yaml", printed.as_str());
    match load(&request(), &sources) {
        Ok(second) => assert_eq!(first.canonical.to_json(), second.canonical.to_json(), "{printed}"),
        Err(e) => panic!("what was printed isn't taken: {e}\n{printed}"),
    }
});
