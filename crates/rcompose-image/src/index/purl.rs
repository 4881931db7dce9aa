//! Package URLs of images (github.com/package-url/purl-spec, types docker and oci), as BuildKit writes them
//! (util/purl/image.go).

use crate::{Platform, Reference};

/// `pkg:docker/NAME@TAG?platform=…`.
pub fn image_purl(reference: &Reference, platform: Option<&Platform>) -> String {
    let name = reference.familiar_name();
    let parts: Vec<String> = name.split('/').map(escape_query).collect();
    let mut purl = format!("pkg:docker/{}", parts.join("/"));
    match (reference.tag(), reference.digest()) {
        (Some(tag), _) => purl.push_str(&format!("@{}", escape_path(tag))),
        (None, None) => purl.push_str("@latest"),
        (None, Some(_)) => {}
    }
    let digest = reference.digest().map(|d| format!("digest={}", escape_path(&d.to_string())));
    let platform = platform.map(|p| format!("platform={}", escape_path(&p.to_string())));
    let qualifiers: Vec<String> = digest.into_iter().chain(platform).collect();
    if !qualifiers.is_empty() {
        purl.push_str(&format!("?{}", qualifiers.join("&")));
    }
    purl
}

/// Go's url.QueryEscape, for what names may have.
fn escape_query(text: &str) -> String {
    escape(text, b"-_.~")
}

/// Go's url.PathEscape.
fn escape_path(text: &str) -> String {
    escape(text, b"-_.~$&+=:@")
}

fn escape(text: &str, plain: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images() {
        let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for (name, platform, want) in [
            ("alpine", Some("linux/amd64"), "pkg:docker/alpine@latest?platform=linux%2Famd64"),
            ("alpine:3", None, "pkg:docker/alpine@3"),
            ("127.0.0.1:5000/a/b:v1", None, "pkg:docker/127.0.0.1%3A5000/a/b@v1"),
            (
                &format!("a/b@{digest}"),
                Some("linux/arm/v7"),
                &format!("pkg:docker/a/b?digest={digest}&platform=linux%2Farm%2Fv7"),
            ),
        ] {
            let platform = platform.map(|p| p.parse().unwrap());
            assert_eq!(image_purl(&name.parse().unwrap(), platform.as_ref()), want);
        }
    }
}
