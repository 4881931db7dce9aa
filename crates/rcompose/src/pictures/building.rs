//! Images from Dockerfiles.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rcompose_build::{BuildRequest, RunLimits};
use rcompose_engine::FailureKind;
use rcompose_image::{Digest, ImageError, RemoveOptions, Store};
use rcompose_model::{Project, Service, ServiceName};
use rcompose_plan::image_key;
use serde_json::Value;

use super::assembly::{Assembly, Said, assemble};
use super::attests::Attests;
use super::caches::Caches;
use super::checking::{Checked, check_request};
use super::inputs::Inputs;
use super::metadata::Descriptor;
use super::output::{BuildOutput, Output};
use super::outputs::{Output as Delivery, deliver};
use super::request::service_requests;
use crate::context::Context;
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
    /// `--debug-shell`.
    pub(crate) debug_shell: bool,
    /// `--ssh`: sockets or keys by id; `None` is the environment's agent.
    pub(crate) ssh: BTreeMap<String, Option<String>>,
    /// `--provenance`.
    pub(crate) provenance: Option<String>,
    /// `--sbom`.
    pub(crate) sbom: Option<String>,
    /// `--memory`.
    pub(crate) limits: RunLimits,
}

/// A build that one or several services want.
struct Job<'a> {
    /// Those that want exactly this; the first gives it its name.
    services: Vec<&'a Service>,
    requests: Vec<BuildRequest>,
    caches: Caches,
    said: Said,
    _inputs: Inputs,
}

/// How the jobs stand: `None` while one is at work, then whether it has worked.
type Ends = Mutex<BTreeMap<ServiceName, bool>>;

/// Builds the images of services: at once, but each after those whose images it uses. What several services want alike
/// is built once.
pub(crate) fn build_services(
    cx: &Context,
    store: &Store,
    project: &Project,
    services: &[&Service],
    options: &BuildOptions,
) -> Result<(), Failure> {
    let services = with_used(project, services)?;
    let mut jobs: Vec<Job<'_>> = Vec::new();
    for service in &services {
        let Some(build) = &service.build else { continue };
        let mut inputs = Inputs::default();
        let in_service = |f: Failure| f.context(format!("service \"{}\"", service.name)).at(&build.origin);
        let caches = Caches::parse(cx, &build.cache_from, &build.cache_to).map_err(in_service)?;
        let requests =
            service_requests(cx, store, project, service, build, options, &mut inputs).map_err(in_service)?;
        let attests = Attests::parse(
            cx,
            &[],
            options.provenance.as_deref().or(build.provenance.as_deref()),
            options.sbom.as_deref().or(build.sbom.as_deref()),
        )
        .map_err(in_service)?;
        let said = Said { attests, ..Said::default() };
        let twin = |j: &&mut Job<'_>| j.caches == caches && j.said == said && same(&j.requests, &requests);
        match jobs.iter_mut().find(twin) {
            Some(job) => {
                let names = requests.into_iter().next().map(|r| r.tags).unwrap_or_default();
                if let Some(first) = job.requests.first_mut() {
                    first.tags.extend(names);
                }
                job.services.push(service);
            }
            None => jobs.push(Job { services: vec![service], requests, caches, said, _inputs: inputs }),
        }
    }
    let names = jobs_of(&services);
    let mut output = Output::new(cx, options.quiet, false);
    let (ends, change): (Ends, Condvar) = Default::default();
    let mut failed: Option<Failure> = None;
    let mut times: BTreeMap<&ServiceName, Duration> = BTreeMap::new();
    std::thread::scope(|scope| {
        let all: Vec<_> = jobs
            .iter()
            .map(|job| {
                let (names, ends, change, output) = (&names, &ends, &change, &output);
                let work = move || {
                    let worked = wait(job, names, ends, change);
                    let begun = Instant::now();
                    let result = match worked {
                        true => build_job(cx, store, job, output).map(|()| begun.elapsed()),
                        // The other build says why.
                        false => Err(Failure::silent(1)),
                    };
                    let mut ended = ends.lock().unwrap_or_else(PoisonError::into_inner);
                    ended.extend(job.services.iter().map(|s| (s.name.clone(), result.is_ok())));
                    change.notify_all();
                    result
                };
                (job, scope.spawn(work))
            })
            .collect();
        for (job, build) in all {
            let result = build.join().unwrap_or_else(|_| {
                let name = &job.services[0].name;
                Err(Failure::new(FailureKind::Internal, format!("the build of \"{name}\" broke off")))
            });
            match result {
                Ok(took) => times.extend(job.services.iter().map(|s| (&s.name, took))),
                Err(f) => {
                    failed = Some(match failed.take() {
                        Some(first) => first.and(f),
                        None => f,
                    });
                }
            }
        }
    });
    output.finish();
    if let Some(f) = failed {
        return Err(f);
    }
    let mut progress = Progress::new(cx, "build");
    if !options.quiet {
        for s in services {
            let took = times.get(&s.name).copied().unwrap_or_default();
            progress.took(&format!("Image {}", image_key(project, s)), "Built", took);
        }
        progress.finish();
    }
    Ok(())
}

