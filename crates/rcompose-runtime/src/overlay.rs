//! Overlays, by whichever of two ways the kernel has.

use std::ffi::{CStr, CString};

use crate::error::CreateError;
use crate::sys::{self, Errno, MountAttr, sys};

/// mount(2) takes a page of options, with a NUL at its end.
const PAGE: usize = 4096;

/// Layers that an overlay may have (`OVL_MAX_STACK`).
const MOST: usize = 500;

/// An overlay to be made.
pub(crate) struct Overlay {
    /// Layers, the top one first; at least one.
    lowers: Vec<CString>,
    options: Vec<(CString, Option<CString>)>,
    /// The options once more, as mount(2) takes them: `,key=value,…`.
    text: CString,
}

/// What went wrong, and with what.
pub(crate) type Trouble<'a> = (Errno, &'a CStr);

impl Overlay {
    /// Nothing is made yet: this runs before the fork, [`Self::open`] after it.
    ///
    /// Errors: there is no layer.
    pub(crate) fn new(
        lowers: Vec<CString>,
        options: Vec<(CString, Option<CString>)>,
    ) -> Result<Self, CreateError> {
        if lowers.is_empty() {
            return Err(CreateError::Spec("an overlay needs at least one lower layer".into()));
        }
        let mut text = Vec::new();
        for (key, value) in &options {
            text.push(b',');
            text.extend(key.to_bytes());
            if let Some(value) = value {
                text.push(b'=');
                escape(value.to_bytes(), &mut text);
            }
        }
        Ok(Self { lowers, options, text: CString::new(text).map_err(|_| CreateError::Nul("a path"))? })
    }

    /// Makes it, and mounts it nowhere yet.
    pub(crate) fn open(&self, attributes: u64) -> Result<i32, Trouble<'_>> {
        match self.by_layer(attributes) {
            // Before Linux 6.5 there is no `lowerdir+`; it's told when it is given or when the file system is made.
            Err((libc::EINVAL, _)) => self.at_once(attributes),
            other => other,
        }
    }

    /// Each layer is an option of its own: as many as overlayfs takes, with paths of up to 255 bytes.
    fn by_layer(&self, attributes: u64) -> Result<i32, Trouble<'_>> {
        let fs = sys::fsopen(c"overlay").map_err(|e| (e, c"overlay"))?;
        let made =
            self.configure(fs).and_then(|()| sys::fsmount(fs, attributes).map_err(|e| (e, c"overlay")));
        sys::close(fs);
        made
    }

    fn configure(&self, fs: i32) -> Result<(), Trouble<'_>> {
        sys::fsconfig_string(fs, c"source", c"overlay").map_err(|e| (e, c"overlay"))?;
        for lower in &self.lowers {
            sys::fsconfig_string(fs, c"lowerdir+", lower).map_err(|e| (e, lower.as_c_str()))?;
        }
        for (key, value) in &self.options {
            match value {
                Some(value) => sys::fsconfig_string(fs, key, value),
                None => sys::fsconfig_flag(fs, key),
            }
            .map_err(|e| (e, value.as_deref().unwrap_or(key)))?;
        }
        sys::fsconfig_create(fs).map_err(|e| (e, c"overlay"))
    }

    /// All layers are one option. So that many go into a page, they are descriptors, named by their numbers.
    fn at_once(&self, attributes: u64) -> Result<i32, Trouble<'_>> {
        let mut open = [-1; MOST];
        let made = self.mount(&mut open);
        open.into_iter().take_while(|fd| *fd >= 0).for_each(sys::close);
        let mount = made?;
        let attr = MountAttr { set: attributes, ..MountAttr::default() };
        sys::mount_setattr(mount, false, &attr).map_err(|e| (e, c"overlay"))?;
        Ok(mount)
    }

    fn mount(&self, open: &mut [i32; MOST]) -> Result<i32, Trouble<'_>> {
        let mut data = [0u8; PAGE];
        let mut length = 0;
        let mut add = |bytes: &[u8]| {
            // The last byte stays the NUL.
            let place = data[..PAGE - 1].get_mut(length..length + bytes.len());
            place.ok_or((libc::E2BIG, c"all layers"))?.copy_from_slice(bytes);
            length += bytes.len();
            Ok(())
        };
        add(b"lowerdir=")?;
        for (i, lower) in self.lowers.iter().enumerate() {
            let slot = open.get_mut(i).ok_or((libc::E2BIG, c"all layers"))?;
            *slot =
                sys::open(lower, libc::O_PATH | libc::O_DIRECTORY, 0).map_err(|e| (e, lower.as_c_str()))?;
            if i > 0 {
                add(b":")?;
            }
            add(decimal(*slot, &mut [0; 10]))?;
        }
        add(self.text.to_bytes())?;
        sys!(SYS_chdir, c"/proc/self/fd".as_ptr()).map_err(|e| (e, c"/proc/self/fd"))?;
        // It has to be mounted somewhere; the mount namespace is ours, and it is taken off again at once.
        let place = &self.lowers[0];
        let at_place = |e| (e, place.as_c_str());
        sys!(SYS_mount, c"overlay".as_ptr(), place.as_ptr(), c"overlay".as_ptr(), 0, data.as_ptr())
            .map_err(|e| (e, c"overlay"))?;
        let mount = sys::open_tree(place, false).map_err(at_place)?;
        sys!(SYS_umount2, place.as_ptr(), libc::MNT_DETACH).map_err(at_place)?;
        sys!(SYS_chdir, c"/".as_ptr()).map_err(|e| (e, c"/"))?;
        Ok(mount)
    }
}

