//! What a container is made of on disk: its directories, volumes, mounts, files and cgroup.

use std::path::{Path, PathBuf};

use rcompose_engine::{FailureKind, StepFailure};
use rcompose_image::{Digest, Store};
use rcompose_model::Origin;
use rcompose_plan::{ContainerId, ContainerSpec, MountSource, NetNs};
use rcompose_runtime::cgroup::CgroupPath;

use super::LocalHost;
use crate::files::{make_dir, read_json, remove_file, remove_tree, write_json};
use crate::places::{files_dir, image_part, mount_path};
use crate::{etc, volumes};

impl LocalHost {
    pub(super) async fn create_container(&self, spec: &ContainerSpec) -> Result<(), StepFailure> {
        let dir = self.container_dir(&spec.id);
        for sub in ["upper", "work"] {
            make_dir(&dir.join(sub))?;
        }
        write_json(&dir.join("spec.json"), spec)?;
        if let Err(gone) = self.check_images(spec).await {
            self.remove_container(&spec.id, false)?;
            return Err(gone);
        }
        for m in &spec.mounts {
            if let MountSource::Volume { name, copy, .. } = &m.source {
                self.prepare_volume(spec, name, *copy, &m.target).await?;
            }
        }
        Ok(())
    }

    /// Whether a container that is recorded has its images: from now on nobody removes them.
    async fn check_images(&self, spec: &ContainerSpec) -> Result<(), StepFailure> {
        let failed = |e| StepFailure::environment("look for the image", &e);
        let store = Store::open(&self.dirs.images()).map_err(failed)?;
        if !store.is_still(false).map_err(failed)? {
            let store = store.clone();
            tokio::task::spawn_blocking(move || store.is_still(true))
                .await
                .map_err(|e| StepFailure::environment("wait for who removes images", &e))?
                .map_err(failed)?;
        }
        // Its layers may be a build's, too, and there for a while yet.
        let gone = spec.image.id.parse::<Digest>().is_ok_and(|id| !store.has(&id));
        let mounted = spec.mounts.iter().find(|m| match &m.source {
            MountSource::Image { layers, .. } => layers.iter().any(|l| !l.exists()),
            _ => false,
        });
        let what = match (gone, mounted) {
            (false, None) => return Ok(()),
            (true, _) => spec.image.reference.clone(),
            (false, Some(mount)) => format!("for {}", mount.target),
        };
        let message = format!("service \"{}\": somebody has just removed the image {what}", spec.service);
        let hint = "do it again: it is pulled or built anew";
        Err(StepFailure::new(FailureKind::User, message).hint(hint).at(&spec.origin))
    }

    /// Fills a new volume from the image; one container at a time, so that two that share it don't mix.
    async fn prepare_volume(
        &self,
        spec: &ContainerSpec,
        name: &str,
        copy: bool,
        target: &str,
    ) -> Result<(), StepFailure> {
        let dir = self.dirs.volume(name);
        let marker = dir.join("filled");
        if !copy || marker.exists() {
            return Ok(());
        }
        if !dir.join("volume.json").exists() {
            let message = format!("volume {name} is not there");
            return Err(StepFailure::new(FailureKind::Internal, message).at(&spec.origin));
        }
        let _turn = self.filling.lock().await;
        let (data, layers, target) = (dir.join("_data"), spec.image.layers.clone(), target.to_owned());
        tokio::task::spawn_blocking(move || volumes::fill(&data, &layers, &target))
            .await
            .map_err(|e| StepFailure::environment(format!("fill volume {name}"), &e))??;
        crate::files::write_atomic(&marker, b"", 0o600)?;
        Ok(())
    }

