//! `images`: the images of the containers, from the records and the store.

use std::collections::BTreeMap;

use rcompose_image::{Image, Reference, Store};
use serde_json::{Value, json};

use super::containers;
use crate::args::ImagesArgs;
use crate::context::{Context, print};
use crate::failure::Failure;
use crate::render::table::Table;
use crate::render::template;
use crate::render::time;

pub(crate) fn run(cx: &Context, args: ImagesArgs) -> Result<u8, Failure> {
    let project = cx.project_name()?;
    let found = containers::recorded(cx, &project, &args.services)?;
    if args.quiet {
        let mut ids: Vec<&str> = found.iter().map(|c| plain_id(&c.spec.image.id)).collect();
        ids.sort_unstable();
        ids.dedup();
        return print(&ids.iter().map(|i| format!("{i}\n")).collect::<String>()).map(|()| 0);
    }
    let store = Store::open(&cx.dirs.images())?;
    let mut images: BTreeMap<&str, Option<Image>> = BTreeMap::new();
    let mut rows = Vec::new();
    for c in found.iter().filter(|c| !c.spec.oneoff) {
        let id = c.spec.image.id.as_str();
        if !images.contains_key(id) {
            images.insert(id, store.get_by_id(id)?);
        }
        let image = images.get(id).and_then(Option::as_ref);
        rows.push(row(&c.spec.name, &c.spec.image.reference, id, image));
    }
    let shown = match args.format.as_str() {
        "json" => format!("{}\n", Value::from(rows)),
        "table" | "" => table(&rows),
        format => template::rows(format, &rows, &[]).map_err(Failure::user)?,
    };
    print(&shown)?;
    Ok(0)
}

fn row(container: &str, asked: &str, id: &str, image: Option<&Image>) -> Value {
    // The name it was made by may be another image's by now: docker compose shows that name all the same.
    let reference = asked.parse::<Reference>().ok();
    let repository = reference.as_ref().map_or("<none>".to_owned(), repository);
    let tag = reference.as_ref().and_then(Reference::tag).unwrap_or("<none>").to_owned();
    let platform = image.map(|i| i.config.platform().to_string()).unwrap_or_default();
    json!({
        "ID": id,
        "ContainerName": container,
        "Repository": repository,
        "Tag": tag,
        "Platform": platform,
        "Size": image.map_or(0, |i| i.size),
        "Created": image.and_then(|i| i.created.clone()),
        "LastTagTime": image.and_then(|i| i.last_tagged.clone()),
    })
}

/// A name without tag and digest, as people write it.
pub(crate) fn repository(reference: &Reference) -> String {
    reference.familiar_name()
}

/// An id without `sha256:`.
pub(crate) fn plain_id(id: &str) -> &str {
    id.strip_prefix("sha256:").unwrap_or(id)
}

/// `2 weeks ago` of an RFC 3339 time.
pub(crate) fn created(at: Option<&str>, now: i64) -> String {
    at.and_then(time::parse_rfc3339).map_or("N/A".to_owned(), |at| time::ago(at, now))
}

fn table(rows: &[Value]) -> String {
    let now = time::now();
    let heads = ["CONTAINER", "REPOSITORY", "TAG", "PLATFORM", "IMAGE ID", "SIZE", "CREATED"];
    let mut t = Table::wide(&heads);
    for r in rows {
        let text = |key: &str| r[key].as_str().unwrap_or_default().to_owned();
        let id: String = plain_id(&text("ID")).chars().take(12).collect();
        t.row([
            text("ContainerName"),
            text("Repository"),
            text("Tag"),
            text("Platform"),
            id,
            time::human_size(r["Size"].as_u64().unwrap_or(0)),
            created(r["Created"].as_str(), now),
        ]);
    }
    t.render()
}