/// Options are separated by commas and layers by colons; overlayfs takes a backslash before either.
fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        if b"\\:,".contains(byte) {
            out.push(b'\\');
        }
        out.push(*byte);
    }
}

fn decimal(number: i32, digits: &mut [u8; 10]) -> &[u8] {
    let (mut rest, mut at) = (number, digits.len());
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return &digits[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_as_text() {
        let path = |text: &str| CString::new(text).unwrap();
        let options = vec![(path("upperdir"), Some(path("/s,x/up:1"))), (path("volatile"), None)];
        let overlay = Overlay::new(vec![path("/l")], options).unwrap();
        assert_eq!(overlay.text.to_str(), Ok(",upperdir=/s\\,x/up\\:1,volatile"));
        assert!(Overlay::new(Vec::new(), Vec::new()).is_err());
    }

    #[test]
    fn numbers_as_text() {
        for number in [0, 7, 10, 409, i32::MAX] {
            assert_eq!(decimal(number, &mut [0; 10]), number.to_string().as_bytes());
        }
    }

    /// Both ways show the same, with more layers than their paths would find room for in a page.
    #[test]
    fn both_ways_show_the_same() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return;
        }
        let dir = tempfile::Builder::new().prefix("a,b:").tempdir().unwrap();
        let base = dir.path().to_owned();
        // Mounts are the thread's own, and gone with it.
        std::thread::spawn(move || {
            sys!(SYS_unshare, libc::CLONE_NEWNS).unwrap();
            let private = libc::MS_REC | libc::MS_PRIVATE;
            sys!(SYS_mount, c"none".as_ptr(), c"/".as_ptr(), 0, private, 0).unwrap();
            let make = |name: String| {
                let path = base.join(name);
                std::fs::create_dir(&path).unwrap();
                path
            };
            let path = |path: &std::path::Path| crate::rootfs::c_path(path).unwrap();
            let long = "x".repeat(100);
            let lowers: Vec<_> = (0..90).map(|i| make(format!("{i}-{long}"))).collect();
            for (i, lower) in lowers.iter().enumerate() {
                std::fs::write(lower.join(i.to_string()), "").unwrap();
                std::fs::write(lower.join("all"), i.to_string()).unwrap();
            }
            for at_once in [false, true] {
                let own = |what: &str| make(format!("{what}-{at_once}"));
                let (upper, work, target) = (own("upper"), own("work"), own("target"));
                let options = vec![
                    (c"upperdir".to_owned(), Some(path(&upper))),
                    (c"workdir".to_owned(), Some(path(&work))),
                    (c"volatile".to_owned(), None),
                ];
                let overlay = Overlay::new(lowers.iter().map(|l| path(l)).collect(), options).unwrap();
                let mount = if at_once { overlay.at_once(0) } else { overlay.by_layer(0) }.unwrap();
                let place = sys::open(&path(&target), libc::O_PATH, 0).unwrap();
                sys::move_mount(mount, place).unwrap();
                assert_eq!(std::fs::read_dir(&target).unwrap().count(), 91);
                assert_eq!(std::fs::read_to_string(target.join("all")).unwrap(), "0");
                std::fs::write(target.join("new"), "").unwrap();
                assert!(upper.join("new").exists());
                assert_eq!(
                    std::fs::read_dir(&lowers[0]).unwrap().count(),
                    2,
                    "it is no longer mounted there"
                );
            }
            let read_only = Overlay::new(lowers.iter().map(|l| path(l)).collect(), Vec::new()).unwrap();
            let mount = read_only.at_once(sys::MOUNT_ATTR_RDONLY).unwrap();
            let target = make("read-only".into());
            sys::move_mount(mount, sys::open(&path(&target), libc::O_PATH, 0).unwrap()).unwrap();
            let error = std::fs::write(target.join("new"), "").unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
        })
        .join()
        .unwrap();
        dir.close().unwrap();
    }
}
