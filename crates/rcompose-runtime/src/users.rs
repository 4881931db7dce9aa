//! Users and groups as an image knows them.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

/// A user, resolved to numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedUser {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary groups, from the image's group file; empty if a group was given.
    pub additional_gids: Vec<u32>,
    /// Home directory, `/` when unknown.
    pub home: String,
    /// Name, if the image has one.
    pub name: Option<String>,
}

/// Why a user can't be had.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum UserError {
    /// Not in passwd(5), and not a number.
    #[error("unable to find user {0}: no matching entries in passwd file")]
    NoUser(String),
    /// Not in group(5), and not a number.
    #[error("unable to find group {0}: no matching entries in group file")]
    NoGroup(String),
}

/// Resolves `user[:group]`, names or numbers, as docker does: an empty string is root, a number needs no entry.
/// `passwd` and `group` are the contents of those files, passwd(5) and group(5).
pub fn resolve(passwd: &str, group: &str, spec: &str) -> Result<ResolvedUser, UserError> {
    let (user, given_group) = match spec.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (spec, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let entries = || {
        passwd.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let (name, uid, gid) =
                (*fields.first()?, fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
            Some((name, uid, gid, fields.get(5).copied().unwrap_or("/")))
        })
    };
    let number = number(user);
    let found =
        entries().find(|entry| entry.0 == user).or_else(|| entries().find(|entry| Some(entry.1) == number));
    let (name, uid, mut gid, home) = match (found, number) {
        (Some((name, uid, gid, home)), _) => (Some(name), uid, gid, if home.is_empty() { "/" } else { home }),
        (None, Some(uid)) => (None, uid, 0, "/"),
        (None, None) => return Err(UserError::NoUser(user.to_owned())),
    };
    let mut additional_gids = Vec::new();
    let groups = || {
        group.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            Some((
                *fields.first()?,
                fields.get(2)?.parse::<u32>().ok()?,
                fields.get(3).copied().unwrap_or(""),
            ))
        })
    };
    match given_group {
        Some(wanted) => {
            let found = groups().find(|entry| entry.0 == wanted).map(|entry| entry.1);
            gid = found
                .or_else(|| self::number(wanted))
                .ok_or_else(|| UserError::NoGroup(wanted.to_owned()))?;
        }
        None => {
            if let Some(name) = name {
                let member = |members: &str| members.split(',').any(|member| member == name);
                additional_gids.extend(groups().filter(|entry| member(entry.2)).map(|entry| entry.1));
            }
        }
    }
    Ok(ResolvedUser { uid, gid, additional_gids, home: home.to_owned(), name: name.map(str::to_owned) })
}

/// Resolves one group to its number, for `group_add`.
pub fn resolve_group(group: &str, wanted: &str) -> Result<u32, UserError> {
    resolve("", group, &format!("0:{wanted}")).map(|user| user.gid)
}

/// Ids go from 0 to 2^31 - 1, as in docker.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| *number <= i32::MAX as u32 && !text.starts_with('+'))
}

/// Reads a file as the overlay of these layers (top first) would show it: whiteouts (character device 0/0) and opaque
/// directories hide what is below, symbolic links are followed inside the layers only. `None`: there is no such file.
pub fn read_file_in_layers(
    lowers: &[PathBuf],
    upper: Option<&Path>,
    path: &str,
) -> io::Result<Option<String>> {
    const MAX_LINKS: usize = 40;
    let layers: Vec<&Path> = upper.into_iter().chain(lowers.iter().map(PathBuf::as_path)).collect();
    let mut pending: Vec<String> = parts(Path::new(path)).into_iter().rev().collect();
    let (mut at, mut links) = (PathBuf::new(), 0);
    // The layers in which the directory `at` is visible.
    let mut visible: Vec<Vec<&Path>> = vec![layers];
    while let Some(part) = pending.pop() {
        if part == ".." {
            if at.pop() {
                visible.pop();
            }
            continue;
        }
        let here = visible.last().cloned().unwrap_or_default();
        let next = at.join(&part);
        match look_up(&here, &next)? {
            Found::Nothing => return Ok(None),
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
            Found::File(file) if pending.is_empty() => {
                return Ok(Some(String::from_utf8_lossy(&fs::read(file)?).into_owned()));
            }
            Found::File(_) => return Ok(None),
        }
    }
    Ok(None)
}

fn parts(path: &Path) -> Vec<String> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            Component::ParentDir => Some("..".to_owned()),
            _ => None,
        })
        .collect()
}

enum Found<'a> {
    Nothing,
    File(PathBuf),
    Link(PathBuf),
    Directory(Vec<&'a Path>),
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
            return Ok(if kind.is_file() { Found::File(full) } else { Found::Nothing });
        }
    }
    Ok(if merged.is_empty() { Found::Nothing } else { Found::Directory(merged) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\npostgres:x:103:106:,,,:/var/lib/postgresql:/bin/bash\n";
    const GROUP: &str = "root:x:0:\nssl-cert:x:105:postgres,other\npostgres:x:106:\n";

    #[test]
    fn names_and_numbers() {
        let user = resolve(PASSWD, GROUP, "postgres").unwrap();
        assert_eq!(
            (user.uid, user.gid, user.additional_gids, user.home.as_str()),
            (103, 106, vec![105], "/var/lib/postgresql")
        );
        let user = resolve(PASSWD, GROUP, "103:0").unwrap();
        assert_eq!((user.uid, user.gid, user.additional_gids), (103, 0, vec![]));
        let user = resolve("", "", "1000").unwrap();
        assert_eq!((user.uid, user.gid, user.home.as_str(), user.name), (1000, 0, "/", None));
        assert_eq!(resolve(PASSWD, GROUP, "").unwrap().home, "/root");
        assert_eq!(resolve(PASSWD, GROUP, "nobody"), Err(UserError::NoUser("nobody".into())));
        assert_eq!(resolve(PASSWD, GROUP, "0:x"), Err(UserError::NoGroup("x".into())));
    }

    #[test]
    fn layers_hide_and_links_stay_inside() {
        let top = tempfile::tempdir().unwrap();
        let low = tempfile::tempdir().unwrap();
        fs::create_dir_all(low.path().join("etc")).unwrap();
        fs::create_dir_all(top.path().join("etc")).unwrap();
        fs::write(low.path().join("etc/passwd"), "low").unwrap();
        fs::write(low.path().join("real"), "real").unwrap();
        std::os::unix::fs::symlink("../../../real", top.path().join("etc/group")).unwrap();
        let layers = [top.path().to_owned(), low.path().to_owned()];
        let read = |path| read_file_in_layers(&layers, None, path).unwrap();
        assert_eq!(read("etc/passwd").as_deref(), Some("low"));
        assert_eq!(read("/etc/group").as_deref(), Some("real"));
        assert_eq!(read("etc/none"), None);
    }
}
