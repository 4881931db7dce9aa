//! What a build needs from outside: the image store, the machine that runs its steps, base images.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rcompose_build::{
    BaseImage, BuildError, BuildErrorKind, GitSource, ImageSource, Kept, LayerStore, OutsideError,
    RunNetwork, RunStep, StagedLayer, StepRunner, Stream,
};
use rcompose_image::{
    Digest, Hold, Image, ImageConfig, ImageError, LayerId, Platform, Reference, Staging, Store,
};
use rcompose_machine::{BuildMount, BuildNetwork, BuildStep, BuildStream, ProcessStepRunner};
use rcompose_model::{CpuSet, Resources};

use super::caches::Elsewhere;
use super::pulling::pull_quietly;
use crate::context::{Context, to_stderr};
use crate::failure::Failure;
use crate::relay::{RawMode, has_terminal};

/// The image store, for a build. What it makes is kept until the build ends.
pub(super) struct Layers<'a> {
    cx: &'a Context,
    store: &'a Store,
    /// What isn't here may be there.
    pub(super) elsewhere: Elsewhere,
    hold: Hold,
}

impl<'a> Layers<'a> {
    pub(super) fn new(cx: &'a Context, store: &'a Store) -> Result<Self, Failure> {
        Ok(Self { cx, store, elsewhere: Elsewhere::default(), hold: store.hold()? })
    }

    /// Base images, kept with what is made.
    pub(super) fn bases(&self) -> Bases<'_> {
        Bases { hold: Some(&self.hold), ..Bases::new(self.cx, self.store) }
    }

    /// Keeps the layers on.
    pub(super) fn into_hold(self) -> Hold {
        self.hold
    }
}

struct Staged<'a> {
    layers: &'a Layers<'a>,
    staging: Staging,
    upper: PathBuf,
    work: PathBuf,
}

impl StagedLayer for Staged<'_> {
    fn upper(&self) -> &Path {
        &self.upper
    }

    fn work(&self) -> &Path {
        &self.work
    }

    fn commit(self: Box<Self>) -> Result<Digest, OutsideError> {
        let Self { layers, staging, .. } = *self;
        let info = layers.store.commit_held(staging, &layers.hold)?;
        // For the next build, whatever becomes of the image.
        layers.store.keep(&info.id)?;
        Ok(info.id.0)
    }
}

impl LayerStore for Layers<'_> {
    fn layer(&self, diff_id: &Digest) -> Result<Option<PathBuf>, OutsideError> {
        let id = LayerId(*diff_id);
        if self.hold.layer(&id)? {
            return Ok(self.store.layer_path(&id));
        }
        match self.elsewhere.get(self.cx, self.store, &self.hold, diff_id) {
            Ok(true) => Ok(self.store.layer_path(&id)),
            Ok(false) => Ok(None),
            // A cache that breaks fails no build: the step is done instead.
            Err(f) => {
                to_stderr(&format!(
                    "warning: the layer {} of a cache can't be had: {}\n",
                    id.0.short(),
                    f.text()
                ));
                Ok(None)
            }
        }
    }

    fn stage(&self) -> Result<Box<dyn StagedLayer + '_>, OutsideError> {
        let staging = self.store.new_layer_dir()?;
        let (upper, work) = (staging.upper(), staging.work());
        Ok(Box::new(Staged { layers: self, staging, upper, work }))
    }

    /// The image is kept with those of other platforms, when all are built.
    fn put_image(&self, config: &ImageConfig, _tags: &[Reference]) -> Result<Digest, OutsideError> {
        Ok(Digest::of(&serde_json::to_vec(config)?))
    }
}

fn machine_step(step: &RunStep) -> Result<BuildStep, OutsideError> {
    let limits = &step.limits;
    let set = |text: &Option<String>| text.as_deref().map(str::parse::<CpuSet>).transpose();
    Ok(BuildStep {
        lowers: step.lowers.clone(),
        upper: step.upper.clone(),
        work: step.work.clone(),
        argv: step.argv.clone(),
        env: step.env.clone(),
        user: step.user.clone(),
        cwd: step.cwd.clone(),
        hostname: step.hostname.clone(),
        network: match step.network {
            RunNetwork::Default => BuildNetwork::Default,
            RunNetwork::Host => BuildNetwork::Host,
            RunNetwork::None => BuildNetwork::None,
        },
        extra_hosts: step.extra_hosts.clone(),
        shm_size: step.shm_size,
        mounts: step
            .mounts
            .iter()
            .map(|m| BuildMount {
                target: m.target.clone(),
                source: m.source.clone(),
                layers: m.layers.clone(),
                writes: m.writes.clone(),
                content: m.content.clone(),
                agent: m.agent.clone(),
                uid: m.uid,
                gid: m.gid,
                mode: m.mode,
                read_only: m.read_only,
                size: m.size,
            })
            .collect(),
        stdin: step.stdin.clone(),
        ulimits: step.ulimits.clone(),
        insecure: step.insecure,
        resources: Resources {
            memory: limits.memory,
            // Unlike with containers, a limit of memory says nothing of swap.
            memory_swap: limits.memory_swap.or(limits.memory.map(|_| -1)),
            cpu_shares: limits.cpu_shares,
            cpu_period: limits.cpu_period,
            cpu_quota: limits.cpu_quota,
            cpuset: set(&limits.cpuset_cpus)?,
            ..Resources::default()
        },
        cpuset_mems: set(&limits.cpuset_mems)?,
        cgroup_parent: step.cgroup_parent.clone(),
        terminal: None,
    })
}

