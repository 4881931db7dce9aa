//! Volumes: directories that outlive containers.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};

use rcompose_engine::{FailureKind, StepFailure};
use rcompose_plan::VolumeSpec;
use rustix::fs::{CWD, FileType, Mode};

use crate::files::{make_dir, make_room, remove_tree, write_json};
use crate::{Dirs, StateError};

/// Makes a volume; one that is there is left alone.
///
/// Errors: a driver or options that can't be honoured, the disk.
pub fn create(dirs: &Dirs, spec: &VolumeSpec) -> Result<(), StepFailure> {
    let dir = dirs.volume(&spec.name);
    if dir.join("volume.json").exists() {
        return Ok(());
    }
    if !matches!(spec.driver.as_str(), "" | "local") {
        let message = format!("volume {}: driver \"{}\" is not supported", spec.name, spec.driver);
        return Err(StepFailure::new(FailureKind::Unsupported, message).hint("use the driver \"local\""));
    }
    make_room(&dirs.volumes())?;
    make_dir(&dir)?;
    match bind_device(spec)? {
        Some(device) => {
            let data = dir.join("_data");
            match symlink(&device, &data) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(StateError::write(&data, e).into());
                }
                _ => {}
            }
        }
        None => make_dir(&dir.join("_data"))?,
    }
    // The record comes last: a directory without one is made again.
    write_json(&dir.join("volume.json"), spec)?;
    Ok(())
}

/// The local driver's options `type: none, o: bind, device: /path`: the volume is that directory.
fn bind_device(spec: &VolumeSpec) -> Result<Option<PathBuf>, StepFailure> {
    let get = |k: &str| spec.driver_opts.get(k).map(String::as_str).unwrap_or_default();
    if spec.driver_opts.is_empty() {
        return Ok(None);
    }
    let binds = get("o").split(',').any(|o| o == "bind" || o == "rbind");
    if binds && !get("device").is_empty() {
        return Ok(Some(PathBuf::from(get("device"))));
    }
    let message = format!("volume {}: driver_opts of type \"{}\" are not supported", spec.name, get("type"));
    Err(StepFailure::new(FailureKind::Unsupported, message)
        .hint("the options type: none, o: bind, device: DIR are"))
}

/// Removes a volume and what is in it; none there is fine. A bound directory itself stays.
///
/// Its data goes at once: after a crash the volume is either whole, or [`half_removed`].
pub fn remove(dirs: &Dirs, name: &str) -> Result<(), StateError> {
    let dir = dirs.volume(name);
    let data = dir.join("_data");
    if data.is_symlink() {
        fs::remove_file(&data).map_err(|e| StateError::write(&data, e))?;
    } else if data.exists() {
        crate::files::remove_file(&dir.join("filled"))?;
        fs::rename(&data, dir.join("_removed")).map_err(|e| StateError::write(&data, e))?;
    }
    remove_tree(&dir)
}

/// A crash has come in the middle of its removal.
pub(crate) fn half_removed(dirs: &Dirs, name: &str) -> bool {
    let dir = dirs.volume(name);
    dir.exists() && dir.join("_data").symlink_metadata().is_err()
}

/// Fills an empty volume with what the image has at the target, owners and modes included, as docker does.
pub(crate) fn fill(data: &Path, layers: &[PathBuf], target: &str) -> Result<(), StepFailure> {
    let fail = |e: io::Error| {
        StepFailure::environment(format!("fill volume {} from {target} of the image", data.display()), &e)
    };
    let inside = Path::new(target.trim_start_matches('/'));
    if fs::read_dir(data).map_err(fail)?.next().is_some() {
        return Ok(());
    }
    // Bottom first: what is higher replaces what is lower.
    for layer in layers.iter().rev() {
        let source = layer.join(inside);
        match fs::symlink_metadata(&source) {
            Ok(m) if m.is_dir() => {
                if is_opaque(&source) {
                    clear(data).map_err(fail)?;
                }
                copy_attributes(&m, &source, data).map_err(fail)?;
                copy_entries(&source, data).map_err(fail)?;
            }
            Ok(m) if is_whiteout(&m) => clear(data).map_err(fail)?,
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => {}
            Err(e) => return Err(fail(e)),
        }
    }
    Ok(())
}

