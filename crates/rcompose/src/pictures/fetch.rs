//! One pull: a short-lived runtime around the image crate's asynchronous one.

use std::path::PathBuf;

use rcompose_engine::FailureKind;
use rcompose_image::{
    ArtifactBlob, AuthSource, Digest, Image, LayerProgress, LayerState, Platform, PullError, PullOptions,
    PullProgress, Reference, Store,
};
use tokio::runtime::Runtime;

use super::parse_reference;
use crate::context::Context;
use crate::failure::{Failure, with_causes};

/// How much of a layer is here.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bytes {
    pub(super) have: u64,
    pub(super) total: u64,
}

struct Tell<'a>(&'a (dyn Fn(&str, Bytes) + Sync));

impl PullProgress for Tell<'_> {
    fn layer(&self, p: &LayerProgress) {
        if p.state != LayerState::Present {
            (self.0)(&p.layer.0.hex(), Bytes { have: p.bytes, total: p.total });
        }
    }
}

/// Pulls an image; `progress` hears of each layer.
pub(super) fn fetch(
    cx: &Context,
    store: &Store,
    reference: &Reference,
    platform: Option<&Platform>,
    progress: &(dyn Fn(&str, Bytes) + Sync),
) -> Result<Image, Failure> {
    let options = PullOptions {
        platform: platform.cloned().unwrap_or_else(Platform::host),
        ..options(cx.env.docker_config())
    };
    runtime()?.block_on(rcompose_image::pull(store, reference, &options, &Tell(progress))).map_err(failure)
}

fn options(docker_config: Option<PathBuf>) -> PullOptions {
    PullOptions {
        auth: docker_config.map_or(AuthSource::Anonymous, AuthSource::DockerConfig),
        ..PullOptions::default()
    }
}

fn runtime() -> Result<Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| Failure::io("start a pull", &e))
}

/// An image's name with the digest that its registry has now; one that has a digest keeps it.
pub(crate) fn digest_of(cx: &Context, image: &str) -> Result<String, Failure> {
    let reference = parse_reference(image)?;
    if reference.digest().is_some() {
        return Ok(reference.to_string());
    }
    let digest = digest(&reference, cx.env.docker_config())?;
    let tag = reference.tag().unwrap_or("latest");
    Ok(format!("{}/{}:{tag}@{digest}", reference.domain(), reference.path()))
}

/// What is in a registry under a name: its digest.
pub(crate) fn digest(reference: &Reference, docker_config: Option<PathBuf>) -> Result<Digest, Failure> {
    runtime()?.block_on(rcompose_image::digest(reference, &options(docker_config))).map_err(failure)
}

/// The parts of an artifact.
pub(crate) fn artifact(
    reference: &Reference,
    docker_config: Option<PathBuf>,
    kind: &str,
    config: &str,
) -> Result<Vec<ArtifactBlob>, Failure> {
    let options = options(docker_config);
    runtime()?.block_on(rcompose_image::artifact(reference, &options, kind, config)).map_err(failure)
}

fn failure(e: PullError) -> Failure {
    let (kind, hint) = match &e {
        PullError::NotFound(_) => (FailureKind::User, Some("check the name and the tag")),
        PullError::Unauthorized { .. } => (
            FailureKind::User,
            Some("check the name; for a private image put credentials into ~/.docker/config.json"),
        ),
        PullError::Unreachable { .. } => {
            (FailureKind::Environment, Some("check the network, or import the image: rcompose image import"))
        }
        _ => (FailureKind::Environment, None),
    };
    let f = Failure::new(kind, with_causes(&e));
    match hint {
        Some(h) => f.hint(h),
        None => f,
    }
}
