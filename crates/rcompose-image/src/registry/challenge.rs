//! How a registry wants to be told who we are (RFC 9110, 11.6.1; distribution, spec/auth/token.md).

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// It doesn't ask.
    None,
    Basic,
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

impl Challenge {
    /// Of several headers, each with one challenge or more: tokens before passwords.
    pub(super) fn of<'a>(headers: impl Iterator<Item = &'a str>) -> Self {
        let mut found = Self::None;
        for header in headers {
            let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
            if scheme.eq_ignore_ascii_case("basic") && found == Self::None {
                found = Self::Basic;
            }
            if scheme.eq_ignore_ascii_case("bearer") {
                let parameters = parameters(rest);
                let get = |name: &str| {
                    parameters.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone())
                };
                if let Some(realm) = get("realm") {
                    found = Self::Bearer { realm, service: get("service"), scope: get("scope") };
                }
            }
        }
        found
    }
}

/// `name=token` and `name="quoted \" string"`, separated by commas.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some((name, after)) = rest.split_once('=') {
        let mut value = String::new();
        let after = after.trim_start();
        rest = match after.strip_prefix('"') {
            Some(quoted) => {
                let mut chars = quoted.char_indices();
                let mut end = quoted.len();
                while let Some((at, c)) = chars.next() {
                    match c {
                        '"' => {
                            end = at + 1;
                            break;
                        }
                        '\\' => value.extend(chars.next().map(|(_, c)| c)),
                        c => value.push(c),
                    }
                }
                &quoted[end..]
            }
            None => {
                let end = after.find(',').unwrap_or(after.len());
                value.push_str(after[..end].trim());
                &after[end..]
            }
        };
        out.push((name.trim().to_owned(), value));
        rest = rest.trim_start_matches([',', ' ']);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges() {
        let of = |h: &[&str]| Challenge::of(h.iter().copied());
        let bearer = |service: Option<&str>, scope: Option<&str>| Challenge::Bearer {
            realm: "https://auth.docker.io/token".into(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        };
        let header = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="a:b:pull,push""#;
        assert_eq!(of(&[header]), bearer(Some("registry.docker.io"), Some("a:b:pull,push")));
        assert_eq!(
            of(&["Basic realm=\"x\"", header]),
            bearer(Some("registry.docker.io"), Some("a:b:pull,push"))
        );
        assert_eq!(
            of(&["bearer realm=https://auth.docker.io/token, service=\"a\\\"b\""]),
            bearer(Some("a\"b"), None)
        );
        assert_eq!(of(&[r#"Basic realm="x""#]), Challenge::Basic);
        assert_eq!(of(&["Negotiate"]), Challenge::None);
        assert_eq!(of(&[]), Challenge::None);
        assert_eq!(of(&["Bearer service=\"x"]), Challenge::None);
    }
}
