//! `builder`: what builds keep for the next ones.

use std::io::BufRead;
use std::time::SystemTime;

use rcompose_image::Store;

use super::image;
use crate::args::{BuilderVerb, PruneArgs};
use crate::context::{Context, print, to_stderr};
use crate::failure::Failure;
use crate::pictures::{Cached, Pruning, cached, prune};
use crate::render::table::Table;
use crate::render::time::{human_duration, human_size};

pub(crate) fn run(cx: &Context, verb: &BuilderVerb) -> Result<u8, Failure> {
    let store = Store::open(&cx.dirs.images())?;
    match verb {
        BuilderVerb::Build(args) => image::build::run(cx, &store, args)?,
        BuilderVerb::Du => {
            let all = cached(cx, &store)?;
            let total: u64 = all.iter().filter(|c| !c.shared).map(|c| c.bytes).sum();
            print(&format!("{}Reclaimable:\t{}\n", rows(&all), human_size(total)))?;
        }
        BuilderVerb::Prune(args) => remove(cx, &store, args)?,
    }
    Ok(0)
}

fn remove(cx: &Context, store: &Store, args: &PruneArgs) -> Result<(), Failure> {
    cx.need_root()?;
    let mut what = Pruning { all: args.all, ..Pruning::default() };
    for filter in &args.filter {
        match filter.split_once('=') {
            Some(("until" | "unused-for", age)) => {
                what.older = Some(rcompose_loader::parse_duration(age).map_err(Failure::user)?);
            }
            _ => {
                return Err(Failure::user(format!("invalid filter `{filter}`"))
                    .hint("write until=DURATION, like until=24h"));
            }
        }
    }
    if let Some(text) = &args.keep_storage {
        let bytes = rcompose_loader::parse_bytes(text).map_err(Failure::user)?;
        what.keep = Some(u64::try_from(bytes).map_err(|_| Failure::user(format!("invalid size `{text}`")))?);
    }
    if !args.force {
        let which = if args.all { "all build cache" } else { "all dangling build cache" };
        to_stderr(&format!("WARNING! This will remove {which}. Are you sure you want to continue? [y/N] "));
        let mut answer = String::new();
        std::io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(|e| Failure::io("read the answer from standard input", &e))?;
        if !matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
            return Ok(());
        }
    }
    let (gone, freed) = prune(cx, store, &what)?;
    let list = if gone.is_empty() { String::new() } else { rows(&gone) };
    print(&format!("{list}Total:\t{}\n", human_size(freed)))
}

fn rows(all: &[Cached]) -> String {
    let now = SystemTime::now();
    let mut table = Table::new(&["ID", "RECLAIMABLE", "SIZE", "LAST ACCESSED"]);
    for c in all {
        let unused = now.duration_since(c.record.used).unwrap_or_default().as_nanos();
        let id: String = c.record.id.chars().take(25).collect();
        let ago = format!("{} ago", human_duration(i64::try_from(unused).unwrap_or(i64::MAX)));
        table.row([id, (!c.shared).to_string(), human_size(c.bytes), ago]);
    }
    table.render()
}
