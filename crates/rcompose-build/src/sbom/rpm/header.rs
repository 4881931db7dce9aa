//! A package's header as databases hold it (rpm.org, "Package format": the header structure, without its magic
//! number): how many entries, how many bytes of data; an entry's tag, type, offset and count; the data.

use std::collections::BTreeMap;

use super::super::Package;
use super::super::system::Distribution;
use super::{Order, number};

const NAME: u64 = 1000;
const VERSION: u64 = 1001;
const RELEASE: u64 = 1002;
const EPOCH: u64 = 1003;
const VENDOR: u64 = 1011;
const LICENSE: u64 = 1014;
const ARCH: u64 = 1022;
const SOURCE: u64 = 1044;

const INT32: u64 = 4;
const STRING: u64 = 6;
const STRING_ARRAY: u64 = 8;
const I18N_STRING: u64 = 9;

#[derive(Debug)]
pub(super) struct Header {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) release: String,
    pub(super) epoch: String,
    pub(super) arch: String,
    pub(super) vendor: String,
    pub(super) license: String,
    /// The file name of the package it was built from.
    pub(super) source: String,
}

impl Header {
    pub(super) fn read(blob: &[u8]) -> Option<Self> {
        let entries = number(blob, 0, 4, Order::Big)? as usize;
        let entries_end = entries.checked_mul(16)?.checked_add(8)?;
        let length = number(blob, 4, 4, Order::Big)? as usize;
        let data = blob.get(entries_end..entries_end.checked_add(length)?)?;
        let mut last = BTreeMap::new();
        for entry in blob.get(8..entries_end)?.chunks_exact(16) {
            let get = |at| number(entry, at, 4, Order::Big);
            // A later one replaces an earlier one, as for RPM.
            last.insert(get(0)?, (get(4)?, get(8)? as usize));
        }
        let get = |tag| last.get(&tag).map_or(Some(String::new()), |(kind, at)| value(data, *kind, *at));
        let header = Self {
            name: get(NAME)?,
            version: get(VERSION)?,
            release: get(RELEASE)?,
            epoch: get(EPOCH)?,
            arch: get(ARCH)?,
            vendor: get(VENDOR)?,
            license: get(LICENSE)?,
            source: get(SOURCE)?,
        };
        (!header.name.is_empty() && !header.version.is_empty()).then_some(header)
    }

    /// None for the keys that RPM keeps among its packages.
    pub(super) fn package(self, found: &str, distribution: &Distribution) -> Option<Package> {
        if self.name == "gpg-pubkey" {
            return None;
        }
        let version = match self.release.is_empty() {
            true => self.version,
            false => format!("{}-{}", self.version, self.release),
        };
        let more = [("arch", &*self.arch), ("epoch", &self.epoch), ("upstream", &self.source)];
        let purl = distribution.purl("rpm", "", &self.name, &version, &more);
        Some(Package {
            kind: "rpm",
            purl,
            name: self.name,
            version: if self.epoch.is_empty() { version } else { format!("{}:{version}", self.epoch) },
            found: found.to_owned(),
            license: Some(self.license).filter(|l| !l.is_empty()),
            supplier: Some(self.vendor).filter(|v| !v.is_empty()).map(|v| format!("Organization: {v}")),
        })
    }
}

/// A number, or the first text, as text.
fn value(data: &[u8], kind: u64, at: usize) -> Option<String> {
    match kind {
        INT32 => Some(number(data, at, 4, Order::Big)?.to_string()),
        STRING | STRING_ARRAY | I18N_STRING => {
            let text = data.get(at..)?;
            let end = text.iter().position(|b| *b == 0)?;
            Some(String::from_utf8_lossy(&text[..end]).into_owned())
        }
        _ => None,
    }
}
