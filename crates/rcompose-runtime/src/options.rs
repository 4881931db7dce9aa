//! Mount options as in fstab and in the OCI spec, in the terms of the mount API.

use crate::sys::{MOUNT_ATTR_RDONLY, MountAttr};

const NOSUID: u64 = 2;
const NODEV: u64 = 4;
const NOEXEC: u64 = 8;
const ATIME_MASK: u64 = 0x70;
const NOATIME: u64 = 0x10;
const STRICTATIME: u64 = 0x20;
const NODIRATIME: u64 = 0x80;
const NOSYMFOLLOW: u64 = 0x20_0000;

/// Options, sorted by what they concern.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// For this mount alone, with its propagation.
    pub(crate) attr: MountAttr,
    /// For this mount and all below it.
    pub(crate) recursive: MountAttr,
    pub(crate) bind: bool,
    pub(crate) bind_recursive: bool,
    /// Propagation concerns what is below too.
    pub(crate) propagation_recursive: bool,
    /// For the file system: keys with or without a value.
    pub(crate) data: Vec<(String, Option<String>)>,
}

/// Parses options in their order; later ones win, as with mount(8) and runc.
pub(crate) fn parse(options: &[String]) -> Options {
    let mut out = Options::default();
    for option in options {
        one(&mut out, option);
    }
    out
}

fn one(out: &mut Options, option: &str) {
    let propagation = match option.strip_prefix('r').unwrap_or(option) {
        "private" => libc::MS_PRIVATE,
        "shared" => libc::MS_SHARED,
        "slave" => libc::MS_SLAVE,
        "unbindable" => libc::MS_UNBINDABLE,
        _ => 0,
    };
    if propagation != 0 {
        out.attr.propagation = propagation;
        out.propagation_recursive = option.starts_with('r');
        return;
    }
    match option {
        "bind" => out.bind = true,
        "rbind" => (out.bind, out.bind_recursive) = (true, true),
        // Words of fstab that mean nothing here; tmpcopyup is a matter of the one who fills volumes.
        "defaults" | "auto" | "noauto" | "user" | "nouser" | "remount" | "tmpcopyup" => {}
        "relatime" | "norelatime" => change(&mut out.attr, ATIME_MASK, 0),
        "noatime" => change(&mut out.attr, ATIME_MASK, NOATIME),
        "strictatime" => change(&mut out.attr, ATIME_MASK, STRICTATIME),
        "atime" | "nostrictatime" => change(&mut out.attr, ATIME_MASK, 0),
        _ => {
            if let Some((bit, on)) = attribute(option) {
                let (clear, set) = if on { (bit, bit) } else { (bit, 0) };
                change(&mut out.attr, clear, set);
            } else if let Some((bit, on)) = option.strip_prefix('r').and_then(attribute) {
                let (clear, set) = if on { (bit, bit) } else { (bit, 0) };
                change(&mut out.recursive, clear, set);
            } else {
                let (key, value) = match option.split_once('=') {
                    Some((key, value)) => (key, Some(value.to_owned())),
                    None => (option, None),
                };
                out.data.push((key.to_owned(), value));
            }
        }
    }
}

fn attribute(option: &str) -> Option<(u64, bool)> {
    Some(match option {
        "ro" => (MOUNT_ATTR_RDONLY, true),
        "rw" => (MOUNT_ATTR_RDONLY, false),
        "nosuid" => (NOSUID, true),
        "suid" => (NOSUID, false),
        "nodev" => (NODEV, true),
        "dev" => (NODEV, false),
        "noexec" => (NOEXEC, true),
        "exec" => (NOEXEC, false),
        "nodiratime" => (NODIRATIME, true),
        "diratime" => (NODIRATIME, false),
        "nosymfollow" => (NOSYMFOLLOW, true),
        "symfollow" => (NOSYMFOLLOW, false),
        _ => return None,
    })
}

/// mount_setattr(2): a bit may be in both, then it is cleared first and set after; access-time modes need all their bits cleared.
fn change(attr: &mut MountAttr, clear: u64, set: u64) {
    attr.clear |= clear;
    attr.set = (attr.set & !clear) | set;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Options {
        parse(&text.split(',').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn later_ones_win() {
        assert_eq!(of("ro,rw").attr, MountAttr { clear: 1, ..MountAttr::default() });
        assert_eq!(of("rw,ro,nosuid").attr.set, 3);
        assert_eq!(of("rro").recursive.set, 1);
        assert_eq!(of("rro").attr.set, 0);
        let rbind = of("rbind,rslave,mode=0620,huge");
        assert!(rbind.bind_recursive && rbind.propagation_recursive);
        assert_eq!(rbind.attr.propagation, libc::MS_SLAVE);
        assert_eq!(rbind.data, [("mode".into(), Some("0620".into())), ("huge".into(), None)]);
    }
}
