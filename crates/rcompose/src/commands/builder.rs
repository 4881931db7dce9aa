//! `builder`: what builds keep for the next ones.

use std::io::BufRead;
use std::time::SystemTime;

use rcompose_image::Store;

use super::image;
use crate::args::{BuilderVerb, DuArgs, PruneArgs};
use crate::context::{Context, print, to_stderr};
use crate::failure::Failure;
use crate::pictures::{Bounds, Cached, Pruning, Which, cached, prune};
use crate::render::table::Table;
use crate::render::time::{human_duration, human_size};

pub(crate) fn run(cx: &Context, verb: &BuilderVerb) -> Result<u8, Failure> {
    let store = Store::open(&cx.dirs.images())?;
    match verb {
        BuilderVerb::Build(args) => image::build::run(cx, &store, args)?,
        BuilderVerb::Du(args) => {
            let (only, now) = (which(&args.filter)?, SystemTime::now());
            let mut all = cached(cx, &store)?;
            all.retain(|c| only.iter().all(|w| w.has(c, now)));
            let total: u64 = all.iter().filter(|c| !c.shared).map(|c| c.bytes).sum();
            print(&format!("{}Reclaimable:\t{}\n", shown(&all, args), human_size(total)))?;
        }
        BuilderVerb::Prune(args) => remove(cx, &store, args)?,
    }
    Ok(0)
}

fn remove(cx: &Context, store: &Store, args: &PruneArgs) -> Result<(), Failure> {
    cx.need_root()?;
    let bounds = Bounds {
        most: bytes("max-used-space", args.max_used_space.as_deref())?,
        free: bytes("min-free-space", args.min_free_space.as_deref())?,
        reserved: bytes("reserved-space", args.reserved_space.as_deref())?,
    };
    let what = Pruning { all: args.all, only: which(&args.du.filter)?, bounds };
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
    let list = if gone.is_empty() { String::new() } else { shown(&gone, &args.du) };
    print(&format!("{list}Total:\t{}\n", human_size(freed)))
}

fn bytes(flag: &str, text: Option<&str>) -> Result<Option<u64>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let parsed = rcompose_loader::parse_bytes(text).map_err(|e| Failure::user(format!("--{flag}: {e}")))?;
    let size = u64::try_from(parsed);
    size.map(Some).map_err(|_| Failure::user(format!("--{flag}: invalid size `{text}`")))
}

fn which(filters: &[String]) -> Result<Vec<Which>, Failure> {
    filters.iter().map(|f| one(f)).collect()
}

fn one(filter: &str) -> Result<Which, Failure> {
    let wrong = |hint: &str| Failure::user(format!("invalid filter `{filter}`")).hint(hint);
    let truth = |text: &str| text.parse().map_err(|_| wrong("write =true or =false"));
    let (key, value) = filter.split_once('=').unwrap_or((filter, "true"));
    Ok(match (key, value) {
        ("until" | "unused-for", age) => {
            let parsed = rcompose_loader::parse_duration(age);
            Which::Older(parsed.map_err(|_| wrong("write until=DURATION, like until=24h"))?)
        }
        ("id", part) => Which::Id(part.to_owned()),
        ("type", kind @ ("regular" | "exec.cachemount" | "source.http" | "source.git.checkout")) => {
            Which::Kind(kind.to_owned())
        }
        ("type", _) => {
            return Err(wrong("the types are regular, exec.cachemount, source.http and source.git.checkout"));
        }
        ("shared", text) => Which::Shared(truth(text)?),
        ("private", text) => Which::Shared(!truth(text)?),
        _ => return Err(wrong("write until=DURATION, like until=24h, or id=, type=, shared= or private=")),
    })
}

/// A table, or all of each.
fn shown(all: &[Cached], args: &DuArgs) -> String {
    let now = SystemTime::now();
    let ago = |c: &Cached| {
        let unused = now.duration_since(c.record.used).unwrap_or_default().as_nanos();
        format!("{} ago", human_duration(i64::try_from(unused).unwrap_or(i64::MAX)))
    };
    if args.verbose {
        return all.iter().map(|c| all_of(c, &ago(c))).collect();
    }
    let mut table = Table::new(&["ID", "RECLAIMABLE", "SIZE", "LAST ACCESSED"]);
    for c in all {
        let id: String = c.record.id.chars().take(25).collect();
        table.row([id, (!c.shared).to_string(), human_size(c.bytes), ago(c)]);
    }
    table.render()
}

fn all_of(c: &Cached, ago: &str) -> String {
    let r = &c.record;
    let lines = [
        ("ID:\t\t", r.id.clone()),
        ("Mutable:\t", r.layer.is_none().to_string()),
        ("Reclaimable:\t", (!c.shared).to_string()),
        ("Shared:\t\t", c.shared.to_string()),
        ("Size:\t\t", human_size(c.bytes)),
        ("Usage count:\t", r.uses.to_string()),
        ("Last used:\t", ago.to_owned()),
        ("Type:\t\t", c.kind().to_owned()),
    ];
    lines.iter().map(|(key, value)| format!("{key}{value}\n")).chain(["\n".to_owned()]).collect()
}
