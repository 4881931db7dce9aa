//! The container's root: assembled in its own mount namespace, so that the host never shows it.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::{At, CreateError, Failure, Stage};
use crate::sys::{self, sys};

/// What the container's root is made of.
#[derive(Clone, Debug)]
pub enum Rootfs {
    /// An overlay. `upper` and `work` are existing directories on one file system.
    Overlay {
        /// Layers, the top one first.
        lowers: Vec<PathBuf>,
        /// Takes the writes.
        upper: PathBuf,
        /// overlayfs' own scratch directory.
        work: PathBuf,
        /// Its writes need not outlive a power cut: fsync(2) does nothing inside, and the last unmount, which is part of
        /// the last process's end, doesn't write back all that is dirty on the upper directory's file system ("Volatile
        /// mount" in the kernel's overlayfs.rst; since Linux 5.10, and without effect before 6.5 here). Another mount of
        /// the same `work` has to remove its `work/incompat` first.
        ephemeral: bool,
    },
    /// A directory used as it is.
    Directory(PathBuf),
}

/// The root, in the kernel's terms.
pub(crate) enum Root {
    Overlay { lowers: Vec<CString>, upper: CString, work: CString, ephemeral: bool, legacy: Legacy },
    Directory(CString),
}

/// For kernels before 6.5, which take all layers as one string of at most a page: relative to a common directory.
pub(crate) struct Legacy {
    base: CString,
    data: CString,
}

pub(crate) fn c_path(path: &Path) -> Result<CString, CreateError> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| CreateError::Nul("a path"))
}

impl Root {
    pub(crate) fn new(rootfs: &Rootfs) -> Result<Root, CreateError> {
        Ok(match rootfs {
            Rootfs::Directory(path) => Root::Directory(c_path(path)?),
            Rootfs::Overlay { lowers, upper, work, ephemeral } => {
                if lowers.is_empty() {
                    return Err(CreateError::Spec("an overlay root needs at least one lower layer".into()));
                }
                Root::Overlay {
                    legacy: legacy(lowers, upper, work)?,
                    lowers: lowers.iter().map(|path| c_path(path)).collect::<Result<_, _>>()?,
                    upper: c_path(upper)?,
                    work: c_path(work)?,
                    ephemeral: *ephemeral,
                }
            }
        })
    }

    /// Mounts the root and makes it the root; the host's is gone after that. Runs in the child.
    pub(crate) fn enter(&self) -> Result<(), Failure<'_>> {
        let target = self.mount()?;
        let stage = Stage::Rootfs;
        sys!(SYS_chdir, target.as_ptr()).at(stage, target.to_bytes())?;
        // pivot_root(2), NOTES: with "." twice the old root ends up on top of the new one and is then taken off.
        sys!(SYS_pivot_root, c".".as_ptr(), c".".as_ptr()).at(stage, b"pivot_root")?;
        sys!(SYS_umount2, c".".as_ptr(), libc::MNT_DETACH).at(stage, b"umount")?;
        sys!(SYS_chdir, c"/".as_ptr()).at(stage, b"/")?;
        Ok(())
    }

    /// Returns where the root now is; the place is hidden below it, in this namespace only.
    fn mount(&self) -> Result<&CStr, Failure<'_>> {
        let stage = Stage::Rootfs;
        let (mount, target) = match self {
            Root::Directory(path) => (sys::open_tree(path, true).at(stage, path.to_bytes())?, path),
            Root::Overlay { lowers, upper, work, ephemeral, legacy } => {
                let fs = sys::fsopen(c"overlay").at(stage, b"overlay")?;
                sys::fsconfig_string(fs, c"source", c"overlay").at(stage, b"overlay")?;
                for lower in lowers {
                    match sys::fsconfig_string(fs, c"lowerdir+", lower) {
                        // Before Linux 6.5 the key doesn't exist.
                        Err(libc::EINVAL) => {
                            sys::close(fs);
                            legacy.mount(upper)?;
                            return Ok(upper);
                        }
                        other => other.at(stage, lower.to_bytes())?,
                    }
                }
                sys::fsconfig_string(fs, c"upperdir", upper).at(stage, upper.to_bytes())?;
                sys::fsconfig_string(fs, c"workdir", work).at(stage, work.to_bytes())?;
                for (key, value) in [(c"index", c"off"), (c"metacopy", c"off"), (c"xino", c"off")] {
                    sys::fsconfig_string(fs, key, value).at(stage, key.to_bytes())?;
                }
                if *ephemeral {
                    sys::fsconfig_flag(fs, c"volatile").at(stage, b"volatile")?;
                }
                sys::fsconfig_create(fs).at(stage, upper.to_bytes())?;
                let mount = sys::fsmount(fs, 0).at(stage, upper.to_bytes())?;
                sys::close(fs);
                (mount, upper)
            }
        };
        let place = sys::open(target, libc::O_PATH | libc::O_DIRECTORY, 0).at(stage, target.to_bytes())?;
        sys::move_mount(mount, place).at(stage, target.to_bytes())?;
        sys::close(place);
        sys::close(mount);
        Ok(target)
    }
}

impl Legacy {
    fn mount<'a>(&'a self, target: &CStr) -> Result<(), Failure<'a>> {
        let stage = Stage::Rootfs;
        if self.data.as_bytes().len() > 4095 {
            return Err(Failure {
                stage,
                errno: libc::E2BIG,
                detail: b"too many layers for a kernel before 6.5",
            });
        }
        sys!(SYS_chdir, self.base.as_ptr()).at(stage, self.base.to_bytes())?;
        sys!(SYS_mount, c"overlay".as_ptr(), target.as_ptr(), c"overlay".as_ptr(), 0, self.data.as_ptr())
            .at(stage, b"overlay")?;
        Ok(())
    }
}

fn legacy(lowers: &[PathBuf], upper: &Path, work: &Path) -> Result<Legacy, CreateError> {
    let mut base: PathBuf = upper.to_owned();
    for path in lowers.iter().map(PathBuf::as_path).chain([work]) {
        while !path.starts_with(&base) && base.pop() {}
    }
    // Options are separated by commas and layers by colons; overlayfs takes a backslash before either.
    let escaped = |path: &Path| {
        let mut out = Vec::new();
        for byte in path.strip_prefix(&base).unwrap_or(path).as_os_str().as_bytes() {
            if b"\\:,".contains(byte) {
                out.push(b'\\');
            }
            out.push(*byte);
        }
        if out.is_empty() { b".".to_vec() } else { out }
    };
    let mut data = b"lowerdir=".to_vec();
    data.extend(lowers.iter().map(|path| escaped(path)).collect::<Vec<_>>().join(&b':'));
    data.extend(b",upperdir=");
    data.extend(escaped(upper));
    data.extend(b",workdir=");
    data.extend(escaped(work));
    data.extend(b",index=off,metacopy=off");
    Ok(Legacy { base: c_path(&base)?, data: CString::new(data).map_err(|_| CreateError::Nul("a path"))? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_kernels_get_short_names() {
        let lowers = ["/s/l/a".into(), "/s/l/b:c".into()];
        let legacy = legacy(&lowers, Path::new("/s/c/up"), Path::new("/s/c/work")).unwrap();
        assert_eq!(legacy.base.to_str(), Ok("/s"));
        assert_eq!(
            legacy.data.to_str(),
            Ok("lowerdir=l/a:l/b\\:c,upperdir=c/up,workdir=c/work,index=off,metacopy=off")
        );
    }
}
