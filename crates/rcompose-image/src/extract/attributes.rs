use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{
    AtFlags, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, chownat, fchmod, fchown,
    fsetxattr, futimens, lsetxattr, utimensat,
};
use rustix::io::{Errno, Result};

use super::member::Member;

fn owner(member: &Member) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(member.uid)), Some(Gid::from_raw(member.gid)))
}

pub(super) fn times(mtime: Timespec) -> Timestamps {
    Timestamps { last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT }, last_modification: mtime }
}

/// Owner, extended attributes and mode of an open file or directory. The order matters: chown(2) clears
/// set-user-ID bits and file capabilities.
pub(super) fn of_open(file: impl AsFd, member: &Member) -> Result<()> {
    let (uid, gid) = owner(member);
    if (member.uid, member.gid) != (0, 0) {
        fchown(&file, uid, gid)?;
    }
    for (name, value) in &member.xattrs {
        kept(name, fsetxattr(&file, name.as_str(), value, XattrFlags::empty()))?;
    }
    fchmod(&file, Mode::from_raw_mode(member.mode))
}

pub(super) fn of_open_file(file: impl AsFd, member: &Member) -> Result<()> {
    of_open(&file, member)?;
    futimens(&file, &times(member.mtime))
}

/// As in docker, an attribute that this file system or this kind of file can't have is left out: an SELinux label
/// where there is no SELinux, a `user.` attribute of a link (xattr(7)). A program without its capabilities would not
/// be the same program, though.
fn kept(name: &str, result: Result<()>) -> Result<()> {
    match result {
        Err(Errno::OPNOTSUPP) if name != "security.capability" => Ok(()),
        Err(Errno::PERM) if name.starts_with("user.") => Ok(()),
        result => result,
    }
}

/// The same for what can't be opened: links, devices, pipes.
pub(super) fn of_name(parent: BorrowedFd<'_>, name: &[u8], member: &Member, with_mode: bool) -> Result<()> {
    let (uid, gid) = owner(member);
    chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
    if !member.xattrs.is_empty() {
        // There is no lsetxattrat before Linux 6.13.
        let mut path = format!("/proc/self/fd/{}/", parent.as_raw_fd()).into_bytes();
        path.extend_from_slice(name);
        for (key, value) in &member.xattrs {
            kept(key, lsetxattr(path.as_slice(), key.as_str(), value, XattrFlags::empty()))?;
        }
    }
    if with_mode {
        // The name was made a moment ago in a directory of ours and is no link.
        rustix::fs::chmodat(parent, name, Mode::from_raw_mode(member.mode), AtFlags::empty())?;
    }
    utimensat(parent, name, &times(member.mtime), AtFlags::SYMLINK_NOFOLLOW)
}
