use serde_json::{Map, Value, json};

use super::Image;
use crate::error::{ImageError, Result};

/// The order of a configuration's fields in docker's API.
const CONFIG: [&str; 13] = [
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "ArgsEscaped",
    "Healthcheck",
    "OnBuild",
    "Shell",
];

/// What `docker image inspect` prints of an image (Docker Engine API 1.56, `ImageInspect`): what is empty is left out.
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
    let filled = |text: Option<&str>| text.filter(|t| !t.is_empty()).map(Value::from);
    if let Some(comment) = filled(image.config.history.last().and_then(|h| h.comment.as_deref())) {
        put("Comment", comment);
    }
    if let Some(created) = &image.created {
        put("Created", json!(created));
    }
    if let Some(author) = filled(image.config.author.as_deref()) {
        put("Author", author);
    }
    put("Config", ordered(config));
    put("Architecture", json!(image.config.architecture));
    if let Some(variant) = filled(image.config.variant.as_deref()) {
        put("Variant", variant);
    }
    put("Os", json!(image.config.os));
    if let Some(version) = filled(image.config.os_version.as_deref()) {
        put("OsVersion", version);
    }
    put("Size", json!(image.size));
    put("RootFS", json!({ "Type": image.config.rootfs.kind, "Layers": image.config.rootfs.diff_ids }));
    put("Metadata", json!({ "LastTagTime": image.last_tagged.as_deref().unwrap_or("0001-01-01T00:00:00Z") }));
    Ok(Value::Object(out))
}

fn ordered(config: Value) -> Value {
    let Value::Object(mut fields) = config else { return config };
    let mut out = Map::new();
    for name in CONFIG {
        out.extend(fields.remove_entry(name));
    }
    out.extend(fields);
    Value::Object(out)
}

/// What a field is that [`inspect_json`] leaves out of the image or, if `of` is that, its configuration.
pub fn inspect_default(of: &Map<String, Value>, field: &str) -> Option<Value> {
    // Of `RootFS` and `Metadata` nothing is left out.
    if of.contains_key("Layers") || of.contains_key("LastTagTime") {
        return None;
    }
    Some(match (of.contains_key("RootFS"), field) {
        (true, "Comment" | "Created" | "Author" | "Variant" | "OsVersion" | "Parent" | "DockerVersion")
        | (false, "User" | "WorkingDir" | "StopSignal") => json!(""),
        (true, "Descriptor" | "GraphDriver" | "Identity" | "Manifests")
        | (false, "Healthcheck" | "StopTimeout") => Value::Null,
        (false, "Env" | "Entrypoint" | "Cmd" | "OnBuild" | "Shell") => json!([]),
        (false, "ExposedPorts" | "Volumes" | "Labels") => json!({}),
        (false, "ArgsEscaped") => json!(false),
        _ => return None,
    })
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
