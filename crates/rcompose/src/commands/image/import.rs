//! `image import`: an image of one layer from a tarball of a root file system.

use rcompose_build::{BuildRequest, DockerfileSource, RunNetwork};
use rcompose_image::{Image, ImageConfig, ImportOptions, Platform, Store};

use super::open;
use crate::context::{Context, print};
use crate::failure::Failure;
use crate::pictures::{build_request, forget, parse_reference};

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

pub(super) fn run(
    cx: &Context,
    store: &Store,
    changes: &[String],
    file: &str,
    reference: &str,
) -> Result<(), Failure> {
    if file.contains("://") {
        return Err(Failure::unsupported(format!("an image can't be imported from the address {file} yet"))
            .hint("download the file and import it"));
    }
    let reference = parse_reference(reference)?;
    for change in changes {
        let word = change.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
        if !CHANGES.contains(&word.as_str()) || change.contains('\n') {
            return Err(Failure::user(format!("{change:?} is not a change of an image's configuration"))
                .hint(format!("it is one of {}", CHANGES.join(", "))));
        }
    }
    let named = changes.is_empty().then(|| reference.clone());
    let mut options = ImportOptions::new(named);
    options.message = Some(format!("Imported from {file}"));
    let mut image = store.import(open(cx, file)?, &options)?;
    if !changes.is_empty() {
        let changed = change(cx, store, &image, changes);
        let changed = changed.and_then(|config| {
            Ok(store.put_image(&config, &image.layers, std::slice::from_ref(&reference))?)
        });
        forget(store, &image.id)?;
        image = changed?;
    }
    print(&format!("{}\n", image.id))
}

/// The image's configuration with the changes: what a build of these instructions makes of it.
fn change(cx: &Context, store: &Store, image: &Image, changes: &[String]) -> Result<ImageConfig, Failure> {
    let request = BuildRequest {
        context: cx.env.cwd.clone(),
        dockerfile: DockerfileSource::Inline(format!("FROM {}\n{}\n", image.id.hex(), changes.join("\n"))),
        no_cache: true,
        network: RunNetwork::None,
        platform: Some(Platform::host()),
        cache_root: cx.dirs.build_cache(),
        ..BuildRequest::default()
    };
    let built = build_request(cx, store, &request)?;
    if built.image != image.id {
        forget(store, &built.image)?;
    }
    let mut config = image.config.clone();
    config.config = built.config.config;
    Ok(config)
}
