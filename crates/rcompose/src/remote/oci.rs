//! Projects in registries, as `docker compose publish` puts them there.

use std::path::{Path, PathBuf};

use rcompose_image::{ArtifactBlob, Reference};
use rcompose_loader::FetchError;

use crate::env::Registries;
use crate::failure::Failure;
use crate::pictures;

const PROJECT: &str = "application/vnd.docker.compose.project";
const EMPTY_CONFIG: &str = "application/vnd.docker.compose.config.empty.v1+json";
const COMPOSE_FILE: &str = "application/vnd.docker.compose.file+yaml";
const ENV_FILE: &str = "application/vnd.docker.compose.envfile";

/// The directory with the files of a published project. What has been fetched once isn't fetched again, but a tag is
/// asked for.
pub(super) fn fetch(cache: &Path, image: &str, registries: &Registries) -> Result<PathBuf, FetchError> {
    let reference: Reference = image.parse().map_err(|e| {
        FetchError::new(format!("oci://{image}: {e}")).help("write oci://REGISTRY/NAME:TAG, like an image")
    })?;
    let digest = match reference.digest() {
        Some(digest) => digest,
        None => pictures::digest(&reference, registries).map_err(|f| told(image, f))?,
    };
    let at = cache.join(digest.hex());
    if !at.is_dir() {
        let whole = reference.with_digest(digest);
        let parts =
            pictures::artifact(&whole, registries, PROJECT, EMPTY_CONFIG).map_err(|f| told(image, f))?;
        super::make(&at, |new| write(new, image, &parts))?;
    }
    Ok(at)
}

fn told(image: &str, failure: Failure) -> FetchError {
    let mut error = FetchError::new(format!("failed to fetch oci://{image}: {}", failure.text()));
    error.help = failure.diagnostics.into_iter().flat_map(|d| d.help).collect();
    error
}

/// Compose files become one file of several documents, except those that others extend from.
fn write(new: &Path, image: &str, parts: &[ArtifactBlob]) -> Result<(), FetchError> {
    let malformed = |why: String| FetchError::new(format!("oci://{image} is no usable project: {why}"));
    let mut main: Vec<u8> = Vec::new();
    for part in parts {
        let name = |key: &str| -> Result<PathBuf, FetchError> {
            let name = part.annotations.get(key).ok_or_else(|| malformed(format!("a part has no {key}")))?;
            // All lies in one folder: a name with a path in it wants to get out.
            if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\']) {
                return Err(malformed(format!("{name:?} isn't the name of a file")));
            }
            Ok(new.join(name))
        };
        match part.media_type.as_str() {
            COMPOSE_FILE if part.annotations.contains_key("com.docker.compose.extends") => {
                put(&name("com.docker.compose.file")?, &part.bytes)?;
            }
            COMPOSE_FILE => {
                if !main.is_empty() {
                    main.extend_from_slice(b"\n---\n");
                }
                main.extend_from_slice(&part.bytes);
            }
            ENV_FILE => put(&name("com.docker.compose.envfile")?, &part.bytes)?,
            _ => {}
        }
    }
    if main.is_empty() {
        return Err(malformed("it has no Compose file".into()));
    }
    put(&new.join("compose.yaml"), &main)
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), FetchError> {
    std::fs::write(path, bytes)
        .map_err(|e| FetchError::new(format!("failed to write {}: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(kind: &str, annotations: &[(&str, &str)], text: &str) -> ArtifactBlob {
        ArtifactBlob {
            media_type: kind.into(),
            annotations: annotations.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
            bytes: text.into(),
        }
    }

    #[test]
    fn parts_become_files_of_one_folder() {
        let dir = std::env::temp_dir().join(format!("rc-oci-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = ("com.docker.compose.file", "base.yaml");
        let parts = [
            part(COMPOSE_FILE, &[("com.docker.compose.file", "compose.yaml")], "a: 1"),
            part(COMPOSE_FILE, &[("com.docker.compose.file", "override.yaml")], "a: 2"),
            part(COMPOSE_FILE, &[file, ("com.docker.compose.extends", "true")], "b: 1"),
            part(ENV_FILE, &[("com.docker.compose.envfile", "x.env")], "A=1"),
        ];
        write(&dir, "p", &parts).unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
        assert_eq!(
            (read("compose.yaml"), read("base.yaml"), read("x.env")),
            ("a: 1\n---\na: 2".into(), "b: 1".into(), "A=1".into())
        );
        for bad in ["../x", "/x", "..", "a\\b", ""] {
            let parts = [part(ENV_FILE, &[("com.docker.compose.envfile", bad)], "A=1")];
            assert!(write(&dir, "p", &parts).is_err(), "{bad}");
        }
        assert!(write(&dir, "p", &[]).is_err());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
