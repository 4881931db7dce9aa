//! Attributes that confine a container: typed when they are good, told with their place when they aren't.

use std::path::PathBuf;

use rcompose_loader::{LoadRequest, MemorySources, load};
use rcompose_model::{Logging, NamespaceMode, Seccomp};

fn request() -> LoadRequest {
    LoadRequest { cwd: PathBuf::from("/p"), ..Default::default() }
}

fn sources(attributes: &str) -> MemorySources {
    MemorySources::default().with("/p/compose.yaml", format!("services:\n  a:\n    image: x\n{attributes}"))
}

#[test]
fn what_is_good_is_typed() {
    let sources = sources(
        "    cgroup: host
    ipc: none
    device_cgroup_rules: ['c 1:3 mr', 'a *:* rwm']
    security_opt: [no-new-privileges, seccomp=sub/p.json, systempaths=unconfined, label=disable]
    logging: {driver: local, options: {max-file: '2'}}
",
    )
    .with("/p/sub/p.json", r#"{"defaultAction": "SCMP_ACT_LOG", "comment": "more is fine"}"#);
    let loaded = load(&request(), &sources).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let a = loaded.project.service("a").unwrap();
    assert_eq!((a.cgroup.clone(), a.ipc.clone()), (Some(NamespaceMode::Host), Some(NamespaceMode::None)));
    assert_eq!((a.device_rules[0].major, a.device_rules[1].major), (Some(1), None));
    assert!(a.security.no_new_privileges && a.security.system_paths);
    assert!(matches!(&a.security.seccomp, Seccomp::Profile(p) if p.default_action == "SCMP_ACT_LOG"));
    assert_eq!(a.logging, Logging::Rotated { size: 20_000_000, files: 2 });
}

#[test]
fn what_is_not_has_its_place() {
    for (attributes, at, message) in [
        ("    ulimits: {nofil: 3}\n", (4, 15), "ulimits: Linux has no limit \"nofil\""),
        ("    device_cgroup_rules: ['c 1:3']\n", (4, 27), "device_cgroup_rules: \"c 1:3\" isn't TYPE"),
        ("    security_opt: [nonsense]\n", (4, 20), "security_opt: \"nonsense\" isn't known"),
        ("    security_opt: ['no-new-privileges:maybe']\n", (4, 20), "no-new-privileges is true or false"),
        (
            "    security_opt: ['seccomp:none.json']\n",
            (4, 20),
            "the seccomp profile /p/none.json can't be used",
        ),
        ("    logging: {options: {max-size: many}}\n", (4, 35), "max-size \"many\" isn't a size above 0"),
        ("    logging: {options: {max-file: '0'}}\n", (4, 35), "max-file \"0\" isn't a number above 0"),
    ] {
        let found = load(&request(), &sources(attributes)).unwrap_err().diagnostics;
        assert_eq!(found.len(), 1, "{found:?}");
        let place = found[0].place.as_ref().unwrap();
        assert_eq!((place.line, place.column), at, "{attributes}");
        assert!(found[0].message.contains(message), "{:?}", found[0].message);
    }
}

#[test]
fn a_profile_of_a_service_that_is_off_is_not_read() {
    let sources = sources("  b: {image: x, profiles: [p], security_opt: ['seccomp=none.json']}\n");
    assert!(load(&request(), &sources).is_ok());
}
