//! The whole build: stages in threads, each waiting for another only where it needs it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::{fs, io};

use rcompose_image::{Digest, Platform, image_purl};

use crate::cache::StepCache;
use crate::cacheconfig::inline_cache;
use crate::digests::Digests;
use crate::dockerfile::words::nearest;
use crate::dockerfile::{Dockerfile, Kind, Position, parse, unknown_trigger};
use crate::epoch::{self, Epoch};
use crate::ignore::Ignore;
use crate::known;
use crate::plan::{Asked, Base, Plan, plan, replaced};
use crate::provenance::git_algorithm;
use crate::recipe::{context, dockerfile};
use crate::remote::note_git_secrets;
use crate::scan::{scans_context, scans_stage};
use crate::select::Source;
use crate::stage::{is_step, run_stage};
use crate::state::State;
use crate::view::View;
use crate::{
    BaseImage, BuildError, BuildEvent, BuildEvents, BuildRequest, Built, ContextSource, DockerfileSource,
    Facts, ImageSource, LayerStore, Material, Scan, StepOutcome, StepRunner,
};

/// What all stages share.
pub(crate) struct Solve<'a> {
    pub(crate) store: &'a dyn LayerStore,
    pub(crate) req: &'a BuildRequest,
    pub(crate) runner: &'a dyn StepRunner,
    pub(crate) images: &'a dyn ImageSource,
    pub(crate) events: &'a dyn BuildEvents,
    pub(crate) file: Dockerfile,
    pub(crate) plan: Plan,
    pub(crate) steps: StepCache,
    pub(crate) digests: Digests,
    pub(crate) context: Source,
    pub(crate) counter: AtomicUsize,
    pub(crate) cached: AtomicUsize,
    pub(crate) ran: AtomicUsize,
    pub(crate) outcomes: Mutex<Vec<StepOutcome>>,
    pub(crate) facts: Mutex<Facts>,
    /// Something failed: stages stop at their next step.
    pub(crate) stopped: AtomicBool,
    text: String,
    name: String,
    stands: Mutex<Vec<Stand>>,
    change: Condvar,
    first: Mutex<Option<BuildError>>,
}

/// How a stage stands.
#[derive(Debug, Clone)]
enum Stand {
    /// The plan doesn't know that anybody needs it. A trigger of a base image may.
    Unneeded,
    /// It is at work, or about to be; perhaps it waits for another one.
    Open { waits_for: Option<usize> },
    /// `None`: it failed, or was stopped.
    Done(Option<Box<State>>),
}

/// Builds the target of a request. The tags move only when all has worked.
///
/// Errors: see [`BuildError`]; the store then has at most further layers that nothing refers to.
pub fn build(
    store: &dyn LayerStore,
    req: &BuildRequest,
    runner: &dyn StepRunner,
    images: &dyn ImageSource,
    events: &dyn BuildEvents,
) -> Result<Built, BuildError> {
    let (name, path, text) = dockerfile(req)?;
    let file = parse(&text).map_err(|e| BuildError::from_parse(&name, &text, e))?;
    let plan = plan(&file, req).map_err(|(e, at)| e.place(&name, &text, at))?;
    let epoch = epoch::read(&file, req, &plan).map_err(|(e, at)| epoch::placed(e, at, &name, &text))?;
    let (dated, plan) = match epoch {
        Epoch::Unset if !req.args.contains_key(known::EPOCH) && !plan.globals.contains_key(known::EPOCH) => {
            (None, plan)
        }
        epoch => {
            let dated = req.dated(epoch.seconds(req, images)?);
            let plan = self::plan(&file, &dated).map_err(|(e, at)| e.place(&name, &text, at))?;
            (Some(dated), plan)
        }
    };
    let asked = req;
    let req = dated.as_ref().unwrap_or(req);
    warn_unused_args(&file, asked, events);
    warn_unknown_triggers(&file, events);
    let failed = |e| BuildError::io("open the build cache in", &req.cache_root, e);
    let steps = StepCache::open(&req.cache_root).map_err(failed)?;
    let digests = Digests::open(&req.cache_root, &req.context);
    let context = context(&req.context, path.as_deref(), "the build context")?;
    crate::lint::refuse(&file, req, &context.ignore, images)
        .map_err(|e| e.place(&name, &text, Position { line: 1, column: 1 }))?;
    let mut stands = vec![Stand::Unneeded; file.stages.len()];
    plan.needed.iter().for_each(|n| stands[*n] = Stand::Open { waits_for: None });
    let solve = Solve {
        store,
        req,
        runner,
        images,
        events,
        file,
        plan,
        steps,
        digests,
        context,
        counter: AtomicUsize::new(0),
        cached: AtomicUsize::new(0),
        ran: AtomicUsize::new(0),
        outcomes: Mutex::default(),
        facts: Mutex::default(),
        stopped: AtomicBool::new(false),
        text,
        name,
        stands: Mutex::new(stands),
        change: Condvar::new(),
        first: Mutex::default(),
    };
    solve.run()
}

