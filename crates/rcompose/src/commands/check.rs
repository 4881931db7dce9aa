//! `check`: everything that is wrong or doubtful in the project's files.

use rcompose_loader::{Code, Diagnostic, Severity, render_diagnostics};
use serde_json::{Value, json};

use crate::args::CheckArgs;
use crate::context::{Context, print};
use crate::failure::Failure;

mod machine;
mod sarif;

pub(crate) fn run(cx: &Context, args: CheckArgs) -> Result<u8, Failure> {
    let mut request = cx.request(&[])?;
    // Services of all profiles are checked.
    request.profiles.push("*".into());
    request.options.strict = args.strict;
    let found = match rcompose_loader::load(&request, &cx.sources()) {
        Ok(loaded) => {
            let mut found = loaded.warnings;
            found.extend(machine::lacks(&loaded.needs)?);
            found
        }
        Err(e) => e.diagnostics,
    };
    let count = |s: Severity| found.iter().filter(|d| d.severity == s).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    match args.format.as_str() {
        "json" => {
            let all: Vec<Value> = found.iter().map(to_json).collect();
            let value = json!({ "errors": errors, "warnings": warnings, "diagnostics": all });
            print(&format!("{value:#}\n"))?;
        }
        "sarif" => print(&format!("{:#}\n", sarif::log(&found)))?,
        _ => {
            let mut text = render_diagnostics(&found, cx.out.color_stdout, cx.out.width);
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&sum(errors, warnings));
            print(&text)?;
        }
    }
    Ok(u8::from(errors > 0 || args.strict && warnings > 0))
}

/// The last line.
fn sum(errors: usize, warnings: usize) -> String {
    let some = |n: usize, word: &str| match n {
        0 => format!("no {word}s"),
        1 => format!("1 {word}"),
        n => format!("{n} {word}s"),
    };
    match (errors, warnings) {
        (0, 0) => "nothing to complain about\n".to_owned(),
        _ => format!("{}, {}\n", some(errors, "error"), some(warnings, "warning")),
    }
}

fn to_json(d: &Diagnostic) -> Value {
    let place = |p: &rcompose_loader::Place| {
        let known = p.line > 0;
        json!({
            "file": p.file.display().to_string(),
            "line": known.then_some(p.line),
            "column": known.then_some(p.column),
            "endColumn": known.then_some(p.column + p.length),
        })
    };
    let related: Vec<Value> = d
        .related
        .iter()
        .map(|(p, word)| {
            let mut value = place(p);
            value["message"] = json!(word);
            value
        })
        .collect();
    json!({
        "severity": if d.severity == Severity::Error { "error" } else { "warning" },
        "code": d.code.map(Code::id),
        "message": d.message,
        "place": d.place.as_ref().map(place),
        "related": related,
        "help": d.help,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line() {
        assert_eq!(sum(0, 0), "nothing to complain about\n");
        assert_eq!(sum(1, 0), "1 error, no warnings\n");
        assert_eq!(sum(0, 2), "no errors, 2 warnings\n");
    }
}
