//! Bad input: a clear error with its place, status 1, nothing created.

use rcompose_e2e::Project;

/// A Compose file, the command, and what must be said about it.
struct Case {
    name: &'static str,
    compose: &'static str,
    command: &'static str,
    says: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        name: "bad-yaml",
        compose: "services:\n  web:\n    image: [busybox\n",
        command: "up -d",
        says: &["compose.yaml:"],
    },
    Case {
        name: "bad-key",
        compose: "services:\n  web:\n    image: busybox:latest\n    comand: [true]\n",
        command: "up -d",
        says: &["compose.yaml:4:5", "comand", "command"],
    },
    Case {
        name: "bad-service-name",
        compose: "services:\n  web: {image: 'busybox:latest'}\n",
        command: "up -d wbe",
        says: &["wbe"],
    },
    Case {
        name: "bad-network",
        compose: "services:\n  web:\n    image: busybox:latest\n    networks:\n      - nowhere\n",
        command: "up -d",
        says: &["compose.yaml:5:", "nowhere", "network"],
    },
    Case {
        name: "bad-volume",
        compose: "services:\n  web:\n    image: busybox:latest\n    volumes:\n      - nothing:/data\n",
        command: "up -d",
        says: &["compose.yaml:5:", "nothing", "volume"],
    },
    Case {
        name: "bad-dependency",
        compose: "services:\n  web:\n    image: busybox:latest\n    depends_on: [database]\n",
        command: "up -d",
        says: &["compose.yaml:4:", "database"],
    },
    Case {
        name: "bad-cycle",
        compose: "services:
  a: {image: 'busybox:latest', depends_on: [b]}
  b: {image: 'busybox:latest', depends_on: [c]}
  c: {image: 'busybox:latest', depends_on: [a]}
",
        command: "up -d",
        says: &["cycle", "a", "b", "c"],
    },
    Case {
        name: "bad-required",
        compose: "services:\n  web:\n    image: busybox:${TAG:?choose a tag}\n",
        command: "up -d",
        says: &["compose.yaml:3:", "TAG", "choose a tag"],
    },
    Case {
        name: "bad-envfile",
        compose: "services:\n  web:\n    image: busybox:latest\n    env_file: missing.env\n",
        command: "up -d",
        says: &["missing.env", "compose.yaml:4:"],
    },
    Case {
        name: "bad-several",
        compose: "services:\n  web:\n    imag: busybox:latest\n    portz: []\n",
        command: "up -d",
        says: &["compose.yaml:3:5", "imag", "compose.yaml:4:5", "portz", "ports"],
    },
    Case {
        name: "bad-context",
        compose: "services:\n  web:\n    build: ./nowhere\n",
        command: "up -d",
        says: &["compose.yaml:3:", "no build context", "nowhere"],
    },
    Case {
        name: "bad-dockerfile",
        compose: "services:\n  web:\n    build: .\n",
        command: "up -d",
        says: &["compose.yaml:3:", "no Dockerfile"],
    },
    Case {
        name: "bad-scale",
        compose: "services:\n  web: {image: 'busybox:latest', command: 'true'}\n",
        command: "up -d --scale wbe=2",
        says: &["no such service: wbe", "did you mean web?"],
    },
    Case {
        name: "bad-events",
        compose: "services:\n  web: {image: 'busybox:latest', command: 'true'}\n",
        command: "events wbe",
        says: &["no such service: wbe", "did you mean web?"],
    },
    Case {
        name: "bad-bind",
        compose: "services:
  web:
    image: busybox:latest
    command: [sleep, '1000']
    volumes:
      - {type: bind, source: ./not-there, target: /x, bind: {create_host_path: false}}
",
        command: "up -d",
        says: &["not-there"],
    },
    Case {
        name: "bad-command",
        compose: "services:\n  web:\n    image: busybox:latest\n    command: [no-such-program]\n",
        command: "up -d",
        says: &["web", "no-such-program"],
    },
    Case {
        name: "bad-path",
        compose: "services:
  web:
    image: busybox:latest
    entrypoint: /etc/passwd
    volumes:
      - data:/data
  other:
    image: busybox:latest
    command: [sleep, '1000']
volumes:
  data:
",
        command: "up -d",
        says: &["compose.yaml:4:", "/etc/passwd", "permission denied"],
    },
    Case {
        name: "bad-two",
        compose: "services:
  web:
    image: busybox:latest
    command: /no/such/program
  other:
    image: busybox:latest
    command: [sleep, '1000']
    depends_on: [web]
    user: nobody-here
",
        command: "up -d",
        says: &["compose.yaml:4:", "/no/such/program", "compose.yaml:9:", "nobody-here"],
    },
    Case {
        name: "bad-user",
        compose: "services:\n  web:\n    image: busybox:latest\n    command: [id]\n    user: nobody-here\n",
        command: "up -d",
        says: &["web", "nobody-here"],
    },
    Case {
        name: "bad-image",
        // RFC 6761: nobody answers under .invalid.
        compose: "services:\n  web:\n    image: registry.invalid/some/thing:1\n",
        command: "up -d",
        says: &["registry.invalid", "some/thing"],
    },
];

