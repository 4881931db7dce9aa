//! Extended headers of tar archives are read into memory by whoever reads the archive, as long as they say that they
//! are. A compressed archive of some kilobytes could so take all memory; this reader refuses such a header first.

use std::cell::RefCell;
use std::io::{self, Read};
use std::rc::Rc;

use tar::{EntryType, Header};

/// As in Go's archive/tar: the longest extended header.
const LONGEST: u64 = 1 << 20;
/// The most blocks that map a sparse file in GNU's old form, 21 pieces each.
const MOST_MAPS: u32 = 16 * 1024;
const BLOCK: usize = 512;

/// Passes an archive's bytes through and looks at its headers.
pub struct Guard<R> {
    inner: R,
    state: State,
    block: Vec<u8>,
    /// The records that an extended header has for the next member.
    next: Vec<u8>,
    records: Records,
}

/// The PAX records of the member whose header has passed last, as they stand there: `tar` takes them for lines, but
/// values may be any bytes.
pub(crate) type Records = Rc<RefCell<Vec<u8>>>;

enum State {
    Header,
    /// Content, so many bytes.
    Content(u64),
    /// An extended header of so many bytes, and its padding.
    Extended(u64, u64),
    /// Another block of a sparse file's map; then content.
    Map(u32, u64),
    /// Behind the end, or what nobody can read.
    Free,
}

impl<R: Read> Guard<R> {
    /// Looks at what is read from here.
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            state: State::Header,
            block: Vec::with_capacity(BLOCK),
            next: Vec::new(),
            records: Records::default(),
        }
    }

    pub(crate) fn records(&self) -> Records {
        self.records.clone()
    }

    fn look(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let taken = match &mut self.state {
                State::Free => return Ok(()),
                State::Content(left) => {
                    let n = (*left).min(bytes.len() as u64);
                    *left -= n;
                    if *left == 0 {
                        self.state = State::Header;
                    }
                    n as usize
                }
                State::Header | State::Map(..) => self.fill(bytes, BLOCK as u64),
                State::Extended(length, padding) => {
                    let whole = *length + *padding;
                    self.fill(bytes, whole)
                }
            };
            bytes = &bytes[taken..];
            self.turn()?;
        }
        Ok(())
    }

    fn fill(&mut self, bytes: &[u8], whole: u64) -> usize {
        let n = (whole - self.block.len() as u64).min(bytes.len() as u64) as usize;
        self.block.extend_from_slice(&bytes[..n]);
        n
    }

    /// Goes on when what was waited for is whole.
    fn turn(&mut self) -> io::Result<()> {
        let length = self.block.len() as u64;
        match self.state {
            State::Header if length == BLOCK as u64 => self.header()?,
            State::Map(n, content) if length == BLOCK as u64 => {
                let more = self.block[504] == 1;
                self.block.clear();
                self.state = match more {
                    true if n + 1 >= MOST_MAPS => return Err(refused("map of a sparse file")),
                    true => State::Map(n + 1, content),
                    false => content_of(content),
                };
            }
            State::Extended(wanted, padding) if length == wanted + padding => {
                self.block.truncate(wanted as usize);
                self.next = std::mem::take(&mut self.block);
                self.state = State::Header;
            }
            _ => {}
        }
        Ok(())
    }

    fn header(&mut self) -> io::Result<()> {
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
        if block.iter().all(|b| *b == 0) {
            self.state = State::Free;
            return Ok(());
        }
        let header = Header::from_byte_slice(&block);
        let Ok(size) = header.entry_size() else {
            // Whoever reads it will say so.
            self.state = State::Free;
            return Ok(());
        };
        let kind = header.entry_type();
        if matches!(
            kind,
            EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader | EntryType::XGlobalHeader
        ) {
            if size > LONGEST {
                return Err(refused("extended header"));
            }
            let padding = size.next_multiple_of(BLOCK as u64) - size;
            self.state = match (kind, size) {
                (_, 0) => State::Header,
                (EntryType::XHeader, _) => State::Extended(size, padding),
                _ => State::Content(size + padding),
            };
            return Ok(());
        }
        let records = std::mem::take(&mut self.next);
        let size = size_in(&records).unwrap_or(size);
        *self.records.borrow_mut() = records;
        self.state = match kind == EntryType::GNUSparse && block[482] == 1 {
            true => State::Map(0, size),
            false => content_of(size),
        };
        Ok(())
    }
}

fn content_of(size: u64) -> State {
    match size.checked_next_multiple_of(BLOCK as u64) {
        Some(0) => State::Header,
        Some(padded) => State::Content(padded),
        None => State::Free,
    }
}

fn refused(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the archive has a {what} that is longer than any file needs"),
    )
}

/// The length that `tar` takes a member for, by its own reading of the records.
fn size_in(records: &[u8]) -> Option<u64> {
    for record in tar::PaxExtensions::new(records) {
        let record = record.ok()?;
        if record.key_bytes() == b"size" {
            return record.value().ok()?.parse().ok();
        }
    }
    None
}

/// Keys and values of PAX records, `LENGTH KEY=VALUE\n`; `None` in place of what is none.
pub(crate) fn pax(records: &[u8]) -> impl Iterator<Item = Option<(&[u8], &[u8])>> {
    let mut rest = records;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut one = || {
            let blank = rest.iter().position(|b| *b == b' ')?;
            let length: usize = std::str::from_utf8(&rest[..blank]).ok()?.parse().ok()?;
            let record = rest.get(blank + 1..length)?.strip_suffix(b"\n")?;
            let equals = record.iter().position(|b| *b == b'=')?;
            rest = &rest[length..];
            Some((&record[..equals], &record[equals + 1..]))
        };
        let found = one();
        if found.is_none() {
            rest = &[];
        }
        Some(found)
    })
}

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.look(&buf[..n])?;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        // In pieces that don't fit anything.
        let mut guard = Guard::new(bytes);
        let mut piece = [0; 77];
        loop {
            match guard.read(&mut piece)? {
                0 => return Ok(out),
                n => out.extend_from_slice(&piece[..n]),
            }
        }
    }

    fn member(kind: EntryType, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_cksum();
        header
    }

    #[test]
    fn what_is_right_passes() {
        let mut tar = tar::Builder::new(Vec::new());
        let long = "d/".repeat(200) + "f";
        for n in 0..3u8 {
            tar.append_pax_extensions([("size", "700".as_bytes()), ("comment", &[b'x'; 900])]).unwrap();
            tar.append(&member(EntryType::Regular, 700), &[n; 700][..]).unwrap();
            let mut header = member(EntryType::Regular, 1000);
            tar.append_data(&mut header, &long, &[n; 1000][..]).unwrap();
        }
        let bytes = tar.into_inner().unwrap();
        assert_eq!(through(&bytes).unwrap(), bytes);
        assert_eq!(through(b"no archive").unwrap(), b"no archive");
    }

    #[test]
    fn long_headers_are_refused() {
        for kind in
            [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader, EntryType::XGlobalHeader]
        {
            let mut bytes = member(EntryType::Regular, 513).as_bytes().to_vec();
            bytes.extend([1; 1024]);
            bytes.extend(member(kind, LONGEST + 1).as_bytes());
            let error = through(&bytes).unwrap_err();
            assert!(error.to_string().contains("extended header"), "{error}");
        }
        assert_eq!(size_in(b"12 size=700\n13 other=abc\n"), Some(700));
        let all: Vec<_> = pax(b"12 size=700\n8 a=x\ny\n0 \n").collect();
        assert_eq!(all, [Some((&b"size"[..], &b"700"[..])), Some((&b"a"[..], &b"x\ny"[..])), None]);
    }
}
