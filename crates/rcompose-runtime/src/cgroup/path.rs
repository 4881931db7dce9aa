//! A container's place: one directory in each hierarchy that matters.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxResources;
use rustix::fs::{Mode, OFlags};

use super::layout::{self, Layout};
use super::limits;
use crate::error::Warning;

/// The v1 controllers that every container gets; those with limits only when there are limits would have to be
/// created later for an update, so they are made at once.
const NEEDED: [&str; 7] = ["memory", "cpu", "cpuacct", "cpuset", "pids", "devices", "blkio"];

/// What the v2 tree must be able to give.
const V2_CONTROLLERS: [&str; 5] = ["cpu", "memory", "pids", "cpuset", "io"];

/// Failure with a cgroup.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// A file or directory of the hierarchy.
    #[error("failed to {action} {path:?}")]
    Path {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A limit was asked for, and nothing here can enforce it.
    #[error("this machine has no cgroup controller for {0}")]
    NoController(&'static str),
    /// Names are relative paths without "..".
    #[error("{0:?} can't be the name of a cgroup")]
    Name(String),
    /// The device filter.
    #[error("failed to {action}")]
    Devices {
        /// What was being done.
        action: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl CgroupError {
    pub(super) fn path(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> CgroupError {
        let path = path.into();
        move |source| CgroupError::Path { action, path, source }
    }
}

/// A container's directory in each hierarchy.
#[derive(Clone, Debug)]
pub struct CgroupPath {
    pub(super) layout: Layout,
    pub(super) name: PathBuf,
    pub(super) v1: Vec<(Vec<String>, PathBuf)>,
    pub(super) v2: Option<PathBuf>,
}

/// Open doors into a cgroup.
pub(crate) struct Entries {
    /// `tasks` of each v1 directory, for writing.
    pub(crate) v1: Vec<OwnedFd>,
    /// The v2 directory, for clone3.
    pub(crate) v2: Option<OwnedFd>,
}

impl CgroupPath {
    /// `name` may have several parts (`rcompose/<project>/<container>`). Lies below the caller's own cgroup; in v2 below the
    /// nearest ancestor that can hand on controllers, because a cgroup with processes can't (cgroups(7), "no internal
    /// processes"). Reads only; see [`CgroupPath::create`].
    pub fn new(name: &str) -> Result<CgroupPath, CgroupError> {
        let ok = Path::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if name.is_empty() || !ok {
            return Err(CgroupError::Name(name.to_owned()));
        }
        let read = |path: &str| fs::read_to_string(path).map_err(CgroupError::path("read", path));
        let layout = layout::parse(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?);
        let v1 = layout
            .v1
            .iter()
            .filter(|hierarchy| hierarchy.controllers.iter().any(|name| NEEDED.contains(&name.as_str())))
            .map(|hierarchy| (hierarchy.controllers.clone(), hierarchy.own.join(name)))
            .collect();
        let v2 = match &layout.v2 {
            Some((mount, own)) => Some(delegating(mount, own, layout.v1.is_empty()).join(name)),
            None => None,
        };
        Ok(CgroupPath { v1, v2, name: name.into(), layout })
    }

    /// The cgroup that another process, perhaps elsewhere in the hierarchies, recorded as `name` and
    /// [`CgroupPath::directories`]. Directories in hierarchies that are no longer mounted are left out.
    pub fn from_record(name: &str, directories: &[PathBuf]) -> Result<CgroupPath, CgroupError> {
        let mut path = CgroupPath::new(name)?;
        path.v1 = path
            .layout
            .v1
            .iter()
            .filter_map(|hierarchy| {
                let directory =
                    directories.iter().find(|directory| directory.starts_with(&hierarchy.mount))?;
                Some((hierarchy.controllers.clone(), directory.clone()))
            })
            .collect();
        path.v2 = path
            .layout
            .v2
            .as_ref()
            .and_then(|(mount, _)| {
                directories.iter().find(|directory| {
                    directory.starts_with(mount) && !path.v1.iter().any(|(_, known)| known == *directory)
                })
            })
            .cloned();
        Ok(path)
    }

    /// Every directory, for the record.
    pub fn directories(&self) -> impl Iterator<Item = &Path> {
        self.v1.iter().map(|(_, path)| path.as_path()).chain(self.v2.as_deref())
    }

    /// Makes the directories and applies limits. What is there under that name already is what a killed caller left:
    /// its processes are ended and it is made anew. The kernel remembers that a cgroup was killed and kills whoever is
    /// cloned into it later (seen on 6.18), and its old limits would stay.
    pub fn create(&self, resources: Option<&LinuxResources>) -> Result<Vec<Warning>, CgroupError> {
        if !self.make_directories()? {
            self.kill()?;
            self.remove()?;
            self.make_directories()?;
        }
        for (controllers, path) in &self.v1 {
            if controllers.iter().any(|name| name == "cpuset") {
                self.inherit_cpuset(path)?;
            }
        }
        if let Some(path) = &self.v2 {
            self.enable(path)?;
        }
        match resources {
            Some(resources) => limits::apply(self, resources),
            None => Ok(Vec::new()),
        }
    }

    /// Whether all of them are new.
    fn make_directories(&self) -> Result<bool, CgroupError> {
        let mut new = true;
        for path in self.directories() {
            new &= make_leaf(path).map_err(CgroupError::path("create cgroup", path))?;
        }
        Ok(new)
    }

    /// A new v1 cpuset is empty, and nothing can run in it (cpuset(7)): each level takes what the one above has.
    fn inherit_cpuset(&self, leaf: &Path) -> Result<(), CgroupError> {
        let levels: Vec<&Path> = leaf.ancestors().take(self.name.components().count()).collect();
        for level in levels.into_iter().rev() {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let path = level.join(file);
                if fs::read_to_string(&path).map_err(CgroupError::path("read", &path))?.trim().is_empty() {
                    let above = level.parent().unwrap_or(level).join(file);
                    let value = fs::read(&above).map_err(CgroupError::path("read", &above))?;
                    fs::write(&path, value).map_err(CgroupError::path("write", &path))?;
                }
            }
        }
        Ok(())
    }

    /// Hands controllers down to a v2 leaf, level by level.
    fn enable(&self, leaf: &Path) -> Result<(), CgroupError> {
        let levels: Vec<&Path> = leaf.ancestors().skip(1).take(self.name.components().count()).collect();
        for level in levels.into_iter().rev() {
            let missing = missing(level);
            if !missing.is_empty() {
                let path = level.join("cgroup.subtree_control");
                fs::write(&path, missing).map_err(CgroupError::path("write", path))?;
            }
        }
        Ok(())
    }

    /// Opens what a process needs to get in.
    pub(crate) fn entries(&self) -> Result<Entries, CgroupError> {
        let open = |path: &Path, flags| {
            rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty())
                .map_err(|errno| CgroupError::path("open", path)(errno.into()))
        };
        Ok(Entries {
            // `tasks`, not `cgroup.procs`: who moves the single thread that it is itself needs no lock that all forks
            // and exits of the machine share, and so no RCU grace period, which takes 5 to 15 ms
            // (cgroup_procs_write_start in kernel/cgroup/cgroup.c).
            v1: self
                .v1
                .iter()
                .map(|(_, path)| open(&path.join("tasks"), OFlags::WRONLY))
                .collect::<Result<_, _>>()?,
            v2: self.v2.as_deref().map(|path| open(path, OFlags::DIRECTORY | OFlags::RDONLY)).transpose()?,
        })
    }

    /// The v1 hierarchies as (directory name, mount options), for the container's own /sys/fs/cgroup.
    pub(crate) fn hierarchies(&self) -> Vec<(String, String)> {
        let v1 = self.layout.v1.iter().filter_map(|hierarchy| {
            let name = hierarchy.mount.file_name()?.to_str()?.to_owned();
            let mut options = hierarchy.controllers.join(",");
            if options.starts_with("name=") {
                options = format!("none,{options}");
            }
            Some((name, options))
        });
        v1.collect()
    }

    /// The directory with this controller, and whether it is a v1 one.
    pub(super) fn controller(&self, name: &str) -> Option<(&Path, bool)> {
        if let Some((_, path)) =
            self.v1.iter().find(|(controllers, _)| controllers.iter().any(|own| own == name))
        {
            return Some((path, true));
        }
        // Beside v1 hierarchies, v2 has only what they left.
        if self.v1.is_empty() { self.v2.as_deref().map(|path| (path, false)) } else { None }
    }
}

/// Makes a directory and those above it; whether it is new.
fn make_leaf(path: &Path) -> io::Result<bool> {
    // Whoever removes a neighbour takes empty directories above it along: then they are made once more.
    for _ in 0..100 {
        match fs::create_dir(path) {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(above) = path.parent() {
                    match fs::create_dir_all(above) {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                        _ => {}
                    }
                }
            }
            Err(error) => return Err(error),
        }
    }
    fs::create_dir(path).map(|()| true)
}

/// `+cpu +memory`: what is available in `level` and not yet handed down.
fn missing(level: &Path) -> String {
    let words = |file: &str| fs::read_to_string(level.join(file)).unwrap_or_default();
    let (available, enabled) = (words("cgroup.controllers"), words("cgroup.subtree_control"));
    let wanted = V2_CONTROLLERS.iter().filter(|name| {
        available.split_whitespace().any(|own| own == **name)
            && !enabled.split_whitespace().any(|own| own == **name)
    });
    wanted.map(|name| format!("+{name} ")).collect::<String>().trim().to_owned()
}

/// The nearest cgroup from `own` upwards that hands down, or can, what limits need.
fn delegating(mount: &Path, own: &Path, only_v2: bool) -> PathBuf {
    if !only_v2 {
        return own.to_owned();
    }
    let able = |level: &Path| {
        let has = fs::read_to_string(level.join("cgroup.controllers")).unwrap_or_default();
        let complete =
            ["cpu", "memory", "pids"].iter().all(|name| has.split_whitespace().any(|own| own == *name));
        // The real root is the one exception to the rule: it has no cgroup.type, and may have processes.
        let empty = !level.join("cgroup.type").exists()
            || fs::read_to_string(level.join("cgroup.procs")).is_ok_and(|pids| pids.is_empty());
        complete && empty
    };
    own.ancestors()
        .take_while(|level| level.starts_with(mount))
        .find(|level| able(level))
        .unwrap_or(mount)
        .to_owned()
}
