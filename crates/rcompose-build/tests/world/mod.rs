//! A small store of directories, with a runner that writes into the upper directory.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcompose_build::{
    BaseImage, BuildError, BuildEvent, BuildEvents, BuildRequest, Built, DockerfileSource, GitSource,
    ImageSource, LayerStore, OutsideError, RunStep, StagedLayer, StepRunner, Stream, build,
};
use rcompose_image::{Digest, ImageConfig, Platform, Reference};

/// Layers are numbered; their "diff id" is the digest of the number.
pub(crate) struct TestStore {
    pub(crate) root: PathBuf,
    pub(crate) next: AtomicUsize,
    pub(crate) tags: Mutex<BTreeMap<String, Digest>>,
}

struct Staged<'a> {
    store: &'a TestStore,
    path: PathBuf,
    id: Digest,
}

impl StagedLayer for Staged<'_> {
    fn upper(&self) -> &Path {
        &self.path
    }
    fn work(&self) -> &Path {
        &self.store.root
    }
    fn commit(self: Box<Self>) -> Result<Digest, OutsideError> {
        fs::rename(&self.path, self.store.root.join(self.id.hex()))?;
        Ok(self.id)
    }
}

impl LayerStore for TestStore {
    fn layer(&self, diff_id: &Digest) -> Result<Option<PathBuf>, OutsideError> {
        Ok(Some(self.root.join(diff_id.hex())).filter(|p| p.exists()))
    }
    fn stage(&self) -> Result<Box<dyn StagedLayer + '_>, OutsideError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join(format!("staging{number}"));
        fs::create_dir(&path)?;
        Ok(Box::new(Staged { store: self, path, id: Digest::of(number.to_string().as_bytes()) }))
    }
    fn put_image(&self, config: &ImageConfig, tags: &[Reference]) -> Result<Digest, OutsideError> {
        let id = Digest::of(&serde_json::to_vec(config)?);
        self.tags.lock().unwrap().extend(tags.iter().map(|t| (t.to_string(), id)));
        Ok(id)
    }
}

/// Every command `write PATH TEXT` writes a file, `outside PATH TEXT` one of the host; `fail` fails.
#[derive(Default)]
pub(crate) struct FakeRunner {
    pub(crate) steps: Mutex<Vec<RunStep>>,
    /// Called by the command `slow`.
    pub(crate) slow: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl StepRunner for FakeRunner {
    fn run(&self, step: &RunStep, output: &mut dyn FnMut(Stream, &[u8])) -> Result<i32, OutsideError> {
        self.steps.lock().unwrap().push(step.clone());
        let command = step.argv.last().cloned().unwrap_or_default();
        let gone = step.mounts.iter().filter_map(|m| m.source.as_ref()).find(|s| !s.exists());
        assert_eq!(gone, None, "a mount's source has gone");
        output(Stream::Stdout, format!("doing {command}\n").as_bytes());
        fs::create_dir_all(step.upper.join("etc"))?;
        fs::write(step.upper.join("etc/resolv.conf"), "")?;
        let words: Vec<&str> = command.split_whitespace().collect();
        if let ["write", path, text] = words.as_slice() {
            let path = step.upper.join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap())?;
            fs::write(path, text)?;
        }
        if words == ["slow"]
            && let Some(slow) = self.slow.lock().unwrap().take()
        {
            slow();
        }
        if let ["outside", path, text] = words.as_slice() {
            fs::write(path, text)?;
        }
        Ok(if command.contains("fail") { 7 } else { 0 })
    }

    fn run_on_terminal(&self, step: &RunStep) -> Result<i32, OutsideError> {
        self.steps.lock().unwrap().push(step.clone());
        Ok(0)
    }
}

pub(crate) struct World {
    pub(crate) temp: tempfile::TempDir,
    pub(crate) store: TestStore,
    pub(crate) runner: FakeRunner,
    pub(crate) events: Mutex<Vec<String>>,
    pub(crate) base: Mutex<ImageConfig>,
}

