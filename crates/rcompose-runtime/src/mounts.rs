//! From the mounts, devices and paths of a spec to steps.

use std::ffi::CString;
use std::path::Path;

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType, Mount, Spec};

use crate::create::InjectedFile;
use crate::error::CreateError;
use crate::ops::{Bind, FileSystem, MASK_SLOT, Op};
use crate::options;
use crate::overlay::Overlay;
use crate::rootfs::{Root, c_path};
use crate::sys::MountAttr;

/// The steps that make the file system, and how many slots they need.
pub(crate) struct Steps {
    pub(crate) ops: Vec<Op>,
    pub(crate) slots: usize,
}

/// `v1`: mounted cgroup v1 hierarchies as (directory name, mount options); empty where only v2 is.
pub(crate) fn steps(
    spec: &Spec,
    root: Root,
    files: &[InjectedFile],
    v1: &[(String, String)],
) -> Result<Steps, CreateError> {
    let mut plan =
        Plan { sources: Vec::new(), mounts: Vec::new(), slots: MASK_SLOT + 1, propagation: libc::MS_PRIVATE };
    for mount in spec.mounts().iter().flatten() {
        plan.mount(mount, v1)?;
    }
    for file in files {
        let options = options::Options::default();
        plan.bind(&file.source, &file.path, options)?;
    }
    let mut ops = vec![Op::Propagation(libc::MS_REC | plan.propagation)];
    ops.append(&mut plan.sources);
    ops.push(Op::EnterRoot(root));
    ops.append(&mut plan.mounts);
    let linux = spec.linux().as_ref();
    let own_dev = !spec
        .mounts()
        .iter()
        .flatten()
        .any(|mount| mount.destination() == Path::new("/dev") && mount.typ().as_deref() != Some("tmpfs"));
    if own_dev {
        devices(&mut ops, linux.and_then(|linux| linux.devices().as_deref()).unwrap_or_default())?;
    }
    if let Some(linux) = linux {
        for (key, value) in linux.sysctl().iter().flatten() {
            // sysctl(8): a slash in a name stands for itself when the name starts with slashes only; dots separate.
            let path =
                format!("/proc/sys/{}", if key.contains('/') { key.clone() } else { key.replace('.', "/") });
            ops.push(Op::Sysctl { path: text(&path, "a sysctl")?, value: text(value, "a sysctl")? });
        }
        for path in linux.readonly_paths().iter().flatten() {
            ops.push(Op::ReadOnly(text(path, "a path")?));
        }
        for path in linux.masked_paths().iter().flatten() {
            ops.push(Op::Mask(text(path, "a path")?));
        }
    }
    Ok(Steps { ops, slots: plan.slots })
}

pub(crate) fn text(value: &str, what: &'static str) -> Result<CString, CreateError> {
    CString::new(value).map_err(|_| CreateError::Nul(what))
}

struct Plan {
    sources: Vec<Op>,
    mounts: Vec<Op>,
    slots: usize,
    propagation: libc::c_ulong,
}

impl Plan {
    fn mount(&mut self, mount: &Mount, v1: &[(String, String)]) -> Result<(), CreateError> {
        let options = options::parse(mount.options().as_deref().unwrap_or_default());
        let target = mount.destination();
        if !target.is_absolute() {
            return Err(CreateError::Spec(format!("mount destination {target:?} is not absolute")));
        }
        let kind = mount.typ().as_deref().unwrap_or("none");
        if options.bind || kind == "bind" {
            let source = mount
                .source()
                .as_deref()
                .ok_or_else(|| CreateError::Spec(format!("bind mount {target:?} has no source")))?;
            return self.bind(source, target, options);
        }
        if kind == "cgroup" {
            return self.cgroup(target, options, v1);
        }
        let source = mount.source().as_deref().unwrap_or(Path::new("none"));
        self.file_system(kind, source, target, options)
    }

    fn bind(&mut self, source: &Path, target: &Path, options: options::Options) -> Result<(), CreateError> {
        // A mount that shares with the host needs our tree to go on hearing from the host's.
        if matches!(options.attr.propagation, libc::MS_SHARED | libc::MS_SLAVE) {
            self.propagation = libc::MS_SLAVE;
        }
        let slot = self.slots;
        self.slots += 1;
        self.sources.push(Op::OpenSource { slot, path: c_path(source)?, recursive: options.bind_recursive });
        self.mounts.push(Op::Bind(Bind {
            slot,
            target: c_path(target)?,
            attr: options.attr,
            recursive: options.recursive,
            propagation_recursive: options.propagation_recursive,
        }));
        Ok(())
    }

