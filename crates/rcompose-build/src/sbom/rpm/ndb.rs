//! RPM's own `Packages.db` (rpm, lib/backend/ndb/rpmpkg.c): a head, pages of slots, blobs in blocks of 16 bytes.

use super::{Each, Order, Pages, Unread, number};

const PAGE: u64 = 4096;
const SLOT: usize = 16;
const BLOCK: u64 = 16;
const BLOB_HEAD: u64 = 16;

pub(super) fn headers(file: &Pages, each: Each<'_>) -> Result<(), Unread> {
    const BROKEN: Unread = Unread::Broken("its slots are broken");
    let little = |bytes: &[u8], at| number(bytes, at, 4, Order::Little).ok_or(BROKEN);
    let head = file.read(0, 32)?;
    if !head.starts_with(b"RpmP") {
        return Err(Unread::Broken("it isn't a database of RPM's form ndb"));
    }
    let slots = file.read(0, little(&head, 12)?.checked_mul(PAGE).ok_or(BROKEN)?)?;
    // The head takes the place of two.
    for slot in slots.chunks_exact(SLOT).skip(2) {
        let (package, block) = (little(slot, 4)?, little(slot, 8)?);
        if !slot.starts_with(b"Slot") {
            return Err(BROKEN);
        }
        // One without a package is free.
        if package == 0 {
            continue;
        }
        let blob = file.read(block * BLOCK, BLOB_HEAD)?;
        if !blob.starts_with(b"BlbS") || little(&blob, 4)? != package {
            return Err(BROKEN);
        }
        each(&file.read(block * BLOCK + BLOB_HEAD, little(&blob, 12)?)?)?;
    }
    Ok(())
}
