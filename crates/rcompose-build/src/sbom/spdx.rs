//! The document (SPDX 2.3, clauses 6, 7 and 11).

use rcompose_image::Digest;
use serde_json::{Value, json};

use super::{Package, SbomSubject};

const NOTHING: &str = "NOASSERTION";
const ROOT: &str = "SPDXRef-DocumentRoot-Image";

pub(super) fn document(subject: &SbomSubject, packages: &[Package]) -> Value {
    let mut root = json!({
        "name": subject.name,
        "SPDXID": ROOT,
        "versionInfo": subject.id,
        "supplier": NOTHING,
        "downloadLocation": NOTHING,
        "filesAnalyzed": false,
        "licenseConcluded": NOTHING,
        "licenseDeclared": NOTHING,
        "copyrightText": NOTHING,
    });
    if let Some(purl) = &subject.purl {
        root["externalRefs"] = json!([reference(purl)]);
    }
    root["primaryPackagePurpose"] = json!(subject.purpose);
    let mut all = vec![root];
    let mut relationships = vec![relationship("SPDXRef-DOCUMENT", "DESCRIBES", ROOT)];
    for package in packages {
        let id = id(package);
        relationships.push(relationship(ROOT, "CONTAINS", &id));
        all.push(json!({
            "name": package.name,
            "SPDXID": id,
            "versionInfo": package.version,
            "supplier": package.supplier.as_deref().unwrap_or(NOTHING),
            "downloadLocation": NOTHING,
            "filesAnalyzed": false,
            "sourceInfo": format!("recorded in /{}", package.found),
            "licenseConcluded": NOTHING,
            "licenseDeclared": license(package.license.as_deref()),
            "copyrightText": NOTHING,
            "externalRefs": [reference(&package.purl)],
        }));
    }
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": subject.name,
        "documentNamespace": format!("{}/spdx/{}", env!("CARGO_PKG_REPOSITORY"), subject.id),
        "creationInfo": {
            "created": subject.created,
            "creators": [concat!("Tool: rcompose-", env!("CARGO_PKG_VERSION"))],
        },
        "packages": all,
        "relationships": relationships,
    })
}

fn reference(purl: &str) -> Value {
    json!({ "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl })
}

fn relationship(from: &str, kind: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to })
}

/// Unique, of letters, digits, points and hyphens.
fn id(package: &Package) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let name: String = package.name.chars().map(plain).collect();
    let digest = Digest::of(format!("{} {}", package.purl, package.found).as_bytes()).hex();
    format!("SPDXRef-Package-{}-{name}-{}", package.kind, &digest[..16])
}

/// What isn't an expression of SPDX's must not be said as one.
fn license(text: Option<&str>) -> &str {
    let word = |w: &str| {
        let w = w.trim_matches(['(', ')']);
        matches!(w, "AND" | "OR" | "WITH")
            || (w.contains(|c: char| c.is_ascii_digit() || c == '-')
                && w.chars().all(|c| c.is_ascii_alphanumeric() || "-.+".contains(c)))
            || ["MIT", "ISC", "Zlib", "Unlicense", "OpenSSL", "curl", "X11", "Python"].contains(&w)
    };
    let plain = |t: &&str| t.len() < 200 && t.split_whitespace().all(word) && !t.contains('\n');
    text.filter(plain).unwrap_or(NOTHING)
}
