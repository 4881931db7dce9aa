use std::collections::BTreeSet;
use std::fs;

use super::layout;
use super::path::CgroupError;

/// The controllers that containers can be limited by on this machine: `memory`, `cpu`, `pids`, …
pub fn controllers() -> Result<BTreeSet<String>, CgroupError> {
    let layout = layout()?;
    let mut all: BTreeSet<String> = layout.v1.into_iter().flat_map(|h| h.controllers).collect();
    if let Some((mount, _)) = layout.v2 {
        let path = mount.join("cgroup.controllers");
        let text = fs::read_to_string(&path).map_err(CgroupError::path("read", path))?;
        all.extend(text.split_whitespace().map(str::to_owned));
    }
    Ok(all)
}

/// Whether a controller is one of cgroup v1 on this machine.
pub fn is_v1(controller: &str) -> Result<bool, CgroupError> {
    Ok(layout()?.v1.iter().any(|h| h.controllers.iter().any(|c| c == controller)))
}

fn layout() -> Result<layout::Layout, CgroupError> {
    let read = |path: &str| fs::read_to_string(path).map_err(CgroupError::path("read", path));
    Ok(layout::parse(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?))
}
