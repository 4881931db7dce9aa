//! What there is, and how much room it takes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rcompose_image::{Image, LayerId, Store};
use rcompose_model::ProjectName;
use rcompose_plan::{ContainerStatus, MountSource, ObservedContainer, VolumeSpec};

use crate::commands::image::Users;
use crate::context::Context;
use crate::failure::Failure;
use crate::pictures::{Cached, cached};

/// All of it.
pub(super) struct Inventory {
    pub(super) images: Vec<ImageUse>,
    pub(super) containers: Vec<ContainerUse>,
    pub(super) volumes: Vec<VolumeUse>,
    pub(super) cache: Vec<Cached>,
    /// Bytes of layers that images have, or have left behind.
    pub(super) image_bytes: u64,
    /// Of these, what only images have that no container uses.
    pub(super) unused_bytes: u64,
}

pub(super) struct ImageUse {
    pub(super) image: Image,
    /// Bytes that other images have, too.
    pub(super) shared: u64,
    pub(super) containers: usize,
}

pub(super) struct ContainerUse {
    pub(super) project: ProjectName,
    pub(super) container: ObservedContainer,
    pub(super) bytes: u64,
}

pub(super) struct VolumeUse {
    pub(super) volume: VolumeSpec,
    pub(super) links: usize,
    pub(super) bytes: u64,
}

impl ContainerUse {
    /// It isn't over.
    pub(super) fn lives(&self) -> bool {
        !matches!(self.container.state.status, ContainerStatus::Created | ContainerStatus::Exited)
    }
}

impl Inventory {
    pub(super) fn of(cx: &Context, store: &Store) -> Result<Self, Failure> {
        let containers = containers(cx)?;
        let mut links: BTreeMap<&str, usize> = BTreeMap::new();
        let mut made: BTreeMap<&str, usize> = BTreeMap::new();
        for c in &containers {
            *made.entry(c.container.spec.image.id.as_str()).or_default() += 1;
            for m in &c.container.spec.mounts {
                if let MountSource::Volume { name, .. } = &m.source {
                    *links.entry(name).or_default() += 1;
                }
            }
        }
        let mut volumes = Vec::new();
        for volume in rcompose_machine::list_volumes(&cx.dirs)? {
            let data = cx.dirs.volume(&volume.name).join("_data");
            let bytes = size(&data, &mut BTreeSet::new())
                .map_err(|e| Failure::io(format_args!("look at the volume {}", volume.name), &e))?;
            volumes.push(VolumeUse {
                links: links.get(volume.name.as_str()).copied().unwrap_or(0),
                volume,
                bytes,
            });
        }
        let users = Users::of(cx, store)?;
        let all = store.list()?;
        let mut owners: BTreeMap<LayerId, usize> = BTreeMap::new();
        for layer in all.iter().flat_map(|i| i.layers.iter().copied().collect::<BTreeSet<_>>()) {
            *owners.entry(layer).or_default() += 1;
        }
        let bytes = |layer: &LayerId| Ok::<_, Failure>(store.layer_info(layer)?.map_or(0, |i| i.content));
        let used: BTreeSet<LayerId> =
            all.iter().filter(|i| users.uses(&i.id)).flat_map(|i| i.layers.iter().copied()).collect();
        let (mut image_bytes, mut unused_bytes) = (0, 0);
        for layer in owners.keys() {
            image_bytes += bytes(layer)?;
            unused_bytes += if used.contains(layer) { 0 } else { bytes(layer)? };
        }
        for layer in store.loose_layers()? {
            image_bytes += bytes(&layer)?;
            unused_bytes += bytes(&layer)?;
        }
        let mut images = Vec::new();
        for image in all {
            let distinct: BTreeSet<LayerId> = image.layers.iter().copied().collect();
            let mut shared = 0;
            for layer in distinct.iter().filter(|l| owners.get(l).is_some_and(|n| *n > 1)) {
                shared += bytes(layer)?;
            }
            let by_id = made.get(image.id.to_string().as_str()).copied().unwrap_or(0);
            images.push(ImageUse {
                shared,
                containers: by_id.max(usize::from(users.uses(&image.id))),
                image,
            });
        }
        Ok(Self { images, containers, volumes, cache: cached(cx, store)?, image_bytes, unused_bytes })
    }

    /// Bytes of the build cache that no image has.
    pub(super) fn cache_bytes(&self) -> u64 {
        let mut seen = BTreeSet::new();
        let own = |c: &&Cached| !c.shared && c.record.layer.is_none_or(|l| seen.insert(l));
        self.cache.iter().filter(own).map(|c| c.bytes).sum()
    }
}

/// The containers of all projects.
pub(super) fn containers(cx: &Context) -> Result<Vec<ContainerUse>, Failure> {
    let mut out = Vec::new();
    for project in rcompose_machine::list_projects(&cx.dirs)? {
        let Some(record) = cx.record(&project)? else { continue };
        for container in record.observed.containers.into_values() {
            let upper = cx.dirs.container(&project, &container.spec.id).join("upper");
            let bytes = size(&upper, &mut BTreeSet::new())
                .map_err(|e| Failure::io(format_args!("look at container {}", container.spec.name), &e))?;
            out.push(ContainerUse { project: project.clone(), container, bytes });
        }
    }
    Ok(out)
}

/// Sum of the lengths of the files below, each once. What goes away meanwhile doesn't count.
fn size(dir: &Path, seen: &mut BTreeSet<(u64, u64)>) -> io::Result<u64> {
    let gone = |e: &io::Error| e.kind() == io::ErrorKind::NotFound;
    let listed = match fs::read_dir(dir) {
        Err(e) if gone(&e) => return Ok(0),
        listed => listed?,
    };
    let mut sum = 0;
    for entry in listed {
        let entry = entry?;
        let meta = match entry.metadata() {
            Err(e) if gone(&e) => continue,
            meta => meta?,
        };
        if meta.is_dir() {
            sum += size(&entry.path(), seen)?;
        } else if meta.is_file() && (meta.nlink() == 1 || seen.insert((meta.dev(), meta.ino()))) {
            sum += meta.len();
        }
    }
    Ok(sum)
}
