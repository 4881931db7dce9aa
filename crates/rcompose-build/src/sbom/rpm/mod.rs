//! Databases of RPM, in each of the three forms that are about (github.com/rpm-software-management/rpm,
//! lib/backend): SQLite's (Fedora 33, RHEL 9), ndb (SUSE) and Berkeley DB's hash (RHEL 8 and older). All hold one
//! header a package. They are read where they lie: SQLite itself would be C and a megabyte, and needs a writable
//! directory for a file in write-ahead mode.

mod berkeley;
mod header;
mod ndb;
mod sqlite;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::system::Distribution;
use super::{LONGEST, Package};
use crate::view::{Found, Node, View};

/// A database as its path tells.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    Sqlite,
    Ndb,
    Berkeley,
}

impl Form {
    pub(super) fn of(path: &str) -> Option<Self> {
        let (directory, name) = path.rsplit_once('/')?;
        // The second since Fedora 36 and in SUSE, the third in ostree's.
        if !matches!(directory, "var/lib/rpm" | "usr/lib/sysimage/rpm" | "usr/share/rpm") {
            return None;
        }
        match name {
            "rpmdb.sqlite" => Some(Self::Sqlite),
            "Packages.db" => Some(Self::Ndb),
            "Packages" => Some(Self::Berkeley),
            _ => None,
        }
    }
}

/// Why a database gives nothing.
#[derive(Debug)]
pub(super) enum Unread {
    Io(io::Error),
    /// It isn't what it should be; what is wrong, as the end of a sentence.
    Broken(&'static str),
}

impl From<io::Error> for Unread {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::UnexpectedEof => Self::Broken("it ends too early"),
            _ => Self::Io(e),
        }
    }
}

/// Its packages, or why there are none.
pub(super) fn packages(
    form: Form,
    node: &Node,
    view: &View,
    distribution: &Distribution,
) -> Result<Vec<Package>, Unread> {
    let database = Pages::open(node)?;
    let found = node.path.to_string_lossy();
    let found = found.trim_start_matches('/');
    let mut packages = Vec::new();
    let mut each = |blob: &[u8]| {
        let header = header::Header::read(blob).ok_or(Unread::Broken("one of its headers is broken"))?;
        packages.extend(header.package(found, distribution));
        Ok(())
    };
    match form {
        Form::Sqlite => {
            let mut log = node.path.clone().into_os_string();
            log.push("-wal");
            let log = match view.find(log.as_ref(), false)? {
                Found::Node(log) if log.meta.is_file() && log.meta.len() > 0 => Some(Pages::open(&log)?),
                _ => None,
            };
            sqlite::headers(database, log, &mut each)?;
        }
        Form::Ndb => ndb::headers(&database, &mut each)?,
        Form::Berkeley => berkeley::headers(&database, &mut each)?,
    }
    Ok(packages)
}

/// What the forms hand a package's header to.
type Each<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), Unread>;

/// A file that is read piece by piece.
struct Pages {
    file: File,
    /// In bytes.
    length: u64,
}

impl Pages {
    fn open(node: &Node) -> io::Result<Self> {
        let file = File::open(&node.real)?;
        Ok(Self { length: file.metadata()?.len(), file })
    }

    /// So many bytes from there; never more than the file has, whatever it says of itself.
    fn read(&self, at: u64, length: u64) -> Result<Vec<u8>, Unread> {
        let fits = at.checked_add(length).is_some_and(|end| end <= self.length);
        if !fits || length > LONGEST {
            return Err(Unread::Broken("it ends too early"));
        }
        let mut bytes = vec![0; length as usize];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

/// The unsigned number of `width` bytes at `at`, if they are there.
fn number(bytes: &[u8], at: usize, width: usize, order: Order) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(width)?)?;
    let fold = |n: u64, b: &u8| n << 8 | u64::from(*b);
    Some(match order {
        Order::Little => bytes.iter().rev().fold(0, fold),
        Order::Big => bytes.iter().fold(0, fold),
    })
}

#[cfg(test)]
mod tests;
