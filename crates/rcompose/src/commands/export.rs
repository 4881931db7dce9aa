//! `export`: a container's file system, without its volumes, as one tar archive.

use rcompose_image::Store;

use super::containers;
use super::image::to_output;
use crate::args::ExportArgs;
use crate::context::Context;
use crate::failure::Failure;

pub(crate) fn run(cx: &Context, args: &ExportArgs) -> Result<u8, Failure> {
    let project = cx.project_name()?;
    let container = containers::any(cx, &project, &args.service, args.index)?;
    if cx.dry_run() {
        return Ok(0);
    }
    let mut layers = vec![cx.dirs.container(&project, &container.spec.id).join("upper")];
    layers.extend(container.spec.image.layers.iter().cloned());
    to_output(cx, args.output.as_deref(), "a container's file system", |out| {
        Store::export(&layers, out).map(drop)
    })?;
    Ok(0)
}
