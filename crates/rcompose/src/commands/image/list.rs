//! `image ls` and `image history`.

use rcompose_image::{Image, Reference, Store, history_json};
use serde_json::{Value, json};

use crate::commands::images::{created, plain_id};
use crate::failure::Failure;
use crate::render::table::{Table, ellipsis};
use crate::render::template;
use crate::render::time;

/// As `docker image ls`: one line for each name; an image without any has `<none>`.
pub(super) fn images(
    store: &Store,
    format: &str,
    quiet: bool,
    name: Option<&str>,
) -> Result<String, Failure> {
    let now = time::now();
    let mut rows = Vec::new();
    let mut ids: Vec<String> = Vec::new();
    for image in store.list()? {
        let mut names: Vec<(String, String)> = image.refs.iter().map(split).collect();
        if names.is_empty() {
            names.push(("<none>".into(), "<none>".into()));
        }
        names.retain(|n| name.is_none_or(|wanted| matches(wanted, n)));
        if !names.is_empty() {
            ids.push(short(&image.id.to_string()));
        }
        rows.extend(names.into_iter().map(|n| row(&image, n, now)));
    }
    if quiet {
        return Ok(ids.into_iter().map(|i| i + "\n").collect());
    }
    match format {
        "json" => Ok(rows.iter().map(|r| format!("{r}\n")).collect()),
        "table" | "" => {
            let mut t = Table::new(&["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]);
            for r in &rows {
                t.row(["Repository", "Tag", "ID", "CreatedSince", "Size"].map(|k| text(r, k)));
            }
            Ok(t.render())
        }
        format => template::rows(format, &rows, &[]).map_err(Failure::user),
    }
}

fn text(row: &Value, key: &str) -> String {
    row[key].as_str().unwrap_or_default().to_owned()
}

fn split(reference: &Reference) -> (String, String) {
    (reference.familiar_name(), reference.tag().unwrap_or("<none>").to_owned())
}

/// `NAME` is every tag of it, `NAME:TAG` one.
fn matches(wanted: &str, (repository, tag): &(String, String)) -> bool {
    wanted == repository || wanted == format!("{repository}:{tag}")
}

fn short(id: &str) -> String {
    plain_id(id).chars().take(12).collect()
}

fn row(image: &Image, (repository, tag): (String, String), now: i64) -> Value {
    let size = time::human_size(image.size);
    let at = image.created.as_deref().and_then(time::parse_rfc3339);
    json!({
        "Containers": "N/A",
        "CreatedAt": at.map_or("N/A".to_owned(), time::created_at),
        "CreatedSince": created(image.created.as_deref(), now),
        "Digest": "<none>",
        "ID": short(&image.id.to_string()),
        "Repository": repository,
        "SharedSize": "N/A",
        "Size": size,
        "Tag": tag,
        "UniqueSize": "N/A",
        "VirtualSize": size,
    })
}

/// As `docker image history`.
pub(super) fn history(
    store: &Store,
    image: &Image,
    format: &str,
    quiet: bool,
    no_trunc: bool,
) -> Result<String, Failure> {
    let mut sizes = Vec::new();
    for layer in &image.layers {
        sizes.push(store.layer_info(layer)?.map_or(0, |l| l.content));
    }
    let now = time::now();
    let mut rows = Vec::new();
    for entry in history_json(image, &sizes).as_array().into_iter().flatten() {
        let id = text(entry, "Id");
        let by = text(entry, "CreatedBy");
        let at = entry["Created"].as_str().and_then(time::parse_rfc3339);
        rows.push(json!({
            "Comment": text(entry, "Comment"),
            "CreatedAt": at.map_or("N/A".to_owned(), time::created_at),
            "CreatedBy": if no_trunc { by } else { ellipsis(&by, 45) },
            "CreatedSince": created(entry["Created"].as_str(), now),
            "ID": if no_trunc || id.starts_with('<') { id } else { short(&id) },
            "Size": time::human_size(entry["Size"].as_u64().unwrap_or(0)),
        }));
    }
    if quiet {
        return Ok(rows.iter().map(|r| text(r, "ID") + "\n").collect());
    }
    match format {
        "json" => Ok(rows.iter().map(|r| format!("{r}\n")).collect()),
        "table" | "" => {
            let mut t = Table::new(&["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"]);
            for r in &rows {
                t.row(["ID", "CreatedSince", "CreatedBy", "Size", "Comment"].map(|k| text(r, k)));
            }
            Ok(t.render())
        }
        format => template::rows(format, &rows, &[]).map_err(Failure::user),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn names_select_tags() {
        let name = ("localhost:5000/a".to_owned(), "1".to_owned());
        assert!(matches("localhost:5000/a", &name) && matches("localhost:5000/a:1", &name));
        assert!(!matches("localhost:5000/a:2", &name) && !matches("a", &name));
    }
}
