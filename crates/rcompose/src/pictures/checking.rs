//! `--check`: what BuildKit's rules say of a Dockerfile, in buildx's form.

use std::path::Path;

use rcompose_build::{BuildRequest, LintReport, check};
use rcompose_image::Store;

use super::adapters::Bases;
use crate::context::Context;
use crate::failure::Failure;

/// Lines shown before and after what is marked.
const AROUND: usize = 2;

/// What is found, and whether there is something.
pub(crate) fn check_request(
    cx: &Context,
    store: &Store,
    request: &BuildRequest,
) -> Result<(String, bool), Failure> {
    let report = check(request, &Bases { cx, store })?;
    let text = render(&report, &cx.env.cwd);
    match report.error {
        Some(error) => Err(error.into()),
        None => Ok((text, !report.lints.is_empty())),
    }
}

fn render(report: &LintReport, cwd: &Path) -> String {
    let mut text = match report.lints.len() {
        0 => return "Check complete, no warnings found.\n".to_owned(),
        1 => "Check complete, 1 warning has been found!\n".to_owned(),
        n => format!("Check complete, {n} warnings have been found!\n"),
    };
    let file = Path::new(&report.file);
    let file = file.strip_prefix(cwd).unwrap_or(file).display();
    let lines: Vec<&str> = report.text.split('\n').collect();
    for lint in &report.lints {
        text += &format!("\nWARNING: {} - {}\n{}\n", lint.rule, lint.url, lint.message);
        if lint.line == 0 {
            continue;
        }
        text += &format!("{file}:{}\n--------------------\n", lint.line);
        let last = lint.last_line.max(lint.line);
        let shown = lint.line.saturating_sub(AROUND).max(1)..=(last + AROUND).min(lines.len());
        for number in shown {
            let mark = if (lint.line..=last).contains(&number) { ">>>" } else { "   " };
            text += &format!("{number:>4} | {mark} {}\n", lines[number - 1]);
        }
        text += "--------------------\n";
    }
    text
}
