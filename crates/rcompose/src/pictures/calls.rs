//! `--call`: what is said of a Dockerfile instead of building it, in buildx's forms.

use std::ops::RangeInclusive;

use rcompose_build::{
    BuildRequest, Outline, OutlineInput, Target, Targets, comma_fields, outline, parse_bool, targets,
};
use rcompose_image::Store;
use serde_json::{Map, Value, json};

use super::adapters::Bases;
use super::checking::{Checked, check_request, location};
use super::output::base64;
use crate::context::Context;
use crate::failure::Failure;
use crate::render::table::Table;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Check,
    Outline,
    Targets,
}

/// A value of `--call` that isn't `build`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    method: Method,
    json: bool,
    /// What the rules find doesn't count as a failure.
    ignore_status: bool,
}

/// What a call has to say.
#[derive(Debug)]
pub(crate) struct Answer {
    /// For standard output.
    pub(crate) text: String,
    /// Exit status, if nothing is plainly wrong.
    pub(crate) status: u8,
    /// What is plainly wrong.
    pub(crate) failure: Option<Failure>,
    /// For `--metadata-file`.
    pub(crate) metadata: Value,
}

impl Call {
    /// `METHOD[,format=json][,ignorestatus=true]`; `None` is to build.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, Failure> {
        let wrong = |why: String| {
            Failure::user(format!("invalid value `{text}` for --call: {why}"))
                .hint("write build, check, outline or targets, and `,format=json` if wanted")
        };
        let mut name = None;
        let (mut json, mut ignore_status) = (false, false);
        for field in comma_fields(text).map_err(wrong)? {
            match field.split_once('=') {
                Some(("format", format)) => json = format == "json",
                Some(("ignorestatus", on)) => {
                    let wrong = || wrong("ignorestatus is true or false".to_owned());
                    ignore_status |= parse_bool(on).ok_or_else(wrong)?;
                }
                Some((key, _)) => return Err(wrong(format!("there is no field `{key}`"))),
                None if name.is_some() => return Err(wrong("there is more than one method".to_owned())),
                None => name = Some(field),
            }
        }
        let method = match name.as_deref() {
            Some("build") => return Ok(None),
            _ if text.is_empty() => return Ok(None),
            Some("check" | "lint") => Method::Check,
            Some("outline") => Method::Outline,
            Some("targets") => Method::Targets,
            Some(other) => return Err(wrong(format!("there is no method `{other}`"))),
            None => return Err(wrong("there is no method".to_owned())),
        };
        Ok(Some(Self { method, json, ignore_status }))
    }

    /// Asks it of a request.
    pub(crate) fn answer(
        self,
        cx: &Context,
        store: &Store,
        request: &BuildRequest,
    ) -> Result<Answer, Failure> {
        let (text, document) = match self.method {
            Method::Check => return self.check(cx, store, request),
            Method::Outline => {
                let outline = outline(request, &Bases::new(cx, store))?;
                (outline_text(&outline), outline_document(&outline))
            }
            Method::Targets => {
                let targets = targets(request)?;
                (targets_text(&targets), targets_document(&targets))
            }
        };
        let metadata = json!({ "result.json": document, "result.txt": text, "version": VERSION });
        let text = if self.json { format!("{document:#}\n") } else { text };
        Ok(Answer { text, status: 0, failure: None, metadata })
    }

    fn check(self, cx: &Context, store: &Store, request: &BuildRequest) -> Result<Answer, Failure> {
        let Checked { text, document, found, failure } = check_request(cx, store, request)?;
        let status = u8::from(found || failure.is_some());
        let metadata = json!({
            "result.json": document, "result.statuscode": status.to_string(), "result.txt": text, "version": VERSION,
        });
        let text = if self.json { format!("{document:#}\n") } else { text };
        Ok(Answer { text, status: if self.ignore_status { 0 } else { status }, failure, metadata })
    }
}

/// Of these documents, in BuildKit.
const VERSION: &str = "1.0.0";

