//! What the child does to the kernel, as data, and the one interpreter of it.

use std::ffi::{CStr, CString};

use crate::error::{At, Failure, Stage};
use crate::overlay::{Overlay, Trouble};
use crate::rootfs::Root;
use crate::sys::{self, MOUNT_ATTR_RDONLY, MountAttr, sys};
use crate::target;

/// One step. Paths of steps after [`Op::EnterRoot`] are the container's.
pub(crate) enum Op {
    /// Writes "0" (myself) to an open `tasks`.
    JoinCgroup {
        fd: i32,
    },
    /// setns(2) to an open namespace, or by a pidfd to several.
    SetNs {
        fd: i32,
        kinds: i32,
    },
    Unshare(i32),
    /// Changes the propagation of the whole tree, so that nothing mounted here reaches the host.
    Propagation(libc::c_ulong),
    /// Copies a mount of the host while its path can still be reached.
    OpenSource {
        slot: usize,
        path: CString,
        recursive: bool,
    },
    /// Makes an overlay while the host's paths that it is made of can still be reached.
    OpenOverlay {
        slot: usize,
        overlay: Overlay,
        /// `MOUNT_ATTR_*`.
        attributes: u64,
    },
    EnterRoot(Root),
    Mount(FileSystem),
    Bind(Bind),
    Node {
        path: CString,
        mode: u32,
        device: u64,
        uid: u32,
        gid: u32,
    },
    Link {
        to: CString,
        path: CString,
    },
    Mask(CString),
    ReadOnly(CString),
    /// A directory that must be there before the root is closed.
    MakeDirectory(CString),
    /// The mount at a path, not those below it.
    ReadOnlyMount(CString),
    Sysctl {
        path: CString,
        value: CString,
    },
    Hostname(CString),
    Domainname(CString),
    LoopbackUp,
}

/// A new file system at a place.
pub(crate) struct FileSystem {
    pub(crate) kind: CString,
    pub(crate) source: CString,
    pub(crate) target: CString,
    pub(crate) data: Vec<(CString, Option<CString>)>,
    pub(crate) attr: MountAttr,
    /// tmpfs without a mode of its own takes that of the directory it hides, as in runc.
    pub(crate) mode_of_target: bool,
}

/// A copied mount at a place.
pub(crate) struct Bind {
    pub(crate) slot: usize,
    pub(crate) target: CString,
    pub(crate) attr: MountAttr,
    pub(crate) recursive: MountAttr,
    pub(crate) propagation_recursive: bool,
}

/// Descriptors that steps hand on to later ones. As long as the highest slot, before the clone.
pub(crate) type Slots = Vec<i32>;

