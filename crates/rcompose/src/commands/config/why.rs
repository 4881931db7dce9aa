//! `config --why PATH`: where a value comes from, and what it replaced.

use rcompose_loader::{Answer, FsSources, LoadOptions, Place, render_answers};
use serde_json::{Value, json};

use crate::args::ConfigArgs;
use crate::context::{Context, print};
use crate::failure::Failure;

pub(super) fn run(cx: &Context, args: &ConfigArgs) -> Result<u8, Failure> {
    let mut request = cx.request(&args.names)?;
    request.options = LoadOptions {
        no_normalize: args.no_normalize,
        no_resolve_paths: args.no_path_resolution,
        no_resolve_env: args.no_env_resolution,
        no_consistency: args.no_consistency,
        ..request.options
    };
    request.why = args.why.clone();
    let answers = rcompose_loader::load(&request, &FsSources)?.answers;
    if args.format.as_deref() == Some("json") {
        let all: Vec<Value> = answers.iter().map(to_json).collect();
        print(&format!("{:#}\n", json!(all)))?;
    } else {
        print(&render_answers(&answers, cx.out.color_stdout, cx.out.width))?;
    }
    Ok(0)
}

fn to_json(a: &Answer) -> Value {
    let place =
        |p: &Place| json!({ "file": p.file.display().to_string(), "line": p.line, "column": p.column });
    let with = |p: Option<Value>, key: &str, text: Value| {
        let mut value = p.unwrap_or_else(|| json!({}));
        value[key] = text;
        value
    };
    let related: Vec<Value> =
        a.related.iter().map(|(p, word)| with(Some(place(p)), "message", json!(word))).collect();
    let replaced: Vec<Value> =
        a.replaced.iter().map(|(text, p)| with(p.as_ref().map(place), "value", data(text))).collect();
    json!({
        "path": a.path,
        "value": data(&a.value),
        "place": a.place.as_ref().map(place),
        "related": related,
        "notes": a.notes,
        "replaced": replaced,
    })
}

/// Scalars and lists of them as data; the rest as text.
fn data(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
}
