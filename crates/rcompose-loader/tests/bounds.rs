//! 64 MiB and a second are the most that any input costs. Each case runs in a process of its own, which is this test
//! again with the case's name in the environment.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use rcompose_loader::{LoadRequest, MemorySources, load, render_diagnostics};

const CASE: &str = "RCOMPOSE_BOUNDS_CASE";
const MEMORY: u64 = 64 << 20;
/// A debug build is about ten times slower, and tests run side by side.
const TIME: Duration = Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 1 });

fn many(n: usize, mut one: impl FnMut(&mut String, usize)) -> String {
    let mut out = String::new();
    (0..n).for_each(|i| one(&mut out, i));
    out
}

fn service(attributes: &str) -> String {
    format!("services:\n  a:\n    image: x\n{attributes}\n")
}

/// Name, sources, and what the message says; nothing if the input is taken.
fn sources(case: &str) -> (MemorySources, &'static str) {
    let large = "too large";
    let mut sources = MemorySources::default();
    let (text, says) = match case {
        "alias bomb" => {
            let mut text = "x-a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
            for i in 1..12 {
                let list = vec![format!("*a{}", i - 1); 9].join(", ");
                let _ = writeln!(text, "x-a{i}: &a{i} [{list}]");
            }
            (text + &service(""), large)
        }
        "alias of a long text" => {
            let long = "y".repeat(1 << 20);
            let list = many(10_000, |out, _| out.push_str("*l,"));
            (format!("x-l: &l {long}\nx-m: [{list}]\n{}", service("")), large)
        }
        "merge keys of aliases" => {
            let text = many(3_000, |out, i| {
                let _ = writeln!(
                    out,
                    "x-{i}: &m{i}\n  k{i}: v\n  <<: [{}]",
                    match i {
                        0 => String::new(),
                        i => format!("*m{}", i - 1),
                    }
                );
            });
            (text + &service(""), large)
        }
        "deep flow" => (format!("x: {}", "[".repeat(1_000_000)), "nested"),
        "deep mappings" => {
            (many(2_000, |out, i| writeln!(out, "{}k:", " ".repeat(i)).unwrap()), "levels deep")
        }
        "a line of 10 MB" => (service(&format!("    labels: {{l: {}}}", "y".repeat(10 << 20))), "8 MiB"),
        "a line of 7 MB" => (service(&format!("    labels: {{l: {}}}", "y".repeat(7 << 20))), ""),
        "a line of 7 MB of mistakes" => {
            let keys = many(60_000, |out, i| write!(out, "unknown_{i}: {{}},").unwrap());
            (format!("services: {{a: {{image: x, {keys}}}}}"), "more errors")
        }
        "a million keys" => (many(700_000, |out, i| writeln!(out, "x{i}:").unwrap()), large),
        "a million duplicate keys" => (service(&"    tty: 1\n".repeat(60_000)), "more errors"),
        "half a million services" => {
            let services = many(200_000, |out, i| writeln!(out, "  s{i}: {{image: x}}").unwrap());
            (format!("services:\n{services}"), large)
        }
        "a long chain of dependencies" => {
            let services = many(5_000, |out, i| {
                let _ = writeln!(out, "  s{i}: {{image: x, depends_on: [s{}]}}", i + 1);
            });
            (format!("services:\n{services}  s5000: {{image: x}}\n"), "")
        }
        "a long ring of dependencies" => {
            let services = many(5_000, |out, i| {
                let _ = writeln!(out, "  s{i}: {{image: x, depends_on: [s{}]}}", (i + 1) % 5_000);
            });
            (format!("services:\n{services}"), "dependency cycle")
        }
        "a long chain of extends" => {
            let services = many(5_000, |out, i| writeln!(out, "  s{i}: {{extends: s{}}}", i + 1).unwrap());
            (format!("services:\n{services}  s5000: {{image: x}}\n"), "extend one another")
        }
        "a large base for many" => {
            let labels = many(1_000, |out, i| write!(out, "l{i}: v,").unwrap());
            let services = many(10_000, |out, i| writeln!(out, "  s{i}: {{extends: base}}").unwrap());
            (format!("services:\n  base: {{image: x, labels: {{{labels}}}}}\n{services}"), large)
        }
        "all ports" => (service("    ports: ['1-65535:1-65535', '1-65535:1-65535/udp']"), large),
        "port ranges that are only said" => (
            service(&format!(
                "    expose: [{}]",
                many(60_000, |out, i| write!(out, "{}-65535,", i + 1).unwrap())
            )),
            "",
        ),
        "nested defaults" => (
            service(&format!("    labels: ['{}{}']", "${A:-".repeat(500_000), "}".repeat(500_000))),
            "nested",
        ),
        "quoted texts that go on too far left" => {
            let one = many(2_000, |out, i| write!(out, "  l{i}: \"a\nb\"\n").unwrap());
            (format!("x-l:\n{one}{}", service("")), "quote")
        }
        "a quoted text with carriage returns" => {
            let lines = "x\rb\n".repeat(100_000);
            (format!("x-l:\n    k: \"{lines}\"\n{}", service("")), "")
        }
        "unclosed defaults" => {
            (service(&format!("    labels: ['{}']", "${A:-".repeat(500_000))), "invalid interpolation")
        }
        "a long value, often" => {
            sources = sources.with("/p/.env", format!("V={}", "y".repeat(1 << 20)));
            (service(&format!("    labels: ['{}']", "$V".repeat(100_000))), "longer than 4 MiB")
        }
        "long values in many places" => {
            sources = sources.with("/p/.env", format!("V={}", "y".repeat(1 << 20)));
            (service(&format!("    command: [{}]", "$V,".repeat(10_000))), large)
        }
        "unset variables" => {
            let list = many(300_000, |out, i| write!(out, "$V{i}").unwrap());
            (service(&format!("    labels: ['{list}']")), "longer than 4 MiB")
        }
        "doubling variables in an env file" => {
            let lines = many(64, |out, i| writeln!(out, "V{}=${{V{i}}}${{V{i}}}", i + 1).unwrap());
            sources = sources.with("/p/.env", format!("V0=0123456789\n{lines}"));
            (service(""), "4 MiB")
        }
        "variables of variables in an env file" => {
            let lines = many(200_000, |out, i| writeln!(out, "V{}=$V{i}", i + 1).unwrap());
            sources = sources.with("/p/e", format!("V0=0\n{lines}"));
            (service("    env_file: e"), large)
        }
        "a large env file" => {
            sources = sources.with("/p/e", "A=b\n".repeat(3 << 20));
            (service("    env_file: e"), "8 MiB")
        }
        "one env file for many" => {
            sources = sources.with("/p/e", many(5_000, |out, i| writeln!(out, "V{i}=v").unwrap()));
            let services = many(5_000, |out, i| writeln!(out, "  s{i}: {{image: x, env_file: e}}").unwrap());
            (format!("services:\n{services}"), large)
        }
        "comments in an env file for many" => {
            sources = sources.with("/p/e", "# comment\n".repeat(500_000));
            let services = many(5_000, |out, i| writeln!(out, "  s{i}: {{image: x, env_file: e}}").unwrap());
            (format!("services:\n{services}"), "32 MiB")
        }
        "includes that fan out" => {
            for i in 0..40 {
                let next = i + 1;
                let text = format!("include: [i{next}.yaml, ./x/../i{next}.yaml, ././i{next}.yaml]\n");
                sources = sources.with(format!("/p/i{i}.yaml"), text);
            }
            sources = sources.with("/p/i40.yaml", service(""));
            ("include: [i0.yaml]\n".to_owned(), "1000 files")
        }
        "an include loop" => {
            sources = sources.with("/p/i.yaml", "include: [compose.yaml]\n");
            ("include: [i.yaml]\n".to_owned(), "include cycle")
        }
        "an extends loop through files" => {
            sources =
                sources.with("/p/i.yaml", "services: {a: {extends: {file: compose.yaml, service: a}}}\n");
            ("services: {a: {extends: {file: i.yaml, service: a}}}\n".to_owned(), "circular extends")
        }
        "one host with many addresses" => (
            service(&format!(
                "    extra_hosts: {{h: [{}]}}",
                many(80_000, |out, i| write!(out, "'::{:x}:{:x}',", i >> 8, i & 255).unwrap())
            )),
            "",
        ),
        "wrong capabilities" => (
            service(&format!("    cap_add: [{}]", many(100_000, |out, i| write!(out, "NET_{i},").unwrap()))),
            "more errors",
        ),
        "undefined networks" => {
            let mut text = "services:\n".to_owned();
            text += &many(10_000, |out, i| writeln!(out, "  s{i}: {{image: x, networks: [m{i}]}}").unwrap());
            text += "networks:\n";
            text += &many(10_000, |out, i| writeln!(out, "  n{i}:").unwrap());
            (text, "more errors")
        }
        other => panic!("{other}"),
    };
    (sources.with("/p/compose.yaml", text), says)
}

