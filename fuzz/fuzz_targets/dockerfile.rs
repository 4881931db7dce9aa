//! Any text as a Dockerfile: read, or refused with places in it.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Err(errors) = rcompose_build::dockerfile::parse(text) {
        assert!(!errors.is_empty());
        let lines = text.split('\n').count();
        assert!(errors.iter().all(|e| (1..=lines).contains(&e.at.line) && e.at.column > 0));
    }
});
