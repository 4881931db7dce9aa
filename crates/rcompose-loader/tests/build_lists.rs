//! Lists of build attributes and counts of devices that say too little.

use rcompose_loader::{LoadRequest, MemorySources, load};

fn messages(attributes: &str) -> Vec<String> {
    let text = format!("services:\n  a:\n    image: x\n    {attributes}\n");
    let sources = MemorySources::default().with("/p/compose.yaml", text);
    let request = LoadRequest { cwd: "/p".into(), ..LoadRequest::default() };
    match load(&request, &sources) {
        Ok(_) => Vec::new(),
        Err(e) => e.diagnostics.into_iter().map(|d| d.message).collect(),
    }
}

#[test]
fn entries_without_a_value() {
    for bad in ["build: {context: ., ssh: [s]}", "build: {context: ., additional_contexts: [bare]}"] {
        assert!(messages(bad)[0].contains("it has no value"), "{bad}: {:?}", messages(bad));
    }
    let good = "build: {context: ., ssh: [default, k=./k], additional_contexts: [b=./b], args: [A]}";
    assert_eq!(messages(good), [""; 0]);
}

#[test]
fn counts_of_devices() {
    for bad in [
        "gpus: [{count: s}]",
        "deploy: {resources: {reservations: {devices: [{capabilities: [gpu], count: s}]}}}",
    ] {
        assert!(messages(bad)[0].contains("invalid count \"s\""), "{bad}: {:?}", messages(bad));
    }
    assert_eq!(messages("gpus: [{count: all}]"), [""; 0]);
    assert_eq!(messages("gpus: [{count: '2'}]"), [""; 0]);
}

#[test]
fn what_nobody_can_carry_out() {
    let said = messages("build: {context: ., shm_size: -1}");
    assert!(said.len() == 1 && said[0].contains("can't be negative"), "{said:?}");
    assert_eq!(messages("build: {context: ., shm_size: 1m}"), [""; 0]);
}

/// As variables without a value leave them.
#[test]
fn empty_texts_say_nothing() {
    let text = "services:
  a:
    build: {context: ., target: '${T:-}', dockerfile: '', dockerfile_inline: '', cache_from: [''], cache_to: [''], no_cache_filter: ['']}
";
    let sources = MemorySources::default().with("/p/compose.yaml", text);
    let request = LoadRequest { cwd: "/p".into(), ..LoadRequest::default() };
    let project = load(&request, &sources).unwrap().project;
    let build = project.services["a"].build.clone().unwrap();
    assert_eq!((build.target, build.dockerfile, build.dockerfile_inline), (None, None, None));
    assert_eq!(
        [build.cache_from, build.cache_to, build.no_cache_filter],
        [const { Vec::<String>::new() }; 3]
    );
}
