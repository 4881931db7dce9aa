//! `--change` of `image import` and `commit`: instructions that change only an image's configuration.

use rcompose_build::{BuildRequest, DockerfileSource, RunNetwork};
use rcompose_image::{Image, ImageConfig, Store};

use crate::context::Context;
use crate::failure::Failure;
use crate::pictures::build_request;

/// What `--change` may be (docker image import), and what else changes only the configuration.
const CHANGES: [&str; 12] = [
    "CMD",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "HEALTHCHECK",
    "LABEL",
    "ONBUILD",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// `--change` knows only what changes the configuration.
pub(crate) fn checked(changes: &[String]) -> Result<(), Failure> {
    for change in changes {
        let word = change.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
        if !CHANGES.contains(&word.as_str()) || change.contains('\n') {
            return Err(Failure::user(format!("{change:?} is not a change of an image's configuration"))
                .hint(format!("it is one of {}", CHANGES.join(", "))));
        }
    }
    Ok(())
}

/// The image's configuration with the changes: what a build of these instructions makes of it.
pub(crate) fn change(
    cx: &Context,
    store: &Store,
    image: &Image,
    changes: &[String],
) -> Result<ImageConfig, Failure> {
    let request = BuildRequest {
        context: cx.env.cwd.clone(),
        dockerfile: DockerfileSource::Inline(format!("FROM {}\n{}\n", image.id.hex(), changes.join("\n"))),
        no_cache: true,
        network: RunNetwork::None,
        platform: Some(image.config.platform()),
        cache_root: cx.dirs.build_cache(),
        ..BuildRequest::default()
    };
    let built = build_request(cx, store, &request)?;
    let mut config = image.config.clone();
    config.config = built.config.config;
    Ok(config)
}
