//! The table against compose-spec's JSON schema (`tests/spec/`, as compose-go 2.15 carries it), in both directions.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::{Fields, SERVICE, TOP, Ty};

const SCHEMA: &str = include_str!("../../tests/spec/compose-spec.json");

/// Where docker compose itself reads more or less than its schema says (seen by running it).
const ON_PURPOSE: &[(&str, &str)] = &[
    ("include", "an include without a value is none"),
    ("include.[].env_file", "without a value it is none"),
    ("include.[].project_directory", "without a value it is none"),
    ("services.*.depends_on.*.required", "a string is cast before the check"),
    ("services.*.storage_opt.*", "options have any type"),
];

/// What may stand at one place.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Shape {
    kinds: BTreeSet<&'static str>,
    words: BTreeSet<String>,
    must: BTreeSet<String>,
    fields: BTreeMap<String, Shape>,
    values: Option<Box<Shape>>,
    items: Option<Box<Shape>>,
    unique: bool,
    named: bool,
}

impl Shape {
    fn of(kinds: &[&'static str]) -> Self {
        Self { kinds: kinds.iter().copied().collect(), ..Self::default() }
    }
    fn items(mut self, shape: Shape) -> Self {
        self.kinds.insert("array");
        self.items = Some(Box::new(shape));
        self
    }
    fn values(mut self, shape: Shape) -> Self {
        self.kinds.insert("object");
        self.values = Some(Box::new(shape));
        self
    }
    fn or(mut self, other: Shape) -> Self {
        self.kinds.extend(other.kinds);
        self.words.extend(other.words);
        self.must.extend(other.must);
        self.fields.extend(other.fields);
        self.values = self.values.or(other.values);
        self.items = self.items.or(other.items);
        self.unique |= other.unique;
        self.named |= other.named;
        self
    }
}

fn of_schema(root: &Json, schema: &Json) -> Shape {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        return of_schema(root, &root["$defs"][name]);
    }
    let mut shape = Shape::default();
    for one in schema["oneOf"].as_array().into_iter().flatten() {
        shape = shape.or(of_schema(root, one));
    }
    let types = match &schema["type"] {
        Json::String(one) => vec![one.as_str()],
        Json::Array(all) => all.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    };
    for kind in types {
        shape.kinds.insert(match kind {
            "string" => "string",
            "number" => "number",
            "integer" => "integer",
            "boolean" => "boolean",
            "null" => "null",
            "array" => "array",
            "object" => "object",
            other => panic!("{other}"),
        });
    }
    let texts = |key: &str| schema[key].as_array().cloned().unwrap_or_default();
    shape.words.extend(texts("enum").iter().map(|w| w.as_str().unwrap().to_owned()));
    shape.must.extend(texts("required").iter().map(|w| w.as_str().unwrap().to_owned()));
    for (key, field) in schema["properties"].as_object().into_iter().flatten() {
        shape.fields.insert(key.clone(), of_schema(root, field));
    }
    for (pattern, values) in schema["patternProperties"].as_object().into_iter().flatten() {
        if pattern != "^x-" {
            shape.values = Some(Box::new(of_schema(root, values)));
            shape.named |= pattern.starts_with("^[a-zA-Z0-9") && schema["additionalProperties"] == false;
        }
    }
    if !schema["items"].is_null() {
        shape.items = Some(Box::new(of_schema(root, &schema["items"])));
    }
    shape.unique |= schema["uniqueItems"] == true;
    shape
}

fn of_fields(fields: Fields) -> Shape {
    let mut shape = Shape::of(&["object"]);
    for (key, ty) in fields {
        if matches!(ty, Ty::Must(_)) {
            shape.must.insert((*key).to_owned());
        }
        shape.fields.insert((*key).to_owned(), of_type(ty));
    }
    shape
}