const CASES: [&str; 35] = [
    "quoted texts that go on too far left",
    "a quoted text with carriage returns",
    "alias bomb",
    "alias of a long text",
    "merge keys of aliases",
    "deep flow",
    "deep mappings",
    "a line of 10 MB",
    "a line of 7 MB",
    "a line of 7 MB of mistakes",
    "a million keys",
    "a million duplicate keys",
    "half a million services",
    "a long chain of dependencies",
    "a long ring of dependencies",
    "a long chain of extends",
    "a large base for many",
    "all ports",
    "port ranges that are only said",
    "nested defaults",
    "unclosed defaults",
    "a long value, often",
    "long values in many places",
    "unset variables",
    "doubling variables in an env file",
    "variables of variables in an env file",
    "a large env file",
    "one env file for many",
    "comments in an env file for many",
    "includes that fan out",
    "an include loop",
    "an extends loop through files",
    "one host with many addresses",
    "wrong capabilities",
    "undefined networks",
];

/// Peak of resident memory, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// In the child: loads, and tells time, memory and the first line of what was said.
fn run(case: &str) {
    let (sources, _) = sources(case);
    let req = LoadRequest { cwd: PathBuf::from("/p"), project_name: Some("t".into()), ..Default::default() };
    // What the input itself takes doesn't count.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let (before, start) = (peak(), Instant::now());
    let loaded = load(&req, &sources);
    let took = start.elapsed();
    let memory = peak().saturating_sub(before);
    let said = match &loaded {
        Ok(_) => "taken".to_owned(),
        Err(e) => render_diagnostics(&e.diagnostics, false, 200).replace('\n', "\u{1f}"),
    };
    println!("RESULT {} {memory} {said}", took.as_millis());
}

