//! Go's `text/template` with docker's functions: what people write in `--format` (pkg.go.dev/text/template; docker
//! cli, templates/templates.go). Data is JSON.

mod eval;
mod functions;
mod lex;
mod parse;

use serde_json::{Map, Value};

use super::table::Table;

const NONE: eval::Default = |_, _| None;

/// Fills a template with each row, a line each. With `table ` in front the heads stand above: `heads` has those that
/// aren't the field's name in capitals. `\t` and `\n` may be written so.
///
/// # Errors
/// What is wrong with the template, or a field that rows don't have.
pub(crate) fn rows(format: &str, rows: &[Value], heads: &[(&str, &str)]) -> Result<String, String> {
    let (text, head) = match format.strip_prefix("table") {
        Some(rest) if rest.is_empty() || rest.starts_with([' ', '\t', '{']) || rest.starts_with("\\t") => {
            (rest.trim_start_matches(' '), true)
        }
        _ => (format, false),
    };
    let template = parse::parse(text, true)?;
    let lines =
        rows.iter().map(|row| eval::run(&template, row, false, NONE)).collect::<Result<Vec<_>, _>>()?;
    if !head {
        return Ok(lines.into_iter().map(|l| l + "\n").collect());
    }
    let names = rows.first().and_then(Value::as_object).cloned().unwrap_or_else(|| {
        // Without rows whatever is asked for has a head.
        template.fields().into_iter().map(|f| (f, Value::Null)).collect()
    });
    let word = |name: &String| match heads.iter().find(|(field, _)| field == name) {
        Some((_, word)) => (*word).to_owned(),
        None => name.to_uppercase(),
    };
    let head: Map<String, Value> = names.keys().map(|name| (name.clone(), Value::from(word(name)))).collect();
    let head = eval::run(&template, &Value::Object(head), true, NONE)?;
    let mut table = Table::new(&head.split('\t').collect::<Vec<_>>());
    for line in &lines {
        table.row(line.split('\t'));
    }
    Ok(table.render())
}

/// Fills a template with each value, a line each: `inspect --format`. `json` alone is all of it as JSON.
pub(crate) fn values(format: &str, values: &[Value]) -> Result<String, String> {
    values_or(format, values, NONE)
}

/// As [`values`]; `default` tells what fields are that objects leave out.
pub(crate) fn values_or(format: &str, values: &[Value], default: eval::Default) -> Result<String, String> {
    match format {
        "json" => Ok(Value::from(values.to_vec()).to_string() + "\n"),
        format => {
            let template = parse::parse(format, false)?;
            values.iter().map(|v| Ok(eval::run(&template, v, false, default)? + "\n")).collect()
        }
    }
}

#[cfg(test)]
mod tests;
