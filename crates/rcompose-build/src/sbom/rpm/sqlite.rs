//! The table `Packages` of a file of SQLite's (sqlite.org/fileformat2.html), with what its write-ahead log adds:
//! an image made without a clean end of rpm has one.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use super::{Each, LONGEST, OVERLAP, Order, Pages, Unread, number};

const BROKEN: Unread = Unread::Broken("its pages are broken");

/// Kinds of b-tree pages.
const INTERIOR: u64 = 5;
const LEAF: u64 = 13;

struct Sqlite {
    file: Pages,
    /// Of a page, in bytes.
    size: u64,
    /// The part of a page that is used.
    usable: usize,
    log: Option<(Pages, BTreeMap<u64, u64>)>,
    /// Bytes that cells may still have, which can be one and the same.
    left: Cell<u64>,
}

pub(super) fn headers(file: Pages, log: Option<Pages>, each: Each<'_>) -> Result<(), Unread> {
    let head = file.read(0, 100)?;
    if !head.starts_with(b"SQLite format 3\0") {
        return Err(Unread::Broken("it isn't a database of SQLite"));
    }
    let size = match big(&head, 16, 2)? {
        1 => 65536,
        size => size,
    };
    let usable = size.saturating_sub(u64::from(head[20])) as usize;
    if !size.is_power_of_two() || usable < 480 {
        return Err(BROKEN);
    }
    let left = Cell::new(file.length + log.as_ref().map_or(0, |l| l.length));
    let log = match log {
        Some(log) => frames(&log, size)?.map(|frames| (log, frames)),
        None => None,
    };
    let database = Sqlite { file, size, usable, log, left };
    let mut root = None;
    database.rows(1, &mut |row| {
        let column = |n| value(row, n).ok_or(BROKEN);
        if column(0)? == b"table" && column(1)? == b"Packages" {
            let page = column(3)?;
            root = number(page, 0, page.len(), Order::Big);
        }
        Ok(())
    })?;
    let root = root.ok_or(Unread::Broken("it has no table of packages"))?;
    database.rows(root, &mut |row| each(value(row, 1).ok_or(BROKEN)?))
}

impl Sqlite {
    fn page(&self, page: u64) -> Result<Vec<u8>, Unread> {
        if let Some((log, frames)) = &self.log
            && let Some(at) = frames.get(&page)
        {
            return log.read(*at, self.size);
        }
        let at = page.checked_sub(1).and_then(|p| p.checked_mul(self.size));
        self.file.read(at.ok_or(BROKEN)?, self.size)
    }

    /// Each record of a table.
    fn rows(&self, root: u64, each: Each<'_>) -> Result<(), Unread> {
        let mut seen = BTreeSet::new();
        let mut next = vec![root];
        while let Some(page) = next.pop() {
            if !seen.insert(page) {
                return Err(BROKEN);
            }
            let bytes = self.page(page)?;
            let at = if page == 1 { 100 } else { 0 };
            let kind = big(&bytes, at, 1)?;
            let cells = big(&bytes, at + 3, 2)? as usize;
            let pointers = at + if kind == INTERIOR { 12 } else { 8 };
            if kind == INTERIOR {
                next.push(big(&bytes, at + 8, 4)?);
            }
            for n in 0..cells {
                match kind {
                    LEAF => each(&self.record(&bytes, big(&bytes, pointers + 2 * n, 2)? as usize)?)?,
                    // The first of them is to be the next.
                    INTERIOR => {
                        let cell = big(&bytes, pointers + 2 * (cells - 1 - n), 2)? as usize;
                        next.push(big(&bytes, cell, 4)?);
                    }
                    _ => return Err(BROKEN),
                }
            }
        }
        Ok(())
    }

    /// The record of a cell, with what lies on pages of its own.
    fn record(&self, page: &[u8], cell: usize) -> Result<Vec<u8>, Unread> {
        let (length, at) = varint(page, cell).ok_or(BROKEN)?;
        let (_row, at) = varint(page, at).ok_or(BROKEN)?;
        if length > LONGEST {
            return Err(BROKEN);
        }
        let (length, usable) = (length as usize, self.usable);
        let (most, least) = (usable - 35, (usable - 12) * 32 / 255 - 23);
        let here = match length {
            _ if length <= most => length,
            _ => match least + (length - least) % (usable - 4) {
                here if here <= most => here,
                _ => least,
            },
        };
        self.left.set(self.left.get().checked_sub(here as u64).ok_or(OVERLAP)?);
        let end = at + here;
        let mut record = page.get(at..end).ok_or(BROKEN)?.to_vec();
        let mut next = if here < length { big(page, end, 4)? } else { 0 };
        while record.len() < length {
            let page = self.page(next)?;
            let more = (length - record.len()).min(usable - 4);
            record.extend_from_slice(page.get(4..4 + more).ok_or(BROKEN)?);
            next = big(&page, 0, 4)?;
        }
        Ok(record)
    }
}

/// Where the log has which page, up to its last whole transaction; nothing if it is of another file.
fn frames(log: &Pages, size: u64) -> Result<Option<BTreeMap<u64, u64>>, Unread> {
    const HEAD: u64 = 32;
    const FRAME: u64 = 24;
    if log.length < HEAD {
        return Ok(None);
    }
    let head = log.read(0, HEAD)?;
    if big(&head, 0, 4)? & !1 != 0x377f_0682 || big(&head, 8, 4)? != size {
        return Ok(None);
    }
    let salts = &head[16..24];
    let (mut whole, mut open) = (BTreeMap::new(), BTreeMap::new());
    let mut at = HEAD;
    while at + FRAME + size <= log.length {
        let frame = log.read(at, FRAME)?;
        if &frame[8..16] != salts {
            break;
        }
        open.insert(big(&frame, 0, 4)?, at + FRAME);
        if big(&frame, 4, 4)? != 0 {
            whole.append(&mut open);
        }
        at += FRAME + size;
    }
    Ok(Some(whole))
}

fn big(bytes: &[u8], at: usize, width: usize) -> Result<u64, Unread> {
    number(bytes, at, width, Order::Big).ok_or(BROKEN)
}

/// A number of up to nine bytes and where it ends.
fn varint(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut number = 0u64;
    for n in 0..8 {
        let byte = *bytes.get(at + n)?;
        number = number << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            return Some((number, at + n + 1));
        }
    }
    Some((number << 8 | u64::from(*bytes.get(at + 8)?), at + 9))
}

/// The bytes of a column.
fn value(record: &[u8], column: usize) -> Option<&[u8]> {
    let (mut start, mut at) = varint(record, 0)?;
    let kinds_end = start as usize;
    let mut n = 0;
    while at < kinds_end {
        let (kind, after) = varint(record, at)?;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            _ => kind.checked_sub(12)? / 2,
        };
        let end = start.checked_add(length)?;
        if n == column {
            return record.get(start as usize..end as usize);
        }
        (at, start, n) = (after, end, n + 1);
    }
    None
}
