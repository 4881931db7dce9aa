use serde_json::{Map, Value, json};

use super::Image;
use crate::error::{ImageError, Result};

/// What `docker image inspect` prints of an image (Docker Engine API, `ImageInspect`).
pub fn inspect_json(image: &Image) -> Result<Value> {
    let config = serde_json::to_value(&image.config.config)
        .map_err(|e| ImageError::json("the image configuration", e))?;
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| drop(out.insert(key.to_owned(), value));
    put("Id", json!(image.id));
    // One of another platform has the names that it is part of.
    let tags = if image.refs.is_empty() { &image.part_of } else { &image.refs };
    put("RepoTags", tags.iter().map(|r| Value::from(r.to_string())).collect());
    put("RepoDigests", image.repo_digests.iter().map(|r| Value::from(r.to_string())).collect());
    put("Parent", json!(""));
    put("Comment", json!(image.config.history.last().and_then(|h| h.comment.as_deref()).unwrap_or_default()));
    if let Some(created) = &image.created {
        put("Created", json!(created));
    }
    put("Author", json!(image.config.author.as_deref().unwrap_or_default()));
    put("Config", config);
    put("Architecture", json!(image.config.architecture));
    if let Some(variant) = &image.config.variant {
        put("Variant", json!(variant));
    }
    put("Os", json!(image.config.os));
    put("Size", json!(image.size));
    put("RootFS", json!({ "Type": image.config.rootfs.kind, "Layers": image.config.rootfs.diff_ids }));
    put("Metadata", json!({ "LastTagTime": image.last_tagged.as_deref().unwrap_or("0001-01-01T00:00:00Z") }));
    Ok(Value::Object(out))
}

/// What `docker image history --format json` is made of, the newest first; `Size` in bytes of the layer's files.
pub fn history_json(image: &Image, sizes: &[u64]) -> Value {
    let mut sizes = sizes.iter();
    let mut entries: Vec<Value> = image
        .config
        .history
        .iter()
        .map(|h| {
            let size = if h.empty_layer { 0 } else { sizes.next().copied().unwrap_or_default() };
            json!({
                "Id": "<missing>",
                "Created": h.created,
                "CreatedBy": h.created_by.as_deref().unwrap_or_default(),
                "Comment": h.comment.as_deref().unwrap_or_default(),
                "Tags": Value::Null,
                "Size": size,
            })
        })
        .collect();
    if let Some(last) = entries.last_mut() {
        last["Id"] = json!(image.id);
        last["Tags"] = image.refs.iter().map(|r| Value::from(r.to_string())).collect();
    }
    entries.reverse();
    Value::Array(entries)
}
