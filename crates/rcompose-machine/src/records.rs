use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rcompose_model::ProjectName;
use rcompose_plan::{
    ContainerId, ContainerSpec, ContainerState, ContainerStatus, NetworkSpec, Observed, ObservedContainer,
    VolumeSpec,
};
use serde::{Deserialize, Serialize};

use crate::files::{read_json, write_json};
use crate::{Dirs, StateError};

/// Version of the records' form.
const VERSION: u32 = 1;

/// What is known of a project besides its resources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectMeta {
    /// Project directory.
    pub working_dir: PathBuf,
    /// Compose files.
    pub config_files: Vec<PathBuf>,
}

/// A project as its records show it.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectRecord {
    /// What is known of it.
    pub meta: ProjectMeta,
    /// Its networks, containers and volumes; without facts of the host.
    pub observed: Observed,
}

/// `project.json`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct ProjectFile {
    pub(crate) version: u32,
    pub(crate) generation: u64,
    pub(crate) meta: ProjectMeta,
    pub(crate) networks: BTreeMap<String, NetworkSpec>,
    pub(crate) volumes: BTreeSet<String>,
}

/// `exit.json`: written by the keeper, the only one who always sees an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExitFile {
    pub(crate) code: i32,
    pub(crate) at: i64,
    pub(crate) oom_killed: bool,
}

impl ProjectFile {
    pub(crate) fn read(dirs: &Dirs, project: &ProjectName) -> Result<Option<Self>, StateError> {
        read_json(&dirs.project(project).join("project.json"))
    }

    pub(crate) fn write(&mut self, dirs: &Dirs, project: &ProjectName) -> Result<(), StateError> {
        self.version = VERSION;
        write_json(&dirs.project(project).join("project.json"), self)
    }
}

/// True while a keeper of the project lives: it holds a lock that dies with it.
pub(crate) fn keeper_alive(dirs: &Dirs, project: &ProjectName) -> bool {
    let Ok(file) = fs::File::open(dirs.project_run(project).join("keeper.lock")) else {
        return false;
    };
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared).is_err()
}

/// Reads a project's records: a few small files, nobody else's.
pub fn read_project(dirs: &Dirs, project: &ProjectName) -> Result<Option<ProjectRecord>, StateError> {
    let Some(file) = ProjectFile::read(dirs, project)? else { return Ok(None) };
    let alive = keeper_alive(dirs, project);
    let mut observed = Observed {
        generation: file.generation,
        networks: file.networks,
        containers: read_containers(dirs, project, alive)?,
        ..Observed::default()
    };
    for name in &file.volumes {
        if let Some(v) = read_volume(dirs, name)? {
            observed.volumes.insert(name.clone(), v);
        }
    }
    Ok(Some(ProjectRecord { meta: file.meta, observed }))
}

/// A volume's record.
pub fn read_volume(dirs: &Dirs, name: &str) -> Result<Option<VolumeSpec>, StateError> {
    read_json(&dirs.volume(name).join("volume.json"))
}

/// All volumes of the installation.
pub fn list_volumes(dirs: &Dirs) -> Result<Vec<VolumeSpec>, StateError> {
    let mut out = Vec::new();
    for name in list_dir(&dirs.volumes())? {
        out.extend(read_volume(dirs, &name)?);
    }
    Ok(out)
}

pub(crate) fn read_containers(
    dirs: &Dirs,
    project: &ProjectName,
    alive: bool,
) -> Result<BTreeMap<ContainerId, ObservedContainer>, StateError> {
    let mut out = BTreeMap::new();
    for name in list_dir(&dirs.project(project).join("containers"))? {
        let Some(id) = ContainerId::from_text(&name) else { continue };
        let dir = dirs.container(project, &id);
        // A directory without a spec is one that a crash left before it was recorded, or in the
        // middle of its removal: the supervisor sweeps it.
        let Some(spec) = read_json::<ContainerSpec>(&dir.join("spec.json"))? else { continue };
        let mut state = read_json::<ContainerState>(&dir.join("state.json"))?.unwrap_or_default();
        if !alive {
            settle_dead(&dir, &mut state)?;
        }
        out.insert(id, ObservedContainer { spec, state });
    }
    Ok(out)
}

/// Without a keeper nothing runs, whatever the record says: containers die with it.
pub(crate) fn settle_dead(dir: &Path, state: &mut ContainerState) -> Result<(), StateError> {
    let ran = matches!(
        state.status,
        ContainerStatus::Running | ContainerStatus::Paused | ContainerStatus::Restarting
    );
    if !ran {
        return Ok(());
    }
    let exit = read_json::<ExitFile>(&dir.join("exit.json"))?;
    state.status = ContainerStatus::Exited;
    state.pid = None;
    state.ports.clear();
    match exit.filter(|e| Some(e.at) >= state.started_at) {
        Some(e) => {
            state.exit_code = Some(e.code);
            state.finished_at = Some(e.at);
            state.oom_killed = e.oom_killed;
        }
        // Killed together with its keeper.
        None => state.exit_code = Some(137),
    }
    Ok(())
}

/// Names of all projects with records.
pub fn list_projects(dirs: &Dirs) -> Result<Vec<ProjectName>, StateError> {
    Ok(list_dir(&dirs.projects())?.into_iter().filter_map(|n| ProjectName::new(n).ok()).collect())
}

pub(crate) fn list_dir(path: &Path) -> Result<Vec<String>, StateError> {
    let entries = match fs::read_dir(path) {
        Ok(e) => e,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(StateError::read(path, e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| StateError::read(path, e))?;
        if let Ok(name) = entry.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
