//! Diagnostics for editors and CI: SARIF 2.1.0 (OASIS, Static Analysis Results Interchange Format).

use std::path::Path;

use rcompose_loader::{Code, Diagnostic, Place, Severity};
use serde_json::{Value, json};

/// A whole log of one run.
pub(super) fn log(found: &[Diagnostic]) -> Value {
    let rules: Vec<Value> = Code::ALL
        .iter()
        .map(|c| json!({ "id": c.id(), "shortDescription": { "text": c.summary() } }))
        .collect();
    let results: Vec<Value> = found.iter().map(result).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "rcompose", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(d: &Diagnostic) -> Value {
    let code = d.code.unwrap_or_default();
    let mut text = d.message.clone();
    for help in &d.help {
        text.push_str(&format!("\nhelp: {help}"));
    }
    let locations: Vec<Value> = d.place.iter().map(|p| json!({ "physicalLocation": location(p) })).collect();
    let related: Vec<Value> = d
        .related
        .iter()
        .zip(1..)
        .map(|((p, word), id): (_, u32)| {
            json!({ "id": id, "physicalLocation": location(p), "message": { "text": word } })
        })
        .collect();
    let mut value = json!({
        "ruleId": code.id(),
        "ruleIndex": Code::ALL.iter().position(|c| *c == code),
        "level": if d.severity == Severity::Error { "error" } else { "warning" },
        "message": { "text": text },
        "locations": locations,
    });
    if !related.is_empty() {
        value["relatedLocations"] = json!(related);
    }
    value
}

fn location(p: &Place) -> Value {
    let mut value = json!({ "artifactLocation": { "uri": uri(&p.file) } });
    if p.line > 0 {
        value["region"] = json!({ "startLine": p.line, "startColumn": p.column.max(1), "endColumn": p.column.max(1) + p.length });
    }
    value
}

/// A path as a URI reference (RFC 3986); a relative one stays relative.
fn uri(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let mut out = if path.is_absolute() { "file://".to_owned() } else { String::new() };
    for b in path.as_os_str().as_bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(*b))
            }
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_result() {
        let mut d = Diagnostic::error("no").code(Code::UnknownKey).help("look");
        d.place = Some(Place::new("a b.yaml".into(), 3, 5, 4, "    abcd"));
        d.related.push((Place::new("/x.yaml".into(), 0, 0, 0, ""), "included here".into()));
        let log = log(&[d]);
        let run = &log["runs"][0];
        let result = &run["results"][0];
        assert_eq!(result["ruleId"], "unknown-key");
        let index = result["ruleIndex"].as_u64().unwrap() as usize;
        assert_eq!(run["tool"]["driver"]["rules"][index]["id"], "unknown-key");
        assert_eq!(result["message"]["text"], "no\nhelp: look");
        let at = &result["locations"][0]["physicalLocation"];
        assert_eq!(at["artifactLocation"]["uri"], "a%20b.yaml");
        assert_eq!(at["region"], json!({ "startLine": 3, "startColumn": 5, "endColumn": 9 }));
        let related = &result["relatedLocations"][0]["physicalLocation"];
        assert_eq!(related, &json!({ "artifactLocation": { "uri": "file:///x.yaml" } }));
    }
}
