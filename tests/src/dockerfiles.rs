//! The corpus of Dockerfiles, each with what docker makes of it (`cargo xtask conformance --write`).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{Finished, Picture, Run, Tree};

/// The base image's name in every Dockerfile of the corpus.
pub const BASE: &str = "conformance-base:1";

/// A folder: `context` with a Dockerfile; `build.json` has the build's options and whether it is meant to be refused,
/// `expect.json` docker's outcome.
#[derive(Debug)]
pub struct Dockerfile {
    /// The folder's name.
    pub name: String,
    /// The folder.
    pub home: PathBuf,
    options: Value,
}

impl Dockerfile {
    /// All of them, by name.
    pub fn all() -> Result<Vec<Self>> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("dockerfiles");
        let mut all = Vec::new();
        for entry in fs::read_dir(&root).with_context(|| format!("read {}", root.display()))? {
            let home = entry?.path();
            if !home.is_dir() {
                continue;
            }
            all.push(Self::at(&home)?);
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// The one in a folder.
    pub fn at(home: &Path) -> Result<Self> {
        let options = match fs::read(home.join("build.json")) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).with_context(|| format!("read {}", home.display()))?
            }
            Err(_) => json!({}),
        };
        let name = home.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { name, home: home.to_owned(), options })
    }

    /// The image's name.
    pub fn image(&self) -> String {
        format!("conformance/{}:1", self.name)
    }

    /// Why rcompose's outcome differs on purpose.
    pub fn excuse(&self) -> Option<&str> {
        self.options["differs"].as_str()
    }

    /// Is it meant to be wrong?
    pub fn refused(&self) -> bool {
        self.options["refused"] == true
    }

    /// What is expected.
    pub fn expected(&self) -> Result<Value> {
        let path = self.home.join("expect.json");
        let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        Ok(serde_json::from_slice(&bytes)?)
    }

    /// The build context.
    pub fn context(&self) -> PathBuf {
        self.home.join("context")
    }

    fn pairs(&self, key: &str) -> BTreeMap<String, String> {
        let map = self.options[key].as_object().cloned().unwrap_or_default();
        map.into_iter().map(|(k, v)| (k, v.as_str().unwrap_or_default().to_owned())).collect()
    }

    /// Arguments of `docker build`.
    pub fn docker_args(&self) -> Vec<String> {
        let mut args: Vec<String> = ["build", "--progress=plain", "--provenance=false", "-t", &self.image()]
            .map(str::to_owned)
            .to_vec();
        args.extend(self.pairs("args").iter().map(|(k, v)| format!("--build-arg={k}={v}")));
        args.extend(self.pairs("labels").iter().map(|(k, v)| format!("--label={k}={v}")));
        args.extend(self.options["target"].as_str().map(|t| format!("--target={t}")));
        args.extend(self.options["dockerfile"].as_str().map(|f| format!("--file={f}")));
        args.extend(self.pairs("contexts").iter().map(|(k, v)| format!("--build-context={k}={v}")));
        args.extend(self.pairs("secrets").iter().map(|(k, v)| format!("--secret=id={k},src={v}")));
        args.push(".".to_owned());
        args
    }

    /// A Compose file that builds it, as JSON.
    pub fn compose(&self) -> Value {
        let mut build =
            json!({"context": self.context(), "args": self.pairs("args"), "labels": self.pairs("labels")});
        for key in ["target", "dockerfile"] {
            if let Some(value) = self.options[key].as_str() {
                build[key] = json!(value);
            }
        }
        let place = |v: &String| {
            if v.contains("://") { v.clone() } else { self.context().join(v).display().to_string() }
        };
        let contexts: BTreeMap<String, String> =
            self.pairs("contexts").iter().map(|(k, v)| (k.clone(), place(v))).collect();
        build["additional_contexts"] = json!(contexts);
        let secrets = self.pairs("secrets");
        build["secrets"] = json!(secrets.keys().collect::<Vec<_>>());
        let files: BTreeMap<&String, Value> =
            secrets.iter().map(|(k, v)| (k, json!({"file": self.context().join(v)}))).collect();
        json!({"name": format!("conformance-{}", self.name), "services": {"it": {"image": self.image(), "build": build}}, "secrets": files})
    }

    /// Builds it by rcompose and describes the image; a failure's words.
    ///
    /// `rcompose` is the binary in an installation that has [`BASE`], without arguments; `scratch` a folder of its own.
    pub fn build(&self, rcompose: &Run, scratch: &Path, base: &Tree) -> Result<Value> {
        fs::create_dir_all(scratch)?;
        let (file, archive) =
            (scratch.join(format!("{}.json", self.name)), scratch.join(format!("{}.tar", self.name)));
        fs::write(&file, self.compose().to_string())?;
        let done = rcompose.clone().args(["-f".as_ref(), file.as_os_str(), "build".as_ref()]).run()?;
        let outcome = if done.code() == 0 {
            let save = rcompose.clone().args([
                "image".as_ref(),
                "save".as_ref(),
                "-o".as_ref(),
                archive.as_os_str(),
            ]);
            finished(save.args([self.image()]).run()?)?;
            let picture = Picture::read(&archive).with_context(|| format!("read {}", archive.display()))?;
            fs::remove_file(&archive)?;
            picture.facts(base)
        } else {
            json!({"fails": done.stderr.lines().filter(|l| l.contains("error")).collect::<Vec<_>>().join("\n")})
        };
        fs::remove_file(&file)?;
        Ok(outcome)
    }
}

