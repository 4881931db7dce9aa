//! `volumes`: the named volumes of the project.

use std::collections::BTreeSet;

use rcompose_plan::{MountSource, VolumeSpec};

use super::containers;
use super::volume;
use crate::args::VolumesArgs;
use crate::context::{Context, print};
use crate::failure::Failure;

pub(crate) fn run(cx: &Context, args: VolumesArgs) -> Result<u8, Failure> {
    let project = cx.project_name()?;
    let mut found: Vec<VolumeSpec> = rcompose_machine::list_volumes(&cx.dirs)?;
    found.retain(|v| {
        !v.anonymous && v.labels.get("com.docker.compose.project").is_some_and(|p| p == project.as_str())
    });
    if !args.services.is_empty() {
        let mut used = BTreeSet::new();
        for c in containers::recorded(cx, &project, &args.services)? {
            used.extend(c.spec.mounts.into_iter().filter_map(|m| match m.source {
                MountSource::Volume { name, .. } => Some(name),
                _ => None,
            }));
        }
        found.retain(|v| used.contains(&v.name));
    }
    print(&volume::listing(cx, &found, &args.format, args.quiet)?)?;
    Ok(0)
}
