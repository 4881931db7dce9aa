//! `start`: starts containers that are there.

use rcompose_plan::{Intent, ScopeOptions};

use super::common::{on_services, seconds};
use crate::args::StartArgs;
use crate::context::Context;
use crate::failure::Failure;

pub(crate) fn run(cx: &Context, args: StartArgs) -> Result<u8, Failure> {
    let (wait, wait_timeout) = (args.wait, seconds(args.wait_timeout));
    on_services(cx, &args.services, |s| Intent::Start(ScopeOptions { wait, wait_timeout, ..s }))?;
    Ok(0)
}
