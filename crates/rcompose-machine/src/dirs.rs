use std::path::{Path, PathBuf};

use rcompose_model::ProjectName;
use rcompose_plan::{ContainerId, hash_hex};

/// Where everything of one installation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dirs {
    /// Images, volumes, project records.
    pub lib: PathBuf,
    /// Sockets, locks, pinned network namespaces.
    pub run: PathBuf,
}

impl Dirs {
    /// Everything under one directory (`RCOMPOSE_ROOT`).
    pub fn under(root: &Path) -> Self {
        Self { lib: root.join("lib"), run: root.join("run") }
    }

    /// `/var/lib/rcompose` and `/run/rcompose`.
    pub fn system() -> Self {
        Self { lib: "/var/lib/rcompose".into(), run: "/run/rcompose".into() }
    }

    /// The image store.
    pub fn images(&self) -> PathBuf {
        self.lib.join("images")
    }

    /// Projects that came from elsewhere.
    pub fn remote(&self) -> PathBuf {
        self.lib.join("remote")
    }

    /// The build cache's records.
    pub fn build_cache(&self) -> PathBuf {
        self.lib.join("build-cache")
    }

    /// All volumes.
    pub fn volumes(&self) -> PathBuf {
        self.lib.join("volumes")
    }

    /// One volume: its record and `_data`.
    pub fn volume(&self, name: &str) -> PathBuf {
        self.volumes().join(name)
    }

    /// All projects' records.
    pub fn projects(&self) -> PathBuf {
        self.lib.join("projects")
    }

    /// One project's records.
    pub fn project(&self, project: &ProjectName) -> PathBuf {
        self.projects().join(project.as_str())
    }

    /// One container's records, upper directory and log.
    pub fn container(&self, project: &ProjectName, id: &ContainerId) -> PathBuf {
        self.project(project).join("containers").join(id.as_str())
    }

    /// A container's log.
    pub fn log_file(&self, project: &ProjectName, id: &ContainerId) -> PathBuf {
        self.container(project, id).join("log")
    }

    /// One project's socket, locks and pins.
    pub fn project_run(&self, project: &ProjectName) -> PathBuf {
        self.run.join("projects").join(project.as_str())
    }

    /// Where a network's namespace is pinned.
    pub fn netns_pin(&self, project: &ProjectName, network_id: &str) -> PathBuf {
        self.project_run(project).join("netns").join(&network_id[..network_id.len().min(12)])
    }

    /// Claims on subnets and uplink numbers, one symbolic link each.
    pub fn claims(&self) -> PathBuf {
        self.run.join("claims")
    }

    /// Eight hexadecimal digits that tell this installation from every other on the machine.
    pub fn root_hash(&self) -> String {
        hash_hex(&[&self.lib.to_string_lossy(), &self.run.to_string_lossy()])[..8].to_owned()
    }

    /// Eight hexadecimal digits for kernel objects of one project.
    pub fn project_hash(&self, project: &ProjectName) -> String {
        hash_hex(&[&self.root_hash(), project.as_str()])[..8].to_owned()
    }
}
