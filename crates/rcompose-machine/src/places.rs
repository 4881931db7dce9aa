use std::path::{Path, PathBuf};

use rcompose_model::ProjectName;
use rcompose_plan::{ContainerId, ContainerSpec, MountSource, MountSpec};

use crate::Dirs;

/// The host's path that a mount shows, if it shows one.
pub(crate) fn mount_path(dirs: &Dirs, mount: &MountSpec) -> Option<PathBuf> {
    let below = |base: PathBuf, sub: &Option<String>| match sub {
        Some(s) => base.join(s.trim_start_matches('/')),
        None => base,
    };
    match &mount.source {
        MountSource::Bind { path, .. } => Some(path.clone()),
        MountSource::Volume { name, subpath, .. } => Some(below(dirs.volume(name).join("_data"), subpath)),
        MountSource::Image { layers, subpath } if layers.len() == 1 => {
            Some(below(layers[0].clone(), subpath))
        }
        MountSource::Image { .. } | MountSource::Tmpfs { .. } => None,
    }
}

/// Where the files made for one container are: /etc/hosts and its like, secrets, configs. In the run
/// directory, so that secrets stay in memory on a usual system.
pub(crate) fn files_dir(dirs: &Dirs, project: &ProjectName, id: &ContainerId) -> PathBuf {
    dirs.project_run(project).join("files").join(id.short())
}

/// Paths of secrets and configs, in the spec's order.
pub(crate) fn file_paths(dir: &Path, spec: &ContainerSpec) -> Vec<PathBuf> {
    (0..spec.files.len()).map(|i| dir.join(format!("file{i}"))).collect()
}

/// Name of a container's cgroup, below our own.
pub(crate) fn cgroup_name(dirs: &Dirs, project: &ProjectName, spec: &ContainerSpec) -> String {
    let root = dirs.root_hash();
    match spec.cgroup_parent.as_deref().map(|p| p.trim_matches('/')).filter(|p| !p.is_empty()) {
        Some(parent) => format!("{parent}/rcompose-{root}-{}", spec.id.short()),
        None => format!("rcompose-{root}/{project}/{}", spec.id.short()),
    }
}
