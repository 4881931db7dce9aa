use std::ops::{Deref, DerefMut};

use indexmap::IndexMap;

use crate::tree::Node;

type Entries = IndexMap<String, Node, foldhash::fast::RandomState>;

/// A mapping in the order in which it was written. Boxed: most nodes of a tree are scalars, and pay for the largest
/// kind of value.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Map(Box<Entries>);

impl Map {
    pub(crate) fn new() -> Self {
        Self::default()
    }
    pub(crate) fn keys(&self) -> indexmap::map::Keys<'_, String, Node> {
        self.0.keys()
    }
    pub(crate) fn values(&self) -> indexmap::map::Values<'_, String, Node> {
        self.0.values()
    }
    pub(crate) fn values_mut(&mut self) -> indexmap::map::ValuesMut<'_, String, Node> {
        self.0.values_mut()
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Deref for Map {
    type Target = Entries;
    fn deref(&self) -> &Entries {
        &self.0
    }
}

impl DerefMut for Map {
    fn deref_mut(&mut self) -> &mut Entries {
        &mut self.0
    }
}

impl FromIterator<(String, Node)> for Map {
    fn from_iter<I: IntoIterator<Item = (String, Node)>>(entries: I) -> Self {
        Self(Box::new(entries.into_iter().collect()))
    }
}

impl IntoIterator for Map {
    type Item = (String, Node);
    type IntoIter = indexmap::map::IntoIter<String, Node>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'m> IntoIterator for &'m Map {
    type Item = (&'m String, &'m Node);
    type IntoIter = indexmap::map::Iter<'m, String, Node>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<'m> IntoIterator for &'m mut Map {
    type Item = (&'m String, &'m mut Node);
    type IntoIter = indexmap::map::IterMut<'m, String, Node>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter_mut()
    }
}

impl Extend<(String, Node)> for Map {
    fn extend<I: IntoIterator<Item = (String, Node)>>(&mut self, entries: I) {
        self.0.extend(entries);
    }
}
