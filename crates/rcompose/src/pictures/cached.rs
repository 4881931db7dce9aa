//! What builds keep for the next ones: how much it is, and removing it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcompose_build::{CacheKind, CacheRecord, cache_records, clear_steps, forget_record};
use rcompose_image::{LayerId, Store};

use crate::context::Context;
use crate::failure::Failure;

/// Kept without being asked for, at least.
const LEAST: u64 = 2 << 30;

/// Something kept.
#[derive(Debug, Clone)]
pub(crate) struct Cached {
    /// What it is.
    pub(crate) record: CacheRecord,
    /// Bytes that nobody else has.
    pub(crate) bytes: u64,
    /// An image has its layer, too.
    pub(crate) shared: bool,
}

impl Cached {
    /// docker's word for what it is.
    pub(crate) fn kind(&self) -> &'static str {
        match self.record.kind {
            CacheKind::Step => "regular",
            CacheKind::Mount => "exec.cachemount",
            CacheKind::Download => "source.http",
            CacheKind::Repository => "source.git.checkout",
        }
    }
}

/// Which of what is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Which {
    /// What hasn't been used for so long.
    Older(Duration),
    /// Of an id that has this in it.
    Id(String),
    /// Of a kind, in docker's word.
    Kind(String),
    /// What images have, too, or what they don't.
    Shared(bool),
}

impl Which {
    /// Whether it is one of them.
    pub(crate) fn has(&self, c: &Cached, now: SystemTime) -> bool {
        match self {
            Self::Older(age) => now.duration_since(c.record.used).is_ok_and(|d| d >= *age),
            Self::Id(part) => c.record.id.contains(part),
            Self::Kind(kind) => c.kind() == kind,
            Self::Shared(shared) => c.shared == *shared,
        }
    }
}

/// How much may stay; without any, nothing does.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bounds {
    /// No more than this stays.
    pub(crate) most: Option<u64>,
    /// So much of the disk is to be free.
    pub(crate) free: Option<u64>,
    /// So much stays in any case.
    pub(crate) reserved: Option<u64>,
}

impl Bounds {
    /// What may stay of so many bytes on a disk that has so many free.
    fn keep(&self, size: u64, free: u64) -> Option<u64> {
        let short = self.free.map(|wanted| wanted.saturating_sub(free));
        let freed = short.map(|short| size.saturating_sub(short));
        let keep = [self.most, freed].into_iter().flatten().min();
        keep.max(self.reserved)
    }
}

/// What to remove.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pruning {
    /// Also what images have, too.
    pub(crate) all: bool,
    /// Only what all of these mean.
    pub(crate) only: Vec<Which>,
    /// Only until this holds.
    pub(crate) bounds: Bounds,
}

/// All that is kept, the longest unused first.
pub(crate) fn cached(cx: &Context, store: &Store) -> Result<Vec<Cached>, Failure> {
    let root = cx.dirs.build_cache();
    let records = cache_records(&root)
        .map_err(|e| Failure::io(format_args!("read the build cache in {}", root.display()), &e))?;
    let of_images = store.image_layers()?;
    let mut all = Vec::new();
    for record in records {
        let layer = record.layer.map(LayerId);
        let shared = layer.is_some_and(|l| of_images.contains(&l));
        let bytes = match layer {
            Some(l) => store.layer_info(&l)?.map(|i| i.content).unwrap_or_default(),
            None => record.bytes,
        };
        all.push(Cached { record, bytes, shared });
    }
    Ok(all)
}

/// Removes what is to go; what was removed, and how many bytes that freed.
pub(crate) fn prune(cx: &Context, store: &Store, what: &Pruning) -> Result<(Vec<Cached>, u64), Failure> {
    let root = cx.dirs.build_cache();
    clear_steps(&root)
        .map_err(|e| Failure::io(format_args!("clear up the build cache in {}", root.display()), &e))?;
    // Before the records: one that is written meanwhile isn't among them, and its layer not among these.
    let idle = store.idle_layers()?;
    let all = cached(cx, store)?;
    let now = SystemTime::now();
    // A layer counts once, with its newest record.
    let mut layers: BTreeMap<LayerId, usize> = BTreeMap::new();
    let mut size: u64 = 0;
    for c in &all {
        match c.record.layer.map(LayerId) {
            Some(layer) => {
                let users = layers.entry(layer).or_default();
                size += if *users == 0 && !c.shared { c.bytes } else { 0 };
                *users += 1;
            }
            None => size += c.bytes,
        }
    }
    let (mut gone, mut freed) = (Vec::new(), 0);
    let keep = match what.bounds.free {
        // Before the first build there is no such directory.
        Some(_) if !all.is_empty() => what.bounds.keep(size, disk(&root)?.1),
        _ => what.bounds.keep(size, 0),
    };
    for c in all {
        if keep.is_some_and(|keep| size <= keep) {
            break;
        }
        if !what.only.iter().all(|w| w.has(&c, now)) || (c.shared && !what.all) {
            continue;
        }
        let removed = forget_record(&c.record)
            .map_err(|e| Failure::io(format_args!("remove {} from the build cache", c.record.id), &e))?;
        if !removed {
            continue;
        }
        let last = c.record.layer.is_none_or(|layer| {
            let users = layers.entry(LayerId(layer)).or_insert(1);
            *users -= 1;
            *users == 0
        });
        if last && !c.shared {
            size -= c.bytes.min(size);
            freed += if c.record.layer.is_none() { c.bytes } else { 0 };
        }
        gone.push(c);
    }
    let left: BTreeSet<LayerId> = layers.into_iter().filter(|(_, n)| *n > 0).map(|(l, _)| l).collect();
    let loose: BTreeSet<LayerId> = idle.difference(&left).copied().collect();
    if !loose.is_empty() {
        store.let_go(&loose)?;
    }
    freed += store.prune_layers()?.freed;
    Ok((gone, freed))
}

/// After a build that did something: keeps the cache within a tenth of its disk, as docker's engine does.
pub(super) fn bound(cx: &Context, store: &Store) -> Result<(), Failure> {
    let most = Some((disk(&cx.dirs.build_cache())?.0 / 10).max(LEAST));
    let bounds = Bounds { most, ..Bounds::default() };
    prune(cx, store, &Pruning { bounds, ..Pruning::default() }).map(drop)
}

/// How large the disk is, and how much of it is free.
fn disk(root: &Path) -> Result<(u64, u64), Failure> {
    let disk = rustix::fs::statvfs(root).map_err(|e| Failure::io("look at the build cache's disk", &e))?;
    Ok((disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays() {
        let keep = |most, free, reserved| Bounds { most, free, reserved }.keep(100, 50);
        assert_eq!(keep(None, None, None), None);
        assert_eq!(keep(Some(40), None, None), Some(40));
        assert_eq!(keep(None, None, Some(30)), Some(30));
        assert_eq!(keep(Some(40), None, Some(60)), Some(60));
        // The disk has as much as is wanted: all stays.
        assert_eq!(keep(None, Some(50), None), Some(100));
        assert_eq!(keep(None, Some(70), None), Some(80));
        assert_eq!(keep(Some(90), Some(70), None), Some(80));
        assert_eq!(keep(Some(40), Some(70), None), Some(40));
        assert_eq!(keep(None, Some(1000), Some(10)), Some(10));
    }
}
