//! What of a plan is sure to fail, found before anything of it is done.
//!
//! Only what can't be otherwise counts: a command that a mount may bring, a port that an own container may give back,
//! are left to the start.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcompose_engine::StepFailure;
use rcompose_plan::{ContainerSpec, LocalOp, Plan, StepId};
use rcompose_runtime::layers::{Resolved, resolve};
use rcompose_runtime::{ChildError, Stage};

use super::LocalHost;
use crate::bundle;
use crate::keeper::child_failure;

/// Mounted in every container.
const ALWAYS_COVERED: [&str; 3] = ["/proc", "/sys", "/dev"];

impl LocalHost {
    /// The containers that this plan makes and starts and that can't be started as they are, with the step that would
    /// show it.
    pub(super) fn foreseen(&self, plan: &Plan) -> Vec<(StepId, StepFailure)> {
        let started: BTreeSet<_> = plan
            .steps
            .iter()
            .filter_map(|s| match &s.op {
                LocalOp::StartContainer { id } => Some(id),
                _ => None,
            })
            .collect();
        let made = plan.steps.iter().enumerate().filter_map(|(i, s)| match &s.op {
            LocalOp::CreateContainer { spec, .. } if started.contains(&spec.id) => Some((i, spec)),
            _ => None,
        });
        made.flat_map(|(i, spec)| self.flaws(spec).into_iter().map(move |f| (i, f))).collect()
    }

    fn flaws(&self, spec: &ContainerSpec) -> Vec<StepFailure> {
        let checks = [
            self.check_sources(spec),
            self.networks.check_ports(spec),
            bundle::check_users(spec),
            check_command(spec),
        ];
        checks.into_iter().filter_map(Result::err).collect()
    }
}

/// Whether the command is in the image, where nothing else can bring it.
fn check_command(spec: &ContainerSpec) -> Result<(), StepFailure> {
    let Some(command) = spec.argv.first().filter(|c| !c.is_empty()) else { return Ok(()) };
    let mounts = spec.mounts.iter().map(|m| m.target.as_str());
    let files = spec.files.iter().map(|f| f.target.as_str());
    let covers: Vec<PathBuf> = mounts.chain(files).chain(ALWAYS_COVERED).map(plain).collect();
    let covered = |place: &Path| covers.iter().any(|c| place.starts_with(c));
    let layers: Vec<&Path> = spec.image.layers.iter().map(PathBuf::as_path).collect();
    let cwd = Path::new(if spec.cwd.is_empty() { "/" } else { &spec.cwd });
    let errno = if command.contains('/') {
        match resolve(&layers, &cwd.join(command), &covered) {
            Ok(Resolved::Nothing) => rustix::io::Errno::NOENT,
            Ok(Resolved::Directory(_)) => rustix::io::Errno::ACCESS,
            Ok(Resolved::File(real)) if !executable(&real) => rustix::io::Errno::ACCESS,
            _ => return Ok(()),
        }
    } else {
        let path = spec.env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_str());
        let mut places = path.unwrap_or(bundle::DEFAULT_PATH).split(':');
        let absent = |place: &str| {
            let candidate = cwd.join(place).join(command);
            matches!(resolve(&layers, &candidate, &covered), Ok(Resolved::Nothing))
        };
        if !places.all(absent) {
            return Ok(());
        }
        rustix::io::Errno::NOENT
    };
    let error = ChildError { stage: Stage::Exec, errno: errno.raw_os_error(), detail: command.clone() };
    Err(child_failure(spec, &error))
}

/// Without the slash that may end a target.
fn plain(target: &str) -> PathBuf {
    Path::new(target).components().collect()
}

/// In doubt it is.
fn executable(file: &Path) -> bool {
    file.metadata().map_or(true, |m| m.permissions().mode() & 0o111 != 0)
}
