//! Any text as a command line.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = rcompose_loader::split_command(text);
});
