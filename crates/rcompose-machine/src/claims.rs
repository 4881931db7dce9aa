//! Who has which subnet and uplink: one symbolic link each, so that making one is asking and having at once.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;

use rcompose_model::ProjectName;
use rcompose_plan::NetworkSpec;

use crate::files::make_dir;
use crate::observe::Claim;
use crate::records::list_dir;
use crate::{Dirs, StateError};

fn names(spec: &NetworkSpec) -> [String; 2] {
    [Claim::Subnet(spec.subnet, spec.prefix).to_string(), Claim::Uplink(spec.uplink).to_string()]
}

/// Takes a network's subnet and uplink for a project. False when another project was faster.
pub(crate) fn take(dirs: &Dirs, project: &ProjectName, spec: &NetworkSpec) -> Result<bool, StateError> {
    let dir = dirs.claims();
    make_dir(&dir)?;
    for name in names(spec) {
        let path = dir.join(&name);
        match symlink(project.as_str(), &path) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                let owner = fs::read_link(&path).map_err(|e| StateError::read(&path, e))?;
                if owner.to_str() != Some(project.as_str()) {
                    return Ok(false);
                }
            }
            Err(e) => return Err(StateError::write(&path, e)),
        }
    }
    Ok(true)
}

/// Gives back what a network had. True when no network of this installation is left.
pub(crate) fn give_back(dirs: &Dirs, spec: &NetworkSpec) -> Result<bool, StateError> {
    for name in names(spec) {
        crate::files::remove_file(&dirs.claims().join(name))?;
    }
    Ok(list_dir(&dirs.claims())?.is_empty())
}

/// Gives back everything that a project without any network has (left by a crash before the record).
pub(crate) fn sweep(dirs: &Dirs, project: &ProjectName, keep: &[&NetworkSpec]) -> Result<(), StateError> {
    let kept: Vec<String> = keep.iter().flat_map(|s| names(s)).collect();
    for name in list_dir(&dirs.claims())? {
        let path = dirs.claims().join(&name);
        let ours = fs::read_link(&path).is_ok_and(|o| o.to_str() == Some(project.as_str()));
        if ours && !kept.contains(&name) {
            crate::files::remove_file(&path)?;
        }
    }
    Ok(())
}
