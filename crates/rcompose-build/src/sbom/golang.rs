//! The modules that a Go program was made of: its section `.go.buildinfo` (Go, debug/buildinfo, since 1.18).

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use super::{Package, escaped};
use crate::view::Node;

const MAGIC: &[u8] = b"\xff Go buildinf:";
/// Longest section taken.
const LONGEST: u64 = 8 << 20;
/// More sections no linker makes.
const MOST: u64 = 4096;

/// Nothing if it is no program of Go's.
pub(super) fn packages(node: &Node, found: &str) -> io::Result<Vec<Package>> {
    if node.meta.mode() & 0o111 == 0 || node.meta.len() < 64 {
        return Ok(Vec::new());
    }
    let file = File::open(&node.real)?;
    match section(&file) {
        Ok(Some(section)) => Ok(modules(&section, found)),
        Ok(None) => Ok(Vec::new()),
        // What its own header says of it isn't so.
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}

/// The section, from an ELF file of any class and byte order (elf(5)).
fn section(file: &File) -> io::Result<Option<Vec<u8>>> {
    let mut head = [0u8; 64];
    file.read_exact_at(&mut head, 0)?;
    if !head.starts_with(b"\x7fELF") {
        return Ok(None);
    }
    let (wide, little) = (head[4] == 2, head[5] == 1);
    let number = |bytes: &[u8]| -> u64 {
        let fold = |n: u64, b: &u8| n << 8 | u64::from(*b);
        if little { bytes.iter().rev().fold(0, fold) } else { bytes.iter().fold(0, fold) }
    };
    let (table, size, count) = match wide {
        true => (number(&head[40..48]), number(&head[58..60]), number(&head[60..62])),
        false => (number(&head[32..36]), number(&head[46..48]), number(&head[48..50])),
    };
    let least = if wide { 64 } else { 40 };
    if size < least || count > MOST {
        return Ok(None);
    }
    // The section is the one that begins with the magic bytes: names needn't be looked up.
    for n in 0..count {
        let mut entry = [0u8; 64];
        let entry = &mut entry[..least as usize];
        let Some(at) = n.checked_mul(size).and_then(|o| o.checked_add(table)) else { return Ok(None) };
        file.read_exact_at(entry, at)?;
        let (kind, offset, length) = match wide {
            true => (number(&entry[4..8]), number(&entry[24..32]), number(&entry[32..40])),
            false => (number(&entry[4..8]), number(&entry[16..20]), number(&entry[20..24])),
        };
        // SHT_PROGBITS
        if kind != 1 || length < 32 {
            continue;
        }
        let mut magic = [0u8; 14];
        file.read_exact_at(&mut magic, offset)?;
        if magic == *MAGIC && length <= LONGEST {
            let mut all = vec![0; length as usize];
            file.read_exact_at(&mut all, offset)?;
            return Ok(Some(all));
        }
    }
    Ok(None)
}

/// A string with its length before it.
fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (mut length, mut shift) = (0usize, 0);
    loop {
        let (first, after) = rest.split_first()?;
        *rest = after;
        length |= usize::from(first & 0x7f).checked_shl(shift)?;
        if first & 0x80 == 0 {
            break;
        }
        shift += 7;
    }
    let out = rest.get(..length)?;
    *rest = &rest[length..];
    Some(out)
}

fn modules(section: &[u8], found: &str) -> Vec<Package> {
    // Older programs have pointers there instead.
    if section.get(15).is_none_or(|flags| flags & 2 == 0) {
        return Vec::new();
    }
    let mut rest = &section[32..];
    let Some(version) = text(&mut rest) else { return Vec::new() };
    let version = String::from_utf8_lossy(version).into_owned();
    let mut out: Vec<Package> = Vec::new();
    out.extend(
        version.split(' ').next().and_then(|v| v.strip_prefix("go")).map(|v| module("stdlib", v, found)),
    );
    let lines = text(&mut rest).unwrap_or_default();
    // Marks of sixteen bytes are around it.
    let lines = lines.get(16..lines.len().saturating_sub(16)).unwrap_or_default();
    for line in String::from_utf8_lossy(lines).lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        match fields.as_slice() {
            ["mod" | "dep", path, version, ..] => out.push(module(path, version, found)),
            // It takes the place of the one before.
            ["=>", path, version, ..] => {
                out.pop();
                out.push(module(path, version, found));
            }
            _ => {}
        }
    }
    out
}

fn module(path: &str, version: &str, found: &str) -> Package {
    let parts: Vec<String> = path.split('/').map(escaped).collect();
    // A program that was built from its own directory has no version.
    let shown = if version == "(devel)" { String::new() } else { format!("@{}", escaped(version)) };
    Package {
        kind: "golang",
        purl: format!("pkg:golang/{}{shown}", parts.join("/")),
        name: path.to_owned(),
        version: version.to_owned(),
        found: found.to_owned(),
        license: None,
        supplier: None,
    }
}
