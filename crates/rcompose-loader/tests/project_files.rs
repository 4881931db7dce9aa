//! Which files, which variables, which name (Compose specification, "Compose file", "Project name").
use std::collections::BTreeMap;

use rcompose_loader::{LoadError, LoadRequest, Loaded, MemorySources, load};

type Pairs<'p> = &'p [(&'p str, &'p str)];

#[derive(Default)]
struct Case<'c> {
    files: &'c [(&'c str, &'c str)],
    named: &'c [&'c str],
    env: &'c [(&'c str, &'c str)],
    cwd: &'c str,
    change: Option<fn(&mut LoadRequest)>,
}

fn run(case: &Case<'_>) -> Result<Loaded, LoadError> {
    let mut sources = MemorySources::default();
    for (path, text) in case.files {
        sources = sources.with(format!("/p/{path}"), *text);
    }
    let mut req = LoadRequest {
        cwd: format!("/p/{}", case.cwd).trim_end_matches('/').into(),
        files: case.named.iter().map(Into::into).collect(),
        environment: case
            .env
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect::<BTreeMap<_, _>>(),
        stdin: Some(b"services: {a: {image: stdin}}".to_vec()),
        ..LoadRequest::default()
    };
    if let Some(change) = case.change {
        change(&mut req);
    }
    load(&req, &sources)
}

/// The project's name and the image of its service `a`; or the first error.
fn shown(case: &Case<'_>) -> String {
    match run(case) {
        Ok(loaded) => {
            let image = loaded
                .project
                .service("a")
                .and_then(|s| s.image.as_ref())
                .map(ToString::to_string)
                .unwrap_or_default();
            format!("{} {image}", loaded.project.name)
        }
        Err(e) => e.to_string(),
    }
}

const ONE: &str = "services: {a: {image: 'one-${V-unset}'}}";
const TWO: &str = "services: {a: {image: two}}";

