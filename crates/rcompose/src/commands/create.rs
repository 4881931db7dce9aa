//! `create`: all that `up` does but starting.

use super::up;
use crate::args::{CreateArgs, UpArgs};
use crate::context::Context;
use crate::failure::Failure;

pub(crate) fn run(cx: &Context, args: CreateArgs) -> Result<u8, Failure> {
    let args = UpArgs {
        build: args.build,
        no_build: args.no_build,
        force_recreate: args.force_recreate,
        no_recreate: args.no_recreate,
        pull: args.pull,
        quiet_pull: args.quiet_pull,
        remove_orphans: args.remove_orphans,
        scale: args.scale,
        yes: args.yes,
        services: args.services,
        detach: true,
        no_start: true,
        ..UpArgs::default()
    };
    up::run(cx, args)
}
