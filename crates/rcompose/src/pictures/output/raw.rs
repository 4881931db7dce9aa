//! BuildKit's `rawjson`: one SolveStatus a line (moby/buildkit, client/graph.go).

use std::collections::BTreeMap;
use std::time::SystemTime;

use rcompose_build::{BuildEvent, Stream};
use rcompose_image::{Digest, rfc3339};
use serde_json::{Value, json};

use super::Step;
use crate::context::to_stderr;

pub(super) fn say(
    label: &str,
    event: &BuildEvent<'_>,
    numbers: &mut BTreeMap<(String, usize), usize>,
    steps: &mut BTreeMap<usize, Step>,
) {
    let now = rfc3339(SystemTime::now());
    let digest = |step: usize| Digest::of(format!("{label} {step}").as_bytes()).to_string();
    let known = |step: &usize| {
        let step = numbers.get(&(label.to_owned(), *step)).and_then(|n| steps.get(n));
        let begun = step.and_then(|s| SystemTime::now().checked_sub(s.begun.elapsed()));
        (step.map(|s| s.name.clone()).unwrap_or_default(), begun.map(rfc3339))
    };
    let vertex = |step: &usize, mut more: Value| {
        let (name, begun) = known(step);
        more["digest"] = json!(digest(*step));
        more["name"] = json!(name);
        more["started"] = json!(begun);
        json!({ "vertexes": [more] })
    };
    let status = match event {
        BuildEvent::Started { step, name, .. } => {
            json!({ "vertexes": [{ "digest": digest(*step), "name": name, "started": now }] })
        }
        BuildEvent::Output { step, stream, bytes } => {
            let stream = if *stream == Stream::Stdout { 1 } else { 2 };
            let data = base64(bytes);
            json!({ "logs": [{ "vertex": digest(*step), "stream": stream, "data": data, "timestamp": now }] })
        }
        BuildEvent::Finished { step, cached, .. } => {
            let mut more = json!({ "completed": now });
            if *cached {
                more["cached"] = json!(true);
            }
            vertex(step, more)
        }
        BuildEvent::Failed { step, message } => vertex(step, json!({ "completed": now, "error": message })),
        BuildEvent::Planned { .. } | BuildEvent::Shell { .. } => return,
        BuildEvent::Warning { message, line } => {
            let range = json!([{ "start": { "line": line }, "end": { "line": line } }]);
            json!({ "warnings": [{ "level": 1, "short": base64(message.as_bytes()), "range": range }] })
        }
    };
    to_stderr(&format!("{status}\n"));
}

/// RFC 4648.
pub(in crate::pictures) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |w, b| w << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = (word >> (18 - 6 * i)) & 63;
            out.push(if i <= chunk.len() { char::from(DIGITS[digit as usize]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn rfc_4648() {
        for (text, want) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(super::base64(text.as_bytes()), want);
        }
    }
}
