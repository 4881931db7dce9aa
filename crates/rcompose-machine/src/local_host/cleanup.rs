//! Cleaning up: what a crash left half-done, and what a project leaves when its supervisor ends.

use std::path::Path;

use rcompose_plan::{ContainerState, ContainerStatus};

use super::LocalHost;
use super::containers::remove_cgroup;
use crate::files::{read_json, remove_file, remove_tree};
use crate::records::list_dir;
use crate::{StateError, claims, volumes};

impl LocalHost {
    /// Finishes what a crash left half-done.
    pub(super) fn sweep(&self) -> Result<(), StateError> {
        {
            let file = self.file.borrow();
            let keep: Vec<_> = file.networks.values().collect();
            claims::sweep(&self.dirs, &self.project, &keep)?;
        }
        let all = self.dirs.project(&self.project).join("containers");
        let mut swept = false;
        for name in list_dir(&all)? {
            let dir = all.join(&name);
            let state: Option<ContainerState> = read_json(&dir.join("state.json"))?;
            let status = state.map(|s| s.status);
            let removing = status == Some(ContainerStatus::Removing);
            if removing || !dir.join("spec.json").exists() {
                remove_cgroup(&dir);
                remove_tree(&dir)?;
                swept = true;
            } else if matches!(
                status,
                Some(ContainerStatus::Running | ContainerStatus::Paused | ContainerStatus::Restarting)
            ) {
                // Who looked while its keeper was dying saw it run.
                swept |= !self.found.borrow().iter().any(|f| f.id.as_str() == name);
            }
        }
        for name in &self.file.borrow().volumes {
            if volumes::half_removed(&self.dirs, name) {
                volumes::remove(&self.dirs, name)?;
                swept = true;
            }
        }
        if swept {
            // Plans made before may count on what is gone or has ended now: their turn is over.
            let mut file = self.file.borrow_mut();
            file.generation += 1;
            file.write(&self.dirs, &self.project)?;
        }
        Ok(())
    }

    /// Removes the socket, and the directories of a project of which nothing is left.
    pub(super) fn clean_up(&self, run: &Path) -> Result<(), StateError> {
        remove_file(&run.join("sock"))?;
        let empty = {
            let file = self.file.borrow();
            file.networks.is_empty()
                && file.volumes.iter().all(|v| !self.dirs.volume(v).exists())
                && list_dir(&self.dirs.project(&self.project).join("containers"))?.is_empty()
        };
        let left_volumes = !self.file.borrow().volumes.is_empty();
        let bare = self.file.borrow().networks.is_empty()
            && list_dir(&self.dirs.project(&self.project).join("containers"))?.is_empty();
        if empty || (bare && left_volumes) {
            remove_tree(&self.dirs.project(&self.project))?;
            remove_tree(run)?;
        }
        Ok(())
    }
}