#[test]
fn nothing_costs_more_than_64_mib_and_a_second() {
    if let Ok(case) = std::env::var(CASE) {
        return run(&case);
    }
    let mut wrong = Vec::new();
    for case in CASES {
        let out = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "nothing_costs_more_than_64_mib_and_a_second"])
            .env(CASE, case)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let Some(line) = text.lines().find_map(|l| Some(l.split_once("RESULT ")?.1)) else {
            wrong.push(format!("{case}: {} {}", out.status, String::from_utf8_lossy(&out.stderr)));
            continue;
        };
        let mut parts = line.splitn(3, ' ');
        let mut number = || parts.next().unwrap().parse::<u64>().unwrap();
        let (millis, memory) = (number(), number());
        let said = parts.next().unwrap();
        let says = sources(case).1;
        let right = if says.is_empty() { said == "taken" } else { said.contains(says) };
        let placed = said == "taken"
            || said.contains("compose.yaml")
            || said.contains("i0.yaml")
            || said.contains("env");
        if !right || !placed || memory > MEMORY || u128::from(millis) > TIME.as_millis() {
            let said: String = said.replace('\u{1f}', "\n").chars().take(600).collect();
            wrong.push(format!("{case}: {millis} ms, {} MiB, wanted {says:?}: {said}", memory >> 20));
        }
        println!("{case}: {millis} ms, {} MiB", memory >> 20);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
