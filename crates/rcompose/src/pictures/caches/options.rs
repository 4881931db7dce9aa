//! How a cache is written: `IMAGE`, or `type=TYPE,KEY=VALUE,…` (buildx, util/buildflags/cache.go).

use std::collections::BTreeMap;

use rcompose_build::{CacheForm, comma_fields, parse_bool};
use rcompose_image::{Compression, Packing};
use rcompose_loader::nearest;

use super::super::pulling::parse_reference;
use super::{From, Source, Target, To};
use crate::context::Context;
use crate::failure::Failure;

const FOREIGN: [&str; 3] = ["gha", "s3", "azblob"];
const HOW: [&str; 7] = [
    "mode",
    "ignore-error",
    "image-manifest",
    "oci-mediatypes",
    "compression",
    "compression-level",
    "force-compression",
];

/// The words of one cache.
struct Words {
    flag: &'static str,
    text: String,
    kind: String,
    fields: BTreeMap<String, String>,
}

impl Words {
    /// Several images may be in one text.
    fn all(flag: &'static str, text: &str) -> Result<Vec<Self>, Failure> {
        let of = |kind: &str, text: &str, fields| Self {
            flag,
            text: text.to_owned(),
            kind: kind.to_owned(),
            fields,
        };
        let wrong = |why: String| Failure::user(format!("{flag} {text}: {why}"));
        let parts = comma_fields(text).map_err(wrong)?;
        if !text.contains('=') {
            let one =
                |image: &String| of("registry", image, BTreeMap::from([("ref".to_owned(), image.clone())]));
            return Ok(parts.iter().map(one).collect());
        }
        let mut fields = BTreeMap::new();
        for part in &parts {
            let (key, value) =
                part.split_once('=').ok_or_else(|| wrong(format!("`{part}` isn't of the form key=value")))?;
            fields.insert(key.trim().to_lowercase(), value.to_owned());
        }
        let kind = fields.remove("type").filter(|k| !k.is_empty());
        let kind = kind.ok_or_else(|| {
            wrong("it has no type".to_owned()).hint("write type=registry,ref=IMAGE or type=local,…")
        })?;
        Ok(vec![of(&kind, text, fields)])
    }

    fn wrong(&self, why: impl std::fmt::Display) -> Failure {
        Failure::user(format!("{} {}: {why}", self.flag, self.text))
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.fields.get(key).map(String::as_str).filter(|v| !v.is_empty())
    }

    fn need(&self, key: &str, what: &str) -> Result<&str, Failure> {
        self.get(key).ok_or_else(|| {
            self.wrong(format!("a cache of type {} needs {key}", self.kind))
                .hint(format!("write type={},{key}={what}", self.kind))
        })
    }

    fn truth(&self, key: &str) -> Result<Option<bool>, Failure> {
        match self.fields.get(key).map(String::as_str) {
            None => Ok(None),
            Some("") if key == "force-compression" => Ok(Some(true)),
            Some(text) => match parse_bool(text) {
                None => Err(self.wrong(format!("{key} is true or false, not `{text}`"))),
                on => Ok(on),
            },
        }
    }

    /// All keys are of these.
    fn known(&self, keys: &[&[&str]]) -> Result<(), Failure> {
        let all: Vec<&str> = keys.concat();
        match self.fields.keys().find(|k| !all.contains(&k.as_str())) {
            None => Ok(()),
            Some(key) => {
                let failure = self.wrong(format!("a cache of type {} has no option `{key}`", self.kind));
                Err(match nearest(key, all.iter().copied()) {
                    Some(near) => failure.hint(format!("did you mean `{near}`?")),
                    None if all.is_empty() => failure,
                    None => failure.hint(format!("it has {}", all.join(", "))),
                })
            }
        }
    }

    fn no_type(&self) -> Failure {
        self.wrong(format!("there is no type `{}`", self.kind)).hint("it is one of registry, local, inline")
    }

