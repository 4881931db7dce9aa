//! `scale`: so many containers of services, and nothing else changed.

use super::common::scales;
use super::up;
use crate::args::{ScaleArgs, UpArgs};
use crate::context::Context;
use crate::failure::Failure;

pub(crate) fn run(cx: &Context, args: ScaleArgs) -> Result<u8, Failure> {
    let services = scales(&args.scale)?.into_keys().map(|s| s.to_string()).collect();
    let args = UpArgs {
        scale: args.scale,
        no_deps: args.no_deps,
        no_recreate: true,
        detach: true,
        services,
        ..UpArgs::default()
    };
    up::run(cx, args)
}
