//! What builds keep for the next ones: how much it is, and removing it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use rcompose_build::{CacheRecord, cache_records, clear_steps, forget_record};
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

/// What to remove.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pruning {
    /// Also what images have, too.
    pub(crate) all: bool,
    /// Only what hasn't been used for so long.
    pub(crate) older: Option<Duration>,
    /// Only until no more than this is left.
    pub(crate) keep: Option<u64>,
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
    for c in all {
        if what.keep.is_some_and(|keep| size <= keep) {
            break;
        }
        let young = what.older.is_some_and(|age| now.duration_since(c.record.used).is_ok_and(|d| d < age));
        if young || (c.shared && !what.all) {
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
    let root = cx.dirs.build_cache();
    let disk = rustix::fs::statvfs(&root).map_err(|e| Failure::io("look at the build cache's disk", &e))?;
    let keep = (disk.f_blocks * disk.f_frsize / 10).max(LEAST);
    prune(cx, store, &Pruning { keep: Some(keep), ..Pruning::default() }).map(drop)
}
