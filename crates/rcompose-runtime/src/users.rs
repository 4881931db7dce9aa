//! Users and groups as an image knows them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::layers::{self, Resolved};

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
    // A number is never a name, even if somebody is called so.
    let found = match number {
        Some(_) => entries().find(|entry| Some(entry.1) == number),
        None => entries().find(|entry| entry.0 == user),
    };
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
            let found = || groups().find(|entry| entry.0 == wanted).map(|entry| entry.1);
            gid = self::number(wanted).or_else(found).ok_or_else(|| UserError::NoGroup(wanted.to_owned()))?;
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

/// Reads a file as the overlay of these layers (top first) would show it: see [`layers::resolve`]. `None`: there is no
/// such file.
pub fn read_file_in_layers(
    lowers: &[PathBuf],
    upper: Option<&Path>,
    path: &str,
) -> io::Result<Option<String>> {
    let all: Vec<&Path> = upper.into_iter().chain(lowers.iter().map(PathBuf::as_path)).collect();
    match layers::resolve(&all, Path::new(path), &|_| false)? {
        Resolved::File(file) => Ok(Some(String::from_utf8_lossy(&fs::read(file)?).into_owned())),
        _ => Ok(None),
    }
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
        let user = resolve("1001:x:5:5::/:\n", "7:x:8:\n", "1001:7").unwrap();
        assert_eq!((user.uid, user.gid), (1001, 7));
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
