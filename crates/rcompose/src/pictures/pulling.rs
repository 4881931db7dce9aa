//! Images from and to registries, several at once.

use rcompose_engine::FailureKind;
use rcompose_image::{Image, Platform, Pushed, Reference, Store};
use rcompose_model::{Project, Service};
use rcompose_plan::image_key;

use super::at_image;
use super::fetch::{fetch, send};
use super::transfer::{Words, transfer};
use crate::context::Context;
use crate::failure::Failure;

/// An image to be pulled.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) reference: Reference,
    pub(crate) platform: Option<Platform>,
    /// The service that wants it, for errors.
    pub(crate) service: Option<Box<Service>>,
}

impl Wanted {
    /// A service's image.
    pub(crate) fn of(project: &Project, service: &Service) -> Result<Self, Failure> {
        let key = image_key(project, service);
        let reference = parse_reference(&key).map_err(|f| at_image(f, service))?;
        let place = service.attribute_origins.get("platform").unwrap_or(&service.origin);
        let platform = service.platform.as_ref().map(platform).transpose().map_err(|f| f.at(place))?;
        Ok(Self { reference, platform, service: Some(Box::new(service.clone())) })
    }

    fn failed(&self, failure: Failure) -> Failure {
        match &self.service {
            Some(s) => at_image(failure.context(format!("service \"{}\"", s.name)), s),
            None => failure,
        }
    }
}

/// A platform in the image room's words.
pub(crate) fn platform(platform: &rcompose_model::Platform) -> Result<Platform, Failure> {
    platform
        .as_str()
        .parse()
        .map_err(|e: rcompose_image::PlatformError| Failure::new(FailureKind::Compose, e.to_string()))
}

/// A reference as typed.
pub(crate) fn parse_reference(text: &str) -> Result<Reference, Failure> {
    text.parse().map_err(|e: rcompose_image::ReferenceError| {
        let failure =
            Failure::user(format!("invalid image reference \"{text}\": {}", crate::failure::with_causes(&e)));
        match text.split_once("://") {
            Some((_, rest)) => failure.hint(format!("images have no scheme: write {rest}")),
            None => failure,
        }
    })
}

/// Pulls all, each in a thread of its own. All failures come together; what could be pulled stays.
pub(crate) fn pull_all(
    cx: &Context,
    store: &Store,
    wanted: &[Wanted],
    quiet: bool,
) -> Result<Vec<Image>, Failure> {
    together(pull_each(cx, store, wanted, quiet))
}

/// As [`pull_all`], with what became of each.
pub(crate) fn pull_each(
    cx: &Context,
    store: &Store,
    wanted: &[Wanted],
    quiet: bool,
) -> Vec<Result<Image, Failure>> {
    let subjects: Vec<String> = wanted.iter().map(|w| format!("Image {}", w.reference)).collect();
    let words = Words { title: "pull", doing: "Pulling", did: "Pulled" };
    transfer(cx, words, &subjects, quiet, |i, tell| {
        let w = &wanted[i];
        fetch(cx, store, &w.reference, w.platform.as_ref(), tell).map_err(|f| w.failed(f))
    })
}

/// An image of the store that is to be sent to its registry.
pub(crate) struct ToPush {
    pub(crate) reference: Reference,
    /// The service that it is of, for errors.
    pub(crate) service: Option<Box<Service>>,
}

/// Pushes all at once, with what became of each.
pub(crate) fn push_each(
    cx: &Context,
    store: &Store,
    images: &[ToPush],
    quiet: bool,
) -> Vec<Result<Pushed, Failure>> {
    push_each_for(cx, store, images, None, quiet)
}

/// As [`push_each`], only the images of one platform.
pub(crate) fn push_each_for(
    cx: &Context,
    store: &Store,
    images: &[ToPush],
    platform: Option<&Platform>,
    quiet: bool,
) -> Vec<Result<Pushed, Failure>> {
    let subjects: Vec<String> = images.iter().map(|w| format!("Image {}", w.reference)).collect();
    let words = Words { title: "push", doing: "Pushing", did: "Pushed" };
    transfer(cx, words, &subjects, quiet, |i, tell| {
        let ToPush { reference, service } = &images[i];
        send(cx, store, reference, platform, tell).map_err(|f| match service {
            Some(s) => at_image(f.context(format!("service \"{}\"", s.name)), s),
            // Which of them, where the trouble is the registry's.
            None if images.len() > 1 && !f.text().contains(&reference.to_string()) => f.context(reference),
            None => f,
        })
    })
}

/// All results, or all failures.
pub(crate) fn together<T>(results: Vec<Result<T, Failure>>) -> Result<Vec<T>, Failure> {
    let mut out = Vec::new();
    let mut failed: Option<Failure> = None;
    for result in results {
        match result {
            Ok(value) => out.push(value),
            Err(f) => {
                failed = Some(match failed.take() {
                    Some(first) => first.and(f),
                    None => f,
                });
            }
        }
    }
    failed.map_or(Ok(out), Err)
}

/// Pulls one image without a word.
pub(super) fn pull_quietly(
    cx: &Context,
    store: &Store,
    reference: &str,
    platform: Option<&Platform>,
) -> Result<Image, Failure> {
    fetch(cx, store, &parse_reference(reference)?, platform, &|_, _| {})
}
