use std::io;
use std::path::{Path, PathBuf};

use rcompose_model::ProjectName;
use rcompose_plan::{ContainerId, ContainerSpec, MountSource, MountSpec};

use rcompose_runtime::layers::{Resolved, resolve};

use crate::Dirs;

/// The host's path that a mount shows, if it shows a single one. Fails if the volume has no such subpath: links in a
/// volume lead to other places of it only.
pub(crate) fn mount_path(dirs: &Dirs, mount: &MountSpec) -> io::Result<Option<PathBuf>> {
    match &mount.source {
        MountSource::Bind { path, .. } => Ok(Some(path.clone())),
        MountSource::Volume { name, subpath: None, .. } => Ok(Some(dirs.volume(name).join("_data"))),
        MountSource::Volume { name, subpath: Some(subpath), .. } => {
            match image_part(&[dirs.volume(name).join("_data")], Some(subpath))? {
                Some(ImagePart::Path(path)) => Ok(Some(path)),
                _ => Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    format!("volume {name} has no {subpath:?}: a subpath must be there before it is mounted"),
                )),
            }
        }
        MountSource::Image { .. } | MountSource::Tmpfs { .. } => Ok(None),
    }
}

/// What of an image is mounted.
pub(crate) enum ImagePart {
    /// One directory or file of the store.
    Path(PathBuf),
    /// Directories of the store, the top one first, to be laid over one another.
    Layers(Vec<PathBuf>),
}

/// What a directory or file of an image is made of. Links in the image lead to other places of the image only. `None`:
/// there is no such thing.
pub(crate) fn image_part(layers: &[PathBuf], subpath: Option<&str>) -> io::Result<Option<ImagePart>> {
    let all: Vec<&Path> = layers.iter().map(PathBuf::as_path).collect();
    Ok(match resolve(&all, Path::new(subpath.unwrap_or_default()), &|_| false)? {
        Resolved::File(file) => Some(ImagePart::Path(file)),
        Resolved::Directory(mut parts) if parts.len() < 2 => parts.pop().map(ImagePart::Path),
        Resolved::Directory(parts) => Some(ImagePart::Layers(parts)),
        Resolved::Nothing | Resolved::Other | Resolved::Covered => None,
    })
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
