//! Sparse files, written so that holes stay holes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};

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
    pub(super) fn write(&self, content: &mut impl Read, file: &mut File) -> io::Result<u64> {
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
            if io::copy(&mut (&mut content).take(length), file)? != length {
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
    let mut map = Vec::new();
    for _ in 0..pieces {
        map.push((next()?, next()?));
    }
    let padding = used.next_multiple_of(512) - used;
    io::copy(&mut content.take(padding as u64), &mut io::sink())?;
    Ok(map)
}

/// Copies content to a file, leaving holes where whole blocks are zero.
pub(super) fn copy_with_holes(content: &mut impl Read, file: &mut File) -> io::Result<u64> {
    const BLOCK: u64 = 4096;
    let mut block = Vec::with_capacity(BLOCK as usize);
    let mut at = 0;
    loop {
        block.clear();
        content.by_ref().take(BLOCK).read_to_end(&mut block)?;
        if block.is_empty() {
            file.set_len(at)?;
            return Ok(at);
        }
        if block.iter().any(|b| *b != 0) {
            file.seek(SeekFrom::Start(at))?;
            file.write_all(&block)?;
        }
        at += block.len() as u64;
    }
}
