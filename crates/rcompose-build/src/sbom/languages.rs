//! Packages of languages that have a file for each: Python's metadata (PEP 566) and npm's `package.json`.

use serde_json::Value;

use super::{Package, escaped};

pub(super) fn python(text: &str, found: &str) -> Option<Package> {
    // The description follows an empty line.
    let head = text.split("\n\n").next()?;
    let get = |key: &str| {
        let value = head.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':'));
        value.map(str::trim).filter(|v| !v.is_empty() && *v != "UNKNOWN")
    };
    let (name, version) = (get("Name")?, get("Version")?);
    // Names are the same whatever their case and separators (PEP 503).
    let normal = name.to_ascii_lowercase().replace(['_', '.'], "-");
    Some(Package {
        kind: "pypi",
        purl: format!("pkg:pypi/{}@{}", escaped(&normal), escaped(version)),
        name: name.to_owned(),
        version: version.to_owned(),
        found: found.to_owned(),
        license: get("License-Expression").or(get("License")).map(str::to_owned),
        supplier: None,
    })
}

pub(super) fn node(text: &str, found: &str) -> Option<Package> {
    let value: Value = serde_json::from_str(text).ok()?;
    let (name, version) = (value["name"].as_str()?, value["version"].as_str()?);
    let parts: Vec<String> = name.split('/').map(escaped).collect();
    let license = value["license"].as_str().or(value["license"]["type"].as_str());
    Some(Package {
        kind: "npm",
        purl: format!("pkg:npm/{}@{}", parts.join("/"), escaped(version)),
        name: name.to_owned(),
        version: version.to_owned(),
        found: found.to_owned(),
        license: license.map(str::to_owned),
        supplier: None,
    })
}
