//! Images from Dockerfiles.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rcompose_build::{BuildRequest, Built, DockerfileSource, RunNetwork};
use rcompose_engine::FailureKind;
use rcompose_image::Store;
use rcompose_machine::ProcessStepRunner;
use rcompose_model::{Build, Project, Service, ServiceName};
use rcompose_plan::image_key;

use super::adapters::{Bases, Layers, Runner};
use super::output::{BuildOutput, Output};
use super::pulling::parse_reference;
use crate::context::{Context, ProgressMode};
use crate::failure::Failure;
use crate::progress::Progress;

/// What the command line says of builds.
#[derive(Debug, Clone, Default)]
pub(crate) struct BuildOptions {
    /// `--build-arg`.
    pub(crate) args: BTreeMap<String, Option<String>>,
    /// `--no-cache`.
    pub(crate) no_cache: bool,
    /// `--pull`.
    pub(crate) pull: bool,
    /// No output.
    pub(crate) quiet: bool,
}

/// Builds the images of services: at once, but after those that they take files from.
pub(crate) fn build_services(
    cx: &Context,
    store: &Store,
    project: &Project,
    services: &[&Service],
    options: &BuildOptions,
) -> Result<(), Failure> {
    let output = Output::new(cx, options.quiet);
    let mut left: Vec<&Service> = services.to_vec();
    let mut done: BTreeSet<ServiceName> = BTreeSet::new();
    while !left.is_empty() {
        let names: BTreeSet<ServiceName> = left.iter().map(|s| s.name.clone()).collect();
        let waits = |s: &&Service| {
            used_services(s).iter().any(|u| u.as_str() != s.name.as_str() && names.contains(u.as_str()))
        };
        let (later, now): (Vec<&Service>, Vec<&Service>) = left.into_iter().partition(waits);
        if now.is_empty() {
            let names: Vec<&str> = later.iter().map(|s| s.name.as_str()).collect();
            let message = format!("the builds of these services need each other: {}", names.join(", "));
            return Err(Failure::new(FailureKind::Compose, message));
        }
        let mut failed: Option<Failure> = None;
        std::thread::scope(|scope| {
            let builds: Vec<_> = now
                .iter()
                .map(|s| (s, scope.spawn(|| build_service(cx, store, project, s, options, &output))))
                .collect();
            for (s, build) in builds {
                let result = build.join().unwrap_or_else(|_| {
                    Err(Failure::new(FailureKind::Internal, format!("the build of \"{}\" broke off", s.name)))
                });
                if let Err(f) = result {
                    failed = Some(match failed.take() {
                        Some(first) => first.and(f),
                        None => f,
                    });
                }
            }
        });
        if let Some(f) = failed {
            return Err(f);
        }
        done.extend(now.iter().map(|s| s.name.clone()));
        left = later;
    }
    let mut progress = Progress::new(cx, "build");
    if !options.quiet {
        for s in services {
            progress.done(&format!("Image {}", image_key(project, s)), "Built");
        }
        progress.finish();
    }
    Ok(())
}

/// Services whose images a build uses (`additional_contexts: {x: service:NAME}`).
fn used_services(service: &Service) -> Vec<String> {
    let contexts = service.build.iter().flat_map(|b| b.additional_contexts.values());
    contexts.filter_map(|v| v.strip_prefix("service:")).map(str::to_owned).collect()
}

fn build_service(
    cx: &Context,
    store: &Store,
    project: &Project,
    service: &Service,
    options: &BuildOptions,
    output: &Output,
) -> Result<(), Failure> {
    let Some(build) = &service.build else { return Ok(()) };
    let in_service = |f: Failure| f.context(format!("service \"{}\"", service.name)).at(&build.origin);
    let request = service_request(cx, project, service, build, options).map_err(in_service)?;
    let label = service.name.to_string();
    run(cx, store, &request, output, label)
        .map(drop)
        .map_err(|f| f.context(format!("failed to build service \"{}\"", service.name)).at(&build.origin))
}

fn run(
    cx: &Context,
    store: &Store,
    request: &BuildRequest,
    output: &Output,
    label: String,
) -> Result<Built, Failure> {
    let layers = Layers::new(store)?;
    let runner = Runner(ProcessStepRunner::new(&cx.exe()?));
    let events = BuildOutput { all: output, label };
    Ok(rcompose_build::build(&layers, request, &runner, &Bases { cx, store }, &events)?)
}

/// Builds one image that belongs to no service.
pub(crate) fn build_request(
    cx: &Context,
    store: &Store,
    request: &BuildRequest,
    quiet: bool,
) -> Result<Built, Failure> {
    cx.need_root()?;
    let quiet = quiet || cx.out.progress == ProgressMode::Quiet;
    run(cx, store, request, &Output::new(cx, quiet), String::new())
}

fn service_request(
    cx: &Context,
    project: &Project,
    service: &Service,
    build: &Build,
    options: &BuildOptions,
) -> Result<BuildRequest, Failure> {
    if build.context.contains("://") || build.context.starts_with("git@") {
        return Err(Failure::unsupported(format!("build context {} is not on this machine", build.context))
            .hint("clone it and give its directory"));
    }
    let platform = build.platforms.first().or(service.platform.as_ref());
    let platform = platform.map(super::pulling::platform).transpose()?;
    let mut tags = vec![parse_reference(&image_key(project, service))?];
    for tag in &build.tags {
        tags.push(parse_reference(tag.as_str())?);
    }
    let mut args = build.args.clone();
    args.extend(options.args.clone());
    for (name, value) in &mut args {
        if value.is_none() {
            *value = cx.env.all.get(name).cloned();
        }
    }
    let mut contexts = build.additional_contexts.clone();
    for value in contexts.values_mut() {
        if let Some(other) = value.strip_prefix("service:").and_then(|n| project.services.get(n)) {
            *value = format!("docker-image://{}", image_key(project, other));
        }
    }
    Ok(BuildRequest {
        context: PathBuf::from(&build.context),
        dockerfile: match &build.dockerfile_inline {
            Some(text) => DockerfileSource::Inline(text.clone()),
            None => DockerfileSource::Path(build.dockerfile.as_deref().unwrap_or("Dockerfile").into()),
        },
        target: build.target.clone(),
        args,
        labels: build.labels.clone(),
        tags,
        no_cache: build.no_cache || options.no_cache,
        pull: build.pull || options.pull,
        network: network(build.network.as_deref())?,
        extra_hosts: build.extra_hosts.iter().map(|(name, a)| (name.clone(), a.to_string())).collect(),
        shm_size: build.shm_size,
        additional_contexts: contexts,
        secrets: BTreeMap::new(),
        platform,
        cache_root: cx.dirs.build_cache(),
        source_date_epoch: cx.env.source_date_epoch(),
    })
}

/// `build.network`, `--network`.
pub(crate) fn network(name: Option<&str>) -> Result<RunNetwork, Failure> {
    match name {
        None | Some("" | "default" | "bridge") => Ok(RunNetwork::Default),
        Some("host") => Ok(RunNetwork::Host),
        Some("none") => Ok(RunNetwork::None),
        Some(other) => Err(Failure::unsupported(format!("a build can't use the network \"{other}\""))
            .hint("its network is default, host or none")),
    }
}
