//! Databases of RPM, in each of the three forms that are about (github.com/rpm-software-management/rpm,
//! lib/backend): SQLite's (Fedora 33, RHEL 9), ndb (SUSE) and Berkeley DB's hash (RHEL 8 and older). All hold one
//! header a package. They are read where they lie: SQLite itself would be C and a megabyte, and needs a writable
//! directory for a file in write-ahead mode.

mod berkeley;
mod header;
mod ndb;
mod sqlite;

use std::cell::Cell;
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
    let log = match form {
        Form::Sqlite => write_ahead_log(node, view)?,
        Form::Ndb | Form::Berkeley => None,
    };
    let found = node.path.to_string_lossy();
    let found = found.trim_start_matches('/');
    let mut packages = Vec::new();
    let mut room = database.length + log.as_ref().map_or(0, |l| l.length);
    let mut each = |blob: &[u8]| {
        // Else a small file would be a huge list.
        let left = room.checked_sub(blob.len() as u64);
        room = left.ok_or(OVERLAP)?;
        let header = header::Header::read(blob).ok_or(Unread::Broken("one of its headers is broken"))?;
        packages.extend(header.package(found, distribution));
        Ok(())
    };
    match form {
        Form::Sqlite => sqlite::headers(database, log, &mut each)?,
        Form::Ndb => ndb::headers(&database, &mut each)?,
        Form::Berkeley => berkeley::headers(&database, &mut each)?,
    }
    Ok(packages)
}

/// What SQLite hasn't written to the file itself yet.
fn write_ahead_log(node: &Node, view: &View) -> io::Result<Option<Pages>> {
    let mut path = node.path.clone().into_os_string();
    path.push("-wal");
    match view.find(path.as_ref(), false)? {
        Found::Node(log) if log.meta.is_file() && log.meta.len() > 0 => Pages::open(&log).map(Some),
        _ => Ok(None),
    }
}

/// What the forms hand a package's header to.
type Each<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), Unread>;

/// A file that is read piece by piece.
struct Pages {
    file: File,
    /// In bytes.
    length: u64,
    /// Bytes that may still be read: one whose parts lead to each other has an end, too.
    left: Cell<u64>,
}

const OVERLAP: Unread = Unread::Broken("its parts lie over each other");

impl Pages {
    fn open(node: &Node) -> io::Result<Self> {
        Self::of(File::open(&node.real)?)
    }

    fn of(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        // No form has anything to read more than twice but what is at the beginning.
        Ok(Self { file, length, left: Cell::new(length.saturating_mul(3).saturating_add(128 << 10)) })
    }

    fn spend(&self, bytes: u64) -> Result<(), Unread> {
        self.left.set(self.left.get().checked_sub(bytes).ok_or(OVERLAP)?);
        Ok(())
    }

    /// So many bytes from there; never more than the file has, whatever it says of itself.
    fn read(&self, at: u64, length: u64) -> Result<Vec<u8>, Unread> {
        let fits = at.checked_add(length).is_some_and(|end| end <= self.length);
        if !fits || length > LONGEST {
            return Err(Unread::Broken("it ends too early"));
        }
        self.spend(length)?;
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
