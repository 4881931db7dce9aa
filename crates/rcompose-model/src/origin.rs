use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where in the user's files a value was written.
///
/// Lines and columns count from 1; columns count characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Origin {
    /// The file, as the user would name it. Shared: a project has many places in few files.
    pub file: Arc<Path>,
    /// Line, from 1; 0 when unknown.
    pub line: u32,
    /// Column, from 1; 0 when unknown.
    pub column: u32,
}

impl Default for Origin {
    fn default() -> Self {
        Self { file: Path::new("").into(), line: 0, column: 0 }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// Where single attributes are written, by dotted path (`command`, `ports.0`).
///
/// A sorted list with shared names: each service has one, and a thousand services write the same names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(Vec<(Arc<str>, Origin)>);

impl Origins {
    /// Where an attribute is written.
    pub fn get(&self, path: &str) -> Option<&Origin> {
        self.find(path).ok().map(|at| &self.0[at].1)
    }
    /// Forgets a place.
    pub fn remove(&mut self, path: &str) -> Option<Origin> {
        self.find(path).ok().map(|at| self.0.remove(at).1)
    }
    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.clear();
    }
    fn find(&self, path: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(p, _)| (**p).cmp(path))
    }
}

impl FromIterator<(Arc<str>, Origin)> for Origins {
    /// The last of several with one path counts.
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Origin)>>(entries: I) -> Self {
        let mut list: Vec<_> = entries.into_iter().collect();
        list.reverse();
        list.sort_by(|a, b| a.0.cmp(&b.0));
        list.dedup_by(|later, first| later.0 == first.0);
        list.shrink_to_fit();
        Self(list)
    }
}

impl Serialize for Origins {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(path, origin)| (path, origin)))
    }
}

impl<'de> Deserialize<'de> for Origins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(BTreeMap::<Arc<str>, Origin>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_found_by_path_and_read_back() {
        let at = |line| Origin { line, ..Default::default() };
        let places = [("ports.10", 4), ("ports", 2), ("image", 1), ("ports.2", 3), ("image", 9)];
        let mut origins: Origins = places.iter().map(|(p, l)| (Arc::from(*p), at(*l))).collect();
        assert_eq!(origins.get("ports.2"), Some(&at(3)));
        assert_eq!(origins.get("image"), Some(&at(9)));
        assert_eq!(origins.get("port"), None);
        let text = serde_json::to_string(&origins).unwrap();
        assert_eq!(serde_json::from_str::<Origins>(&text).unwrap(), origins);
        assert_eq!(origins.remove("ports"), Some(at(2)));
        assert_eq!(origins.get("ports"), None);
        assert_eq!(origins.get("ports.10"), Some(&at(4)));
    }
}
