//! `system`: the whole installation.

mod df;
mod inventory;
mod prune;

use crate::args::SystemVerb;
use crate::context::Context;
use crate::failure::Failure;

pub(crate) fn run(cx: &Context, verb: SystemVerb) -> Result<u8, Failure> {
    match verb {
        SystemVerb::Df(args) => df::run(cx, &args),
        SystemVerb::Prune(args) => prune::run(cx, &args),
    }
}