impl ImageSource for World {
    fn checkout(&self, source: &GitSource) -> Result<(PathBuf, String), OutsideError> {
        // A repository is a directory here.
        let root = PathBuf::from(source.repository.trim_start_matches("git://"));
        let directory = source.directory.as_ref().map_or_else(|| root.clone(), |d| root.join(d));
        Ok((directory, "0123456789abcdef0123456789abcdef01234567".to_owned()))
    }

    fn resolve(&self, reference: &str, _: &Platform, _: bool) -> Result<BaseImage, OutsideError> {
        if reference.starts_with("missing") {
            return Err("no such image".into());
        }
        reference.parse::<Reference>()?;
        let config = self.base.lock().unwrap().clone();
        Ok(BaseImage { id: Digest::of(b"base"), config, digest: None })
    }
}

impl BuildEvents for World {
    fn event(&self, event: BuildEvent<'_>) {
        if let BuildEvent::Started { name, .. } | BuildEvent::Warning { message: name, .. } = event {
            self.events.lock().unwrap().push(name.to_owned());
        }
    }
}

impl World {
    /// A base with /etc/passwd (app is 1000:1001) and `/lib -> usr/lib`.
    pub(crate) fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        for d in ["store", "ctx", "cache"] {
            fs::create_dir(temp.path().join(d)).unwrap();
        }
        let root = temp.path().join("store");
        let id = Digest::of(b"base layer");
        let layer = root.join(id.hex());
        fs::create_dir_all(layer.join("etc")).unwrap();
        fs::create_dir_all(layer.join("usr/lib")).unwrap();
        fs::create_dir_all(layer.join("srv/data")).unwrap();
        fs::set_permissions(layer.join("srv/data"), fs::Permissions::from_mode(0o1777)).unwrap();
        chown(layer.join("srv/data"), Some(5), Some(6)).unwrap();
        symlink("usr/lib", layer.join("lib")).unwrap();
        fs::write(layer.join("etc/passwd"), "root:x:0:0::/:/bin/sh\napp:x:1000:1001::/:/bin/sh\n").unwrap();
        fs::write(layer.join("etc/group"), "app:x:1001:\n").unwrap();
        let mut base = ImageConfig::new(&Platform::host());
        base.rootfs.diff_ids.push(id);
        base.config.cmd = Some(vec!["inherited".into()]);
        base.config.env = vec!["PATH=/bin".into()];
        let store = TestStore { root, next: AtomicUsize::new(0), tags: Mutex::default() };
        Self { temp, store, runner: FakeRunner::default(), events: Mutex::default(), base: Mutex::new(base) }
    }

    pub(crate) fn file(&self, path: &str, text: &str) {
        let path = self.temp.path().join("ctx").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn request(&self, dockerfile: &str) -> BuildRequest {
        BuildRequest {
            context: self.temp.path().join("ctx"),
            dockerfile: DockerfileSource::Inline(dockerfile.to_owned()),
            tags: vec!["app".parse().unwrap()],
            cache_root: self.temp.path().join("cache"),
            ..BuildRequest::default()
        }
    }

    pub(crate) fn try_build(&self, req: &BuildRequest) -> Result<Built, BuildError> {
        build(&self.store, req, &self.runner, self, self)
    }

    pub(crate) fn build(&self, dockerfile: &str) -> Built {
        self.try_build(&self.request(dockerfile)).unwrap()
    }

    pub(crate) fn fails(&self, dockerfile: &str) -> String {
        let e = self.try_build(&self.request(dockerfile)).unwrap_err();
        format!("{e}{}", e.help.as_ref().map(|h| format!(" ({h})")).unwrap_or_default())
    }

    /// A path in the topmost layer that has it.
    pub(crate) fn path(&self, built: &Built, path: &str) -> Option<PathBuf> {
        let layers = built.config.rootfs.diff_ids.iter().rev();
        layers.map(|l| self.store.root.join(l.hex()).join(path)).find(|p| fs::symlink_metadata(p).is_ok())
    }

    pub(crate) fn text(&self, built: &Built, path: &str) -> String {
        fs::read_to_string(self.path(built, path).unwrap_or_else(|| panic!("no {path}"))).unwrap()
    }
}