/// Checks the Dockerfiles of services.
pub(crate) fn check_services(
    cx: &Context,
    store: &Store,
    project: &Project,
    services: &[&Service],
    options: &BuildOptions,
) -> Result<Checked, Failure> {
    let mut all = Checked { text: String::new(), document: Value::Null, found: false, failure: None };
    for service in services {
        let Some(build) = &service.build else { continue };
        let mut inputs = Inputs::default();
        let in_service = |f: Failure| f.context(format!("service \"{}\"", service.name)).at(&build.origin);
        let requests =
            service_requests(cx, store, project, service, build, options, &mut inputs).map_err(in_service)?;
        if let Some(request) = requests.first() {
            let one = check_request(cx, store, request).map_err(in_service)?;
            all.text += &format!("{}\n\n{}\n", service.name, one.text);
            all.found |= one.found;
            let failed = one.failure.map(in_service);
            all.failure = match all.failure.take() {
                Some(before) => Some(failed.into_iter().fold(before, Failure::and)),
                None => failed,
            };
        }
    }
    Ok(all)
}

/// Equal but for their names and the label that names the service.
fn same(a: &[BuildRequest], b: &[BuildRequest]) -> bool {
    let bare = |r: &BuildRequest| {
        let mut r = r.clone();
        r.tags.clear();
        r.labels.remove("com.docker.compose.service");
        r
    };
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| bare(a) == bare(b))
}

fn jobs_of(services: &[&Service]) -> BTreeSet<ServiceName> {
    services.iter().map(|s| s.name.clone()).collect()
}

/// Waits for the builds whose images a job uses; false when one of them failed.
fn wait(job: &Job<'_>, all: &BTreeSet<ServiceName>, ends: &Ends, change: &Condvar) -> bool {
    let needs: Vec<String> = job.services.iter().flat_map(|s| used_services(s)).collect();
    let mut ended = ends.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let mut open = false;
        for need in all.iter().filter(|n| needs.iter().any(|x| x == n.as_str())) {
            match ended.get(need) {
                Some(true) => {}
                Some(false) => return false,
                None => open = true,
            }
        }
        if !open {
            return true;
        }
        ended = change.wait(ended).unwrap_or_else(PoisonError::into_inner);
    }
}

/// The services, those whose images their builds use before them.
pub(crate) fn with_used<'a>(
    project: &'a Project,
    services: &[&'a Service],
) -> Result<Vec<&'a Service>, Failure> {
    fn visit<'a>(
        project: &'a Project,
        service: &'a Service,
        open: &mut Vec<&'a str>,
        out: &mut Vec<&'a Service>,
    ) -> Result<(), Failure> {
        let name = service.name.as_str();
        if out.iter().any(|s| s.name == service.name) {
            return Ok(());
        }
        if let Some(at) = open.iter().position(|o| *o == name) {
            let message = match &open[at..] {
                [_] => format!("the build of service \"{name}\" needs its own image"),
                ring => format!("the builds of these services need each other: {}", ring.join(", ")),
            };
            let failure = Failure::new(FailureKind::Compose, message)
                .hint("take a `service:` of them out of `additional_contexts`");
            return Err(service.build.iter().fold(failure, |f, b| f.at(&b.origin)));
        }
        open.push(name);
        for used in used_services(service) {
            if let Some(used) = project.services.get(used.as_str()).filter(|s| s.build.is_some()) {
                visit(project, used, open, out)?;
            }
        }
        open.pop();
        out.push(service);
        Ok(())
    }
    let mut out = Vec::new();
    for service in services {
        visit(project, service, &mut Vec::new(), &mut out)?;
    }
    Ok(out)
}