impl Op {
    pub(crate) fn run<'a>(&'a self, slots: &mut Slots) -> Result<(), Failure<'a>> {
        match self {
            Op::JoinCgroup { fd } => sys::write_all(*fd, b"0").at(Stage::Cgroup, b"tasks"),
            Op::SetNs { fd, kinds } => sys!(SYS_setns, *fd, *kinds).map(drop).at(Stage::Namespace, b"setns"),
            Op::Unshare(kinds) => sys!(SYS_unshare, *kinds).map(drop).at(Stage::Namespace, b"unshare"),
            Op::Propagation(flags) => sys!(SYS_mount, c"none".as_ptr(), c"/".as_ptr(), 0, *flags, 0)
                .map(drop)
                .at(Stage::Rootfs, b"propagation"),
            Op::OpenSource { slot, path, recursive } => {
                slots[*slot] = sys::open_tree(path, *recursive).at(Stage::MountSource, path.to_bytes())?;
                Ok(())
            }
            Op::OpenOverlay { slot, overlay, attributes } => {
                let stage = Stage::MountSource;
                let failure = |(errno, what): Trouble<'a>| Failure { stage, errno, detail: what.to_bytes() };
                slots[*slot] = overlay.open(*attributes).map_err(failure)?;
                Ok(())
            }
            Op::EnterRoot(root) => root.enter(),
            Op::Mount(mount) => mount.run().at(Stage::Mount, mount.target.to_bytes()),
            Op::Bind(bind) => bind.run(slots[bind.slot]).at(Stage::Mount, bind.target.to_bytes()),
            Op::Node { path, mode, device, uid, gid } => {
                node(path, *mode, *device, *uid, *gid).at(Stage::Device, path.to_bytes())
            }
            Op::Link { to, path } => match sys!(SYS_symlinkat, to.as_ptr(), libc::AT_FDCWD, path.as_ptr()) {
                Ok(_) | Err(libc::EEXIST) => Ok(()),
                Err(errno) => Err(errno).at(Stage::Device, path.to_bytes()),
            },
            Op::Mask(path) => mask(path, slots).at(Stage::Mask, path.to_bytes()),
            Op::ReadOnly(path) => read_only(path).at(Stage::Mask, path.to_bytes()),
            Op::MakeDirectory(path) => {
                target::open_or_make(path, true).map(sys::close).at(Stage::WorkingDirectory, path.to_bytes())
            }
            Op::ReadOnlyMount(path) => read_only_mount(path).at(Stage::Rootfs, path.to_bytes()),
            Op::Sysctl { path, value } => {
                sys::write_file(path, value.to_bytes()).at(Stage::Sysctl, path.to_bytes())
            }
            Op::Hostname(name) => sys!(SYS_sethostname, name.as_ptr(), name.count_bytes())
                .map(drop)
                .at(Stage::Hostname, name.to_bytes()),
            Op::Domainname(name) => sys!(SYS_setdomainname, name.as_ptr(), name.count_bytes())
                .map(drop)
                .at(Stage::Hostname, name.to_bytes()),
            Op::LoopbackUp => loopback_up().at(Stage::Loopback, b"lo"),
        }
    }
}

impl FileSystem {
    fn run(&self) -> sys::Result {
        let place = target::open_or_make(&self.target, true)?;
        let mount = self.open(place)?;
        sys::move_mount(mount, place)?;
        if self.attr.propagation != 0 {
            let attr = MountAttr { propagation: self.attr.propagation, ..MountAttr::default() };
            sys::mount_setattr(mount, false, &attr)?;
        }
        sys::close(mount);
        sys::close(place);
        Ok(())
    }

    /// Makes it, and mounts it nowhere yet. `place` is where it is going to be.
    fn open(&self, place: i32) -> std::result::Result<i32, i32> {
        let fs = sys::fsopen(&self.kind)?;
        sys::fsconfig_string(fs, c"source", &self.source)?;
        for (key, value) in &self.data {
            match value {
                Some(value) => sys::fsconfig_string(fs, key, value)?,
                None => sys::fsconfig_flag(fs, key)?,
            }
        }
        if self.mode_of_target {
            let mut octal = *b"0000\0";
            let mode = sys::mode_of(place)?;
            for (at, shift) in [9, 6, 3, 0].into_iter().enumerate() {
                octal[at] = b'0' + (mode >> shift & 7) as u8;
            }
            // The array ends with a NUL and has no other.
            let value = CStr::from_bytes_until_nul(&octal).unwrap_or(c"1777");
            sys::fsconfig_string(fs, c"mode", value)?;
        }
        sys::fsconfig_create(fs)?;
        let mount = sys::fsmount(fs, self.attr.set)?;
        sys::close(fs);
        Ok(mount)
    }
}

impl Bind {
    fn run(&self, mount: i32) -> sys::Result {
        let place = target::open_or_make(&self.target, sys::is_dir(sys::mode_of(mount)?))?;
        let plain = MountAttr { propagation: 0, ..self.attr };
        for (attr, recursive) in [
            (plain, false),
            (self.recursive, true),
            (
                MountAttr { propagation: self.attr.propagation, ..MountAttr::default() },
                self.propagation_recursive,
            ),
        ] {
            if attr != MountAttr::default() {
                sys::mount_setattr(mount, recursive, &attr)?;
            }
        }
        sys::move_mount(mount, place)?;
        sys::close(place);
        sys::close(mount);
        Ok(())
    }
}