    fn foreign(&self) -> Option<&'static str> {
        FOREIGN.into_iter().find(|f| *f == self.kind)
    }

    fn packing(&self) -> Result<Packing, Failure> {
        let compression = match self.get("compression") {
            None | Some("gzip") => Compression::Gzip,
            Some("zstd") => Compression::Zstd,
            Some("uncompressed") => Compression::Uncompressed,
            Some(other) => {
                return Err(self
                    .wrong(format!("layers can't be compressed by `{other}`"))
                    .hint("compression is one of gzip, zstd, uncompressed"));
            }
        };
        let level = self.get("compression-level").map(|level| {
            level.parse().map_err(|_| self.wrong(format!("compression-level is a number, not `{level}`")))
        });
        let force = self.truth("force-compression")?.unwrap_or_default();
        Ok(Packing { compression, level: level.transpose()?, force })
    }

    fn form(&self) -> Result<CacheForm, Failure> {
        let oci = self.truth("oci-mediatypes")?.unwrap_or(true);
        let image_manifest = self.truth("image-manifest")?.unwrap_or(oci);
        if image_manifest && !oci {
            return Err(self
                .wrong("image-manifest=true needs OCI's media types")
                .hint("leave out oci-mediatypes=false, or write image-manifest=false"));
        }
        Ok(CacheForm { image_manifest, oci })
    }
}

/// `--cache-from`.
pub(super) fn from(cx: &Context, text: &str) -> Result<Vec<From>, Failure> {
    let one = |words: Words| {
        let place = match words.kind.as_str() {
            "registry" => {
                words.known(&[&["ref", "registry.insecure"]])?;
                Source::Registry {
                    name: parse_reference(words.need("ref", "IMAGE")?)?,
                    insecure: words.truth("registry.insecure")?.unwrap_or_default(),
                }
            }
            "local" => {
                words.known(&[&["src", "digest", "tag"]])?;
                Source::Local {
                    directory: cx.env.cwd.join(words.need("src", "DIRECTORY")?),
                    digest: words.get("digest").map(str::to_owned),
                    tag: words.get("tag").unwrap_or("latest").to_owned(),
                }
            }
            "inline" => {
                return Err(words.wrong("a cache in an image is read from the image").hint("name the image"));
            }
            _ => Source::Foreign(words.foreign().ok_or_else(|| words.no_type())?),
        };
        Ok(From { text: words.text, place })
    };
    Words::all("--cache-from", text)?.into_iter().map(one).collect()
}

/// `--cache-to`.
pub(super) fn to(cx: &Context, text: &str) -> Result<Vec<To>, Failure> {
    let one = |words: Words| {
        let place = match words.kind.as_str() {
            "registry" => {
                words.known(&[&["ref", "registry.insecure"], &HOW])?;
                Target::Registry {
                    name: parse_reference(words.need("ref", "IMAGE")?)?,
                    insecure: words.truth("registry.insecure")?.unwrap_or_default(),
                }
            }
            "local" => {
                words.known(&[&["dest", "tag", "reset"], &HOW])?;
                Target::Local {
                    directory: cx.env.cwd.join(words.need("dest", "DIRECTORY")?),
                    tag: words.get("tag").unwrap_or("latest").to_owned(),
                    reset: words.truth("reset")?.unwrap_or_default(),
                }
            }
            // It always is of the image's steps; people write a mode all the same.
            "inline" => {
                words.known(&[&["mode", "ignore-error"]])?;
                Target::Inline
            }
            _ => Target::Foreign(words.foreign().ok_or_else(|| words.no_type())?),
        };
        let all = match words.get("mode") {
            None | Some("min") => false,
            Some("max") => true,
            Some(other) => return Err(words.wrong(format!("mode is min or max, not `{other}`"))),
        };
        let lenient = words.truth("ignore-error")?.unwrap_or_default();
        let (form, packing) = match place {
            Target::Foreign(_) => (CacheForm { image_manifest: true, oci: true }, Packing::default()),
            _ => (words.form()?, words.packing()?),
        };
        Ok(To { text: words.text, place, all, lenient, form, packing })
    };
    Words::all("--cache-to", text)?.into_iter().map(one).collect()
}
