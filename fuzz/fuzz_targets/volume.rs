//! Any text as a short volume.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = rcompose_loader::parse_short_volume(text, "/p".as_ref());
});