fn outline_text(outline: &Outline) -> String {
    let mut text = String::new();
    if outline.name.is_some() || !outline.description.is_empty() {
        let name = outline.name.as_deref().unwrap_or("(default)");
        let mut table = Table::with_layout(&["TARGET:", name], 0, 1);
        if !outline.description.is_empty() {
            table.row(["DESCRIPTION:", &outline.description]);
        }
        text += &format!("{}\n", table.render());
    }
    if !outline.args.is_empty() {
        let mut table = Table::with_layout(&["BUILD ARG", "VALUE", "DESCRIPTION"], 0, 3);
        outline.args.iter().for_each(|a| table.row([&a.name, &a.value, &a.description]));
        text += &format!("{}\n", table.render());
    }
    for (head, inputs) in [("SECRET", &outline.secrets), ("SSH", &outline.ssh)] {
        if inputs.is_empty() {
            continue;
        }
        let mut table = Table::with_layout(&[head, "REQUIRED"], 0, 3);
        inputs.iter().for_each(|i| table.row([i.name.as_str(), if i.required { "true" } else { "" }]));
        text += &format!("{}\n", table.render());
    }
    text
}

fn outline_document(outline: &Outline) -> Value {
    let mut out = Object::default();
    out.text("name", outline.name.as_deref().unwrap_or(""));
    out.text("description", &outline.description);
    let args = outline.args.iter().map(|arg| {
        let mut out = Object::named(&arg.name);
        out.text("description", &arg.description);
        out.text("value", &arg.value);
        out.located(&arg.lines)
    });
    out.list("args", args.collect());
    let input = |input: &OutlineInput| {
        let mut out = Object::named(&input.name);
        out.flag("required", input.required);
        out.located(&input.lines)
    };
    out.list("secrets", outline.secrets.iter().map(input).collect());
    out.list("ssh", outline.ssh.iter().map(input).collect());
    out.list("sources", vec![json!(base64(outline.text.as_bytes()))]);
    Value::Object(out.0)
}

fn targets_text(targets: &Targets) -> String {
    let mut table = Table::with_layout(&["TARGET", "DESCRIPTION"], 0, 1);
    for target in &targets.targets {
        let name = match (&target.name, target.default) {
            (Some(name), true) => format!("{name} (default)"),
            (None, true) => "(default)".to_owned(),
            (name, false) => name.clone().unwrap_or_default(),
        };
        table.row([&name, &target.description]);
    }
    table.render()
}

fn targets_document(targets: &Targets) -> Value {
    let target = |target: &Target| {
        let mut out = Object::default();
        out.text("name", target.name.as_deref().unwrap_or(""));
        out.flag("default", target.default);
        out.text("description", &target.description);
        out.text("base", &target.base);
        out.text("platform", target.platform.as_deref().unwrap_or(""));
        out.located(&target.lines)
    };
    let all: Vec<Value> = targets.targets.iter().map(target).collect();
    json!({ "targets": all, "sources": [base64(targets.text.as_bytes())] })
}

/// What is empty is left out.
#[derive(Default)]
struct Object(Map<String, Value>);

impl Object {
    fn named(name: &str) -> Self {
        Self(Map::from_iter([("name".to_owned(), json!(name))]))
    }

    fn text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.0.insert(key.to_owned(), json!(value));
        }
    }

    fn flag(&mut self, key: &str, value: bool) {
        if value {
            self.0.insert(key.to_owned(), json!(true));
        }
    }

    fn list(&mut self, key: &str, value: Vec<Value>) {
        if !value.is_empty() {
            self.0.insert(key.to_owned(), Value::Array(value));
        }
    }

    fn located(mut self, lines: &RangeInclusive<usize>) -> Value {
        self.0.insert("location".to_owned(), location(*lines.start(), *lines.end()));
        Value::Object(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods() {
        let call = |method, json, ignore_status| Some(Call { method, json, ignore_status });
        for (text, want) in [
            ("", None),
            ("build", None),
            ("build,format=json", None),
            ("check", call(Method::Check, false, false)),
            ("lint,ignorestatus=1", call(Method::Check, false, true)),
            ("outline,format=json", call(Method::Outline, true, false)),
            ("format=text,targets", call(Method::Targets, false, false)),
            ("outline,\"format=json\"", call(Method::Outline, true, false)),
        ] {
            assert_eq!(Call::parse(text).unwrap(), want, "{text}");
        }
        for (text, want) in [
            ("foo", "there is no method `foo`"),
            ("outline,targets", "there is more than one method"),
            ("outline,foo=1", "there is no field `foo`"),
            ("outline,ignorestatus=maybe", "ignorestatus is true or false"),
            ("format=json", "there is no method"),
        ] {
            let said = Call::parse(text).unwrap_err().text();
            assert!(said.contains(want), "{text}: {said}");
        }
    }
}
