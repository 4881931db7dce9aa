//! `--check`: what BuildKit's rules say of a Dockerfile, in buildx's form.

use std::path::Path;

use rcompose_build::{BuildRequest, Lint, LintReport, check};
use rcompose_image::Store;
use serde_json::{Value, json};

use super::adapters::Bases;
use super::output::base64;
use crate::context::Context;
use crate::failure::Failure;

/// What is said of a Dockerfile.
#[derive(Debug)]
pub(crate) struct Checked {
    /// For people; of several Dockerfiles, one after the other.
    pub(crate) text: String,
    /// For programs; nothing of several Dockerfiles.
    pub(super) document: Value,
    /// The rules have found something.
    pub(crate) found: bool,
    /// What is plainly wrong.
    pub(crate) failure: Option<Failure>,
}

/// Checks the Dockerfile of a request.
pub(crate) fn check_request(cx: &Context, store: &Store, request: &BuildRequest) -> Result<Checked, Failure> {
    let report = check(request, &Bases::new(cx, store))?;
    Ok(Checked {
        text: render(&report, &cx.env.cwd),
        document: document(&report),
        found: !report.lints.is_empty(),
        failure: report.error.map(Failure::from),
    })
}

/// docker's keys, but for `definition`: how BuildKit's daemon reads the file.
fn document(report: &LintReport) -> Value {
    let warning = |l: &Lint| {
        json!({
            "ruleName": l.rule,
            "description": l.description,
            "url": l.url,
            "detail": l.message,
            "location": location(l.line, l.last_line),
        })
    };
    let warnings: Vec<Value> = report.lints.iter().map(warning).collect();
    let name =
        Path::new(&report.file).file_name().map_or(report.file.as_str().into(), |n| n.to_string_lossy());
    let mut out = json!({
        "warnings": if warnings.is_empty() { Value::Null } else { warnings.into() },
        "sources": [{ "filename": name, "data": base64(report.text.as_bytes()), "language": "Dockerfile" }],
    });
    if let Some(error) = &report.error {
        out["buildError"] = json!({ "message": error.message, "location": location(error.line, error.line) });
    } else if report.fails {
        let mut rules: Vec<&str> = report.lints.iter().map(|l| l.rule).collect();
        rules.sort_unstable();
        rules.dedup();
        let message = format!("lint violation found for rules: {}", rules.join(", "));
        out["buildError"] = json!({ "message": message, "location": {} });
    }
    out
}

/// Each line by itself, as BuildKit has it; none if there is no place.
pub(super) fn location(first: usize, last: usize) -> Value {
    if first == 0 {
        return json!({});
    }
    let range = |line| json!({ "start": { "line": line }, "end": { "line": line } });
    json!({ "ranges": (first..=last.max(first)).map(range).collect::<Vec<_>>() })
}

fn render(report: &LintReport, cwd: &Path) -> String {
    let mut text = match report.lints.len() {
        0 if report.error.is_some() => return String::new(),
        0 => return "Check complete, no warnings found.\n".to_owned(),
        1 => "Check complete, 1 warning has been found!\n".to_owned(),
        n => format!("Check complete, {n} warnings have been found!\n"),
    };
    let file = Path::new(&report.file);
    let file = file.strip_prefix(cwd).unwrap_or(file).display();
    let lines: Vec<&str> = report.text.split('\n').collect();
    let mut lints: Vec<&Lint> = report.lints.iter().collect();
    lints.sort_by_key(|l| l.line);
    for lint in lints {
        text += &format!("\nWARNING: {} - {}\n{}\n", lint.rule, lint.url, lint.message);
        if lint.line == 0 {
            continue;
        }
        text += &format!("{file}:{}\n--------------------\n", lint.line);
        let last = lint.last_line.max(lint.line);
        // Fewer lines before and after several.
        let around = if last == lint.line { 2 } else { 1 };
        let shown = lint.line.saturating_sub(around).max(1)..=(last + around).min(lines.len());
        for number in shown {
            let mark = if (lint.line..=last).contains(&number) { ">>>" } else { "   " };
            text += &format!("{number:>4} | {mark} {}\n", lines[number - 1]);
        }
        text += "--------------------\n";
    }
    text
}