#[test]
fn files_and_directories() {
    let cases: &[(&str, Case<'_>)] = &[
        (
            "p two",
            Case { files: &[("docker-compose.yaml", ONE), ("docker-compose.yml", TWO)], ..Case::default() },
        ),
        ("p two", Case { files: &[("compose.yaml", ONE), ("compose.override.yml", TWO)], ..Case::default() }),
        // The parent's file, with the variables of both directories; the working directory's win.
        (
            "p one-here",
            Case {
                files: &[("compose.yaml", ONE), (".env", "V=up"), ("s/t/.env", "V=here")],
                cwd: "s/t",
                ..Case::default()
            },
        ),
        (
            "conf one-conf",
            Case {
                files: &[("conf/c.yaml", ONE), ("conf/.env", "V=conf"), (".env", "V=no")],
                named: &["conf/c.yaml"],
                ..Case::default()
            },
        ),
        (
            "sub stdin",
            Case {
                files: &[("sub/c.yaml", "services: {a: {command: x}}")],
                named: &["sub/c.yaml", "-"],
                ..Case::default()
            },
        ),
        (
            "sub one-unset",
            Case { files: &[("sub/c.yaml", ONE)], named: &["-", "sub/c.yaml"], ..Case::default() },
        ),
        (
            "can't read sub: it is a directory",
            Case { files: &[("sub/c.yaml", ONE)], named: &["sub"], ..Case::default() },
        ),
        (
            "p two",
            Case { files: &[("x", ONE), ("y", TWO)], env: &[("COMPOSE_FILE", "x:y")], ..Case::default() },
        ),
        (
            "p two",
            Case {
                files: &[("x", ONE), ("y", TWO), (".env", "COMPOSE_FILE=x;y\nCOMPOSE_PATH_SEPARATOR=;")],
                ..Case::default()
            },
        ),
        (
            "can't read nope: no such file",
            Case { files: &[("x", ONE)], env: &[("COMPOSE_FILE", "x:nope")], ..Case::default() },
        ),
        (
            "d one-d",
            Case {
                files: &[("x", ONE), ("d/.env", "V=d")],
                named: &["x"],
                change: Some(|r| r.project_directory = Some("d".into())),
                ..Case::default()
            },
        ),
    ];
    for (want, case) in cases {
        assert_eq!(shown(case), *want, "{:?}", case.files);
    }
    let several = Case { files: &[("compose.yaml", ONE), ("compose.yml", TWO)], ..Case::default() };
    let warnings = run(&several).unwrap().warnings;
    assert_eq!(warnings[0].message, "found multiple config files: compose.yaml, compose.yml");
}

#[test]
fn variables() {
    let files: &[(&str, &str)] =
        &[("compose.yaml", ONE), (".env", "V=dot"), ("e", "V=e\nX=$V"), ("f", "V=$X-f")];
    let cases: &[(&str, Pairs<'_>, &[&str])] = &[
        ("p one-dot", &[], &[]),
        ("p one-sh", &[("V", "sh")], &[]),
        ("p one-e-f", &[], &["e", "f"]),
        ("p one-e-f", &[("COMPOSE_ENV_FILES", ",e,,f")], &[]),
        ("p one-unset", &[("COMPOSE_DISABLE_ENV_FILE", "True")], &[]),
        ("p one-e", &[("COMPOSE_DISABLE_ENV_FILE", "1")], &["e"]),
        ("COMPOSE_DISABLE_ENV_FILE is \"yes\", not a boolean", &[("COMPOSE_DISABLE_ENV_FILE", "yes")], &[]),
        ("env file nope can't be read: no such file", &[], &["nope"]),
    ];
    for (want, env, named) in cases {
        let mut sources = MemorySources::default();
        for (path, text) in files {
            sources = sources.with(format!("/p/{path}"), *text);
        }
        let req = LoadRequest {
            cwd: "/p".into(),
            env_files: named.iter().map(Into::into).collect(),
            environment: env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..LoadRequest::default()
        };
        let got = match load(&req, &sources) {
            Ok(l) => format!("{} {}", l.project.name, l.project.service("a").unwrap().image.clone().unwrap()),
            Err(e) => e.to_string(),
        };
        assert_eq!(got, *want);
    }
}

#[test]
fn names() {
    let service = "\nservices: {a: {image: '${COMPOSE_PROJECT_NAME}'}}";
    let cases: &[(&str, &str, Pairs<'_>)] = &[
        ("p p", "name: ''", &[]),
        ("uppercase uppercase", "name: Upper Case!", &[]),
        ("env env", "name: file", &[("COMPOSE_PROJECT_NAME", "env")]),
        ("file file", "name: file", &[("COMPOSE_PROJECT_NAME", "")]),
        ("x-d x-d", "name: x-${N:-d}", &[]),
        ("second second", "name: first\n---\nname: second\n---\nname: ''", &[]),
        ("project name must not be empty", "name: $N", &[]),
    ];
    for (want, head, env) in cases {
        let text = format!("{head}{service}");
        assert_eq!(
            shown(&Case { files: &[("compose.yaml", &text)], env, ..Case::default() }),
            *want,
            "{head}"
        );
    }
    let junk = Case { files: &[("!!!/c.yaml", ONE)], named: &["!!!/c.yaml"], ..Case::default() };
    assert_eq!(shown(&junk), "project name must not be empty");
    let given = Case {
        files: &[("compose.yaml", ONE)],
        env: &[("COMPOSE_PROJECT_NAME", "env")],
        change: Some(|r| r.project_name = Some("Bad Name".into())),
        ..Case::default()
    };
    assert!(shown(&given).starts_with("invalid project name \"Bad Name\""));
}

#[test]
fn profiles() {
    let text = "services: {a: {image: x}, b: {image: x, profiles: [p]}, c: {image: x, profiles: [q]}}";
    let on = |env: &[(&str, &str)], flag: Option<fn(&mut LoadRequest)>| {
        let case = Case { files: &[("compose.yaml", text)], env, change: flag, ..Case::default() };
        run(&case).unwrap().project.services.keys().map(ToString::to_string).collect::<Vec<_>>().join("")
    };
    assert_eq!(on(&[("COMPOSE_PROFILES", "p, q")], None), "abc");
    // The variable only counts without the flag.
    assert_eq!(on(&[("COMPOSE_PROFILES", "q")], Some(|r| r.profiles = vec!["p".into()])), "ab");
    assert_eq!(on(&[], Some(|r| r.profiles = vec!["*".into()])), "abc");
}

#[test]
fn env_files_of_services() {
    let text = "services: {a: {image: x, env_file: [e1, {path: e2, required: false}, {path: e3, required: false}], \
                environment: {O: own, N: , S: }, label_file: [l, m]}}";
    let case = Case {
        files: &[
            ("compose.yaml", text),
            ("e1", "A=1\nO=f\nB=$O-$A-${V}\nSH\nBARE"),
            ("e2", "A=2$A\nA\nN=file\nC=${SH}"),
            ("l", "l=1\nSH"),
            ("m", "m=$l-${SH:-unset}"),
            (".env", "V=dot"),
        ],
        env: &[("SH", "shell")],
        ..Case::default()
    };
    let yaml = run(&case).unwrap().canonical.to_yaml();
    for line in
        ["A: \"21\"", "B: own-1-dot", "C: shell", "'N': null", "O: own", "S: null", "SH: shell", "m: 1-unset"]
    {
        assert!(yaml.contains(&format!("      {line}\n")), "{line} in\n{yaml}");
    }
    assert!(!yaml.contains("BARE"));
}
