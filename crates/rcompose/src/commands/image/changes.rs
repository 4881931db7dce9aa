//! `--change` of `image import` and `commit`: instructions that change only an image's configuration.

use rcompose_image::{Image, ImageConfig};

use crate::failure::Failure;

/// What `--change` may be (moby, daemon/internal/builder/dockerfile `validCommitCommands`).
const CHANGES: [&str; 11] = [
    "CMD",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "HEALTHCHECK",
    "LABEL",
    "ONBUILD",
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

/// The image's configuration with the changes.
pub(crate) fn change(image: &Image, changes: &[String]) -> Result<ImageConfig, Failure> {
    let mut config = image.config.clone();
    config.config = rcompose_build::change(&config, changes)?;
    Ok(config)
}