fn clear(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        remove_any(&entry?.path())?;
    }
    Ok(())
}

fn remove_any(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(m) if m.is_dir() => rcompose_image::remove_tree(path),
        Ok(_) => fs::remove_file(path),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

/// Overlayfs marks a removed name by a character device 0/0 (kernel documentation, overlayfs.rst).
fn is_whiteout(m: &fs::Metadata) -> bool {
    m.file_type().is_char_device() && m.rdev() == 0
}

fn is_opaque(dir: &Path) -> bool {
    let mut value = [0u8; 1];
    rustix::fs::lgetxattr(dir, "trusted.overlay.opaque", &mut value).is_ok_and(|n| n == 1 && value[0] == b'y')
}

fn copy_entries(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, dest) = (entry.path(), to.join(entry.file_name()));
        let m = fs::symlink_metadata(&source)?;
        let kind = m.file_type();
        if is_whiteout(&m) {
            remove_any(&dest)?;
            continue;
        }
        if kind.is_dir() {
            if is_opaque(&source) || fs::symlink_metadata(&dest).is_ok_and(|d| !d.is_dir()) {
                remove_any(&dest)?;
            }
            match fs::create_dir(&dest) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                _ => {}
            }
            copy_entries(&source, &dest)?;
        } else {
            remove_any(&dest)?;
            if kind.is_symlink() {
                symlink(fs::read_link(&source)?, &dest)?;
            } else if kind.is_file() {
                fs::copy(&source, &dest)?;
            } else {
                let node = if kind.is_fifo() {
                    FileType::Fifo
                } else if kind.is_char_device() {
                    FileType::CharacterDevice
                } else if kind.is_block_device() {
                    FileType::BlockDevice
                } else {
                    continue;
                };
                rustix::fs::mknodat(CWD, &dest, node, Mode::from_raw_mode(m.mode()), m.rdev())?;
            }
        }
        copy_attributes(&m, &source, &dest)?;
    }
    Ok(())
}

/// Owner, mode, extended attributes, times.
fn copy_attributes(m: &fs::Metadata, source: &Path, dest: &Path) -> io::Result<()> {
    if m.file_type().is_symlink() {
        return lchown(dest, Some(m.uid()), Some(m.gid()));
    }
    chown(dest, Some(m.uid()), Some(m.gid()))?;
    fs::set_permissions(dest, fs::Permissions::from_mode(m.mode() & 0o7777))?;
    copy_xattrs(source, dest)?;
    let time = |s: i64, ns: i64| rustix::fs::Timespec { tv_sec: s, tv_nsec: ns };
    let times = rustix::fs::Timestamps {
        last_access: time(m.atime(), m.atime_nsec()),
        last_modification: time(m.mtime(), m.mtime_nsec()),
    };
    rustix::fs::utimensat(CWD, dest, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

fn copy_xattrs(source: &Path, dest: &Path) -> io::Result<()> {
    let mut names = vec![0u8; 65536];
    let n = match rustix::fs::llistxattr(source, &mut names) {
        Ok(n) => n,
        Err(rustix::io::Errno::NOTSUP) => return Ok(()),
        Err(e) => return Err(e.into()),
    };
    for name in names[..n].split(|b| *b == 0).filter(|n| !n.is_empty() && !n.starts_with(b"trusted.overlay."))
    {
        let mut value = vec![0u8; 65536];
        let len = rustix::fs::lgetxattr(source, name, &mut value)?;
        rustix::fs::lsetxattr(dest, name, &value[..len], rustix::fs::XattrFlags::empty())?;
    }
    Ok(())
}
