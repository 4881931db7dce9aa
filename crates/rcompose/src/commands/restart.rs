//! `restart`.

use rcompose_plan::{Intent, ScopeOptions};

use super::common::{on_services, seconds};
use crate::args::RestartArgs;
use crate::context::Context;
use crate::failure::Failure;

pub(crate) fn run(cx: &Context, args: RestartArgs) -> Result<u8, Failure> {
    let (timeout, no_deps) = (seconds(args.timeout), args.no_deps);
    on_services(cx, &args.services, |s| Intent::Restart(ScopeOptions { timeout, no_deps, ..s }))?;
    Ok(0)
}
