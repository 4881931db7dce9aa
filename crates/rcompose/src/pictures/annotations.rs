//! `--annotation [LEVEL[PLATFORM],…:]KEY=VALUE` (docker buildx build; OCI image spec, annotations.md).

use std::collections::BTreeMap;

use rcompose_image::{Index, Platform};

use crate::failure::Failure;

/// What annotations say, and of what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Annotations(Vec<Annotation>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Annotation {
    level: Level,
    platform: Option<Platform>,
    key: String,
    value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Manifest,
    ManifestDescriptor,
    Index,
    IndexDescriptor,
}

impl Annotations {
    pub(crate) fn parse(all: &[String]) -> Result<Self, Failure> {
        let mut out = Vec::new();
        for text in all.iter().filter(|t| !t.is_empty()) {
            let (left, value) = text.split_once('=').ok_or_else(|| {
                Failure::user(format!("invalid annotation \"{text}\"")).hint("write KEY=VALUE")
            })?;
            let one = |level, platform, key: &str| Annotation {
                level,
                platform,
                key: key.to_owned(),
                value: value.to_owned(),
            };
            let Some((levels, key)) = left.split_once(':') else {
                out.push(one(Level::Manifest, None, left));
                continue;
            };
            for level in levels.split(',') {
                let (level, platform) = match level.strip_suffix(']').and_then(|l| l.split_once('[')) {
                    Some((level, platform)) => {
                        (level, Some(platform.parse().map_err(|e| Failure::user(format!("{e}")))?))
                    }
                    None => (level, None),
                };
                let level = match level {
                    "manifest" => Level::Manifest,
                    "manifest-descriptor" => Level::ManifestDescriptor,
                    "index" => Level::Index,
                    "index-descriptor" => Level::IndexDescriptor,
                    _ => {
                        return Err(Failure::user(format!(
                            "the annotation \"{text}\": unknown annotation type \"{level}\""
                        ))
                        .hint("it is one of manifest, manifest-descriptor, index, index-descriptor"));
                    }
                };
                out.push(one(level, platform, key));
            }
        }
        Ok(Self(out))
    }

    /// Writes them into an index.
    pub(crate) fn apply(&self, index: &mut Index) -> Result<(), Failure> {
        for a in &self.0 {
            let put = |into: &mut BTreeMap<String, String>| drop(into.insert(a.key.clone(), a.value.clone()));
            match a.level {
                Level::Index | Level::IndexDescriptor if index.flat => {
                    return Err(Failure::user(format!(
                        "the annotation {}: an image of one platform without attestations has no index",
                        a.key
                    ))
                    .hint("annotate its manifest, or leave --provenance=false out"));
                }
                Level::Index => put(&mut index.annotations),
                Level::IndexDescriptor => put(&mut index.descriptor_annotations),
                Level::Manifest | Level::ManifestDescriptor => {
                    let mut found = false;
                    for member in &mut index.members {
                        if a.platform.as_ref().is_some_and(|p| !p.accepts(&member.platform)) {
                            continue;
                        }
                        found = true;
                        match a.level {
                            Level::Manifest => put(&mut member.annotations),
                            _ => put(&mut member.descriptor_annotations),
                        }
                    }
                    if let (false, Some(platform)) = (found, &a.platform) {
                        let message = format!("the annotation {}: nothing is built for {platform}", a.key);
                        return Err(Failure::user(message));
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rcompose_image::{Digest, Member};

    use super::*;

    fn index(flat: bool) -> Index {
        let member = |p: &str| Member::new(p.parse().unwrap(), Digest::of(p.as_bytes()));
        Index { flat, members: vec![member("linux/amd64"), member("linux/arm64")], ..Index::default() }
    }

    fn apply(all: &[&str], flat: bool) -> Result<Index, Failure> {
        let all: Vec<String> = all.iter().map(|a| (*a).to_owned()).collect();
        let mut index = index(flat);
        Annotations::parse(&all)?.apply(&mut index)?;
        Ok(index)
    }

    #[test]
    fn levels_and_platforms() {
        let made = apply(
            &[
                "a=1",
                "index,manifest:b=2=3",
                "manifest[linux/arm64]:c=3",
                "manifest-descriptor:d=4",
                "index-descriptor:e=5",
            ],
            false,
        )
        .unwrap();
        let keys = |m: &BTreeMap<String, String>| m.keys().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(keys(&made.members[0].annotations), "a b");
        assert_eq!(keys(&made.members[1].annotations), "a b c");
        assert_eq!(made.members[1].annotations["b"], "2=3");
        assert_eq!(keys(&made.members[0].descriptor_annotations), "d");
        assert_eq!((keys(&made.annotations), keys(&made.descriptor_annotations)), ("b".into(), "e".into()));
    }

    #[test]
    fn what_cannot_be() {
        for (all, flat) in [
            (&["nokey"][..], false),
            (&["bad:a=1"], false),
            (&["manifest[x/y/z/w]:a=1"], false),
            (&["manifest[linux/s390x]:a=1"], false),
            (&["index:a=1"], true),
        ] {
            assert!(apply(all, flat).is_err(), "{all:?}");
        }
    }
}
