//! Raw system calls for the child: no allocation, no locks, no libc state but `errno`.

use std::ffi::CStr;
use std::os::fd::RawFd;

/// An `errno` value.
pub(crate) type Errno = i32;
pub(crate) type Result<T = ()> = std::result::Result<T, Errno>;

pub(crate) const OPEN_TREE_CLONE: usize = 1;
pub(crate) const AT_EMPTY_PATH: usize = libc::AT_EMPTY_PATH as usize;
pub(crate) const AT_RECURSIVE: usize = 0x8000;
pub(crate) const MOUNT_ATTR_RDONLY: u64 = 1;
const CLOEXEC: usize = libc::O_CLOEXEC as usize;
const MOVE_MOUNT_F_EMPTY_PATH: usize = 4;
const MOVE_MOUNT_T_EMPTY_PATH: usize = 0x40;
const RESOLVE_NO_MAGICLINKS: u64 = 2;
const RESOLVE_IN_ROOT: u64 = 0x10;

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MountAttr {
    pub(crate) set: u64,
    pub(crate) clear: u64,
    pub(crate) propagation: u64,
    pub(crate) userns_fd: u64,
}

/// `struct clone_args` of clone3(2).
#[repr(C)]
#[derive(Default)]
pub(crate) struct CloneArgs {
    pub(crate) flags: u64,
    pub(crate) pidfd: u64,
    pub(crate) child_tid: u64,
    pub(crate) parent_tid: u64,
    pub(crate) exit_signal: u64,
    pub(crate) stack: u64,
    pub(crate) stack_size: u64,
    pub(crate) tls: u64,
    pub(crate) set_tid: u64,
    pub(crate) set_tid_size: u64,
    pub(crate) cgroup: u64,
}

/// Any system call. Pointers are passed as addresses.
pub(crate) fn call(number: libc::c_long, args: [usize; 6]) -> Result<usize> {
    // SAFETY: callers in this crate pass, for each number, arguments whose pointed-to memory is valid for the call; no
    // call changes memory or address space that Rust relies on.
    // JUSTIFICATION: the child may use nothing that allocates or locks, and libc has no wrapper for half of these.
    let result = unsafe { libc::syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]) };
    if result < 0 { Err(errno()) } else { Ok(result as usize) }
}

/// The calling thread's `errno`.
pub(crate) fn errno() -> Errno {
    // SAFETY: __errno_location always returns a valid pointer to the thread's errno.
    unsafe { *libc::__errno_location() }
}

macro_rules! sys {
    ($number:ident $(, $arg:expr)* $(,)?) => {{
        let given = [$($arg as usize),*];
        let mut args = [0usize; 6];
        args[..given.len()].copy_from_slice(&given);
        $crate::sys::call(libc::$number, args)
    }};
}
pub(crate) use sys;

const EMPTY: &CStr = c"";
const CWD: isize = libc::AT_FDCWD as isize;

pub(crate) fn close(fd: RawFd) {
    // The only error that matters (EBADF) would be a bug here, and nothing could be done about it in the child.
    let _ = sys!(SYS_close, fd);
}

pub(crate) fn open(path: &CStr, flags: i32, mode: u32) -> Result<RawFd> {
    sys!(SYS_openat, CWD, path.as_ptr(), flags | libc::O_CLOEXEC, mode).map(|fd| fd as RawFd)
}

/// Opens inside the current root; symbolic links of the image are followed, those of procfs into descriptors are not.
pub(crate) fn open_in_root(path: &CStr, flags: i32) -> Result<RawFd> {
    let how: [u64; 3] = [(flags | libc::O_CLOEXEC) as u64, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS];
    // RESOLVE_IN_ROOT takes the directory as the root; the current root is that, "/" resolved.
    let root = open(c"/", libc::O_PATH | libc::O_DIRECTORY, 0)?;
    let result = loop {
        match sys!(SYS_openat2, root, path.as_ptr(), how.as_ptr(), size_of_val(&how)) {
            // A rename raced with the look-up; openat2(2) says to try again.
            Err(libc::EAGAIN) => {}
            other => break other,
        }
    };
    close(root);
    result.map(|fd| fd as RawFd)
}

