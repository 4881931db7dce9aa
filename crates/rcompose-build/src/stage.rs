//! One stage, instruction by instruction.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use rcompose_image::{Digest, ImageConfig, Platform, rfc3339, without_password};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use crate::apply::{Attributes, NewLayer};
use crate::cache::Key;
use crate::copy::Place;
use crate::dockerfile::{Instruction, Kind, Position, instruction_at};
use crate::plan::{Asked, Base, from, froms, replaced};
use crate::select::{Choice, Source, normal, select};
use crate::solve::{Located, Solve};
use crate::state::State;
use crate::view::View;
use crate::{BuildError, BuildEvent, StagedLayer, StepOutcome, users};

/// A stage while it is built.
pub(crate) struct Stage<'a> {
    pub(crate) solve: &'a Solve<'a>,
    pub(crate) number: usize,
    pub(crate) state: State,
    pub(crate) platform: Platform,
    /// The layers' directories, top first.
    pub(crate) lowers: Vec<PathBuf>,
}

/// How a step with a layer ended.
pub(crate) enum Done {
    Layer {
        cached: bool,
    },
    /// Another stage failed, and says so itself.
    Stopped,
}

/// What a step has put into its layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    Files,
    /// What it read changed meanwhile: its key stands for something else.
    Unsure,
}

/// `None`: stopped because another stage failed.
pub(crate) fn run_stage<'a>(solve: &'a Solve<'a>, number: usize) -> Result<Option<State>, Located> {
    let source = &solve.file.stages[number];
    let at = |e| (e, source.at);
    let escape = solve.file.directives.escape;
    let platform = solve.plan.platforms[number].clone();
    let mut triggers = Vec::new();
    let scratch = || {
        let mut image = ImageConfig::new(&platform);
        image.config.working_dir = "/".to_owned();
        State::new(image, escape)
    };
    let state = match &solve.plan.bases[number] {
        Base::Scratch => scratch(),
        Base::Stage(n) => {
            let Some(base) = solve.wait(number, *n).map_err(at)? else { return Ok(None) };
            let mut state = State::on(base);
            triggers = std::mem::take(&mut state.image.config.on_build);
            state
        }
        Base::Image(reference) => {
            let mut config = solve.image(reference, &platform, Asked::Base(number)).map_err(at)?.config;
            triggers = std::mem::take(&mut config.config.on_build);
            State::new(config, escape)
        }
        Base::Context(_) => scratch(),
    };
    let lowers = solve.directories(&state.image.rootfs.diff_ids).map_err(at)?;
    let mut stage = Stage { solve, number, state, platform, lowers };
    if let base @ Base::Context(_) = &solve.plan.bases[number] {
        let Some(source) = solve.source(number, base, &stage.platform).map_err(at)? else { return Ok(None) };
        stage.begin_with(&source).map_err(at)?;
    }
    if replaced(&solve.file, solve.req, number).is_some() {
        return Ok(Some(stage.state));
    }
    let mut all = of_base(&triggers, source.at)?;
    all.extend(source.instructions.iter().cloned());
    let of = all.iter().filter(|i| is_step(&i.kind)).count();
    let mut index = 0;
    for one in &all {
        if solve.stopped.load(Ordering::Acquire) {
            return Ok(None);
        }
        if !is_step(&one.kind) {
            stage.configure(one).map_err(|e| (e, one.at))?;
            continue;
        }
        index += 1;
        if !stage.step(one, index, of).map_err(|e| (e, one.at))? {
            return Ok(None);
        }
    }
    Ok(Some(stage.state))
}

/// Whether an instruction does something, and not only says how the image is.
pub(crate) fn is_step(kind: &Kind) -> bool {
    matches!(kind, Kind::Run(_) | Kind::Copy(_) | Kind::Add(_) | Kind::Workdir(_))
}

/// The ONBUILDs of a base, as instructions of the FROM that names it.
pub(crate) fn of_base(triggers: &[String], at: Position) -> Result<Vec<Instruction>, Located> {
    let one = |text: &String| {
        instruction_at(text, at).map_err(|mut e| {
            let first = e.remove(0);
            (BuildError::input(format!("ONBUILD of the base image: {}", first.message)), at)
        })
    };
    triggers.iter().map(one).collect()
}