    fn file_system(
        &mut self,
        kind: &str,
        source: &Path,
        target: &Path,
        options: options::Options,
    ) -> Result<(), CreateError> {
        let data = options
            .data
            .iter()
            .map(|(key, value)| {
                let value = value.as_deref().map(|value| text(value, "a mount option")).transpose()?;
                Ok((text(key, "a mount option")?, value))
            })
            .collect::<Result<Vec<_>, CreateError>>()?;
        let attr = MountAttr {
            set: options.attr.set | options.recursive.set,
            propagation: options.attr.propagation,
            ..MountAttr::default()
        };
        if kind == "overlay" {
            return self.overlay(target, data, attr);
        }
        self.mounts.push(Op::Mount(FileSystem {
            mode_of_target: kind == "tmpfs" && !options.data.iter().any(|(key, _)| key == "mode"),
            kind: text(kind, "a file system type")?,
            source: c_path(source)?,
            target: c_path(target)?,
            data,
            attr,
        }));
        Ok(())
    }

    /// Its layers are paths of the host: it is made before they are out of reach. Each is an option `lowerdir+`.
    fn overlay(
        &mut self,
        target: &Path,
        data: Vec<(CString, Option<CString>)>,
        attr: MountAttr,
    ) -> Result<(), CreateError> {
        let (lowers, options): (Vec<_>, Vec<_>) =
            data.into_iter().partition(|(key, _)| key.as_c_str() == c"lowerdir+");
        let overlay = Overlay::new(lowers.into_iter().filter_map(|(_, path)| path).collect(), options)?;
        let slot = self.slots;
        self.slots += 1;
        self.mounts.push(Op::Bind(Bind {
            slot,
            target: c_path(target)?,
            attr: MountAttr { propagation: attr.propagation, ..MountAttr::default() },
            recursive: MountAttr::default(),
            propagation_recursive: false,
        }));
        self.sources.push(Op::OpenOverlay { slot, overlay, attributes: attr.set });
        Ok(())
    }

    /// The type "cgroup" means what the host has: one v2 tree, or a directory of v1 hierarchies.
    fn cgroup(
        &mut self,
        target: &Path,
        options: options::Options,
        v1: &[(String, String)],
    ) -> Result<(), CreateError> {
        let attr = options.attr;
        if v1.is_empty() {
            let options = options::Options { attr, ..options::Options::default() };
            return self.file_system("cgroup2", Path::new("cgroup"), target, options);
        }
        let data = vec![("mode".to_owned(), Some("755".to_owned()))];
        let writable = MountAttr { set: attr.set & !crate::sys::MOUNT_ATTR_RDONLY, ..attr };
        let options = options::Options { attr: writable, data, ..options::Options::default() };
        self.file_system("tmpfs", Path::new("cgroup"), target, options)?;
        for (directory, controllers) in v1 {
            let data = controllers
                .split(',')
                .map(|option| match option.split_once('=') {
                    Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                    None => (option.to_owned(), None),
                })
                .collect();
            let options = options::Options { attr, data, ..options::Options::default() };
            self.file_system("cgroup", Path::new("cgroup"), &target.join(directory), options)?;
            for name in controllers.split(',').filter(|name| *name != directory && !name.contains('=')) {
                self.mounts
                    .push(Op::Link { to: text(directory, "a path")?, path: c_path(&target.join(name))? });
            }
        }
        if attr.set & crate::sys::MOUNT_ATTR_RDONLY != 0 {
            // The hierarchies in it would be hidden by a copy of it.
            self.mounts.push(Op::ReadOnlyMount(c_path(target)?));
        }
        Ok(())
    }
}

/// The devices and links that runtime-spec's config-linux.md promises, and those of the spec.
fn devices(ops: &mut Vec<Op>, more: &[LinuxDevice]) -> Result<(), CreateError> {
    let default = [
        (c"/dev/null", 1, 3),
        (c"/dev/zero", 1, 5),
        (c"/dev/full", 1, 7),
        (c"/dev/random", 1, 8),
        (c"/dev/urandom", 1, 9),
        (c"/dev/tty", 5, 0),
    ];
    for (path, major, minor) in default {
        ops.push(Op::Node {
            path: path.into(),
            mode: libc::S_IFCHR | 0o666,
            device: libc::makedev(major, minor),
            uid: 0,
            gid: 0,
        });
    }
    for device in more {
        let kind = match device.typ() {
            LinuxDeviceType::B => libc::S_IFBLK,
            LinuxDeviceType::C | LinuxDeviceType::U => libc::S_IFCHR,
            LinuxDeviceType::P => libc::S_IFIFO,
            LinuxDeviceType::A => {
                return Err(CreateError::Spec(format!("device {:?} can't be of every type", device.path())));
            }
        };
        ops.push(Op::Node {
            path: c_path(device.path())?,
            mode: kind | (device.file_mode().unwrap_or(0o666) & 0o7777),
            device: libc::makedev(device.major() as u32, device.minor() as u32),
            uid: device.uid().unwrap_or(0),
            gid: device.gid().unwrap_or(0),
        });
    }
    for (to, path) in [
        (c"/proc/self/fd", c"/dev/fd"),
        (c"/proc/self/fd/0", c"/dev/stdin"),
        (c"/proc/self/fd/1", c"/dev/stdout"),
        (c"/proc/self/fd/2", c"/dev/stderr"),
        (c"/proc/kcore", c"/dev/core"),
        (c"pts/ptmx", c"/dev/ptmx"),
    ] {
        ops.push(Op::Link { to: to.into(), path: path.into() });
    }
    Ok(())
}
