//! Nothing is dropped silently: each property of compose-spec's schema changes the typed project, or the table of
//! capabilities has it.

use std::path::PathBuf;

use rcompose_loader::{LoadOptions, LoadRequest, MemorySources, load};
use serde_json::{Map, Value as Json, json};

const SCHEMA: &str = include_str!("spec/compose-spec.json");

/// Properties that are done with before the project is typed, by path.
const BEFORE: &[(&str, &str)] = &[
    ("version", "docker compose ignores it, too"),
    ("include[].env_file", "variables for the included file"),
    ("include[].project_directory", "where the included file's paths start"),
    (
        "services.*.deploy.labels",
        "of the service of an orchestrator, which docker compose doesn't have either",
    ),
    ("models.*.name", "reached by the services' `models`, which is in the table"),
    ("models.*.model", "reached by the services' `models`, which is in the table"),
    ("models.*.context_size", "reached by the services' `models`, which is in the table"),
    ("models.*.runtime_flags", "reached by the services' `models`, which is in the table"),
    ("services.*.volumes[].consistency", "for other systems than Linux; the engine ignores it"),
];

/// Values of all kinds: a property is reached if one of those that its type takes reaches it.
fn candidates() -> Vec<Json> {
    let texts =
        ["s", "7", "1m", "0.5", "/s", "10.0.0.1", "10.0.0.0/24", "fd00::1", "02:42:ac:11:00:02", "host"];
    let words = [
        "always",
        "SIGINT",
        "on-failure",
        "none",
        "no",
        "global",
        "dnsrr",
        "service:s",
        "every_2h",
        "all",
        "udp",
        "raw",
        "e",
        "s2",
        "rwm",
        "r",
        "/s2",
        "linux/arm64",
        "rslave",
    ];
    let lists = [
        json!(["s"]),
        json!(["c 1:3 r"]),
        json!(["seccomp=unconfined"]),
        json!(["CHOWN"]),
        json!(["linux/arm64"]),
        json!(["80"]),
        json!(["10.0.0.1"]),
        json!(["s:s"]),
        json!(["/s"]),
    ];
    let maps = [
        json!({"k": "v"}),
        json!({"k": 5}),
        json!({"nofile": 5}),
        json!({"k": "10.0.0.1"}),
        json!({"k": "/s"}),
    ];
    let mut all = vec![json!(true), json!(false), json!(7), json!(0), json!(Json::Null)];
    all.extend(texts.iter().chain(&words).map(|t| json!(t)));
    all.extend(lists.into_iter().chain(maps));
    all
}

/// What the typed project and the table of capabilities make of a file; nothing if it is refused.
fn outcome(doc: &Json) -> Option<(String, Vec<String>)> {
    let options = LoadOptions { strict: true, all_resources: true, ..Default::default() };
    let req = LoadRequest {
        cwd: PathBuf::from("/p"),
        project_name: Some("t".into()),
        options,
        ..Default::default()
    };
    let mut sources =
        MemorySources::default().with("/p/compose.yaml", doc.to_string()).with("/p/e", "E=\"1\"\n");
    for file in ["s", "7", "host", "all"] {
        sources =
            sources.with(format!("/p/{file}"), format!("services:\n  of: {{image: x, hostname: h{file}}}\n"));
    }
    let loaded = load(&req, &sources).ok()?;
    let mut project = serde_json::to_value(&loaded.project).expect("is data");
    without_places(&mut project);
    let told = loaded.warnings.iter().map(|w| w.message.split(' ').next().unwrap_or_default().to_owned());
    let told: Vec<String> = told.chain(loaded.needs.iter().map(|n| n.path.clone())).collect();
    Some((format!("{project} {told:?} {:?}", doc.get("name")), told))
}

fn without_places(value: &mut Json) {
    match value {
        Json::Object(map) => {
            map.retain(|key, _| !matches!(key.as_str(), "origin" | "attribute_origins"));
            map.values_mut().for_each(without_places);
        }
        Json::Array(items) => items.iter_mut().for_each(without_places),
        _ => {}
    }
}

