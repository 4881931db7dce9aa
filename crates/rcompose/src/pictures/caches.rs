//! Caches of builds elsewhere: `--cache-from`, `--cache-to`, `build.cache_from`, `build.cache_to`.
//!
//! A cache is an image of the steps' layers whose configuration tells in a label which step made which. It isn't BuildKit's
//! format: neither reads the other's.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rcompose_build::{BuildEvent, BuildEvents, Built, CACHE_LABEL, StepOutcome, import_steps};
use rcompose_image::{Digest, Image, ImageConfig, LayerId, Platform, Reference, RemoveOptions, Store};

use super::building::forget;
use super::fetch::fetch;
use super::inputs::Inputs;
use super::outputs::layout;
use super::pulling::{ToPush, parse_reference, push_each, together};
use crate::context::Context;
use crate::failure::Failure;

/// A cache to read or write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cache {
    text: String,
    place: Place,
    /// All steps, not only those of the image.
    all: bool,
    /// A failure to write it is only told.
    lenient: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Registry(Reference),
    Local(PathBuf),
    Inline,
}

impl Cache {
    /// `IMAGE`, or `type=registry,ref=IMAGE`, `type=local,src=DIRECTORY` (`dest=` to write it), `type=inline`.
    pub(crate) fn parse(cx: &Context, text: &str) -> Result<Self, Failure> {
        let mut fields: BTreeMap<&str, &str> = BTreeMap::new();
        for field in text.split(',') {
            match field.split_once('=') {
                Some((key, value)) => fields.insert(key.trim(), value),
                None if text == field => fields.insert("ref", field),
                None => return Err(Failure::user(format!("the cache {text}: `{field}` has no value"))),
            };
        }
        let get = |key: &str| fields.get(key).copied().filter(|v| !v.is_empty());
        let place = match get("type").unwrap_or("registry") {
            "registry" => Place::Registry(parse_reference(
                get("ref").ok_or_else(|| Failure::user(format!("the cache {text} has no ref=IMAGE")))?,
            )?),
            "local" => Place::Local(cx.env.cwd.join(get("src").or(get("dest")).ok_or_else(|| {
                Failure::user(format!("the cache {text} has no directory")).hint("write src= or dest=")
            })?)),
            "inline" => Place::Inline,
            other => {
                return Err(Failure::unsupported(format!("the cache {text}: there is no type `{other}`"))
                    .hint("it is one of registry, local, inline"));
            }
        };
        let lenient = get("ignore-error") == Some("true");
        Ok(Self { text: text.to_owned(), place, all: get("mode") == Some("max"), lenient })
    }

    /// The image is its own cache.
    pub(super) fn is_inline(&self) -> bool {
        self.place == Place::Inline
    }
}

/// Takes over what the caches know. One that can't be had is only told, as docker does.
pub(super) fn read(
    cx: &Context,
    store: &Store,
    caches: &[Cache],
    events: &dyn BuildEvents,
) -> Result<(), Failure> {
    for cache in caches {
        if let Err(failure) = read_one(cx, store, cache) {
            let message = format!("the cache {} can't be read: {}", cache.text, failure.text());
            events.event(BuildEvent::Warning { message: &message, line: 0 });
        }
    }
    Ok(())
}

fn read_one(cx: &Context, store: &Store, cache: &Cache) -> Result<(), Failure> {
    let hold = store.hold()?;
    let image = match &cache.place {
        Place::Inline => return Err(Failure::user("an inline cache is read from the image: name that")),
        Place::Local(directory) => {
            let id = Inputs::default().layout(cx, store, &directory.display().to_string())?;
            store.find(&id)?.ok_or_else(|| Failure::user("it was removed while it was read"))?
        }
        Place::Registry(name) => {
            let before = store.get(name)?;
            let image = fetch(cx, store, name, None, &|_, _| {})?;
            restore(store, name, before.as_ref())?;
            image
        }
    };
    let root = cx.dirs.build_cache();
    let result = steps(&image).and_then(|steps| {
        for layer in &image.layers {
            if hold.layer(layer)? {
                store.keep(layer)?;
            }
        }
        import_steps(&root, &steps)
            .map_err(|e| Failure::io(format_args!("write the build cache in {}", root.display()), &e))
    });
    if image.refs.is_empty() || matches!(cache.place, Place::Registry(_)) {
        forget_unnamed(store, &image)?;
    }
    result
}

fn steps(image: &Image) -> Result<Vec<StepOutcome>, Failure> {
    let text = image.config.config.labels.get(CACHE_LABEL);
    let text = text.ok_or_else(|| Failure::user("it is no cache of rcompose's builds"))?;
    serde_json::from_str(text).map_err(|e| Failure::io("read the cache's label", &e))
}

/// Gives a name back to whom it belonged.
fn restore(store: &Store, name: &Reference, before: Option<&Image>) -> Result<(), Failure> {
    match before {
        Some(image) => Ok(store.tag(&image.id, name)?),
        None => {
            let free = |_: &Digest| true;
            let options = RemoveOptions { force: true, in_use: &free };
            store.remove(&name.to_string(), &options).map(drop).map_err(Failure::from)
        }
    }
}

fn forget_unnamed(store: &Store, image: &Image) -> Result<(), Failure> {
    match store.find(&image.id.to_string())? {
        Some(image) if image.refs.is_empty() => forget(store, &image.id),
        _ => Ok(()),
    }
}

/// Writes what a build's steps made.
pub(super) fn write(
    cx: &Context,
    store: &Store,
    caches: &[Cache],
    built: &Built,
    events: &dyn BuildEvents,
) -> Result<(), Failure> {
    for cache in caches.iter().filter(|c| !c.is_inline()) {
        match write_one(cx, store, cache, built) {
            Err(failure) if cache.lenient => {
                let message = format!("the cache {} can't be written: {}", cache.text, failure.text());
                events.event(BuildEvent::Warning { message: &message, line: 0 });
            }
            other => other.map_err(|f| f.context(format!("failed to write the cache {}", cache.text)))?,
        }
    }
    Ok(())
}

fn write_one(cx: &Context, store: &Store, cache: &Cache, built: &Built) -> Result<(), Failure> {
    let own = &built.config.rootfs.diff_ids;
    let wanted = |s: &&StepOutcome| cache.all || s.layer.is_none_or(|l| own.contains(&l));
    let steps: Vec<&StepOutcome> = built.steps.iter().filter(wanted).collect();
    let mut layers: Vec<LayerId> = Vec::new();
    for layer in steps.iter().filter_map(|s| s.layer).map(LayerId) {
        if !layers.contains(&layer) {
            layers.push(layer);
        }
    }
    let mut config = ImageConfig::new(&Platform::host());
    let text = serde_json::to_string(&steps).map_err(|e| Failure::io("write the cache's label", &e))?;
    config.config.labels.insert(CACHE_LABEL.to_owned(), text);
    let image = store.put_image(&config, &layers, &[])?;
    let written = match &cache.place {
        Place::Inline => Ok(()),
        Place::Local(directory) => layout(store, image.clone(), &[], directory),
        Place::Registry(name) => {
            let before = store.get(name)?;
            store.tag(&image.id, name)?;
            let push = ToPush { reference: name.clone(), service: None };
            let pushed = together(push_each(cx, store, &[push], true)).map(drop);
            restore(store, name, before.as_ref())?;
            pushed
        }
    };
    forget_unnamed(store, &image)?;
    written
}
