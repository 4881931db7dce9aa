//! What a path is in an image, without mounting it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

/// Symbolic links followed on the way, as the kernel's MAXSYMLINKS.
const MAX_LINKS: usize = 40;

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// Nothing.
    Nothing,
    /// A file; where it really is.
    File(PathBuf),
    /// A directory: what of it is in each layer, top first. Laid over one another they show it.
    Directory(Vec<PathBuf>),
    /// A device, a fifo, a socket, or a path that goes on below a file.
    Other,
    /// The way there leads over a place that something else covers.
    Covered,
}

/// Follows a path as the overlay of these layers (top first) would show it: whiteouts (character device 0/0) and opaque
/// directories hide what is below, symbolic links are followed inside the layers only. `covered` is asked of each place
/// on the way, an absolute path without links.
///
/// Errors: what the kernel says, and ELOOP.
pub fn resolve(layers: &[&Path], path: &Path, covered: &dyn Fn(&Path) -> bool) -> io::Result<Resolved> {
    let mut pending: Vec<OsString> = parts(path).into_iter().rev().collect();
    let (mut at, mut links) = (PathBuf::new(), 0);
    // The layers in which the directory `at` is visible.
    let mut visible: Vec<Vec<&Path>> = vec![layers.to_vec()];
    while let Some(part) = pending.pop() {
        if part == ".." {
            if at.pop() {
                visible.pop();
            }
            continue;
        }
        let here = visible.last().cloned().unwrap_or_default();
        let next = at.join(&part);
        if covered(&Path::new("/").join(&next)) {
            return Ok(Resolved::Covered);
        }
        match look_up(&here, &next)? {
            Found::Nothing => return Ok(Resolved::Nothing),
            Found::Directory(layers) => {
                at = next;
                visible.push(layers);
            }
            Found::Link(target) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(io::Error::from_raw_os_error(libc::ELOOP));
                }
                if target.is_absolute() {
                    at = PathBuf::new();
                    visible.truncate(1);
                }
                pending.extend(parts(&target).into_iter().rev());
            }
            Found::File(file) if pending.is_empty() => return Ok(Resolved::File(file)),
            Found::File(_) | Found::Other => return Ok(Resolved::Other),
        }
    }
    let layers = visible.last().map(Vec::as_slice).unwrap_or_default();
    Ok(Resolved::Directory(layers.iter().map(|layer| layer.join(&at)).collect()))
}

fn parts(path: &Path) -> Vec<OsString> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        })
        .collect()
}

enum Found<'a> {
    Nothing,
    File(PathBuf),
    Link(PathBuf),
    Directory(Vec<&'a Path>),
    Other,
}

fn look_up<'a>(layers: &[&'a Path], path: &Path) -> io::Result<Found<'a>> {
    let mut merged = Vec::new();
    for layer in layers {
        let full = layer.join(path);
        let metadata = match fs::symlink_metadata(&full) {
            Ok(metadata) => metadata,
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => continue,
            Err(error) => return Err(error),
        };
        let kind = metadata.file_type();
        if kind.is_dir() {
            merged.push(*layer);
            let mut value = [0u8; 1];
            // overlayfs, "Opaque directories".
            if rustix::fs::lgetxattr(&full, "trusted.overlay.opaque", &mut value) == Ok(1) && value == *b"y" {
                break;
            }
        } else if !merged.is_empty() || (kind.is_char_device() && metadata.rdev() == 0) {
            break;
        } else if kind.is_symlink() {
            return Ok(Found::Link(fs::read_link(full)?));
        } else {
            return Ok(if kind.is_file() { Found::File(full) } else { Found::Other });
        }
    }
    Ok(if merged.is_empty() { Found::Nothing } else { Found::Directory(merged) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_in_several_layers() {
        let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let [top, middle, low] = dirs.each_ref().map(tempfile::TempDir::path);
        for (layer, dir) in [(top, "a/b"), (middle, "a/c"), (low, "a/b"), (low, "x")] {
            fs::create_dir_all(layer.join(dir)).unwrap();
        }
        std::os::unix::fs::symlink("../../../a/b", middle.join("a/c/link")).unwrap();
        std::os::unix::fs::symlink("/x", top.join("a/out")).unwrap();
        let look = |path: &str| resolve(&[top, middle, low], Path::new(path), &|_| false).unwrap();
        let both = Resolved::Directory(vec![top.join("a/b"), low.join("a/b")]);
        assert_eq!(look("a/b"), both);
        assert_eq!(look("/a/c/link/"), both);
        assert_eq!(look("../a/b/."), both);
        assert_eq!(look("a/out"), Resolved::Directory(vec![low.join("x")]));
        assert_eq!(look(""), Resolved::Directory([top, middle, low].map(Path::to_owned).to_vec()));
    }

    #[test]
    fn covered_places_are_noticed_through_links() {
        let low = tempfile::tempdir().unwrap();
        fs::create_dir_all(low.path().join("usr/bin")).unwrap();
        fs::write(low.path().join("usr/bin/tool"), "").unwrap();
        std::os::unix::fs::symlink("/usr/bin", low.path().join("bin")).unwrap();
        let look = |path: &str, mount: &str| {
            resolve(&[low.path()], Path::new(path), &|p| p == Path::new(mount)).unwrap()
        };
        assert_eq!(look("/bin/tool", "/data"), Resolved::File(low.path().join("usr/bin/tool")));
        assert_eq!(look("/bin/none", "/data"), Resolved::Nothing);
        assert_eq!(look("/bin/none", "/usr"), Resolved::Covered);
        assert_eq!(look("/bin/none", "/bin"), Resolved::Covered);
        assert_eq!(look("/usr/bin", "/data"), Resolved::Directory(vec![low.path().join("usr/bin")]));
        assert_eq!(look("/usr/bin/tool/x", "/data"), Resolved::Other);
    }
}
