//! A hash of Berkeley DB's (its dbinc/db_page.h): what pages of buckets hold in pairs of key and value. A value of
//! more than a part of a page, as headers are, is on pages of its own. The key 0 is RPM's counter.

use super::{Each, LONGEST, Order, Pages, Unread, number};

const BROKEN: Unread = Unread::Broken("its pages are broken");
const MAGIC: u64 = 0x0006_1561;
const PAGE_HEAD: usize = 26;

/// Kinds of pages.
const UNSORTED: u8 = 2;
const OVERFLOW: u8 = 7;
const SORTED: u8 = 13;

/// Kinds of values.
const HERE: u8 = 1;
const ELSEWHERE: u8 = 3;

pub(super) fn headers(file: &Pages, each: Each<'_>) -> Result<(), Unread> {
    let head = file.read(0, 512)?;
    let order = [Order::Little, Order::Big].into_iter().find(|o| number(&head, 12, 4, *o) == Some(MAGIC));
    let order = order.ok_or(Unread::Broken("it isn't a hash of Berkeley DB"))?;
    let get = |bytes: &[u8], at, width| number(bytes, at, width, order).ok_or(BROKEN);
    let size = get(&head, 20, 4)?;
    if !(512..=65536).contains(&size) || !size.is_power_of_two() {
        return Err(BROKEN);
    }
    if head[24] != 0 {
        return Err(Unread::Broken("it is encrypted"));
    }
    for page in 1..=get(&head, 32, 4)? {
        let page = file.read(page * size, size)?;
        if !matches!(page[25], UNSORTED | SORTED) {
            continue;
        }
        let entries = get(&page, 20, 2)? as usize;
        let place = |n: usize| get(&page, PAGE_HEAD + 2 * n, 2).map(|p| p as usize);
        for entry in (1..entries).step_by(2) {
            // They grow from the end of the page to its start.
            let value = page.get(place(entry)?..place(entry - 1)?).ok_or(BROKEN)?;
            match value.first() {
                Some(&ELSEWHERE) => {
                    let (first, length) = (get(value, 4, 4)?, get(value, 8, 4)?);
                    each(&elsewhere(file, order, size, first, length)?)?;
                }
                Some(&HERE) if value.len() > 5 => each(&value[1..])?,
                Some(&HERE) => {}
                _ => return Err(BROKEN),
            }
        }
    }
    Ok(())
}

/// A value of so many bytes, from its chain of pages.
fn elsewhere(file: &Pages, order: Order, size: u64, first: u64, length: u64) -> Result<Vec<u8>, Unread> {
    if length > LONGEST {
        return Err(BROKEN);
    }
    let mut value = Vec::new();
    let mut next = first;
    while (value.len() as u64) < length {
        let page = file.read(next.checked_mul(size).ok_or(BROKEN)?, size)?;
        let used = number(&page, 22, 2, order).ok_or(BROKEN)? as usize;
        let more = page.get(PAGE_HEAD..PAGE_HEAD + used).filter(|m| !m.is_empty()).ok_or(BROKEN)?;
        if page[25] != OVERFLOW {
            return Err(BROKEN);
        }
        value.extend_from_slice(more);
        next = number(&page, 16, 4, order).ok_or(BROKEN)?;
    }
    value.truncate(length as usize);
    Ok(value)
}
