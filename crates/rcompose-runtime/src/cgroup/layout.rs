//! Which hierarchies this machine has, and where in them the caller is.

use std::path::{Path, PathBuf};

/// One mounted v1 hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    /// Its controllers, such as `cpu`, `cpuacct`; a named one has `name=systemd`.
    pub(super) controllers: Vec<String>,
    /// Where it is mounted.
    pub(super) mount: PathBuf,
    /// The caller's own directory in it.
    pub(super) own: PathBuf,
}

/// Everything that is mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) v1: Vec<Hierarchy>,
    /// Mount point and own directory of the v2 tree.
    pub(super) v2: Option<(PathBuf, PathBuf)>,
}

/// Reads the texts of /proc/self/mountinfo (proc_pid_mountinfo(5)) and /proc/self/cgroup (cgroups(7)).
pub(super) fn parse(mountinfo: &str, own: &str) -> Layout {
    let mut layout = Layout::default();
    for line in mountinfo.lines() {
        let Some((place, kind)) = line.split_once(" - ") else { continue };
        let mut place = place.split(' ').skip(3);
        let (Some(root), Some(mount)) = (place.next(), place.next()) else { continue };
        let mut kind = kind.split(' ');
        let (kind, options) = (kind.next(), kind.nth(1).unwrap_or_default());
        match kind {
            Some("cgroup2") if layout.v2.is_none() => {
                let path = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
                layout.v2 = Some((mount.into(), below(mount, root, path)));
            }
            Some("cgroup") => {
                let found = own.lines().find_map(|line| {
                    let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
                    let all = !controllers.is_empty()
                        && controllers.split(',').all(|name| options.split(',').any(|option| option == name));
                    all.then_some((controllers, path))
                });
                let Some((controllers, path)) = found else { continue };
                let hierarchy = Hierarchy {
                    controllers: controllers.split(',').map(str::to_owned).collect(),
                    mount: mount.into(),
                    own: below(mount, root, path),
                };
                if !layout.v1.iter().any(|known| known.controllers == hierarchy.controllers) {
                    layout.v1.push(hierarchy);
                }
            }
            _ => {}
        }
    }
    layout
}

/// A mount may show only a part of the hierarchy: then paths are relative to its root.
fn below(mount: &str, root: &str, path: &str) -> PathBuf {
    let path = path.strip_prefix(root.trim_end_matches('/')).unwrap_or(path);
    Path::new(mount).join(path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hybrid() {
        let layout = parse(
            "30 29 0:26 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
             31 29 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:4 - cgroup cgroup rw,cpu,cpuacct\n\
             32 29 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
            "4:memory:/a/b\n3:cpuacct,cpu:/\n0::/u.slice\n",
        );
        assert_eq!(layout.v1.len(), 2);
        assert_eq!(layout.v1[0].own, Path::new("/sys/fs/cgroup/memory/a/b"));
        assert_eq!(layout.v1[1].own, Path::new("/sys/fs/cgroup/cpu,cpuacct/"));
        assert_eq!(
            layout.v2,
            Some(("/sys/fs/cgroup/unified".into(), "/sys/fs/cgroup/unified/u.slice".into()))
        );
    }

    #[test]
    fn inside_a_container() {
        let layout = parse(
            "1 1 0:1 /docker/x /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids\n",
            "1:pids:/docker/x/y\n",
        );
        assert_eq!(layout.v1[0].own, Path::new("/sys/fs/cgroup/pids/y"));
    }
}