fn of_type(ty: &Ty) -> Shape {
    let text = || Shape::of(&["string"]);
    let set = || Shape { unique: true, ..Shape::default() }.items(Shape::of(&["string"]));
    match ty {
        Ty::Str => text(),
        Ty::NumStr | Ty::Num => Shape::of(&["string", "number"]),
        Ty::IntStr | Ty::Int => Shape::of(&["string", "integer"]),
        Ty::Scalar => Shape::of(&["string", "number", "boolean"]),
        Ty::BoolStr | Ty::Bool => Shape::of(&["string", "boolean"]),
        Ty::StrictBool => Shape::of(&["boolean"]),
        Ty::StrictInt => Shape::of(&["integer"]),
        Ty::StrictNum => Shape::of(&["number"]),
        Ty::Enum(words) => Shape { words: words.iter().map(|w| (*w).to_owned()).collect(), ..text() },
        Ty::List(inner) => Shape::default().items(of_type(inner)),
        Ty::Unique(inner) | Ty::Collapsed(inner) => Shape { unique: true, ..of_type(inner) },
        Ty::StrOrList => text().or(set()),
        Ty::Command => Shape::of(&["string", "null"]).items(text()),
        Ty::ListOrMap => set().values(Shape::of(&["string", "number", "boolean", "null"])),
        Ty::Hosts => set().values(text().items(text())),
        Ty::StrsOrMap(inner) => set().or(of_type(inner)),
        Ty::Obj(fields) => of_fields(fields),
        Ty::OrMap(inner, fields) => of_type(inner).or(of_fields(fields)),
        Ty::OrList(one, many) => of_type(one).items(of_type(many)),
        Ty::MapOf(inner) => Shape::default().values(of_type(inner)),
        Ty::Named(inner) => Shape { named: true, ..Shape::default().values(of_type(inner)) },
        Ty::OrNull(inner) => Shape::of(&["null"]).or(of_type(inner)),
        Ty::Must(inner) => of_type(inner),
        Ty::Any => Shape::default(),
    }
}

fn compare(path: &str, spec: &Shape, ours: &Shape, out: &mut Vec<String>, count: &mut usize) {
    let differ =
        |what: &str, spec: String, ours: String| format!("{path}: {what}: schema {spec}, table {ours}");
    let mut here = Vec::new();
    if spec.kinds != ours.kinds {
        here.push(differ("types", format!("{:?}", spec.kinds), format!("{:?}", ours.kinds)));
    }
    if spec.words != ours.words {
        here.push(differ("words", format!("{:?}", spec.words), format!("{:?}", ours.words)));
    }
    if spec.must != ours.must {
        here.push(differ("required", format!("{:?}", spec.must), format!("{:?}", ours.must)));
    }
    if (spec.unique, spec.named) != (ours.unique, ours.named) {
        let show = |s: &Shape| format!("unique {} named {}", s.unique, s.named);
        here.push(differ("keys", show(spec), show(ours)));
    }
    if !ON_PURPOSE.iter().any(|(p, _)| *p == path) {
        out.extend(here);
    }
    let keys: BTreeSet<&String> = spec.fields.keys().chain(ours.fields.keys()).collect();
    for key in keys {
        let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        *count += 1;
        match (spec.fields.get(key), ours.fields.get(key)) {
            (Some(s), Some(o)) => compare(&below, s, o, out, count),
            (Some(_), None) => out.push(format!("{below}: not in the table")),
            (None, _) => out.push(format!("{below}: not in the schema")),
        }
    }
    for (mark, s, o) in [("*", &spec.values, &ours.values), ("[]", &spec.items, &ours.items)] {
        match (s, o) {
            (Some(s), Some(o)) => compare(&format!("{path}.{mark}"), s, o, out, count),
            (None, None) => {}
            _ if ON_PURPOSE.iter().any(|(p, _)| *p == format!("{path}.{mark}")) => {}
            (s, _) => {
                let side = if s.is_some() { "schema" } else { "table" };
                out.push(format!("{path}.{mark}: only in the {side}"));
            }
        }
    }
}

#[test]
fn the_table_is_the_specification() {
    let schema: Json = serde_json::from_str(SCHEMA).unwrap();
    let mut spec = of_schema(&schema, &schema);
    spec.values = None;
    let (mut out, mut count) = (Vec::new(), 0);
    compare("", &spec, &of_fields(TOP), &mut out, &mut count);
    assert!(out.is_empty(), "{}", out.join("\n"));
    assert!(count >= 353, "{count} properties");
}

#[test]
fn tables_are_sorted() {
    fn fields(fields: Fields) {
        let keys: Vec<&str> = fields.iter().map(|f| f.0).collect();
        assert!(keys.windows(2).all(|w| w[0] < w[1]), "{keys:?}");
        fields.iter().for_each(|(_, ty)| walk(ty));
    }
    fn walk(ty: &Ty) {
        match ty {
            Ty::Obj(f) => fields(f),
            Ty::OrMap(t, f) => {
                walk(t);
                fields(f);
            }
            Ty::List(t) | Ty::MapOf(t) | Ty::Named(t) | Ty::OrNull(t) | Ty::StrsOrMap(t) => walk(t),
            Ty::Must(t) | Ty::Unique(t) | Ty::Collapsed(t) | Ty::OrList(_, t) => walk(t),
            _ => {}
        }
    }
    fields(TOP);
    assert_eq!(SERVICE.len(), 93);
}
