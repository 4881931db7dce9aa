//! `pause` and `unpause`.

use rcompose_plan::Intent;

use super::common::on_services;
use crate::args::Services;
use crate::context::Context;
use crate::failure::Failure;

pub(crate) fn pause(cx: &Context, args: Services) -> Result<u8, Failure> {
    on_services(cx, &args.services, Intent::Pause)?;
    Ok(0)
}

pub(crate) fn unpause(cx: &Context, args: Services) -> Result<u8, Failure> {
    on_services(cx, &args.services, Intent::Unpause)?;
    Ok(0)
}
