//! Places in the container's root where something is mounted: found, or made. Runs in the child, after pivot_root.

use std::ffi::CStr;

use crate::sys::{self, Result};

const PATH_MAX: usize = 4096;

/// Opens the mount point, making it (and the directories above it) when it is missing.
///
/// The current root is the container's and nothing of the host can be reached by a path any more, so links of the image
/// can't lead out of it.
pub(crate) fn open_or_make(path: &CStr, directory: bool) -> Result<i32> {
    match sys::open_in_root(path, libc::O_PATH) {
        Err(libc::ENOENT) => {}
        other => return other,
    }
    match make(path, directory) {
        // A dangling link, as distributions have for /etc/resolv.conf: what it points to is made.
        Err(libc::EEXIST | libc::ENOENT) => {
            let mut buffer = [0u8; 2 * PATH_MAX];
            let place = behind(path, &mut buffer)?;
            match make(place, directory) {
                Ok(()) | Err(libc::EEXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        other => other?,
    }
    sys::open_in_root(path, libc::O_PATH)
}

fn make(path: &CStr, directory: bool) -> Result {
    make_parents(path.to_bytes())?;
    if directory {
        return sys::mkdir(path, 0o755);
    }
    let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY | libc::O_NOCTTY;
    sys::open(path, flags, 0o755).map(sys::close)
}

/// Where a symbolic link points, as a path from the root.
fn behind<'a>(path: &CStr, buffer: &'a mut [u8; 2 * PATH_MAX]) -> Result<&'a CStr> {
    let bytes = path.to_bytes();
    let mut link = [0u8; PATH_MAX];
    let length = sys::sys!(SYS_readlinkat, libc::AT_FDCWD, path.as_ptr(), link.as_mut_ptr(), PATH_MAX - 1)?;
    let parent = match link[0] {
        b'/' => 0,
        _ => bytes.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1),
    };
    buffer[..parent].copy_from_slice(&bytes[..parent]);
    buffer[parent..parent + length].copy_from_slice(&link[..length]);
    CStr::from_bytes_until_nul(buffer).map_err(|_| libc::ENAMETOOLONG)
}

/// Makes every directory above `path`.
pub(crate) fn make_parents(path: &[u8]) -> Result {
    let mut buffer = [0u8; 2 * PATH_MAX];
    if path.len() >= PATH_MAX {
        return Err(libc::ENAMETOOLONG);
    }
    buffer[..path.len()].copy_from_slice(path);
    for at in 1..path.len() {
        if buffer[at] != b'/' {
            continue;
        }
        buffer[at] = 0;
        // The buffer holds a NUL at `at`, so a string is always found.
        if let Ok(prefix) = CStr::from_bytes_until_nul(&buffer) {
            match sys::mkdir(prefix, 0o755) {
                Ok(()) | Err(libc::EEXIST | libc::EROFS) => {}
                Err(errno) => return Err(errno),
            }
        }
        buffer[at] = b'/';
    }
    Ok(())
}
