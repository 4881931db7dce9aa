//! Types, required fields and duplicates, as docker compose 5.5.1 takes or refuses them.

use std::path::PathBuf;

use rcompose_loader::{LoadRequest, MemorySources, load};

/// `Ok`, or the first error's message.
fn service(attribute: &str) -> Result<(), String> {
    let req = LoadRequest { cwd: PathBuf::from("/p"), project_name: Some("t".into()), ..Default::default() };
    let text =
        format!("services:\n  a:\n    image: x\n    {attribute}\n  s: {{image: x}}\nnetworks: {{s: {{}}}}\n");
    let sources = MemorySources::default().with("/p/compose.yaml", text);
    load(&req, &sources).map(drop).map_err(|e| e.diagnostics[0].message.clone())
}

#[test]
fn what_is_there_twice() {
    for once in
        ["cap_add: [CHOWN, CHOWN]", "dns: [1.1.1.1, 1.1.1.1]", "dns_search: [s, s]", "expose: [80, 80]"]
    {
        assert_eq!(service(once), Ok(()), "{once}");
    }
    for once in [
        "environment: [A=1, A=1]",
        "ports: ['80:80', '80:80']",
        "deploy: {labels: [s, s]}",
        "tmpfs: [/s, /s]",
    ] {
        assert_eq!(service(once), Ok(()), "{once}");
    }
    for refused in [
        "depends_on: [s, s]",
        "networks: [s, s]",
        "group_add: [s, s]",
        "volumes_from: [s, s]",
        "external_links: [s, s]",
        "gpus: [{capabilities: [s, s]}]",
        "build: {no_cache_filter: [s, s]}",
    ] {
        let got = service(refused).unwrap_err();
        assert!(got.contains("has \"s\" twice"), "{refused}: {got}");
    }
    for (refused, what) in [
        ("security_opt: [label=s, label=s]", "label=s"),
        ("device_cgroup_rules: [a 1:1 r, a 1:1 r]", "a 1:1 r"),
    ] {
        let got = service(refused).unwrap_err();
        assert!(got.contains(&format!("has {what:?} twice")), "{refused}: {got}");
    }
}

#[test]
fn types_that_are_not_cast() {
    for (bad, says) in [
        ("use_api_socket: 'true'", "must be a boolean, not a string"),
        ("deploy: {resources: {limits: {memory: 5}}}", "memory must be a string, not a number"),
        ("gpus: some", "isn't one of all"),
        ("provider: {type: x, options: {a: {}}}", "options.a must be"),
        ("networks: {s: {priority: '1'}}", "priority must be a number"),
        ("extra_hosts: {h: 5}", "must be an address or a list"),
        ("depends_on: {'a b': {condition: service_started}}", "additional properties 'a b'"),
    ] {
        let got = service(bad).unwrap_err();
        assert!(got.contains(says), "{bad}: {got}");
    }
    for good in [
        "provider: {type: x, options: {a: 5, b: true, c: [1.5]}}",
        "scale: '2'",
        "init: 'yes'",
        "healthcheck: {retries: '3'}",
        "storage_opt: {size: 5}",
        "gpus: all",
    ] {
        assert_eq!(service(good), Ok(()), "{good}");
    }
}

#[test]
fn fields_that_have_to_be_there() {
    for (bad, key) in [
        ("devices: [{target: /d}]", "source"),
        ("volumes: [{target: /d}]", "type"),
        ("env_file: [{required: false}]", "path"),
        ("develop: {watch: [{action: sync}]}", "path"),
        ("ulimits: {nofile: {soft: 1}}", "hard"),
        ("post_start: [{user: u}]", "command"),
        ("provider: {options: {a: b}}", "type"),
    ] {
        let got = service(bad).unwrap_err();
        assert!(got.contains(&format!("missing property '{key}'")), "{bad}: {got}");
    }
}
