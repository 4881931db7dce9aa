//! Developer tasks: `cargo xtask ci`.
#![forbid(unsafe_code)]

use std::process::{Command, ExitCode};

fn run(arguments: &[&str]) -> bool {
    println!("$ cargo {}", arguments.join(" "));
    Command::new(env!("CARGO")).args(arguments).status().is_ok_and(|s| s.success())
}

fn main() -> ExitCode {
    let steps: [&[&str]; 3] = [
        &["fmt", "--all", "--check"],
        &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
        &["test", "--workspace"],
    ];
    if std::env::args().nth(1).as_deref() != Some("ci") {
        eprintln!("usage: cargo xtask ci");
        return ExitCode::FAILURE;
    }
    if steps.iter().all(|s| run(s)) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
