//! Merge, env files, names, profiles: what files mean together.

use std::path::PathBuf;

use proptest::prelude::*;
use rcompose_loader::{LoadRequest, Loaded, MemorySources, load, project_name};

fn request() -> LoadRequest {
    LoadRequest { cwd: PathBuf::from("/home/me/My.App Dir"), ..Default::default() }
}

fn one(text: &str) -> MemorySources {
    MemorySources::default().with("/home/me/My.App Dir/compose.yaml", text)
}

#[track_caller]
fn loaded(sources: &MemorySources, req: &LoadRequest) -> Loaded {
    load(req, sources).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn project_names_in_order_of_weight() {
    let text = "name: FromFile\nservices: {a: {image: x}}\n";
    let mut req = request();
    assert_eq!(project_name(&req, &one("services: {a: {image: x}}")).unwrap().as_str(), "myappdir");
    assert_eq!(project_name(&req, &one(text)).unwrap().as_str(), "fromfile");
    req.environment.insert("COMPOSE_PROJECT_NAME".into(), "fromenv".into());
    assert_eq!(project_name(&req, &one(text)).unwrap().as_str(), "fromenv");
    req.project_name = Some("flag".into());
    assert_eq!(project_name(&req, &MemorySources::default()).unwrap().as_str(), "flag");
    req.project_name = Some("Bad Name".into());
    assert!(project_name(&req, &one(text)).is_err());
}

#[test]
fn environment_from_files_shell_and_attribute() {
    let sources = one(
        "services:\n  a:\n    image: x:${TAG}\n    env_file: [a.env, {path: none.env, required: false}]\n    environment:\n      - B=attr\n      - BARE\n      - UNSET\n",
    )
    .with("/home/me/My.App Dir/.env", "TAG=fromdotenv\nSHELL=no\n")
    .with("/home/me/My.App Dir/a.env", "A=1\nB=file\nUNSET=file\nC=${TAG}\n");
    let mut req = request();
    req.environment.insert("BARE".into(), "shell".into());
    let l = loaded(&sources, &req);
    let a = l.project.service("a").unwrap();
    assert_eq!(a.image.as_ref().map(|i| i.as_str()), Some("x:fromdotenv"));
    let get = |k: &str| a.environment.get(k).cloned();
    assert_eq!(get("A"), Some(Some("1".into())));
    assert_eq!(get("B"), Some(Some("attr".into())));
    assert_eq!(get("BARE"), Some(Some("shell".into())));
    assert_eq!(get("UNSET"), Some(None));
    assert_eq!(get("C"), Some(Some("fromdotenv".into())));
}

#[test]
fn two_files_merge() {
    let sources = one("")
        .with("/p/a.yaml", "services:\n  a:\n    image: x\n    command: one\n    environment: {A: 1, B: 1}\n    ports: ['80:80', '81:81']\n    volumes: ['/a:/t']\n    depends_on: [b]\n    labels: [gone=1]\n  b: {image: y}\n")
        .with("/p/b.yaml", "services:\n  a:\n    command: [two, words]\n    environment: ['B=2']\n    ports: ['80:80', '82:82']\n    volumes: ['/b:/t:ro']\n    labels: !reset {}\n");
    let mut req = request();
    req.files = vec!["/p/a.yaml".into(), "/p/b.yaml".into()];
    let l = loaded(&sources, &req);
    let a = l.project.service("a").unwrap();
    assert_eq!(a.command.as_deref(), Some(&["two".to_owned(), "words".to_owned()][..]));
    assert_eq!(a.environment["A"], Some("1".into()));
    assert_eq!(a.environment["B"], Some("2".into()));
    assert_eq!(a.ports.iter().map(|p| p.target).collect::<Vec<_>>(), [80, 81, 82]);
    assert_eq!(a.mounts.len(), 1);
    assert!(a.mounts[0].read_only);
    assert!(a.labels.is_empty());
    assert_eq!(a.depends_on.len(), 1);
    assert_eq!(l.project.name.as_str(), "p");
    assert_eq!(l.project.working_dir, PathBuf::from("/p"));
}

#[test]
fn profiles_enable_services() {
    let sources =
        one("services: {a: {image: x}, b: {image: y, profiles: [debug]}, c: {image: z, profiles: [other]}}");
    let names = |l: Loaded| l.project.services.keys().map(|k| k.to_string()).collect::<Vec<_>>();
    let mut req = request();
    assert_eq!(names(loaded(&sources, &req)), ["a"]);
    req.profiles = vec!["debug".into()];
    assert_eq!(names(loaded(&sources, &req)), ["a", "b"]);
    req.profiles = vec!["*".into()];
    assert_eq!(names(loaded(&sources, &req)), ["a", "b", "c"]);
    req.profiles.clear();
    req.services = vec!["c".into()];
    assert_eq!(names(loaded(&sources, &req)), ["a", "c"]);
}

#[test]
fn extends_and_include() {
    let sources = one("include: [sub/inc.yaml]\nservices:\n  a:\n    extends: {file: base/b.yaml, service: base}\n    environment: {B: 2}\n")
        .with("/home/me/My.App Dir/base/b.yaml", "services:\n  base:\n    image: x\n    environment: {A: 1, B: 1}\n    volumes: ['./d:/d']\n")
        .with("/home/me/My.App Dir/sub/inc.yaml", "services:\n  inc:\n    image: y:${V}\n    build: .\n")
        .with("/home/me/My.App Dir/sub/.env", "V=sub");
    let l = loaded(&sources, &request());
    let a = l.project.service("a").unwrap();
    assert_eq!(a.environment["A"], Some("1".into()));
    assert_eq!(a.environment["B"], Some("2".into()));
    let inc = l.project.service("inc").unwrap();
    assert_eq!(inc.image.as_ref().map(|i| i.as_str()), Some("y:sub"));
    assert_eq!(inc.build.as_ref().unwrap().context, "/home/me/My.App Dir/sub");
    assert!(l.canonical.to_yaml().contains("source: /home/me/My.App Dir/base/d"));
}

#[test]
fn printing_is_stable() {
    let text = "services:\n  a:\n    image: x\n    command: sh -c 'echo $$HOME'\n    ports: ['8080:80']\n    volumes: ['data:/d', './x:/x:ro']\n    healthcheck: {test: 'true', interval: 90s}\n    deploy: {resources: {limits: {memory: 1g}}}\nvolumes: {data: {}}\n";
    let first = loaded(&one(text), &request()).canonical.to_yaml();
    let second = loaded(&one(&first), &request()).canonical.to_yaml();
    assert_eq!(first, second);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let sources = MemorySources::default().with("/home/me/My.App Dir/compose.yaml", bytes);
        let _ = load(&request(), &sources);
    }

    #[test]
    fn no_text_panics(text in "(services|volumes|x): ?\n?( {0,4}[a-z]{1,8}: ?['\"\\[{$&*<!|>-]{0,3}[a-z0-9:$/{}.]{0,12}\n){0,8}") {
        let _ = load(&request(), &one(&text));
    }

    #[test]
    fn values_anywhere(value in "['\"]?[ -~]{0,20}['\"]?") {
        for key in ["image", "ports", "volumes", "command", "mem_limit", "env_file", "depends_on", "extra_hosts", "build"] {
            let _ = load(&request(), &one(&format!("services:\n  a:\n    {key}: {value}\n")));
            let _ = load(&request(), &one(&format!("services:\n  a:\n    {key}: [{value}]\n")));
        }
    }
}
