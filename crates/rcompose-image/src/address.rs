//! Addresses as others may see them.

/// What stands for a user or a password, as in BuildKit (util/urlutil/redact.go).
const MASK: &str = "xxxxx";

/// A text without the users and passwords of the addresses in it.
pub fn without_password(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(|c: char| "/?#\"'`<>".contains(c) || c.is_whitespace());
        let authority = &after[..end.unwrap_or(after.len())];
        if let Some((user, host)) = authority.rsplit_once('@') {
            out.push_str(MASK);
            if user.contains(':') {
                out.push(':');
                out.push_str(MASK);
            }
            out.push('@');
            out.push_str(host);
        } else {
            out.push_str(authority);
        }
        rest = &after[authority.len()..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::without_password;

    #[test]
    fn in_any_text() {
        for (text, want) in [
            (
                "ADD https://u:p@x.y/a https://t@z/b#c /d",
                "ADD https://xxxxx:xxxxx@x.y/a https://xxxxx@z/b#c /d",
            ),
            ("\"http://a:b@c@d:80\"", "\"http://xxxxx:xxxxx@d:80\""),
            ("git@x.y:o/r http://x.y/a@b", "git@x.y:o/r http://x.y/a@b"),
            ("://", "://"),
        ] {
            assert_eq!(without_password(text), want);
        }
    }
}
