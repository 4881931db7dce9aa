//! One file for each verb.

mod unknown;

use crate::args::Verb;
use crate::context::Context;
use crate::failure::Failure;

/// Does what the command line says; the exit status.
pub(crate) fn run(cx: &Context, verb: Verb) -> Result<u8, Failure> {
    match verb {
        Verb::Other(words) => Err(unknown::failure(&words)),
        other => {
            let name = format!("{other:?}");
            let name = name.split(['(', ' ']).next().unwrap_or_default().to_lowercase();
            let _ = cx;
            Err(Failure::unsupported(format!("`{name}` isn't there yet")))
        }
    }
}
