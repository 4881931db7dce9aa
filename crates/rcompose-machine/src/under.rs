//! What lies below the root file systems of containers: not every file system bears an overlay.

use std::path::Path;

use rcompose_engine::{FailureKind, StepFailure};
use rcompose_runtime::{ChildError, Stage};

/// Names by statfs(2)'s numbers.
const NAMES: [(u64, &str); 9] = [
    (0x794c_7630, "an overlay itself, as in a container"),
    (0x6969, "on NFS"),
    (0xff53_4d42, "on CIFS"),
    (0xfe53_4d42, "on SMB"),
    (0x0102_1997, "on 9p"),
    (0x6573_5546, "on FUSE"),
    (0x4d44, "on FAT"),
    (0x2011_bab0, "on exFAT"),
    (0x2fc1_2fc1, "on ZFS"),
];

/// Tells of a failure that is the file system's around `upper`.
pub(crate) fn explained(failure: StepFailure, child: &ChildError, upper: &Path) -> StepFailure {
    if child.stage != Stage::Rootfs || child.detail != "overlay" {
        return failure;
    }
    let kind = rustix::fs::statfs(upper).map(|s| s.f_type as u64);
    match NAMES.iter().find(|(magic, _)| kind == Ok(*magic)) {
        None => failure,
        Some((_, name)) => {
            let at = upper.display();
            let message = format!("{}: {at} is {name}, where the kernel makes no overlay", failure.message);
            StepFailure { kind: FailureKind::Environment, message, ..failure }.hint(
                "keep rcompose's files on ext4, xfs, btrfs or tmpfs: mount one (in a container: a volume) on \
                 /var/lib/rcompose, or name a directory of one by RCOMPOSE_ROOT",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_the_file_systems() {
        let failure = || StepFailure::new(FailureKind::User, "no");
        let told = |stage, detail: &str, upper: &str| {
            let child = ChildError { stage, errno: 22, detail: detail.to_owned() };
            explained(failure(), &child, Path::new(upper)).message
        };
        assert_eq!(told(Stage::Rootfs, "overlay", "/proc"), "no");
        assert_eq!(told(Stage::Mount, "overlay", "/"), "no");
        assert_eq!(told(Stage::Rootfs, "overlay", "/nowhere"), "no");
    }
}
