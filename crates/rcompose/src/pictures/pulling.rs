//! Images from registries, several at once, with their progress.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};

use rcompose_engine::FailureKind;
use rcompose_image::{Image, Platform, Reference, Store};
use rcompose_model::{Project, Service};
use rcompose_plan::image_key;

use super::at_image;
use super::fetch::{Bytes, fetch};
use crate::context::Context;
use crate::failure::Failure;
use crate::progress::{FRAME, Progress};

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
        Failure::user(format!("invalid image reference \"{text}\": {}", crate::failure::with_causes(&e)))
    })
}

enum News {
    Bytes { layer: String, bytes: Bytes },
    Done(Box<Result<Image, Failure>>),
}

/// Pulls all, each in a thread of its own. All failures come together; what could be pulled stays.
pub(crate) fn pull_all(
    cx: &Context,
    store: &Store,
    wanted: &[Wanted],
    quiet: bool,
) -> Result<Vec<Image>, Failure> {
    let mut progress = (!quiet).then(|| Progress::new(cx, "pull"));
    let mut images = Vec::new();
    let mut failed: Option<Failure> = None;
    let (tell, hear) = mpsc::channel();
    std::thread::scope(|scope| {
        for (i, w) in wanted.iter().enumerate() {
            let tell: Sender<(usize, News)> = tell.clone();
            if let Some(p) = &mut progress {
                p.begin(&subject(w), "Pulling");
            }
            scope.spawn(move || {
                let result = fetch(cx, store, &w.reference, w.platform.as_ref(), &|layer, bytes| {
                    // The receiver lives as long as this thread.
                    drop(tell.send((i, News::Bytes { layer: layer.to_owned(), bytes })));
                });
                drop(tell.send((i, News::Done(Box::new(result)))));
            });
        }
        drop(tell);
        let mut layers: Vec<BTreeMap<String, Bytes>> = vec![BTreeMap::new(); wanted.len()];
        loop {
            let moves = progress.as_ref().is_some_and(Progress::moves);
            let news = if moves { hear.recv_timeout(FRAME) } else { hear.recv().map_err(Into::into) };
            match news {
                Ok((i, News::Bytes { layer, bytes })) => {
                    layers[i].insert(layer, bytes);
                }
                Ok((i, News::Done(result))) => {
                    let words = if result.is_ok() { "Pulled" } else { "Error" };
                    if let Some(p) = &mut progress {
                        match result.is_ok() {
                            true => p.done(&subject(&wanted[i]), words),
                            false => p.failed(&subject(&wanted[i]), words),
                        }
                    }
                    layers[i].clear();
                    match *result {
                        Ok(image) => images.push(image),
                        Err(f) => {
                            let f = wanted[i].failed(f);
                            failed = Some(match failed.take() {
                                Some(first) => first.and(f),
                                None => f,
                            });
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    let Some(p) = &mut progress else { continue };
                    for (i, w) in wanted.iter().enumerate().filter(|(i, _)| !layers[*i].is_empty()) {
                        p.say(&subject(w), &amount(&layers[i]));
                    }
                    p.tick();
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    });
    if let Some(p) = &mut progress {
        p.finish();
    }
    match failed {
        Some(f) => Err(f),
        None => Ok(images),
    }
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

fn subject(w: &Wanted) -> String {
    format!("Image {}", w.reference)
}

/// `Pulling 12.3MB / 45.6MB`
fn amount(layers: &BTreeMap<String, Bytes>) -> String {
    let mb = |n: u64| n as f64 / 1e6;
    let have: u64 = layers.values().map(|b| b.have).sum();
    let total: u64 = layers.values().map(|b| b.total).sum();
    format!("Pulling {:.1}MB / {:.1}MB", mb(have), mb(total))
}