/// Services whose images a build uses (`additional_contexts: {x: service:NAME}`).
fn used_services(service: &Service) -> Vec<String> {
    let contexts = service.build.iter().flat_map(|b| b.additional_contexts.values());
    contexts.filter_map(|v| v.strip_prefix("service:")).map(str::to_owned).collect()
}

fn build_job(cx: &Context, store: &Store, job: &Job<'_>, output: &Output) -> Result<(), Failure> {
    let service = job.services[0];
    let several = job.requests.len() > 1;
    let label = |request: &BuildRequest| match (&request.platform, several) {
        (Some(platform), true) => format!("{} {platform}", service.name),
        _ => service.name.to_string(),
    };
    let names = &job.requests[0].tags;
    assemble(cx, store, &job.requests, (names, &job.caches, &job.said), (output, &label))
        .and_then(|built| {
            built.keep_told(store, names, &BuildOutput { all: output, label: service.name.to_string() })
        })
        .map(drop)
        .map_err(|f| {
            let f = f.context(format!("failed to build service \"{}\"", service.name));
            service.build.iter().fold(f, |f, b| f.in_block(b.dockerfile_inline_at.as_ref()).at(&b.origin))
        })
}

/// What is wanted of a build besides the image.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Where its result goes.
    pub(crate) outputs: Vec<Delivery>,
    /// No output.
    pub(crate) quiet: bool,
    /// BuildKit's `rawjson`.
    pub(crate) raw: bool,
    /// Caches elsewhere.
    pub(crate) caches: Caches,
    /// Attestations and annotations.
    pub(crate) said: Said,
}

/// Builds one image for each request, which differ by their platforms alone, and brings the result where it is wanted.
/// The descriptor is that of the image, if one was wanted.
pub(crate) fn build_and_deliver(
    cx: &Context,
    store: &Store,
    requests: &[BuildRequest],
    wanted: &Wanted,
) -> Result<(Assembly, Option<Descriptor>), Failure> {
    cx.need_root()?;
    let outputs = &wanted.outputs;
    let stays = outputs.iter().any(Delivery::stays);
    let mut names = requests[0].tags.clone();
    for name in outputs.iter().flat_map(Delivery::names) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    let mut output = Output::new(cx, wanted.quiet, wanted.raw);
    let label = |request: &BuildRequest| match (&request.platform, requests.len()) {
        (Some(platform), 2..) => platform.to_string(),
        _ => String::new(),
    };
    let said = (&names[..], &wanted.caches, &wanted.said);
    let built = assemble(cx, store, requests, said, (&output, &label))?;
    if !outputs.iter().any(Delivery::wants_image) {
        output.finish();
        outputs.iter().try_for_each(|o| deliver(cx, store, &built, o, wanted.quiet).map(drop))?;
        return Ok((built, None));
    }
    let (mut descriptor, mut passing) = (None, Vec::new());
    if stays {
        let kept = built.keep_told(store, &names, &BuildOutput { all: &output, label: String::new() })?;
        descriptor = Some(Descriptor { digest: kept.digest, size: kept.size, media_type: kept.media_type });
    } else {
        // Archives are written from the store.
        for built in &built.builds {
            passing.extend(store.find(&built.image.to_string())?.is_none().then_some(built.image));
        }
        built.lay_down(store)?;
    }
    output.finish();
    let delivered = outputs.iter().try_for_each(|o| {
        let delivered = deliver(cx, store, &built, o, wanted.quiet)?;
        if delivered.is_some() {
            descriptor = delivered;
        }
        Ok(())
    });
    for image in &passing {
        forget(store, image)?;
    }
    delivered.map(|()| (built, descriptor))
}

/// Removes an image on the way that has no name.
pub(crate) fn forget(store: &Store, image: &Digest) -> Result<(), Failure> {
    let free = |_: &Digest| false;
    match store.remove(&image.to_string(), &RemoveOptions { force: false, in_use: &free }) {
        Ok(_) | Err(ImageError::NotFound(_)) => Ok(()),
        Err(e) => Err(e.into()),
    }
}
