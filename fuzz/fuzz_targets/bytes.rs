//! Any text as a size.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = rcompose_loader::parse_bytes(text);
});
