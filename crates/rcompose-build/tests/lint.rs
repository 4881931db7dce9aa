//! The checks say of each Dockerfile of tests/dockerfiles what docker's say (`cargo xtask conformance --write`).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rcompose_build::{
    BaseImage, BuildRequest, DockerfileSource, GitSource, ImageSource, OutsideError, check,
};
use rcompose_image::{Digest, ImageConfig, Platform};
use serde_json::Value;

/// The corpus's base image.
struct Bases;

impl ImageSource for Bases {
    fn checkout(&self, _: &GitSource) -> Result<(std::path::PathBuf, String), OutsideError> {
        Err("no repository here".into())
    }

    fn resolve(&self, reference: &str, _: &Platform, _: bool) -> Result<BaseImage, OutsideError> {
        if reference != "conformance-base:1" {
            return Err("no such image".into());
        }
        let mut config = ImageConfig::new(&Platform::host());
        config.config.env = vec!["PATH=/usr/local/bin:/usr/bin:/bin".into(), "FROM_BASE=base value".into()];
        config.config.working_dir = "/".into();
        Ok(BaseImage { id: Digest::of(b"base"), config, digest: None })
    }
}

fn request(home: &Path) -> BuildRequest {
    let options: Value = match fs::read(home.join("build.json")) {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap(),
        Err(_) => Value::Null,
    };
    let pairs = |key: &str| -> BTreeMap<String, String> {
        let map = options[key].as_object().cloned().unwrap_or_default();
        map.into_iter().map(|(k, v)| (k, v.as_str().unwrap().to_owned())).collect()
    };
    let context = home.join("context");
    let place = |v: String| if v.contains("://") { v } else { context.join(v).display().to_string() };
    BuildRequest {
        dockerfile: DockerfileSource::Path(options["dockerfile"].as_str().unwrap_or("Dockerfile").into()),
        target: options["target"].as_str().map(str::to_owned),
        args: pairs("args").into_iter().map(|(k, v)| (k, Some(v))).collect(),
        additional_contexts: pairs("contexts").into_iter().map(|(k, v)| (k, place(v))).collect(),
        context,
        ..BuildRequest::default()
    }
}

#[test]
fn corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/dockerfiles");
    let mut wrong = Vec::new();
    let mut compared = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        let home = entry.unwrap().path();
        let Ok(bytes) = fs::read(home.join("check.json")) else { continue };
        let want: Value = serde_json::from_slice(&bytes).unwrap();
        let Some(warnings) = want["warnings"].as_array() else { continue };
        let mut want: Vec<String> = warnings.iter().map(|w| w.as_str().unwrap().to_owned()).collect();
        let name = home.file_name().unwrap().to_string_lossy().into_owned();
        let mut got: Vec<String> = match check(&request(&home), &Bases) {
            Ok(report) => {
                report.lints.iter().map(|l| format!("{} {}: {}", l.line, l.rule, l.message)).collect()
            }
            Err(_) => Vec::new(),
        };
        want.sort();
        got.sort();
        compared += 1;
        if want != got {
            wrong.push(format!("{name}\n  docker {want:#?}\n  rcompose {got:#?}"));
        }
    }
    assert!(compared > 100, "the corpus isn't there");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn mistakes_are_placed_where_they_are() {
    let context = tempfile::tempdir().unwrap();
    fs::write(context.path().join("x"), "").unwrap();
    for (text, place) in [
        (
            "FROM base\nRUN --mount=type=cache,target=/a \\\n  --mount=type=tmpfs,tagret=/b \\\n  x\n",
            (3, 22, 9),
        ),
        ("FROM base\nRUN --mount=type=cache \\\n # no\n --mount='type=secret' x\n", (2, 5, 18)),
        ("FROM base\nRUN --mount='type=cache,target=/ä,id=${x:q}' x\n", (2, 38, 5)),
        ("FROM base\nENV a=1 \\\n  b=ä${x:q}\n", (3, 6, 5)),
        ("FROM base\nCOPY <<E /a\none\nä ${x:?no} b\nE\n", (4, 3, 8)),
        ("FROM base\nRUN true\nLABEL a=\"b\n", (3, 9, 2)),
        ("ARG a=${b:q}\nFROM base\n", (1, 7, 5)),
        ("FROM \\\n  --platform=${b:q} conformance-base:1\n", (2, 14, 5)),
        ("FROM \\\n  ${NONE}\n", (2, 3, 7)),
        ("FROM base AS one\nCOPY --chown=${a:q} x /\n", (2, 14, 5)),
    ] {
        let request = BuildRequest {
            dockerfile: DockerfileSource::Inline(text.replace("FROM base", "FROM conformance-base:1")),
            context: context.path().to_owned(),
            ..BuildRequest::default()
        };
        let e = check(&request, &Bases).unwrap().error.unwrap_or_else(|| panic!("taken: {text}"));
        assert_eq!((e.line, e.column, e.length), place, "{text}: {}", e.message);
        assert!(e.rest.is_empty());
    }
}
