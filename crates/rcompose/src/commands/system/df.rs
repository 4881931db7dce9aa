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
        (true, "json") => format!("{}\n", whole(&all)),
        (true, format) => template::values(format, &[whole(&all)]).map_err(Failure::user)?,
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

/// All details.
fn whole(all: &Inventory) -> Value {
    json!({
        "Images": all.images.iter().map(image_row).collect::<Vec<_>>(),
        "Containers": all.containers.iter().map(container_row).collect::<Vec<_>>(),
        "Volumes": all.volumes.iter().map(volume_row).collect::<Vec<_>>(),
        "BuildCache": all.cache.iter().map(cache_row).collect::<Vec<_>>(),
    })
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
        json!({
            "Active": "0",
            // docker has no percentage here.
            "Reclaimable": human_size(cache),
            "Size": human_size(cache),
            "TotalCount": all.cache.len().to_string(),
            "Type": "Build Cache",
        }),
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
        let row = image_row(image);
        let cell = |key| match key {
            "ID" => image.image.id.short(),
            key => text(&row, key),
        };
        t.row(IMAGE_KEYS.map(cell));
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
    let mut t = Table::new(&["CACHE ID", "CACHE TYPE", "SIZE", "CREATED", "LAST USED", "USAGE", "SHARED"]);
    for c in &all.cache {
        let row = cache_row(c);
        let keys = ["ID", "CacheType", "Size", "CreatedSince", "LastUsedSince", "UsageCount", "Shared"];
        t.row(keys.map(|k| text(&row, k)));
    }
    out + &t.render()
}

const IMAGE_KEYS: [&str; 8] =
    ["Repository", "Tag", "ID", "CreatedSince", "Size", "SharedSize", "UniqueSize", "Containers"];

/// As docker's, by the first of its names.
fn image_row(used: &super::inventory::ImageUse) -> Value {
    let image = &used.image;
    let name = image.refs.first();
    let digests = image.repo_digests.iter();
    let digest = digests.filter(|d| name.is_none_or(|n| n.same_repository(d))).find_map(Reference::digest);
    let at = image.created.as_deref().and_then(time::parse_rfc3339);
    json!({
        "Containers": used.containers.to_string(),
        "CreatedAt": at.map_or("N/A".to_owned(), time::created_at),
        "CreatedSince": created(image.created.as_deref(), time::now()),
        "Digest": digest.map(|d| d.to_string()).unwrap_or_default(),
        "ID": image.id.to_string(),
        "Repository": name.map_or("<none>".to_owned(), Reference::familiar_name),
        "SharedSize": human_size(used.shared),
        "Size": human_size(image.size),
        "Tag": name.and_then(Reference::tag).unwrap_or("<none>"),
        "UniqueSize": human_size(image.size.saturating_sub(used.shared)),
    })
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
    let kind = c.kind();
    let nanos = |at: std::time::SystemTime| {
        let since = at.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
        i64::try_from(since).unwrap_or(i64::MAX)
    };
    let ago = |at| time::ago(nanos(at), time::now());
    let at = |at| time::created_at(nanos(at));
    json!({
        "ID": c.record.id.chars().take(12).collect::<String>(),
        "CacheType": kind,
        "Size": human_size(c.bytes),
        "CreatedAt": c.record.created.map(at).unwrap_or_default(),
        "CreatedSince": c.record.created.map(ago).unwrap_or_default(),
        "LastUsedAt": at(c.record.used),
        "LastUsedSince": ago(c.record.used),
        "UsageCount": c.record.uses.to_string(),
        "Shared": c.shared.to_string(),
    })
}
