//! Packages of distributions: dpkg's `status` (deb-control(5)) and apk's `installed` (apk-package(5)).

use super::{Package, escaped};

/// `/etc/os-release`, as far as package URLs want it.
#[derive(Debug, Default)]
pub(super) struct Distribution {
    id: String,
    version: String,
}

impl Distribution {
    pub(super) fn read(text: &str) -> Self {
        let get = |key: &str| {
            let line = text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('='));
            line.map(|v| v.trim_matches(['"', '\'']).to_owned()).unwrap_or_default()
        };
        Self { id: get("ID"), version: get("VERSION_ID") }
    }

    /// `default` is the vendor if the image says none; it may be empty.
    pub(super) fn purl(
        &self,
        kind: &str,
        default: &str,
        name: &str,
        version: &str,
        more: &[(&str, &str)],
    ) -> String {
        let vendor = if self.id.is_empty() { default } else { &self.id };
        let namespace = if vendor.is_empty() { String::new() } else { format!("{}/", escaped(vendor)) };
        let mut purl = format!("pkg:{kind}/{namespace}{}@{}", escaped(name), escaped(version));
        let distro = format!("{vendor}-{}", self.version);
        let own = (!vendor.is_empty() && !self.version.is_empty()).then_some(("distro", distro.as_str()));
        let all = more.iter().copied().chain(own).filter(|(_, v)| !v.is_empty());
        let all: Vec<String> = all.map(|(k, v)| format!("{k}={}", escaped(v))).collect();
        if !all.is_empty() {
            purl.push_str(&format!("?{}", all.join("&")));
        }
        purl
    }
}

/// Paragraphs of fields; lines that begin with a space go on with the one before, and nobody here wants them.
fn paragraphs(text: &str) -> impl Iterator<Item = Vec<(&str, &str)>> {
    text.split("\n\n").map(|p| p.lines().filter_map(|l| l.split_once(':')).collect())
}

fn field<'a>(fields: &[(&'a str, &'a str)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(n, _)| *n == name).map(|(_, v)| v.trim()).filter(|v| !v.is_empty())
}

pub(super) fn dpkg(text: &str, found: &str, distribution: &Distribution) -> Vec<Package> {
    let package = |fields: Vec<(&str, &str)>| {
        // Without one it is of an image that has no dpkg.
        if field(&fields, "Status").is_some_and(|s| !s.ends_with(" installed")) {
            return None;
        }
        let (name, version) = (field(&fields, "Package")?, field(&fields, "Version")?);
        let source = field(&fields, "Source").and_then(|s| s.split_whitespace().next()).unwrap_or_default();
        let more = [("arch", field(&fields, "Architecture").unwrap_or_default()), ("upstream", source)];
        Some(Package {
            kind: "deb",
            purl: distribution.purl("deb", "debian", name, version, &more),
            name: name.to_owned(),
            version: version.to_owned(),
            found: found.to_owned(),
            license: None,
            supplier: field(&fields, "Maintainer").map(person),
        })
    };
    paragraphs(text).filter_map(package).collect()
}

pub(super) fn apk(text: &str, found: &str, distribution: &Distribution) -> Vec<Package> {
    let package = |fields: Vec<(&str, &str)>| {
        let (name, version) = (field(&fields, "P")?, field(&fields, "V")?);
        let origin = field(&fields, "o").filter(|o| *o != name).unwrap_or_default();
        let more = [("arch", field(&fields, "A").unwrap_or_default()), ("upstream", origin)];
        Some(Package {
            kind: "apk",
            purl: distribution.purl("apk", "alpine", name, version, &more),
            name: name.to_owned(),
            version: version.to_owned(),
            found: found.to_owned(),
            license: field(&fields, "L").map(str::to_owned),
            supplier: field(&fields, "m").map(person),
        })
    };
    paragraphs(text).filter_map(package).collect()
}

/// `Name <address>` as SPDX writes it.
fn person(text: &str) -> String {
    match text.split_once('<') {
        Some((name, address)) => {
            format!("Person: {} ({})", name.trim(), address.trim_end_matches('>').trim())
        }
        None => format!("Person: {text}"),
    }
}
