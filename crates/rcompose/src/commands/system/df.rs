//! `system df`, as docker's.

use rcompose_image::{Reference, Store};
use serde_json::{Value, json};

use super::inventory::{ContainerUse, Inventory};
use crate::args::SystemDfArgs;
use crate::commands::images::created;
use crate::context::{Context, print};
use crate::failure::Failure;
use crate::render::table::{Table, ellipsis};
use crate::render::time::human_size;
use crate::render::{template, time};

const HEADS: [(&str, &str); 1] = [("TotalCount", "TOTAL")];

pub(super) fn run(cx: &Context, args: &SystemDfArgs) -> Result<u8, Failure> {
    let store = Store::open(&cx.dirs.images())?;
    let all = Inventory::of(cx, &store)?;
    let shown = match (args.verbose, args.format.as_str()) {
        (true, "table" | "") => details(&all),
        (true, "json") => {
            let images: Vec<Value> = all.images.iter().flat_map(|i| image_rows(i).0).collect();
            let containers: Vec<Value> = all.containers.iter().map(container_row).collect();
            let volumes: Vec<Value> = all.volumes.iter().map(volume_row).collect();
            let cache: Vec<Value> = all.cache.iter().map(cache_row).collect();
            let whole = json!({
                "Images": images, "Containers": containers, "Volumes": volumes, "BuildCache": cache,
            });
            format!("{whole}\n")
        }
        (true, _) => {
            return Err(Failure::user("a template of all details isn't there")
                .hint("use --format json with -v, or a template without -v"));
        }
        (false, "json") => rows(&all).iter().map(|r| format!("{r}\n")).collect(),
        (false, "table" | "") => {
            let mut t = Table::new(&["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]);
            for row in rows(&all) {
                t.row(["Type", "TotalCount", "Active", "Size", "Reclaimable"].map(|k| text(&row, k)));
            }
            t.render()
        }
        (false, format) => template::rows(format, &rows(&all), &HEADS).map_err(Failure::user)?,
    };
    print(&shown)?;
    Ok(0)
}

fn text(row: &Value, key: &str) -> String {
    row[key].as_str().unwrap_or_default().to_owned()
}

fn rows(all: &Inventory) -> Vec<Value> {
    let row = |kind: &str, total: usize, active: usize, size: u64, free: u64| {
        let percent =
            (free.min(size) * 100).checked_div(size).map(|p| format!(" ({p}%)")).unwrap_or_default();
        json!({
            "Active": active.to_string(),
            "Reclaimable": format!("{}{percent}", human_size(free)),
            "Size": human_size(size),
            "TotalCount": total.to_string(),
            "Type": kind,
        })
    };
    let used_images = all.images.iter().filter(|i| i.containers > 0).count();
    let lives = || all.containers.iter().filter(|c| c.lives());
    let container_bytes: u64 = all.containers.iter().map(|c| c.bytes).sum();
    let living_bytes: u64 = lives().map(|c| c.bytes).sum();
    let linked = || all.volumes.iter().filter(|v| v.links > 0);
    let volume_bytes: u64 = all.volumes.iter().map(|v| v.bytes).sum();
    let linked_bytes: u64 = linked().map(|v| v.bytes).sum();
    let cache = all.cache_bytes();
    vec![
        row("Images", all.images.len(), used_images, all.image_bytes, all.unused_bytes),
        row(
            "Containers",
            all.containers.len(),
            lives().count(),
            container_bytes,
            container_bytes - living_bytes,
        ),
        row("Local Volumes", all.volumes.len(), linked().count(), volume_bytes, volume_bytes - linked_bytes),
        row("Build Cache", all.cache.len(), 0, cache, cache),
    ]
}

fn details(all: &Inventory) -> String {
    let mut out = String::from("Images space usage:\n\n");
    let mut t = Table::new(&[
        "REPOSITORY",
        "TAG",
        "IMAGE ID",
        "CREATED",
        "SIZE",
        "SHARED SIZE",
        "UNIQUE SIZE",
        "CONTAINERS",
    ]);
    for image in &all.images {
        let (rows, keys) = image_rows(image);
        for row in rows {
            t.row(keys.map(|k| text(&row, k)));
        }
    }
    out += &t.render();
    out += "\nContainers space usage:\n\n";
    let mut t = Table::new(&[
        "CONTAINER ID",
        "IMAGE",
        "COMMAND",
        "LOCAL VOLUMES",
        "SIZE",
        "CREATED",
        "STATUS",
        "NAMES",
    ]);
    for c in &all.containers {
        let row = container_row(c);
        let keys = ["ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names"];
        t.row(keys.map(|k| text(&row, k)));
    }
    out += &t.render();
    out += "\nLocal Volumes space usage:\n\n";
    let mut t = Table::new(&["VOLUME NAME", "LINKS", "SIZE"]);
    for v in &all.volumes {
        let row = volume_row(v);
        t.row(["Name", "Links", "Size"].map(|k| text(&row, k)));
    }
    out += &t.render();
    out += &format!("\nBuild cache usage: {}\n\n", human_size(all.cache_bytes()));
    let mut t = Table::new(&["CACHE ID", "CACHE TYPE", "SIZE", "LAST USED", "SHARED"]);
    for c in &all.cache {
        let row = cache_row(c);
        t.row(["ID", "CacheType", "Size", "LastUsedSince", "Shared"].map(|k| text(&row, k)));
    }
    out + &t.render()
}

const IMAGE_KEYS: [&str; 8] =
    ["Repository", "Tag", "ID", "CreatedSince", "Size", "SharedSize", "UniqueSize", "Containers"];

/// One for each name, and the columns' keys.
fn image_rows(used: &super::inventory::ImageUse) -> (Vec<Value>, [&'static str; 8]) {
    let image = &used.image;
    let names: Vec<Option<&Reference>> = match image.refs.is_empty() {
        true => vec![None],
        false => image.refs.iter().map(Some).collect(),
    };
    let row = |name: Option<&Reference>| {
        json!({
            "Repository": name.map_or("<none>".to_owned(), Reference::familiar_name),
            "Tag": name.and_then(Reference::tag).unwrap_or("<none>"),
            "ID": image.id.short(),
            "CreatedSince": created(image.created.as_deref(), time::now()),
            "Size": human_size(image.size),
            "SharedSize": human_size(used.shared),
            "UniqueSize": human_size(image.size.saturating_sub(used.shared)),
            "Containers": used.containers.to_string(),
        })
    };
    (names.into_iter().map(row).collect(), IMAGE_KEYS)
}

fn container_row(used: &ContainerUse) -> Value {
    let (spec, state) = (&used.container.spec, &used.container.state);
    let volumes =
        spec.mounts.iter().filter(|m| matches!(m.source, rcompose_plan::MountSource::Volume { .. }));
    let now = time::now();
    json!({
        "ID": spec.id.to_string().chars().take(12).collect::<String>(),
        "Image": spec.image.reference,
        "Command": ellipsis(&format!("\"{}\"", spec.argv.join(" ")), 20),
        "LocalVolumes": volumes.count().to_string(),
        "Size": human_size(used.bytes),
        "RunningFor": time::ago(state.created_at, now),
        "Status": time::status(state, now),
        "Names": spec.name,
    })
}

fn volume_row(used: &super::inventory::VolumeUse) -> Value {
    json!({ "Name": used.volume.name, "Links": used.links.to_string(), "Size": human_size(used.bytes) })
}

fn cache_row(c: &crate::pictures::Cached) -> Value {
    let kind = if c.record.layer.is_some() { "regular" } else { "exec.cachemount" };
    let since = c.record.used.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
    json!({
        "ID": c.record.id.chars().take(12).collect::<String>(),
        "CacheType": kind,
        "Size": human_size(c.bytes),
        "LastUsedSince": time::ago(i64::try_from(since).unwrap_or(i64::MAX), time::now()),
        "Shared": c.shared.to_string(),
    })
}
