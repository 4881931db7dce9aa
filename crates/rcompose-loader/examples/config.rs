//! Prints a project's canonical form: `config [--json | -q] [-f FILE]… [--profile P]…` (for comparisons without the binary).
use rcompose_loader::{FsSources, LoadRequest, load, render_diagnostics};

fn main() {
    let mut req = LoadRequest { cwd: std::env::current_dir().unwrap_or_default(), ..Default::default() };
    req.environment = std::env::vars().collect();
    let (mut json, mut quiet) = (false, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--json" => json = true,
            "-q" => quiet = true,
            "-f" => req.files.extend(args.next().map(Into::into)),
            "--profile" => req.profiles.extend(args.next()),
            _ => {}
        }
    }
    match load(&req, &FsSources) {
        Ok(loaded) => {
            eprint!("{}", render_diagnostics(&loaded.warnings, false, 120));
            if !quiet {
                print!("{}", if json { loaded.canonical.to_json() } else { loaded.canonical.to_yaml() });
            }
        }
        Err(e) => {
            eprint!("{}", render_diagnostics(&e.diagnostics, false, 120));
            std::process::exit(1);
        }
    }
}
