//! `image`: the images of the whole installation.

mod archive;
pub(super) mod build;
pub(crate) mod changes;
mod filter;
mod history;
mod import;
mod list;
mod remove;
mod transfer;
mod tree;

use rcompose_image::{Image, Platform, Store, inspect_default, inspect_json};

use crate::args::{ImageInspectArgs, ImageVerb};
use crate::context::{Context, print};
use crate::failure::Failure;
use crate::pictures::parse_reference;
use crate::render::{inspect, template};

pub(crate) use archive::to_output;
pub(crate) use filter::Filters;
pub(crate) use remove::{LaterUsers, Users, ask, prune_lines};

pub(crate) fn run(cx: &Context, verb: ImageVerb) -> Result<u8, Failure> {
    let store = Store::open(&cx.dirs.images())?;
    match verb {
        ImageVerb::Import(args) => import::run(cx, &store, &args)?,
        ImageVerb::Ls(args) => print(&list::images(cx, &store, &args)?)?,
        ImageVerb::History(args) => print(&history::history(&store, &args)?)?,
        ImageVerb::Rm(args) => remove::remove(cx, &store, &args)?,
        ImageVerb::Inspect(args) => show(&store, &args)?,
        ImageVerb::Load(args) => archive::load(cx, &store, &args)?,
        ImageVerb::Save(args) => archive::save(cx, &store, &args)?,
        ImageVerb::Tag { source, target } => {
            find(&store, &source)?;
            store.tag_as(&source, &parse_reference(&target)?)?;
        }
        ImageVerb::Pull(args) => transfer::pull(cx, &store, &args)?,
        ImageVerb::Push(args) => transfer::push(cx, &store, &args)?,
        ImageVerb::Build(args) => build::run(cx, &store, &args)?,
        ImageVerb::Prune(args) => remove::prune(cx, &store, &args)?,
    }
    Ok(0)
}

/// An image by name or id.
fn find(store: &Store, text: &str) -> Result<Image, Failure> {
    store.find(text)?.ok_or_else(|| {
        let short = text.len() < 4 && text.bytes().all(|b| b.is_ascii_hexdigit());
        Failure::user(format!("no such image: {text}")).hint(match short {
            true => "the beginning of an id has four digits at least",
            false => "`rcompose image ls` shows the names and ids",
        })
    })
}

/// An image by name or id that is for a platform, if one is asked for.
fn find_for(store: &Store, text: &str, platform: Option<&Platform>) -> Result<Image, Failure> {
    let image = find(store, text)?;
    let Some(wanted) = platform else { return Ok(image) };
    let all = store.find_all(text)?;
    let is: Vec<String> = all.iter().map(|i| i.config.platform().to_string()).collect();
    let found = all.into_iter().find(|i| wanted.accepts(&i.config.platform()));
    found.ok_or_else(|| Failure::user(format!("image {text} is for {}, not for {wanted}", is.join(", "))))
}

fn platform(text: Option<&str>) -> Result<Option<Platform>, Failure> {
    let parse = |t: &str| t.parse().map_err(|e: rcompose_image::PlatformError| Failure::user(e.to_string()));
    text.map(parse).transpose()
}

/// What is there is shown, what isn't is told.
fn show(store: &Store, args: &ImageInspectArgs) -> Result<(), Failure> {
    let platform = platform(args.platform.as_deref())?;
    let (mut found, mut failed) = (Vec::new(), None::<Failure>);
    for name in &args.images {
        match find_for(store, name, platform.as_ref()) {
            Ok(image) => found.push(inspect_json(&image)?),
            Err(f) => failed = Some(failed.map_or_else(|| f.clone(), |first| first.and(f.clone()))),
        }
    }
    match &args.format {
        Some(format) => print(&template::values_or(format, &found, inspect_default).map_err(Failure::user)?)?,
        None => print(&inspect(&found.into()))?,
    }
    failed.map_or(Ok(()), Err)
}