impl Stage<'_> {
    fn configure(&mut self, one: &Instruction) -> Result<(), BuildError> {
        match &one.kind {
            Kind::Arg(pairs) => self.state.declare(pairs, &self.solve.req.args, &self.solve.plan.globals),
            other => self.state.configure(other),
        }
    }

    /// False: stopped.
    fn step(&mut self, one: &Instruction, index: usize, of: usize) -> Result<bool, BuildError> {
        let solve = self.solve;
        // The time of another stage isn't this step's.
        for stage in froms(one) {
            if let Ok(Base::Stage(n)) = from(&solve.file, solve.req, &stage, self.number)
                && solve.wait(self.number, n)?.is_none()
            {
                return Ok(false);
            }
        }
        let step = solve.counter.fetch_add(1, Ordering::Relaxed) + 1;
        let stage = match &solve.file.stages[self.number].from.name {
            Some(name) => format!("{name} "),
            None if solve.file.stages.len() == 1 => String::new(),
            None => format!("stage-{} ", self.number),
        };
        let name = format!("[{stage}{index}/{of}] {}", without_password(&one.text));
        solve.events.event(BuildEvent::Started { step, name: &name, line: one.at.line });
        let begun = Instant::now();
        let done = match &one.kind {
            Kind::Run(run) => self.run(run, step),
            Kind::Copy(copy) => self.copy(copy, false),
            Kind::Add(copy) => self.copy(copy, true),
            Kind::Workdir(path) => self.workdir(path),
            _ => Ok(Done::Layer { cached: true }),
        };
        match done {
            Ok(Done::Layer { cached }) => {
                let counter = if cached { &solve.cached } else { &solve.ran };
                counter.fetch_add(1, Ordering::Relaxed);
                let duration = begun.elapsed();
                solve.events.event(BuildEvent::Finished { step, cached, duration });
                Ok(true)
            }
            Ok(Done::Stopped) => Ok(false),
            Err(error) => {
                solve.events.event(BuildEvent::Failed { step, message: &error.message });
                Err(error)
            }
        }
    }

    /// A directory as the first layer.
    fn begin_with(&mut self, source: &Source) -> Result<(), BuildError> {
        let picks = select(source, "/", &Choice::default())?;
        let mut key = self.key("directory");
        for pick in &picks {
            self.hash(&mut key, pick, source.keep_owner, source)?;
        }
        let name = &self.solve.file.stages[self.number].from.image;
        let shown = format!("local source for {name}");
        self.cached(&key.finish(), shown, |stage, staged| {
            let mut layer = NewLayer::new(staged.upper(), &stage.lowers);
            let set = Attributes { owner: Some((0, 0)), mode: None };
            let place = Place { to: PathBuf::from("/"), directory: true, set };
            picks.iter().try_for_each(|pick| place.put(&mut layer, pick))?;
            layer.finish()?;
            Ok(Made::Files)
        })?;
        Ok(())
    }

    pub(crate) fn view(&self) -> View {
        View::new(self.lowers.clone())
    }

    pub(crate) fn key(&self, kind: &str) -> Key {
        Key::new(kind, &self.state.image.rootfs.diff_ids)
    }

    /// Takes a step from the cache, or does it. `make` fills a staged layer.
    pub(crate) fn cached(
        &mut self,
        key: &Digest,
        shown: String,
        make: impl FnOnce(&Self, &dyn StagedLayer) -> Result<Made, BuildError>,
    ) -> Result<Done, BuildError> {
        let solve = self.solve;
        let key = &dated(key, solve.req.source_date_epoch);
        let before = solve.steps.version(key);
        if !self.ignores_cache() && self.take(key, &shown)? {
            return Ok(Done::Layer { cached: true });
        }
        let cache = |e| BuildError::io("write the build cache in", &solve.req.cache_root, e);
        // A shell in a failed step may stay open for hours.
        let _turn = match solve.req.debug_shell {
            true => None,
            false => Some(solve.steps.turn(key).map_err(cache)?),
        };
        // What another build has made meanwhile is new enough without a cache, too.
        if solve.steps.version(key) != before && self.take(key, &shown)? {
            return Ok(Done::Layer { cached: true });
        }
        if solve.stopped.load(Ordering::Acquire) {
            return Ok(Done::Stopped);
        }
        let outside = |e| BuildError::environment("failed to make a layer", e);
        let staged = solve.store.stage().map_err(outside)?;
        let made = make(self, &*staged)?;
        if let Some(seconds) = solve.req.source_date_epoch {
            clamp(staged.upper(), seconds)
                .map_err(|e| BuildError::io("set the times in", staged.upper(), e))?;
        }
        let layer = Some(staged.commit().map_err(outside)?);
        let now = match solve.req.source_date_epoch {
            Some(seconds) => SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
            None => SystemTime::now(),
        };
        let created = rfc3339(now);
        let path = self.present(layer)?.ok_or_else(|| {
            BuildError::environment("a new layer is gone", std::io::Error::from(std::io::ErrorKind::NotFound))
        })?;
        if made != Made::Unsure {
            solve.steps.put(key, layer, &created).map_err(cache)?;
            self.made(key, layer, &created);
        }
        self.push(layer.zip(path), created, shown);
        Ok(Done::Layer { cached: false })
    }

    /// True: the step was done before, and its layer is there.
    fn take(&mut self, key: &Digest, shown: &str) -> Result<bool, BuildError> {
        let Some((layer, created)) = self.solve.steps.get(key) else { return Ok(false) };
        let Some(path) = self.present(layer)? else { return Ok(false) };
        self.made(key, layer, &created);
        self.push(layer.zip(path), created, shown.to_owned());
        Ok(true)
    }

    fn made(&self, key: &Digest, layer: Option<Digest>, created: &str) {
        let outcome = StepOutcome { key: *key, layer, created: created.to_owned() };
        self.solve.outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
    }

    fn ignores_cache(&self) -> bool {
        let filter = &self.solve.req.no_cache_filter;
        let name = self.solve.file.stages[self.number].from.name.as_deref();
        self.solve.req.no_cache
            || filter
                .iter()
                .any(|f| name.is_some_and(|n| n.eq_ignore_ascii_case(f)) || *f == self.number.to_string())
    }

    /// `None`: the layer isn't in the store any more; `Some(None)`: there is no layer to look for.
    fn present(&self, layer: Option<Digest>) -> Result<Option<Option<PathBuf>>, BuildError> {
        let Some(layer) = layer else { return Ok(Some(None)) };
        let found = self.solve.store.layer(&layer);
        let path =
            found.map_err(|e| BuildError::environment(format!("failed to look up the layer {layer}"), e))?;
        Ok(path.map(Some))
    }

    fn push(&mut self, layer: Option<(Digest, PathBuf)>, created: String, shown: String) {
        self.state.created = Some(created);
        self.state.history(shown, layer.is_none());
        if let Some((id, path)) = layer {
            self.state.image.rootfs.diff_ids.push(id);
            self.lowers.retain(|p| *p != path);
            self.lowers.insert(0, path);
        }
    }

    /// WORKDIR: the directory is made, owned by USER, if it isn't there.
    fn workdir(&mut self, path: &str) -> Result<Done, BuildError> {
        let path = self.state.enter(path)?;
        let shown = format!("WORKDIR {path}");
        if path == "/" {
            self.state.history(shown, true);
            return Ok(Done::Layer { cached: true });
        }
        let path = normal(&path);
        let owner = users::resolve(&self.view(), &self.state.image.config.user)?;
        let mut key = self.key("workdir");
        key.part(path.as_os_str().as_encoded_bytes());
        key.part(format!("{owner:?}"));
        self.cached(&key.finish(), shown, |stage, staged| {
            let mut layer = NewLayer::new(staged.upper(), &stage.lowers);
            let path = layer.resolve(&path)?;
            layer.make_dir(&path, owner, 0o755)?;
            layer.finish()?;
            Ok(Made::Files)
        })
    }
}

/// With a date of its own a step makes another layer.
fn dated(key: &Digest, epoch: Option<u64>) -> Digest {
    let Some(seconds) = epoch else { return *key };
    let mut dated = Key::new("dated", &[]);
    dated.part(key.hex());
    dated.part(seconds.to_string());
    dated.finish()
}

/// Nothing in a layer is younger than the build says it is (BuildKit's `rewrite-timestamp`): the same steps give the same
/// layer.
fn clamp(directory: &Path, seconds: u64) -> io::Result<()> {
    let limit = i64::try_from(seconds).unwrap_or(i64::MAX);
    let mut all = vec![directory.to_owned()];
    let mut next = 0;
    while let Some(path) = all.get(next).cloned() {
        next += 1;
        if fs::symlink_metadata(&path)?.is_dir() {
            for entry in fs::read_dir(&path)? {
                all.push(entry?.path());
            }
        }
    }
    for path in all.iter().rev() {
        if fs::symlink_metadata(path)?.mtime() >= limit {
            let time = Timespec { tv_sec: limit, tv_nsec: 0 };
            let times = Timestamps { last_access: time, last_modification: time };
            utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?;
        }
    }
    Ok(())
}
