//! `stop`: a friendly stop, then a kill.

use rcompose_plan::{Intent, ScopeOptions};

use super::common::{on_services, seconds};
use crate::args::StopArgs;
use crate::context::Context;
use crate::failure::Failure;

pub(crate) fn run(cx: &Context, args: StopArgs) -> Result<u8, Failure> {
    let timeout = seconds(args.timeout);
    on_services(cx, &args.services, |s| Intent::Stop(ScopeOptions { timeout, ..s }))?;
    Ok(0)
}