/// Runs steps in processes of their own.
pub(super) struct Runner(pub(super) ProcessStepRunner);

impl StepRunner for Runner {
    fn run(&self, step: &RunStep, output: &mut dyn FnMut(Stream, &[u8])) -> Result<i32, OutsideError> {
        let step = machine_step(step)?;
        let ended = self.0.run(&step, &mut |stream, bytes| {
            let stream = match stream {
                BuildStream::Stdout => Stream::Stdout,
                BuildStream::Stderr => Stream::Stderr,
            };
            output(stream, bytes);
        });
        ended.map_err(|f| match &f.hint {
            Some(hint) => BuildError::new(BuildErrorKind::Environment, f.message).help(hint).into(),
            None => f.into(),
        })
    }

    fn run_on_terminal(&self, step: &RunStep) -> Result<i32, OutsideError> {
        if !has_terminal() {
            return Err("standard input and output are no terminal".into());
        }
        let raw = RawMode::enter()?;
        let ended = self.0.run_on_terminal(&machine_step(step)?);
        drop(raw);
        Ok(ended?)
    }
}

/// Base images: from the store, else from their registries.
pub(super) struct Bases<'a> {
    cx: &'a Context,
    store: &'a Store,
    /// Keeps their layers; `None`: nothing is made of them.
    hold: Option<&'a Hold>,
    /// What was fetched stays while the build goes on.
    repositories: Mutex<Vec<Kept>>,
}

impl<'a> Bases<'a> {
    pub(super) fn new(cx: &'a Context, store: &'a Store) -> Self {
        Self { cx, store, hold: None, repositories: Mutex::default() }
    }

    /// The image of this platform that is here, else its registry's.
    fn found(&self, reference: &str, platform: &Platform, pull: bool) -> Result<Image, OutsideError> {
        let all = if pull { Vec::new() } else { self.store.find_named(reference)? };
        let here: Vec<String> = all.iter().map(|i| i.config.platform().to_string()).collect();
        let rank = |i: &Image| platform.rank(&i.config.platform());
        let best = all.into_iter().filter_map(|i| Some((rank(&i)?, i))).min_by_key(|(rank, _)| *rank);
        let best = best.map(|(_, image)| image);
        match best {
            Some(image) if platform.rank_within(&image.config.platform()).is_some() => Ok(image),
            // Of another architecture: the registry may have a better one.
            other => match (pull_quietly(self.cx, self.store, reference, Some(platform)), other) {
                (Ok(image), _) | (Err(_), Some(image)) => Ok(image),
                (Err(f), None) => {
                    let here = match here.as_slice() {
                        [] => String::new(),
                        here => format!("it is here for {} alone, not for {platform}: ", here.join(", ")),
                    };
                    let error = BuildError::new(BuildErrorKind::Environment, here + &f.text());
                    Err(match f.help() {
                        Some(help) => error.help(help).into(),
                        None => error.into(),
                    })
                }
            },
        }
    }

    /// Keeps its layers. False: somebody has removed the image meanwhile.
    fn keep(&self, image: &Image) -> Result<bool, ImageError> {
        match self.hold.map_or(Ok(()), |hold| hold.image(&image.id, &image.layers)) {
            Err(ImageError::NotFound(_)) => Ok(false),
            // A layer that was lost is told of where it is needed.
            Ok(()) | Err(ImageError::LayerMissing(_)) => Ok(true),
            Err(e) => Err(e),
        }
    }
}

impl ImageSource for Bases<'_> {
    fn checkout(&self, source: &GitSource) -> Result<(PathBuf, String), OutsideError> {
        let found = self.cx.sources().source(source).map_err(|e| {
            let error = BuildError::new(BuildErrorKind::Environment, e.message);
            if e.help.is_empty() { error } else { error.help(e.help.join("; ")) }
        })?;
        self.repositories.lock().unwrap_or_else(PoisonError::into_inner).push(found.kept);
        Ok((found.at, found.commit))
    }

    fn resolve(&self, reference: &str, platform: &Platform, pull: bool) -> Result<BaseImage, OutsideError> {
        let image = loop {
            let image = self.found(reference, platform, pull)?;
            if self.keep(&image)? {
                break image;
            }
        };
        let same = |d: &&Reference| reference.parse().is_ok_and(|r| d.same_repository(&r));
        let digest = image.repo_digests.iter().find(same).and_then(Reference::digest);
        Ok(BaseImage { id: image.id, config: image.config, digest })
    }
}