fn node(path: &CStr, mode: u32, device: u64, uid: u32, gid: u32) -> sys::Result {
    target::make_parents(path.to_bytes())?;
    match sys!(SYS_mknodat, libc::AT_FDCWD, path.as_ptr(), mode, device) {
        Ok(_) => {}
        Err(libc::EEXIST) => return Ok(()),
        Err(errno) => return Err(errno),
    }
    // mknod's mode is subject to the umask, which is the caller's here.
    sys!(SYS_fchmodat, libc::AT_FDCWD, path.as_ptr(), mode & 0o7777)?;
    if (uid, gid) != (0, 0) {
        sys!(SYS_fchownat, libc::AT_FDCWD, path.as_ptr(), uid, gid, 0)?;
    }
    Ok(())
}

/// The slot in which the first masked directory leaves its empty file system for the others.
pub(crate) const MASK_SLOT: usize = 0;

fn mask(path: &CStr, slots: &mut Slots) -> sys::Result {
    let place = match sys::open_in_root(path, libc::O_PATH) {
        // What isn't there needs no hiding.
        Err(libc::ENOENT | libc::ENOTDIR) => return Ok(()),
        other => other?,
    };
    let cover = if sys::is_dir(sys::mode_of(place)?) {
        if slots[MASK_SLOT] < 0 {
            let fs = sys::fsopen(c"tmpfs")?;
            sys::fsconfig_string(fs, c"nr_blocks", c"1")?;
            sys::fsconfig_string(fs, c"nr_inodes", c"1")?;
            sys::fsconfig_create(fs)?;
            slots[MASK_SLOT] = sys::fsmount(fs, MOUNT_ATTR_RDONLY)?;
            sys::close(fs);
            let mount = slots[MASK_SLOT];
            sys::move_mount(mount, place)?;
            sys::close(place);
            return Ok(());
        }
        sys::open_tree_of(slots[MASK_SLOT])?
    } else {
        sys::open_tree(c"/dev/null", false)?
    };
    sys::move_mount(cover, place)?;
    sys::close(cover);
    sys::close(place);
    Ok(())
}

fn read_only(path: &CStr) -> sys::Result {
    let place = match sys::open_in_root(path, libc::O_PATH) {
        Err(libc::ENOENT | libc::ENOTDIR) => return Ok(()),
        other => other?,
    };
    let mount = sys::open_tree_of(place)?;
    sys::mount_setattr(mount, false, &MountAttr { set: MOUNT_ATTR_RDONLY, ..MountAttr::default() })?;
    sys::move_mount(mount, place)?;
    sys::close(mount);
    sys::close(place);
    Ok(())
}

fn read_only_mount(path: &CStr) -> sys::Result {
    let place = sys::open_in_root(path, libc::O_PATH)?;
    sys::mount_setattr(place, false, &MountAttr { set: MOUNT_ATTR_RDONLY, ..MountAttr::default() })?;
    sys::close(place);
    Ok(())
}

/// netdevice(7), SIOCSIFFLAGS.
fn loopback_up() -> sys::Result {
    let socket = sys!(SYS_socket, libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0)?;
    // struct ifreq: 16 bytes of name, then a union of 24 bytes that starts with the flags.
    let mut request = [0u8; 40];
    request[..2].copy_from_slice(b"lo");
    let flags = (libc::IFF_UP | libc::IFF_RUNNING) as u16;
    request[16..18].copy_from_slice(&flags.to_ne_bytes());
    let result = sys!(SYS_ioctl, socket, libc::SIOCSIFFLAGS, request.as_ptr()).map(drop);
    sys::close(socket as i32);
    result
}
