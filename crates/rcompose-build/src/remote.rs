//! What ADD fetches.

/// An address rather than a path: ADD fetches it, COPY refuses it.
pub(crate) fn is_remote(source: &str) -> bool {
    ["http://", "https://", "git://", "ssh://"].iter().any(|p| source.starts_with(p))
        || source.split_once(':').is_some_and(|(host, _)| host.starts_with("git@") && !host.contains('/'))
}