struct Walk {
    root: Json,
    leaves: usize,
    silent: Vec<String>,
}

type Wrap<'w> = &'w dyn Fn(Json) -> Json;

impl Walk {
    fn resolved(&self, schema: &Json) -> Json {
        match schema["$ref"].as_str() {
            Some(name) => self.resolved(&self.root["$defs"][name.rsplit('/').next().unwrap()]),
            None => schema.clone(),
        }
    }

    /// A value for a field that has to be there.
    fn filler(&self, schema: &Json) -> Json {
        let schema = self.resolved(schema);
        if let Some(words) = schema["enum"].as_array() {
            return words[0].clone();
        }
        if let Some(one) = schema["oneOf"].as_array().and_then(|all| all.iter().find(|o| o["type"] != "null"))
        {
            return self.filler(one);
        }
        let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
        match kind {
            Some("integer" | "number") => json!(7),
            Some("boolean") => json!(true),
            Some("array") => json!([]),
            Some("object") => json!({}),
            _ => json!("s"),
        }
    }

    fn walk(&mut self, schema: &Json, path: &str, wrap: Wrap<'_>) {
        let schema = self.resolved(schema);
        for one in schema["oneOf"].as_array().into_iter().flatten() {
            self.walk(one, path, wrap);
        }
        let mut must = Map::new();
        for key in schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str) {
            must.insert(key.to_owned(), self.filler(&schema["properties"][key]));
        }
        for (key, field) in schema["properties"].as_object().into_iter().flatten() {
            let inside = |value: Option<Json>| {
                let mut map = must.clone();
                match value {
                    Some(value) => map.insert(key.clone(), value),
                    None => map.remove(key),
                };
                wrap(fitting(path, map))
            };
            let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            if self.is_leaf(field) {
                self.leaf(&below, &self.words(field), &inside);
            }
            self.walk(field, &below, &|value| inside(Some(value)));
        }
        for (pattern, values) in schema["patternProperties"].as_object().into_iter().flatten() {
            if pattern != "^x-" {
                // Limits have names of their own.
                let name = if path.ends_with("ulimits") { "nofile" } else { "s" };
                self.walk(values, &format!("{path}.*"), &|value| wrap(json!({ name: value })));
            }
        }
        if !schema["items"].is_null() {
            self.walk(&schema["items"], &format!("{path}[]"), &|value| wrap(json!([value])));
        }
    }

    fn words(&self, schema: &Json) -> Vec<Json> {
        self.resolved(schema)["enum"].as_array().cloned().unwrap_or_default()
    }

    /// Whether no property stands below.
    fn is_leaf(&self, schema: &Json) -> bool {
        let schema = self.resolved(schema);
        let none =
            |key: &str| schema[key].as_object().is_none_or(|all| all.values().all(|s| self.is_leaf(s)));
        schema["properties"].is_null()
            && none("patternProperties")
            && (schema["items"].is_null() || self.is_leaf(&schema["items"]))
            && schema["oneOf"].as_array().is_none_or(|all| all.iter().all(|s| self.is_leaf(s)))
    }

    fn leaf(&mut self, path: &str, words: &[Json], inside: &dyn Fn(Option<Json>) -> Json) {
        self.leaves += 1;
        let mut values = candidates();
        values.extend(words.iter().cloned());
        let outcomes: Vec<(String, Vec<String>)> =
            values.into_iter().filter_map(|value| outcome(&inside(Some(value)))).collect();
        let without = outcome(&inside(None));
        let known = outcomes.iter().any(|(_, told)| told.iter().any(|t| covers(t, path)));
        let reached = known
            || match &without {
                Some((without, _)) => outcomes.iter().any(|(with, _)| with != without),
                // It has to be there: two values must differ.
                None => outcomes.iter().any(|(with, _)| *with != outcomes[0].0),
            };
        if !reached && !BEFORE.iter().any(|(p, _)| *p == path) {
            self.silent.push(format!("{path} ({} values taken)", outcomes.len()));
        }
    }
}

