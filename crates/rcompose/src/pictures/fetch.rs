//! One pull: a short-lived runtime around the image crate's asynchronous one.

use rcompose_engine::FailureKind;
use rcompose_image::{
    AuthSource, Image, LayerProgress, LayerState, Platform, PullError, PullOptions, PullProgress, Reference,
    Store,
};

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
        auth: cx.env.docker_config().map_or(AuthSource::Anonymous, AuthSource::DockerConfig),
        ..PullOptions::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::io("start a pull", &e))?;
    runtime.block_on(rcompose_image::pull(store, reference, &options, &Tell(progress))).map_err(failure)
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
