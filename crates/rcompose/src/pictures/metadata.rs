//! `--metadata-file`, with docker buildx's keys.

use rcompose_image::{Digest, Reference};
use serde_json::{Map, Value, json};

use super::assembly::Assembly;
use crate::context::Context;

/// What the result is called by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) media_type: String,
}

/// `descriptor`: of the image, if an image was wanted.
pub(crate) fn metadata(
    cx: &Context,
    built: &Assembly,
    descriptor: Option<&Descriptor>,
    names: &[Reference],
) -> Value {
    let mut out = Map::new();
    if cx.env.get("BUILDX_METADATA_PROVENANCE") != Some("disabled") {
        for (n, summary) in built.summaries.iter().enumerate() {
            let key = match built.summaries.len() {
                1 => "buildx.build.provenance".to_owned(),
                _ => format!("buildx.build.provenance/{}", built.platform(n)),
            };
            out.insert(key, summary.clone());
        }
    }
    out.insert("buildx.build.ref".into(), json!(format!("default/default/{}", built.invocation)));
    if let Some(descriptor) = descriptor {
        if let [one] = built.builds.as_slice() {
            out.insert("containerimage.config.digest".into(), json!(one.image));
        }
        let mut shown = json!({
            "mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size,
        });
        let index = &built.index;
        let is_index = descriptor.media_type.contains("index");
        let annotations = match is_index {
            true => &index.descriptor_annotations,
            false => &index.members[0].descriptor_annotations,
        };
        if !annotations.is_empty() {
            shown["annotations"] = json!(annotations);
        }
        if !is_index {
            let platform = built.platform(0);
            let mut value = json!({ "architecture": platform.architecture, "os": platform.os });
            if let Some(variant) = &platform.variant {
                value["variant"] = json!(variant);
            }
            shown["platform"] = value;
        }
        out.insert("containerimage.descriptor".into(), shown);
        out.insert("containerimage.digest".into(), json!(descriptor.digest));
        if !names.is_empty() {
            let names: Vec<String> = names.iter().map(Reference::canonical).collect();
            out.insert("image.name".into(), json!(names.join(",")));
        }
    }
    Value::Object(out)
}
