//! Every error of a project in one go, and none that only follows from another.

use rcompose_loader::{LoadRequest, MemorySources, load, render_diagnostics};

/// The messages of a load that fails, with their lines.
fn errors(files: &[(&str, &str)]) -> Vec<(u32, String)> {
    let sources =
        files.iter().fold(MemorySources::default(), |s, (name, text)| s.with(format!("/p/{name}"), *text));
    let request = LoadRequest { cwd: "/p".into(), ..LoadRequest::default() };
    let all = load(&request, &sources).unwrap_err().diagnostics;
    assert!(!render_diagnostics(&all, false, 100).is_empty());
    all.into_iter().map(|d| (d.place.map_or(0, |p| p.line), d.message)).collect()
}

#[track_caller]
fn says(files: &[(&str, &str)], want: &[(u32, &str)]) {
    let got = errors(files);
    let fits = got.len() == want.len() && got.iter().zip(want).all(|(g, w)| g.0 == w.0 && g.1.contains(w.1));
    assert!(fits, "{got:#?}");
}

#[test]
fn errors_of_all_kinds_together() {
    let text = "services:
  web:
    image: x
    enviroment: {A: b}
    ports: [\"70000:80\"]
    networks: [nope]
    mem_limit: lots
    stop_grace_period: soon
    environment: {K: \"${NEEDED:?}\"}
    depends_on: [dbb]
  db:
    image: x
    healthcheck: {test: [CMD, \"true\"], interval: 5}
    volumes: [\"data:/data\"]
";
    says(
        &[("compose.yaml", text)],
        &[
            (4, "'enviroment' not allowed"),
            (5, "invalid port"),
            (6, "undefined network"),
            (7, "invalid size"),
            (8, "duration"),
            (9, "NEEDED"),
            (10, "undefined service"),
            (13, "interval must be a string"),
            (14, "undefined volume"),
        ],
    );
}

#[test]
fn nothing_that_only_follows() {
    says(&[("compose.yaml", "services:\n  web: {imgae: x}\n")], &[(2, "'imgae' not allowed")]);
    says(
        &[(
            "compose.yaml",
            "services:\n  web: {image: x, networks: [a], depends_on: [db]}\n  db: [y]\nnetworks: [a]\n",
        )],
        &[(3, "services.db must be a mapping"), (4, "networks must be a mapping")],
    );
    says(
        &[("compose.yaml", "include: [gone.yaml]\nservices:\n  web: {image: x, depends_on: [db]}\n")],
        &[(1, "can't read gone.yaml")],
    );
    says(
        &[("compose.yaml", "services:\n  web: {extends: {file: base.yaml, service: web}}\n")],
        &[(2, "can't read base.yaml")],
    );
}

#[test]
fn errors_of_several_files() {
    let base = "services:\n  base: {image: x, cpus: many}\n  other: {image: 5}\n";
    let part = "services:\n  part: {image: x, volumes: [\"vol:/x\"]}\n";
    let text = "include: [part.yaml]\nservices:\n  web:\n    extends: {file: base.yaml, service: base}\n    tty: maybe\n";
    let got = errors(&[("compose.yaml", text), ("part.yaml", part), ("base.yaml", base)]);
    let said = |word: &str| got.iter().filter(|(_, m)| m.contains(word)).count();
    assert_eq!(
        (said("cpus"), said("other.image"), said("tty"), said("undefined volume")),
        (1, 1, 1, 1),
        "{got:#?}"
    );
}
