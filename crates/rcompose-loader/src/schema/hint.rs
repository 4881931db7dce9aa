//! What was probably meant by a value of the wrong type.

use super::SERVICE;
use crate::tree::{Node, Value};

/// What to write instead. `at` is the path, `want` the words of the message.
pub(super) fn hint(node: &Node, at: &str, want: &str) -> Option<String> {
    let string = want.starts_with("a string");
    let last = at.rsplit('.').next().unwrap_or_default();
    match &node.value {
        Value::Null if want.contains("mapping") && at.split('.').count() == 2 => {
            Some("write its attributes on the lines below, indented further".into())
        }
        _ if is_attribute(at) && want.contains("mapping") => {
            Some(format!("{last:?} is an attribute of a service: indent it below one"))
        }
        Value::Str(text) if is_hook(last) => Some(format!("write it as an entry: - command: {text}")),
        Value::Str(text) if want == "a mapping" && last.parse::<usize>().is_ok() && is_hook(above(at)) => {
            Some(format!("write it as - command: {text}"))
        }
        Value::Int(n) if string && is_duration(last) => Some(format!("write it with its unit: {n}s")),
        Value::Int(_) | Value::Float(_) | Value::Bool(_) if string => {
            Some(format!("write it in quotes: \"{}\"", node.scalar_text()?))
        }
        Value::Str(text) if want.starts_with("a list") && text.starts_with('-') => {
            Some(format!("write a space behind the dash: - {}", text.trim_start_matches('-')))
        }
        Value::Str(text) if want.starts_with("a list") && !text.contains(['\n', ' ']) => {
            Some(format!("write [{text:?}], or one entry a line with a dash before each"))
        }
        Value::Map(map) if string && map.len() == 1 => {
            let (key, value) = map.first()?;
            let value = value.scalar_text().unwrap_or_default();
            let pairs = ["environment", "labels", "args", "annotations", "sysctls"];
            Some(if at.split('.').any(|part| pairs.contains(&part)) {
                format!("write {key}={value}, or leave out the dashes")
            } else {
                format!("write it in quotes: \"{key}: {value}\"")
            })
        }
        Value::Seq(_) if want == "a mapping" => Some("leave out the dashes".into()),
        _ => None,
    }
}

/// Lists of commands around a container's life.
fn is_hook(key: &str) -> bool {
    matches!(key, "pre_start" | "post_start" | "pre_stop")
}

/// The key above the last one.
fn above(at: &str) -> &str {
    at.rsplit('.').nth(1).unwrap_or_default()
}

/// `services.image`: indented one level too little.
fn is_attribute(at: &str) -> bool {
    at.strip_prefix("services.").is_some_and(|key| SERVICE.iter().any(|(name, _)| *name == key))
}

fn is_duration(key: &str) -> bool {
    matches!(
        key,
        "interval"
            | "timeout"
            | "start_period"
            | "start_interval"
            | "stop_grace_period"
            | "delay"
            | "window"
            | "monitor"
    )
}