#[test]
fn every_mistake_is_named_and_placed() {
    let mut wrong = Vec::new();
    for case in CASES {
        let Some(p) = Project::new(case.name, case.compose) else { return };
        let done = p.run(case.command);
        let missing: Vec<_> = case.says.iter().filter(|s| !done.stderr.contains(**s)).collect();
        if done.code() != 1 || !missing.is_empty() || done.stderr.contains("panicked") {
            wrong.push(format!(
                "{}: status or words are wrong, missing {missing:?}\n{}",
                case.name,
                done.describe()
            ));
        }
        let running: Vec<_> = p.ps_unchecked().into_iter().filter(|c| c.contains("\"running\"")).collect();
        if !running.is_empty() {
            wrong.push(format!("{}: runs nevertheless: {running:?}", case.name));
        }
        p.nothing_left(true);
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
}

#[test]
fn no_file_at_all() {
    let Some(p) = Project::empty("bad-nofile") else { return };
    p.run("up -d").code_is(1).err("no configuration file provided");
    p.run("-f else.yaml up -d").code_is(1).err("else.yaml");
}

#[test]
fn unknown_flags_and_commands() {
    let Some(p) = Project::new("bad-flags", "services: {web: {image: 'busybox:latest'}}\n") else { return };
    p.run("up --no-such-flag").code_is(1).err("--no-such-flag");
    p.run("uup").code_is(1).err("uup");
}

#[test]
fn a_running_project_survives_a_broken_file() {
    let compose = format!("services:\n  web: {{image: 'busybox:latest', command: {}}}\n", crate::POLITE);
    let Some(p) = Project::new("bad-later", &compose) else { return };
    p.run("up -d").ok();
    let id = p.property("web", "ID");
    p.file("compose.yaml", "services: [\n");
    p.run("up -d").code_is(1).err("compose.yaml:");
    p.file("compose.yaml", &compose);
    assert_eq!(p.property("web", "ID"), id);
    assert_eq!(p.property("web", "State"), "running");
}

#[test]
fn what_cannot_start_replaces_nothing() {
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let web = |more: &str| format!("services:\n  web:\n    image: busybox:latest\n{more}");
    let good = web(&format!("    command: {}\n", crate::POLITE));
    let Some(p) = Project::new("bad-update", &good) else { return };
    p.run("up -d").ok();
    let id = p.property("web", "ID");
    let bad = [
        "    command: [no-such-program]\n".to_owned(),
        format!("    command: {}\n    user: nobody-here\n", crate::POLITE),
        format!("    command: {}\n    ports: ['{port}:80']\n", crate::POLITE),
    ];
    for more in &bad {
        p.file("compose.yaml", &web(more));
        p.run("up -d").code_is(1).err("compose.yaml:");
        assert_eq!(p.property("web", "ID"), id, "after {more}");
        assert_eq!(p.property("web", "State"), "running");
    }
}

/// What is only brought by a mount, or by what runs before, must not be foreseen as missing.
#[test]
fn what_comes_later_is_not_missed() {
    let port = rcompose_e2e::free_port().unwrap();
    let compose = format!(
        "services:
  first:
    image: busybox:latest
    command: ['sh', '-c', 'cp /bin/busybox /tools/own && ln -sf own /tools/sleep']
    ports: ['{port}:80']
    volumes: ['tools:/tools']
  second:
    image: busybox:latest
    command: ['/tools/sleep', '1000']
    stop_signal: KILL
    ports: ['{port}:80']
    volumes: ['tools:/tools']
    depends_on: {{first: {{condition: service_completed_successfully}}}}
  third:
    image: busybox:latest
    command: [sleep, '1000']
    stop_signal: KILL
    environment: {{PATH: /tools}}
    volumes: ['tools:/tools']
    depends_on: {{first: {{condition: service_completed_successfully}}}}
volumes:
  tools:
"
    );
    let Some(p) = Project::new("bad-later-tools", &compose) else { return };
    p.run("up -d").ok();
    assert_eq!(p.property("second", "State"), "running");
    assert_eq!(p.property("third", "State"), "running");
    p.run("up -d --force-recreate").ok();
    assert_eq!(p.property("second", "State"), "running");
}

#[test]
fn not_supported_is_said_with_its_place() {
    let compose = format!(
        "services:\n  web:\n    image: busybox:latest\n    command: {}\n    x-own: fine\n    blkio_config: {{weight: 300}}\n",
        crate::POLITE
    );
    let Some(p) = Project::new("bad-unsupported", &compose) else { return };
    p.run("config -q").ok().not_err("x-own");
    p.run("up -d").ok().err("compose.yaml:6:").err("blkio_config");
}
