//! Any text as a short port.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = rcompose_loader::parse_short_port(text);
});
