//! The rcompose binary: words in, words out.
#![forbid(unsafe_code)]

mod apply;
mod args;
mod commands;
mod context;
mod env;
mod failure;
mod own;
mod pictures;
mod processes;
mod progress;
mod relay;
mod remote;
mod render;
mod signals;

use std::ffi::OsString;
use std::process::ExitCode;

use rcompose_model::ProjectName;

use crate::context::{Context, to_stderr};
use crate::env::Env;
use crate::failure::Failure;

/// musl's own allocator gives memory back to the kernel as soon as it can: loading a large project took 1,700 mappings.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    own::take_umask();
    let mut words: Vec<OsString> = std::env::args_os().collect();
    let env = match Env::read() {
        Ok(env) => env,
        Err(e) => {
            to_stderr(&format!("error: failed to read the working directory: {e}\n"));
            return ExitCode::from(1);
        }
    };
    if let Some(code) = hidden(&words, &env) {
        return ExitCode::from(failure::status(code));
    }
    // `rcompose compose up`, and what docker calls its plugins with.
    if words.get(1).is_some_and(|w| w == "compose") {
        words.remove(1);
    }
    let cli = match args::parse(words) {
        Ok(cli) => cli,
        Err(e) => {
            let code = u8::from(e.use_stderr());
            if e.print().is_err() {
                // Nobody reads it.
            }
            return ExitCode::from(code);
        }
    };
    let cx = Context::new(env, cli.global);
    match commands::run(&cx, cli.verb) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            failure.show(&cx);
            ExitCode::from(failure.code)
        }
    }
}

/// The verbs that this program calls itself with.
fn hidden(words: &[OsString], env: &Env) -> Option<i32> {
    let verb = words.get(1)?.to_str()?;
    if verb == "__build-helper" {
        return Some(rcompose_machine::build_helper_main(&env.dirs()));
    }
    if verb == "docker-cli-plugin-metadata" {
        return Some(plugin_metadata());
    }
    if !matches!(verb, "__keeper" | "__supervisor") {
        return None;
    }
    let project = words.get(2).and_then(|w| w.to_str()).and_then(|w| ProjectName::new(w).ok());
    let Some(project) = project else {
        to_stderr("error: this verb is for the program itself\n");
        return Some(1);
    };
    Some(match verb {
        "__keeper" => processes::keeper(env.dirs(), project),
        _ => processes::supervisor(env.dirs(), project),
    })
}

/// What the docker command line asks its plugins for.
fn plugin_metadata() -> i32 {
    let text = serde_json::json!({
        "SchemaVersion": "0.1.0",
        "Vendor": "rcompose",
        "Version": env!("CARGO_PKG_VERSION"),
        "ShortDescription": "Compose without a daemon",
    });
    match context::print(&format!("{text}\n")) {
        Ok(()) => 0,
        Err(Failure { code, .. }) => i32::from(code),
    }
}