    /// Whether the directories and files of the host that a container wants to see are there, but for those that are
    /// made for it.
    pub(super) fn check_sources(&self, spec: &ContainerSpec) -> Result<(), StepFailure> {
        for (i, m) in spec.mounts.iter().enumerate() {
            if let MountSource::Bind { path, create: false, .. } = &m.source
                && !path.exists()
            {
                let message = format!(
                    "service \"{}\": bind source path does not exist: {}",
                    spec.service,
                    path.display()
                );
                let hint = "make it, or set bind.create_host_path: true";
                return Err(StepFailure::new(FailureKind::Compose, message)
                    .hint(hint)
                    .at(volume_place(spec, i)));
            }
            if let MountSource::Image { layers, subpath: Some(subpath) } = &m.source {
                let part = image_part(layers, Some(subpath));
                let part = part.map_err(|e| StepFailure::environment(format!("find {subpath}"), &e))?;
                if part.is_none() {
                    let message = format!(
                        "service \"{}\": the image for {} has no {subpath:?}",
                        spec.service, m.target
                    );
                    return Err(StepFailure::new(FailureKind::Compose, message).at(volume_place(spec, i)));
                }
            }
        }
        Ok(())
    }

    pub(super) fn check_mounts(&self, spec: &ContainerSpec) -> Result<(), StepFailure> {
        self.check_sources(spec)?;
        for (i, m) in spec.mounts.iter().enumerate() {
            let origin = volume_place(spec, i);
            let path = mount_path(&self.dirs, m).map_err(|e| {
                let message = format!("service \"{}\": {}: {e}", spec.service, m.target);
                StepFailure::new(FailureKind::User, message).at(origin)
            })?;
            let Some(path) = path.filter(|p| !p.exists()) else { continue };
            match &m.source {
                MountSource::Bind { .. } => make_dir(&path)?,
                _ => {
                    let message = format!(
                        "service \"{}\": {} is not there: {}",
                        spec.service,
                        m.target,
                        path.display()
                    );
                    return Err(StepFailure::new(FailureKind::Environment, message).at(origin));
                }
            }
        }
        Ok(())
    }

    pub(super) fn write_etc(&self, spec: &ContainerSpec) -> Result<(), StepFailure> {
        let running = self.running.borrow();
        let owner = match &spec.net {
            NetNs::Container(id) => running.get(id).map(|r| r.spec.clone()),
            _ => None,
        };
        let gateway = self.networks.gateway(owner.as_deref().unwrap_or(spec));
        let dir = files_dir(&self.dirs, &self.project, &spec.id);
        etc::write(&dir, spec, owner.as_deref(), gateway)
    }

    pub(super) fn remove_container(&self, id: &ContainerId, with_volumes: bool) -> Result<(), StepFailure> {
        let dir = self.container_dir(id);
        let spec: Option<ContainerSpec> = read_json(&dir.join("spec.json"))?;
        remove_cgroup(&dir);
        remove_tree(&files_dir(&self.dirs, &self.project, id))?;
        // The record goes last: until then everything can be found again.
        remove_tree(&dir.join("upper"))?;
        remove_tree(&dir.join("work"))?;
        if let Some(spec) = spec.filter(|_| with_volumes) {
            for m in &spec.mounts {
                let MountSource::Volume { name, .. } = &m.source else { continue };
                let record: Option<rcompose_plan::VolumeSpec> =
                    read_json(&self.dirs.volume(name).join("volume.json"))?;
                if record.is_some_and(|v| v.anonymous) {
                    volumes::remove(&self.dirs, name)?;
                    self.change_file(|f| {
                        f.volumes.remove(name);
                    })?;
                }
            }
        }
        remove_file(&dir.join("spec.json"))?;
        remove_tree(&dir)?;
        Ok(())
    }
}

fn volume_place(spec: &ContainerSpec, index: usize) -> &Origin {
    let origin = spec.attribute_origins.get(&format!("volumes.{index}"));
    origin.or_else(|| spec.attribute_origins.get("volumes")).unwrap_or(&spec.origin)
}

/// Removes the cgroup that a container's record names. What stays is reported when the same name is made again.
pub(super) fn remove_cgroup(dir: &Path) {
    let Ok(Some(record)) = read_json::<CgroupRecord>(&dir.join("cgroup.json")) else { return };
    if let Ok(cgroup) = CgroupPath::from_record(&record.name, &record.directories) {
        if let Err(e) = cgroup.kill() {
            eprintln!("supervisor: {e}");
        }
        if let Err(e) = cgroup.remove() {
            eprintln!("supervisor: {e}");
        }
    }
}

/// `cgroup.json`: where a container's cgroup is, for whoever removes it.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct CgroupRecord {
    pub(crate) name: String,
    pub(crate) directories: Vec<PathBuf>,
}
