//! What differs between two answers.

use std::fmt;

use serde_json::{Map, Value};

use super::answer::Answer;

/// One thing that differs, with the place where it begins.
pub(crate) struct Difference(String);

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Difference {
    pub(crate) fn needless_excuse() -> Self {
        Self("difference.txt is no longer true: nothing differs".into())
    }
}

pub(crate) fn differences(docker: &Answer, ours: &Answer) -> Vec<Difference> {
    match (docker.good, ours.good) {
        (false, false) => return Vec::new(),
        (true, true) => {}
        (d, _) => {
            let (refused, why) =
                if d { ("rcompose", &ours.complaint) } else { ("docker compose", &docker.complaint) };
            let why: String = why.trim().chars().take(400).collect();
            return vec![Difference(format!(
                "status: only {refused} refuses it: {}",
                why.replace('\n', "\n    ")
            ))];
        }
    }
    let mut out = Vec::new();
    let mut path = Vec::new();
    // Docker's JSON printer has errors of its own; where it can't print at all, the YAML has to do.
    if docker.json != Value::Null
        && let Some(what) = json(&docker.json, &ours.json, &mut path)
    {
        out.push(Difference(format!("json: {}: {what}", path.join("."))));
    }
    if let Some(what) = yaml(&docker.yaml, &ours.yaml) {
        out.push(Difference(format!("yaml: {what}")));
    }
    out
}

/// Keys that docker's JSON leaves out or prints in Go's names, while its YAML is right.
fn faulty(key: &str, path: &[String]) -> bool {
    let nested = !path.is_empty();
    nested && key.starts_with("x-") || !nested && key == "models" || key == "blkio_config"
}

/// The first difference, with `path` leading to it.
fn json(docker: &Value, ours: &Value, path: &mut Vec<String>) -> Option<String> {
    match (docker, ours) {
        (Value::Object(d), Value::Object(o)) => objects(d, o, path),
        (Value::Array(d), Value::Array(o)) => {
            if d.len() != o.len() {
                return Some(format!("docker has {} entries, rcompose {}", d.len(), o.len()));
            }
            for (i, (d, o)) in d.iter().zip(o).enumerate() {
                path.push(i.to_string());
                let found = json(d, o, path);
                if found.is_some() {
                    return found;
                }
                path.pop();
            }
            None
        }
        (Value::Number(d), Value::Number(o)) if d.as_f64() == o.as_f64() => None,
        (d, o) if d == o => None,
        (d, o) => Some(format!("docker {d}, rcompose {o}")),
    }
}

fn objects(docker: &Map<String, Value>, ours: &Map<String, Value>, path: &mut Vec<String>) -> Option<String> {
    for (key, d) in docker {
        if faulty(key, path) {
            continue;
        }
        path.push(key.clone());
        match ours.get(key) {
            None => return Some(format!("only docker has it: {d}")),
            Some(o) => {
                let found = json(d, o, path);
                if found.is_some() {
                    return found;
                }
            }
        }
        path.pop();
    }
    let more = ours.iter().find(|(k, _)| !faulty(k, path) && !docker.contains_key(*k));
    more.map(|(key, o)| {
        path.push(key.clone());
        format!("only rcompose has it: {o}")
    })
}

/// The first line that differs; order and style are part of it.
fn yaml(docker: &str, ours: &str) -> Option<String> {
    if docker == ours {
        return None;
    }
    let (d, o): (Vec<&str>, Vec<&str>) = (docker.lines().collect(), ours.lines().collect());
    let at = d.iter().zip(&o).position(|(d, o)| d != o).unwrap_or(d.len().min(o.len()));
    let show = |lines: &[&str]| lines.get(at).map_or("(its end)".to_owned(), |l| format!("{l:?}"));
    Some(format!("line {} in {}: docker {}, rcompose {}", at + 1, above(&d, at), show(&d), show(&o)))
}

/// The keys above a line, by indentation.
fn above(lines: &[&str], at: usize) -> String {
    let depth = |l: &str| l.len() - l.trim_start().len();
    let mut limit = lines.get(at).map_or(usize::MAX, |l| depth(l));
    let mut keys = Vec::new();
    for line in lines[..at.min(lines.len())].iter().rev() {
        if depth(line) < limit && line.trim_end().ends_with(':') {
            limit = depth(line);
            keys.push(line.trim().trim_end_matches(':').trim_start_matches("- "));
        }
    }
    keys.reverse();
    if keys.is_empty() { "the top level".into() } else { keys.join(".") }
}
