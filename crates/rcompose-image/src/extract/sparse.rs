//! Sparse files, written so that holes stay holes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};

use super::room::Room;

/// The `GNU.sparse.*` records of a member (GNU tar manual, "Storing Sparse Files": versions 0.0, 0.1 and 1.0).
#[derive(Debug, Default)]
pub(super) struct PaxSparse {
    pub(super) name: Option<Vec<u8>>,
    /// Length of the whole file. Without it the member isn't sparse.
    pub(super) real_size: Option<u64>,
    /// Version 1.0: the map stands before the content.
    map_in_content: bool,
    /// Versions 0.0 and 0.1: offset and length of each piece.
    map: Vec<(u64, u64)>,
}

/// The most pieces of one file: they are kept in memory while it is written.
const MOST_PIECES: u64 = 1 << 20;

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.trim_end().parse().ok()
}

impl PaxSparse {
    /// Takes one record, `None` if its value is malformed.
    pub(super) fn take(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        match key {
            b"name" => self.name = Some(value.to_vec()),
            b"realsize" | b"size" => self.real_size = Some(number(value)?),
            b"major" => self.map_in_content = number(value)? == 1,
            b"offset" => self.map.push((number(value)?, 0)),
            b"numbytes" => self.map.last_mut()?.1 = number(value)?,
            b"map" => {
                let numbers: Vec<u64> = value.split(|b| *b == b',').map(number).collect::<Option<_>>()?;
                self.map =
                    numbers.chunks(2).map(|p| Some((*p.first()?, *p.get(1)?))).collect::<Option<_>>()?;
            }
            _ => {}
        }
        Some(())
    }

    /// Writes the expanded file and returns its length.
    pub(super) fn write(
        &self,
        content: &mut impl Read,
        file: &mut File,
        buffer: &mut [u8],
        room: &mut Room,
    ) -> io::Result<u64> {
        let size = self.real_size.unwrap_or_default();
        let mut content = BufReader::with_capacity(64 * 1024, content);
        let own;
        let map = match self.map_in_content {
            true => {
                own = read_map(&mut content)?;
                &own
            }
            false => &self.map,
        };
        for &(offset, length) in map {
            if offset.checked_add(length).is_none_or(|end| end > size) {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a piece lies outside of the sparse file",
                ));
            }
            file.seek(SeekFrom::Start(offset))?;
            let mut piece = (&mut content).take(length);
            loop {
                let n = fill(&mut piece, buffer)?;
                if n == 0 {
                    break;
                }
                room.take(n as u64)?;
                file.write_all(&buffer[..n])?;
            }
            if piece.limit() != 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        file.set_len(size)?;
        Ok(size)
    }
}

/// Decimal numbers, one per line, padded with zeros to a multiple of 512 bytes: how many pieces, then offset and
/// length of each.
fn read_map(content: &mut impl BufRead) -> io::Result<Vec<(u64, u64)>> {
    let mut used = 0;
    let mut next = || {
        let mut line = Vec::new();
        used += (&mut *content).take(32).read_until(b'\n', &mut line)?;
        number(&line).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "malformed sparse map"))
    };
    let pieces = next()?;
    if pieces > MOST_PIECES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a sparse file of too many pieces"));
    }
    let mut map = Vec::new();
    for _ in 0..pieces {
        map.push((next()?, next()?));
    }
    let padding = used.next_multiple_of(512) - used;
    io::copy(&mut content.take(padding as u64), &mut io::sink())?;
    Ok(map)
}

/// Copies content to a file, leaving a hole for each part of the buffer's length that is zero: nothing but zeros
/// takes no room on the disk.
pub(super) fn copy_with_holes(
    content: &mut impl Read,
    file: &mut File,
    buffer: &mut [u8],
    room: &mut Room,
) -> io::Result<u64> {
    let (mut length, mut hole) = (0, false);
    loop {
        let n = fill(content, buffer)?;
        if n == 0 {
            break;
        }
        length += n as u64;
        hole = buffer[..n].iter().all(|b| *b == 0) && n == buffer.len();
        if hole {
            file.seek(SeekFrom::Start(length))?;
        } else {
            room.take(n as u64)?;
            file.write_all(&buffer[..n])?;
        }
    }
    if hole {
        file.set_len(length)?;
    }
    Ok(length)
}

/// Reads until the buffer is full or nothing comes any more.
fn fill(content: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while n < buffer.len() {
        match content.read(&mut buffer[n..]) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(n)
}