/// An error unless it succeeded.
fn finished(done: Finished) -> Result<()> {
    ensure!(done.code() == 0, "{}", done.describe());
    Ok(())
}

/// Makes the archive of the base image, for `docker load` and `rcompose image load`: busybox and a configuration.
pub fn base_archive(busybox: &Path, to: &Path) -> Result<()> {
    let layer = fs::read(busybox).with_context(|| format!("read {}", busybox.display()))?;
    let id = |bytes: &[u8]| -> String {
        use sha2::Digest;
        sha2::Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
    };
    let config = json!({
        "architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z",
        "config": {
            "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "FROM_BASE=base value"], "Cmd": ["sh"],
            "Labels": {"base": "yes"}, "WorkingDir": "/", "ExposedPorts": {"7/tcp": {}},
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", id(&layer))]},
        "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "busybox"}],
    })
    .to_string();
    let config_name = format!("{}.json", id(config.as_bytes()));
    let manifest = json!([{"Config": config_name, "RepoTags": [BASE], "Layers": ["layer.tar"]}]).to_string();
    let mut tar = tar::Builder::new(fs::File::create(to)?);
    for (name, bytes) in [
        (config_name.as_str(), config.as_bytes()),
        ("layer.tar", &layer),
        ("manifest.json", manifest.as_bytes()),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, bytes)?;
    }
    tar.finish().context("write the base image")
}

/// Where two outcomes differ, a line each. Failures are alike whatever they say.
pub fn differences(want: &Value, got: &Value) -> Vec<String> {
    match (want.get("fails"), got.get("fails")) {
        (Some(_), Some(_)) => return Vec::new(),
        (Some(w), None) => return vec![format!("docker refuses it: {w}")],
        (None, Some(g)) => return vec![format!("rcompose refuses it: {g}")],
        (None, None) => {}
    }
    let mut lines = Vec::new();
    compare("", want, got, &mut lines);
    lines
}

fn compare(at: &str, want: &Value, got: &Value, lines: &mut Vec<String>) {
    if want == got {
        return;
    }
    match (want.as_object(), got.as_object()) {
        (Some(w), Some(g)) => {
            let mut keys: Vec<&String> = w.keys().chain(g.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let none = Value::Null;
                let (w, g) = (w.get(key).unwrap_or(&none), g.get(key).unwrap_or(&none));
                compare(&format!("{at} {key}"), w, g, lines);
            }
        }
        _ => match (want.as_array(), got.as_array()) {
            (Some(w), Some(g)) if w.len() == g.len() => {
                for (n, (w, g)) in w.iter().zip(g).enumerate() {
                    compare(&format!("{at}[{n}]"), w, g, lines);
                }
            }
            _ if kept_time(want, got) => {}
            _ => lines.push(format!("{}: docker {want}, rcompose {got}", at.trim())),
        },
    }
}

/// A directory in which something was made: docker's has a new time then, rcompose's keeps its own, so that the same
/// build gives the same layer.
fn kept_time(want: &Value, got: &Value) -> bool {
    let text = |v: &'_ Value| v.as_str().filter(|t| t.starts_with("dir ")).map(str::to_owned);
    let (Some(want), Some(got)) = (text(want), text(got)) else { return false };
    got.split_once(" at ").is_some_and(|(before, _)| before == want)
}