/// Whether what was told is about a property, or about something that holds it.
fn covers(told: &str, path: &str) -> bool {
    let parts = |text: &str| -> Vec<String> {
        let plain = text.replace("[]", "").replace("[0]", "");
        plain.split('.').map(str::to_owned).collect()
    };
    let (told, path) = (parts(told), parts(path));
    told.len() > 2 && told.len() <= path.len() && told.iter().zip(&path).all(|(t, p)| p == "*" || t == p)
}

/// What a property only makes sense with.
fn fitting(path: &str, mut map: Map<String, Json>) -> Json {
    match path {
        "services.*.volumes[]" => {
            map.entry("target").or_insert(json!("/t"));
        }
        "services.*.ports[]" => {
            map.entry("target").or_insert(json!(80));
        }
        "services.*.secrets[]" | "services.*.configs[]" | "services.*.build.secrets[]" => {
            map.entry("source").or_insert(json!("s2"));
        }
        "include[]" => {
            map.entry("path").or_insert(json!("7"));
        }
        "services.*.devices[]" => {
            {
                map.entry("source").or_insert(json!("/d"));
            };
            {
                map.entry("target").or_insert(json!("/d"));
            };
        }
        "services.*.env_file[]" if map.contains_key("format") => {
            map.insert("path".into(), json!("e"));
        }
        "services.*.deploy.restart_policy" => {
            map.entry("condition").or_insert(json!("on-failure"));
        }
        "secrets.*" | "configs.*"
            if !["environment", "external", "content"].iter().any(|k| map.contains_key(*k)) =>
        {
            map.entry("file").or_insert(json!("/s3"));
        }
        _ => {}
    }
    if path == "services.*" && map.contains_key("pull_refresh_after") {
        map.insert("pull_policy".into(), json!("refresh"));
    }
    if path == "services.*.extends" && map.contains_key("file") {
        map.insert("service".into(), json!("of"));
    }
    if path == "services.*.volumes[]" {
        map.entry("source").or_insert(json!("/s"));
    }
    for kind in ["bind", "volume", "tmpfs", "image"] {
        if path == "services.*.volumes[]" && map.contains_key(kind) {
            map.insert("type".into(), json!(kind));
            map.insert("source".into(), json!("s"));
        }
    }
    Json::Object(map)
}

/// A whole file around one section.
fn file(section: &str, value: Json) -> Json {
    let mut doc = json!({
        "services": {"a": {"image": "x"}, "s": {"image": "y"}, "s2": {"image": "z", "tty": true}},
        "networks": {"s": {}}, "volumes": {"s": {}}, "secrets": {"s": {"file": "/s"}, "s2": {"file": "/s2"}},
        "configs": {"s": {"file": "/s"}, "s2": {"file": "/s2"}}, "models": {"s": {"model": "m"}},
    });
    let value = match section {
        "services" => {
            let mut service = json!({"image": "x"});
            for (key, item) in value["s"].as_object().into_iter().flatten() {
                service[key] = item.clone();
            }
            json!({"a": service, "s": {"image": "y"}, "s2": {"image": "z", "tty": true}})
        }
        _ => value,
    };
    doc[section] = value;
    doc
}

#[test]
fn every_property_reaches_the_project_or_the_table() {
    let root: Json = serde_json::from_str(SCHEMA).unwrap();
    let mut walk = Walk { root: root.clone(), leaves: 0, silent: Vec::new() };
    for (section, schema) in root["properties"].as_object().unwrap() {
        if walk.is_leaf(schema) {
            walk.leaf(section, &[], &|value| file(section, value.unwrap_or(Json::Null)));
        }
        walk.walk(schema, section, &|value| file(section, value));
    }
    assert!(walk.silent.is_empty(), "of {}:\n{}", walk.leaves, walk.silent.join("\n"));
    assert!(walk.leaves > 200, "{}", walk.leaves);
}
