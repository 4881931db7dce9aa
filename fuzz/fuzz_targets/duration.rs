//! Any text as a duration.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = rcompose_loader::parse_duration(text);
});