pub(crate) fn write_all(fd: RawFd, mut bytes: &[u8]) -> Result {
    while !bytes.is_empty() {
        match sys!(SYS_write, fd, bytes.as_ptr(), bytes.len()) {
            Ok(written) => bytes = &bytes[written..],
            Err(libc::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// One whole value in one write, as sysctl and cgroup files want it.
pub(crate) fn write_file(path: &CStr, value: &[u8]) -> Result {
    let fd = open(path, libc::O_WRONLY, 0)?;
    let result = sys!(SYS_write, fd, value.as_ptr(), value.len()).map(drop);
    close(fd);
    result
}

pub(crate) fn mode_of(fd: RawFd) -> Result<u32> {
    // SAFETY: stat is plain data, for which all zeroes is a value.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: fd is a number, stat a valid place to write to.
    if unsafe { libc::fstat(fd, &mut stat) } < 0 { Err(errno()) } else { Ok(stat.st_mode) }
}

pub(crate) fn is_dir(mode: u32) -> bool {
    mode & libc::S_IFMT == libc::S_IFDIR
}

pub(crate) fn fsopen(kind: &CStr) -> Result<RawFd> {
    sys!(SYS_fsopen, kind.as_ptr(), 1).map(|fd| fd as RawFd)
}

const FSCONFIG_SET_FLAG: usize = 0;
const FSCONFIG_SET_STRING: usize = 1;
const FSCONFIG_CMD_CREATE: usize = 6;

pub(crate) fn fsconfig_string(fd: RawFd, key: &CStr, value: &CStr) -> Result {
    sys!(SYS_fsconfig, fd, FSCONFIG_SET_STRING, key.as_ptr(), value.as_ptr(), 0).map(drop)
}

pub(crate) fn fsconfig_flag(fd: RawFd, key: &CStr) -> Result {
    sys!(SYS_fsconfig, fd, FSCONFIG_SET_FLAG, key.as_ptr(), 0, 0).map(drop)
}

pub(crate) fn fsconfig_create(fd: RawFd) -> Result {
    sys!(SYS_fsconfig, fd, FSCONFIG_CMD_CREATE, 0, 0, 0).map(drop)
}

pub(crate) fn fsmount(fd: RawFd, attributes: u64) -> Result<RawFd> {
    sys!(SYS_fsmount, fd, 1, attributes).map(|fd| fd as RawFd)
}

/// A detached copy of the mount at `path`.
pub(crate) fn open_tree(path: &CStr, recursive: bool) -> Result<RawFd> {
    let flags = OPEN_TREE_CLONE | CLOEXEC | if recursive { AT_RECURSIVE } else { 0 };
    sys!(SYS_open_tree, CWD, path.as_ptr(), flags).map(|fd| fd as RawFd)
}

/// A detached copy of what an open descriptor refers to.
pub(crate) fn open_tree_of(fd: RawFd) -> Result<RawFd> {
    sys!(SYS_open_tree, fd, EMPTY.as_ptr(), OPEN_TREE_CLONE | CLOEXEC | AT_EMPTY_PATH).map(|fd| fd as RawFd)
}

pub(crate) fn move_mount(mount: RawFd, target: RawFd) -> Result {
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    sys!(SYS_move_mount, mount, EMPTY.as_ptr(), target, EMPTY.as_ptr(), flags).map(drop)
}

pub(crate) fn mount_setattr(fd: RawFd, recursive: bool, attr: &MountAttr) -> Result {
    let flags = AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    sys!(SYS_mount_setattr, fd, EMPTY.as_ptr(), flags, std::ptr::from_ref(attr), size_of::<MountAttr>())
        .map(drop)
}

pub(crate) fn mkdir(path: &CStr, mode: u32) -> Result {
    sys!(SYS_mkdirat, CWD, path.as_ptr(), mode).map(drop)
}

pub(crate) fn prctl(option: i32, a: usize, b: usize) -> Result<usize> {
    sys!(SYS_prctl, option, a, b, 0, 0)
}

/// Ends the process at once, running nothing.
pub(crate) fn exit(code: i32) -> ! {
    loop {
        let _ = sys!(SYS_exit_group, code);
    }
}
