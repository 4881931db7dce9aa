//! Developer tasks: `cargo xtask demo`, `ci`, `bench`, `oracle`, `builds`, `guest`, …. Each does all the set-up it needs.
#![forbid(unsafe_code)]

mod bases;
mod bench;
mod binary;
mod builds;
mod ci;
mod conformance;
mod demo;
mod guest;
mod oracle;
mod packages;
mod sh;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask COMMAND

  demo    build rcompose and run examples/app-postgres with it (root)
  ci      formatting, lints, all tests (root)
  bench   time rcompose beside the kernel's floor and, if it runs, docker compose (root)
          [--runs N] [--sizes 1,10,30] [--only up,run,chain,stubborn,config,build,images]
  oracle  compare `config` with docker compose over compose-samples, or over any folders of Compose files
          [--write] [DIR…]
  builds  build and run the realistic Dockerfiles of examples/builds (root)
          [NAME…]
  conformance
          build tests/dockerfiles with docker and with rcompose, and compare files, configuration and history (root)
          [--write] [NAME…], or any directory of such samples, or Dockerfiles made at random: --random COUNT [FIRST]
  guest   run a project on Debian's older kernel with cgroup v2, in an emulated machine (root)
  setup   only what the others do first: packages, toolchain target, base images (root)
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let verb = args.first().map(String::as_str);
    let rest = args.get(1..).unwrap_or_default();
    let result = match (verb, rest) {
        (Some("demo"), []) => demo::demo(),
        (Some("ci"), []) => ci::ci(),
        (Some("bench"), _) => bench::bench(rest),
        (Some("oracle"), _) => oracle::oracle(rest),
        (Some("builds"), names) => builds::builds(names),
        (Some("conformance"), _) => conformance::conformance(rest),
        (Some("guest"), []) => guest::guest(),
        (Some("setup"), []) => setup(),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("xtask: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn setup() -> anyhow::Result<()> {
    packages::install(packages::FOR_CI)?;
    binary::target();
    bases::make()?;
    Ok(())
}
