//! `image history`.

use rcompose_image::{Store, history_json};
use serde_json::{Value, json};

use super::list::shown_id;
use super::{find_for, platform};
use crate::args::ImageHistoryArgs;
use crate::commands::images::created;
use crate::failure::Failure;
use crate::render::table::{Table, ellipsis};
use crate::render::{template, time};

/// docker's words above columns that aren't the field's name.
const HEADS: [(&str, &str); 4] =
    [("ID", "IMAGE"), ("CreatedSince", "CREATED"), ("CreatedAt", "CREATED AT"), ("CreatedBy", "CREATED BY")];

/// Nanoseconds.
const SECOND: i64 = 1_000_000_000;

/// As `docker image history`, the newest first.
pub(super) fn history(store: &Store, args: &ImageHistoryArgs) -> Result<String, Failure> {
    let image = find_for(store, &args.image, platform(args.platform.as_deref())?.as_ref())?;
    let mut sizes = Vec::new();
    for layer in &image.layers {
        sizes.push(store.layer_info(layer)?.map_or(0, |l| l.content));
    }
    let now = time::now();
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let mut rows = Vec::new();
    for entry in history_json(&image, &sizes).as_array().into_iter().flatten() {
        let (id, by) = (text(entry, "Id"), text(entry, "CreatedBy").replace('\t', " "));
        let at = entry["Created"].as_str().and_then(time::parse_rfc3339);
        let size = entry["Size"].as_u64().unwrap_or(0);
        rows.push(json!({
            "Comment": text(entry, "Comment"),
            "CreatedAt": at.map_or("N/A".to_owned(), |at| time::timestamp(at - at.rem_euclid(SECOND)).replace(".000000000", "")),
            "CreatedBy": if args.no_trunc { by } else { ellipsis(&by, 45) },
            "CreatedSince": created(entry["Created"].as_str(), now),
            "ID": if id.starts_with('<') { id } else { shown_id(&id, args.no_trunc) },
            "Size": if args.human { time::human_size(size) } else { size.to_string() },
        }));
    }
    if args.quiet {
        return Ok(rows.iter().map(|r| text(r, "ID") + "\n").collect());
    }
    match args.format.as_str() {
        "json" => Ok(rows.iter().map(|r| format!("{r}\n")).collect()),
        "table" | "" => {
            let (head, made) =
                if args.human { ("CREATED", "CreatedSince") } else { ("CREATED AT", "CreatedAt") };
            let mut t = Table::new(&["IMAGE", head, "CREATED BY", "SIZE", "COMMENT"]);
            for r in &rows {
                t.row(["ID", made, "CreatedBy", "Size", "Comment"].map(|k| text(r, k)));
            }
            Ok(t.render())
        }
        format => template::rows(format, &rows, &HEADS).map_err(Failure::user),
    }
}
