//! The container's root: assembled in its own mount namespace, so that the host never shows it.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::{At, CreateError, Failure, Stage};
use crate::overlay::Overlay;
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
        /// mount" in the kernel's overlayfs.rst; since Linux 5.10). Another mount of
        /// the same `work` has to remove its `work/incompat` first.
        ephemeral: bool,
    },
    /// A directory used as it is.
    Directory(PathBuf),
}

/// The root, in the kernel's terms.
pub(crate) enum Root {
    Overlay { overlay: Overlay, upper: CString },
    Directory(CString),
}

pub(crate) fn c_path(path: &Path) -> Result<CString, CreateError> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| CreateError::Nul("a path"))
}

impl Root {
    pub(crate) fn new(rootfs: &Rootfs) -> Result<Root, CreateError> {
        Ok(match rootfs {
            Rootfs::Directory(path) => Root::Directory(c_path(path)?),
            Rootfs::Overlay { lowers, upper, work, ephemeral } => {
                let lowers = lowers.iter().map(|path| c_path(path)).collect::<Result<_, _>>()?;
                let upper = c_path(upper)?;
                let off = |key: &CStr| (key.to_owned(), Some(c"off".to_owned()));
                let mut options = vec![
                    (c"upperdir".to_owned(), Some(upper.clone())),
                    (c"workdir".to_owned(), Some(c_path(work)?)),
                    off(c"index"),
                    off(c"metacopy"),
                    off(c"xino"),
                ];
                if *ephemeral {
                    options.push((c"volatile".to_owned(), None));
                }
                Root::Overlay { overlay: Overlay::new(lowers, options)?, upper }
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
            Root::Overlay { overlay, upper } => {
                let mount = overlay.open(0).map_err(|(errno, detail)| Failure {
                    stage,
                    errno,
                    detail: detail.to_bytes(),
                })?;
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