impl Solve<'_> {
    fn run(&self) -> Result<Built, BuildError> {
        let stages = self.plan.needed.iter().filter(|n| replaced(&self.file, self.req, **n).is_none());
        let all = stages.flat_map(|n| &self.file.stages[*n].instructions);
        let steps = all.filter(|i| is_step(&i.kind)).count();
        self.events.event(BuildEvent::Planned { steps });
        std::thread::scope(|scope| {
            for &stage in &self.plan.needed {
                scope.spawn(move || self.carry_out(stage));
            }
        });
        let saved = self.digests.save();
        if let Some(error) = self.first.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        saved.map_err(|e| BuildError::io("remember file digests in", &self.req.cache_root, e))?;
        let state = match &self.lock()[self.plan.target] {
            Stand::Done(Some(state)) => Some(State::clone(state)),
            _ => None,
        };
        let mut state = state.ok_or_else(|| BuildError::input("the build was stopped"))?;
        for lint in crate::lint::found(&self.file, self.req, &self.context.ignore, self.images) {
            let message = format!("{}: {}", lint.rule, lint.message);
            self.events.event(BuildEvent::Warning { message: &message, line: lint.line });
        }
        state.image.config.labels.extend(self.req.labels.clone());
        state.image.created = state.created.clone();
        if let Some(platform) = &self.req.platform {
            let image = &mut state.image;
            let same = image.os == platform.os && image.architecture == platform.architecture;
            image.os.clone_from(&platform.os);
            image.architecture.clone_from(&platform.architecture);
            if platform.variant.is_some() || !same {
                image.variant.clone_from(&platform.variant);
            }
        }
        let mut steps = std::mem::take(&mut *self.outcomes.lock().unwrap_or_else(PoisonError::into_inner));
        // Stages end in any order.
        steps.sort_by_key(|s| s.key.hex());
        steps.dedup();
        if self.req.inline_cache {
            let own: Vec<&StepOutcome> = steps.iter().collect();
            state.image.cache = Some(inline_cache(&own, &state.image));
        }
        let image = self
            .store
            .put_image(&state.image, &self.req.tags)
            .map_err(|e| BuildError::environment("failed to keep the image", e))?;
        let scans = self.scans(&state);
        Ok(Built {
            image,
            config: state.image,
            cached_steps: self.cached.load(Ordering::Relaxed),
            ran_steps: self.ran.load(Ordering::Relaxed),
            steps,
            facts: self.facts(),
            scans,
            source_date_epoch: self.req.source_date_epoch,
        })
    }

    /// What the Dockerfile wants looked through for packages beside the image: the context, and stages below it.
    fn scans(&self, target: &State) -> Vec<Scan> {
        let global = |name: &str| self.plan.globals.get(name).cloned();
        let name = |n: usize| self.file.stages[n].from.name.clone().unwrap_or_else(|| format!("stage-{n}"));
        let mut scans = Vec::new();
        if scans_context(target, &global, &name(self.plan.target)) {
            scans.push(Scan::of_context(&self.req.context, &self.context));
        }
        for (number, stand) in self.lock().iter().enumerate().filter(|(n, _)| *n != self.plan.target) {
            if let Stand::Done(Some(state)) = stand
                && scans_stage(state, &global, &name(number))
            {
                scans.push(Scan::of_stage(name(number), state));
            }
        }
        scans
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Stand>> {
        self.stands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works a stage off, and lets those know who wait for it.
    fn carry_out(&self, stage: usize) {
        let state = match run_stage(self, stage) {
            Ok(state) => state,
            Err((error, at)) => {
                self.stopped.store(true, Ordering::Release);
                let error = error.place(&self.name, &self.text, at);
                self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                None
            }
        };
        self.lock()[stage] = Stand::Done(state.map(Box::new));
        self.change.notify_all();
    }

    /// The end of another stage, for this one; `None` if it failed.
    ///
    /// A stage that only a trigger of a base image asks for is worked off here and now.
    pub(crate) fn wait(&self, own: usize, stage: usize) -> Result<Option<State>, BuildError> {
        let mut stands = self.lock();
        if closes_circle(&stands, own, stage) {
            let name = self.file.stages[stage].from.name.clone().unwrap_or_else(|| stage.to_string());
            return Err(BuildError::input(format!("stage `{name}` needs itself: a cycle of stages")));
        }
        stands[own] = Stand::Open { waits_for: Some(stage) };
        if matches!(stands[stage], Stand::Unneeded) {
            stands[stage] = Stand::Open { waits_for: None };
            drop(stands);
            self.carry_out(stage);
            stands = self.lock();
        }
        loop {
            if let Stand::Done(state) = &stands[stage] {
                let state = state.as_deref().cloned();
                stands[own] = Stand::Open { waits_for: None };
                return Ok(state);
            }
            stands = self.change.wait(stands).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The image that a stage's FROM names, or one of its `--from`s.
    pub(crate) fn image(
        &self,
        reference: &str,
        platform: &Platform,
        asked: Asked,
    ) -> Result<BaseImage, BuildError> {
        let image = self.images.resolve(reference, platform, self.req.pull).map_err(|e| {
            self.plan.wrong_name(&self.file, reference, asked).unwrap_or_else(|| {
                let mut error = BuildError::environment(format!("failed to get the image `{reference}`"), e);
                error.help = self.plan.advice(&self.file, reference, asked).or(error.help.take());
                error
            })
        })?;
        if let Ok(name) = reference.parse() {
            let material = Material::Image(image_purl(&name, Some(platform)));
            self.note(material, image.digest.map(|d| ("sha256", d.hex())));
        }
        Ok(image)
    }

    /// Remembers what came from elsewhere.
    pub(crate) fn note(&self, material: Material, digest: Option<(&'static str, String)>) {
        self.noted(|facts| drop(facts.materials.insert(material, digest)));
    }

    /// An additional context: a repository, a file, or a directory of this machine.
    fn note_context(&self, name: &str) {
        match self.req.context_sources.get(name) {
            None => self.noted(|facts| facts.locals.extend([name.to_owned()])),
            Some(ContextSource { uri, commit: Some(commit), .. }) => {
                self.note(Material::Git(uri.clone()), Some((git_algorithm(commit), commit.clone())));
                self.noted(note_git_secrets);
            }
            Some(ContextSource { uri, commit: None, .. }) => self.note(Material::Http(uri.clone()), None),
        }
    }

    pub(crate) fn noted(&self, change: impl FnOnce(&mut Facts)) {
        change(&mut self.facts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn facts(&self) -> Facts {
        let mut facts = std::mem::take(&mut *self.facts.lock().unwrap_or_else(PoisonError::into_inner));
        facts.dockerfile.clone_from(&self.text);
        let name = match &self.req.dockerfile {
            DockerfileSource::Path(_) => Path::new(&self.name).file_name(),
            DockerfileSource::Inline(_) => None,
        };
        let name = name.map(|n| n.to_string_lossy().into_owned());
        facts.filename = name.unwrap_or_else(|| "Dockerfile".to_owned());
        facts
    }

    /// Unpacked directories of layers, top first. A layer that comes twice counts where it is topmost.
    pub(crate) fn directories(&self, layers: &[Digest]) -> Result<Vec<PathBuf>, BuildError> {
        let mut seen = Vec::new();
        let mut paths = Vec::new();
        for layer in layers.iter().rev() {
            if seen.contains(layer) {
                continue;
            }
            seen.push(*layer);
            let path = self
                .store
                .layer(layer)
                .map_err(|e| BuildError::environment(format!("failed to look up the layer {layer}"), e))?;
            paths.push(path.ok_or_else(|| {
                BuildError::environment(
                    format!("the layer {layer} isn't in the store"),
                    io::Error::from(io::ErrorKind::NotFound),
                )
            })?);
        }
        Ok(paths)
    }

    /// What `--from` reads; `None` when the other stage failed.
    pub(crate) fn source(
        &self,
        own: usize,
        base: &Base,
        platform: &Platform,
    ) -> Result<Option<Source>, BuildError> {
        let (layers, name) = match base {
            Base::Scratch => (Vec::new(), "scratch".to_owned()),
            Base::Stage(n) => {
                let Some(state) = self.wait(own, *n)? else { return Ok(None) };
                let name = self.file.stages[*n].from.name.clone().unwrap_or_else(|| n.to_string());
                (state.image.rootfs.diff_ids, format!("stage `{name}`"))
            }
            Base::Image(reference) => {
                let image = self.image(reference, platform, Asked::Copied)?;
                (image.config.rootfs.diff_ids, format!("image `{reference}`"))
            }
            Base::Context(place) => {
                let named = self.req.additional_contexts.iter().find(|(_, p)| *p == place);
                named.into_iter().for_each(|(name, _)| self.note_context(name));
                let name = named.map_or(place.as_str(), |(name, _)| name.as_str());
                return context(Path::new(place), None, &format!("the context `{name}`")).map(Some);
            }
        };
        let mut directories = self.directories(&layers)?;
        if directories.is_empty() {
            directories.push(self.empty()?);
        }
        let view = View::new(directories);
        Ok(Some(Source { view, ignore: Ignore::default(), name, keep_owner: true }))
    }

    /// The root of what has no layers.
    pub(crate) fn empty(&self) -> Result<PathBuf, BuildError> {
        let empty = self.req.cache_root.join("empty");
        fs::create_dir_all(&empty).map_err(|e| BuildError::io("make", &empty, e))?;
        Ok(empty)
    }
}

/// Would this stage wait for itself if it waited for that one?
fn closes_circle(stands: &[Stand], own: usize, stage: usize) -> bool {
    let mut at = Some(stage);
    while let Some(n) = at.filter(|n| *n != own) {
        at = match stands[n] {
            Stand::Open { waits_for } => waits_for,
            _ => None,
        };
    }
    at.is_some()
}

fn warn_unused_args(file: &Dockerfile, req: &BuildRequest, events: &dyn BuildEvents) {
    let all = file.global_args.iter().chain(file.stages.iter().flat_map(|s| &s.instructions));
    let declared: Vec<&String> = all
        .filter_map(|i| match &i.kind {
            Kind::Arg(pairs) => Some(pairs.iter().map(|(n, _)| n)),
            _ => None,
        })
        .flatten()
        .collect();
    for name in req.args.keys().filter(|n| !declared.contains(n) && !known::is_known(n)) {
        let near = nearest(name, declared.iter().map(|n| n.as_str()));
        let near = near.map(|n| format!(" (did you mean `{n}`?)")).unwrap_or_default();
        let message = format!("the build argument `{name}` isn't used: no ARG declares it{near}");
        events.event(BuildEvent::Warning { message: &message, line: 0 });
    }
}

fn warn_unknown_triggers(file: &Dockerfile, events: &dyn BuildEvents) {
    for one in file.stages.iter().flat_map(|s| &s.instructions) {
        if let Kind::Onbuild(text) = &one.kind
            && let Some(message) = unknown_trigger(text)
        {
            events.event(BuildEvent::Warning { message: &message, line: one.at.line });
        }
    }
}

/// An error with its instruction.
pub(crate) type Located = (BuildError, Position);
