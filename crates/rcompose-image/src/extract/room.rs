//! How much room an archive may take: not all of it. Some megabytes can unpack to more than any disk has, and a disk
//! that is full to the last byte is everybody's trouble.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::fstatvfs;

/// What stays free for others: this, or of a small disk a part.
const BYTES: u64 = 64 << 20;
const FILES: u64 = 1024;
const PART: u64 = 64;
/// It is looked at after so many bytes; a file counts as some.
const EACH: u64 = 512 << 10;
const A_FILE: u64 = 8 << 10;

/// The room of the file system that is written to.
pub(super) struct Room {
    dir: OwnedFd,
    since: u64,
}

impl Room {
    pub(super) fn of(dir: OwnedFd) -> Self {
        // The first look comes with the first bytes.
        Self { dir, since: EACH }
    }

    /// So many bytes are about to be written.
    pub(super) fn take(&mut self, bytes: u64) -> io::Result<()> {
        self.since += bytes;
        if self.since < EACH {
            return Ok(());
        }
        self.since = 0;
        let all = fstatvfs(&self.dir)?;
        let bytes = BYTES.min(all.f_blocks * all.f_frsize / PART);
        if all.f_bfree * all.f_frsize < bytes {
            return Err(full(format!("less than {} MiB would be left", bytes.div_ceil(1 << 20))));
        }
        // File systems that make inodes as they are wanted say that they have none.
        let files = FILES.min(all.f_files / PART);
        if all.f_files > 0 && all.f_ffree < files {
            return Err(full(format!("less than {files} inodes would be left")));
        }
        Ok(())
    }

    /// A file is about to be made.
    pub(super) fn take_file(&mut self) -> io::Result<()> {
        self.take(A_FILE)
    }
}

fn full(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, why)
}
