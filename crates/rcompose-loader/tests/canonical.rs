//! What `config` prints, as docker compose prints it.

use std::path::PathBuf;

use rcompose_loader::{LoadRequest, MemorySources, load};

fn request() -> LoadRequest {
    LoadRequest { cwd: PathBuf::from("/p"), ..Default::default() }
}

#[track_caller]
fn yaml(text: &str) -> String {
    let sources = MemorySources::default().with("/p/compose.yaml", text);
    load(&request(), &sources).unwrap_or_else(|e| panic!("{e}")).canonical.to_yaml()
}

/// The lines that one service has beside its image and its network.
#[track_caller]
fn service(attributes: &str) -> String {
    let all = yaml(&format!(
        "services:\n  a:\n    image: x\n{attributes}\nvolumes: {{data: }}\nsecrets: {{s: {{file: ./s}}}}\n"
    ));
    let from = all.find("  a:\n").expect("the service is printed") + 5;
    let to = all.find("\nnetworks:").expect("its network, too") + 1;
    all[from..to].replace("    image: x\n", "").replace("    networks:\n      default: null\n", "")
}

fn refused(text: &str) {
    let sources = MemorySources::default().with("/p/compose.yaml", text);
    assert!(load(&request(), &sources).is_err(), "{text}");
}

#[test]
fn empty_and_zero_values() {
    assert_eq!(
        service("    hostname: ''\n    pids_limit: 0\n    cpus: 0\n    mem_limit: 0\n    tty: false"),
        ""
    );
    assert_eq!(service("    init: false"), "    init: false\n");
    assert_eq!(
        service("    healthcheck: {disable: false}\n    logging: {}"),
        "    healthcheck: {}\n    logging: {}\n"
    );
    assert_eq!(service("    deploy: {resources: {}, placement: {}}"), "    deploy: {}\n");
    assert_eq!(service("    x-a: []\n    x-b:"), "    x-a: []\n    x-b: null\n");
}

#[test]
fn order_of_nested_keys() {
    assert_eq!(
        service("    deploy: {update_config: {order: stop-first, delay: 90s, parallelism: 2}}"),
        "    deploy:\n      update_config:\n        parallelism: 2\n        delay: 1m30s\n        order: stop-first\n"
    );
    assert_eq!(
        service("    blkio_config: {device_read_bps: [{rate: 1k, path: /dev/a}], weight: 300}"),
        "    blkio_config:\n      weight: 300\n      device_read_bps:\n        - path: /dev/a\n          rate: \"1024\"\n"
    );
}

#[test]
fn mounts_in_canonical_form() {
    assert_eq!(
        service("    volumes: [/x, './a:/y:cached']"),
        "    volumes:\n      - type: volume\n        target: /x\n      - type: bind\n        source: /p/a\n        target: /y\n        bind: {}\n"
    );
    assert_eq!(
        service("    secrets: [{source: s, target: t}]"),
        "    secrets:\n      - source: s\n        target: t\n"
    );
}

#[test]
fn commands_are_split_like_shell_words() {
    for (command, want) in [
        ("a && b", "[a]"),
        ("sh -c 'a && b'", "[sh -c a && b]"),
        ("a #b", "[a #b]"),
        (r#"a "b\c""#, "[a bc]"),
    ] {
        let sources = MemorySources::default().with(
            "/p/compose.yaml",
            format!("services:\n  a:\n    image: x\n    command: {}\n", quoted(command)),
        );
        let loaded = load(&request(), &sources).unwrap();
        let words = loaded.project.service("a").unwrap().command.clone().unwrap_or_default();
        assert_eq!(format!("[{}]", words.join(" ")), want, "{command}");
    }
    refused("services: {a: {image: x, command: '(a)'}}");
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[test]
fn scalars_are_printed_as_go_prints_them() {
    for (value, want) in [
        ("1000000.0", "\"1e+06\""),
        ("123456.5", "\"123456.5\""),
        ("12345678901234567890", "\"12345678901234567890\""),
        ("2024-1-2", "2024-01-02 00:00:00 +0000 UTC"),
        ("'2024-1-2'", "\"2024-1-2\""),
        ("'<<'", "'<<'"),
        ("'😀'", r#""\U0001F600""#),
        ("\"\\n\"", r#""\n""#),
        ("\"x\\n\\ty\"", "|-\n        x\n        \ty"),
        ("\"\\n\\n x\\ny\"", "|2-\n\n\n         x\n        y"),
    ] {
        let got = service(&format!("    labels:\n      k: {value}"));
        assert_eq!(got, format!("    labels:\n      k: {want}\n"), "{value}");
    }
    let key = "k".repeat(130);
    assert_eq!(
        service(&format!("    labels: ['{key}=v']")),
        format!("    labels:\n      ? {key}\n      : v\n")
    );
}

#[test]
fn an_implied_context_gives_way_to_a_written_one() {
    let sources = MemorySources::default()
        .with("/p/a.yaml", "services: {a: {build: {context: x, args: {A: 1}}, ports: ['80']}}")
        .with("/p/b.yaml", "services: {a: {build: {args: [A, B, C]}, ports: }}")
        .with("/p/c.yaml", "");
    let mut req = request();
    req.files = vec!["/p/a.yaml".into(), "/p/b.yaml".into(), "/p/c.yaml".into()];
    req.environment.insert("B".into(), "shell".into());
    let text = load(&req, &sources).unwrap().canonical.to_yaml();
    assert!(text.contains("context: /p/x\n"), "{text}");
    assert!(text.contains("      args:\n        B: shell\n"), "{text}");
    let sources = MemorySources::default().with("/p/compose.yaml", "services: {a: {build: {target: t}}}");
    assert!(load(&request(), &sources).unwrap().canonical.to_yaml().contains("context: /p\n"));
}

#[test]
fn an_included_service_can_be_extended() {
    let sources = MemorySources::default()
        .with("/p/compose.yaml", "include: [sub/c.yaml]\nservices: {a: {extends: inc, tty: true}}")
        .with("/p/sub/c.yaml", "services: {inc: {image: i}}");
    let loaded = load(&request(), &sources).unwrap();
    assert_eq!(loaded.project.service("a").unwrap().image.as_ref().map(|i| i.as_str()), Some("i"));
}

#[test]
fn refused_as_there() {
    for service in [
        "{image: ''}",
        "{image: x, scale: 2, deploy: {replicas: 3}}",
        "{image: x, mem_reservation: 1g, deploy: {resources: {reservations: {memory: 2g}}}}",
        "{build: {context: ., dockerfile: a, dockerfile_inline: b}}",
        "{image: x, oom_score_adj: 2000}",
        "{image: x, ulimits: {nofile: {soft: 5}}}",
        "{image: x, post_start: [{}]}",
        "{image: x, deploy: {resources: {reservations: {devices: [{driver: d}]}}}}",
        "{image: x, labels: {a: .inf}}",
    ] {
        refused(&format!("services: {{a: {service}}}"));
    }
    refused("services: {a: {image: x, depends_on: {b: {}}}, b: {image: x}}");
    refused("services: {a: {build: {context: ., additional_contexts: {c: 'service:b'}}}, b: {image: x}}");
    refused("");
}
