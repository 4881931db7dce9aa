//! The images of services: there already, built, or pulled; and as facts for the planner.

mod adapters;
mod annotations;
mod assembly;
mod attests;
mod bake;
mod building;
mod cached;
mod caches;
mod calls;
mod checking;
mod facts;
mod fetch;
mod inputs;
mod limits;
mod metadata;
mod output;
mod outputs;
mod pulling;
mod request;
mod transfer;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use rcompose_image::{Image, Store, rfc3339};
use rcompose_model::{Project, PullPolicy, Service, ServiceName};
use rcompose_plan::{ImageFacts, image_key};

use crate::context::Context;
use crate::failure::Failure;

pub(crate) use annotations::Annotations;
pub(crate) use assembly::Said;
pub(crate) use attests::Attests;
pub(crate) use bake::{BakeOptions, bake};
pub(crate) use building::{
    BuildOptions, Wanted as BuildWanted, build_and_deliver, build_services, check_services, forget, with_used,
};
pub(crate) use cached::{Bounds, Cached, Pruning, Which, cached, prune};
pub(crate) use caches::Caches;
pub(crate) use calls::Call;
pub(crate) use facts::image_facts;
pub(crate) use fetch::{artifact, auth_source, digest, digest_of, log_in, tags};
pub(crate) use inputs::{Inputs, is_archive, secret};
pub(crate) use limits::run_limits;
pub(crate) use metadata::metadata;
pub(crate) use outputs::{Output as Delivery, make_parent};
pub(crate) use pulling::{
    ToPush, Wanted, parse_reference, pull_all, pull_each, push_each, push_each_for, together,
};
pub(crate) use request::{context_place, known_entitlement, network as build_network};

/// Whether images are built.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum BuildWhen {
    /// When they aren't there.
    #[default]
    Missing,
    /// Always (`--build`).
    Always,
    /// Never (`--no-build`).
    Never,
}

/// What the command line says of images.
#[derive(Debug, Clone, Default)]
pub(crate) struct Policy {
    pub(crate) build: BuildWhen,
    /// `--pull`, instead of the services' own.
    pub(crate) pull: Option<PullPolicy>,
    /// `--quiet-pull`.
    pub(crate) quiet_pull: bool,
    /// `--quiet-build`.
    pub(crate) quiet_build: bool,
}

impl Policy {
    /// From the words of `--build`, `--no-build` and `--pull`.
    pub(crate) fn from_flags(build: bool, no_build: bool, pull: Option<&str>) -> Result<Self, Failure> {
        let build = match (build, no_build) {
            (true, true) => return Err(Failure::user("--build and --no-build are incompatible")),
            (true, false) => BuildWhen::Always,
            (false, true) => BuildWhen::Never,
            (false, false) => BuildWhen::Missing,
        };
        let pull = match pull {
            None | Some("policy") => None,
            Some("always") => Some(PullPolicy::Always),
            Some("never") => Some(PullPolicy::Never),
            Some("missing" | "if_not_present") => Some(PullPolicy::Missing),
            Some("build") => Some(PullPolicy::Build),
            Some(other) => {
                return Err(Failure::user(format!("invalid --pull option \"{other}\""))
                    .hint("it is one of always, missing, never, build"));
            }
        };
        Ok(Self { build, pull, ..Self::default() })
    }
}

/// What is to be done for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Todo {
    Nothing,
    Build,
    Pull,
    /// Pull, and build what the registry doesn't give.
    PullOrBuild,
}

/// The image of each of these services: found, built or pulled as the policies say. Progress goes to stderr; errors
/// name the service and its place in the Compose file.
pub(crate) fn ensure(
    cx: &Context,
    project: &Project,
    services: &[ServiceName],
    policy: &Policy,
) -> Result<BTreeMap<ServiceName, ImageFacts>, Failure> {
    if !cx.dry_run() {
        cx.need_root()?;
    }
    let store = Store::open(&cx.dirs.images())?;
    let mut builds = Vec::new();
    let mut pulls = Vec::new();
    for service in one_for_each_image(project, services) {
        match todo(&store, project, service, policy)? {
            Todo::Nothing => {}
            Todo::Build => builds.push(service),
            Todo::Pull => pulls.push((service, false)),
            Todo::PullOrBuild => pulls.push((service, true)),
        }
    }
    let made = !builds.is_empty() || !pulls.is_empty();
    if made && !cx.dry_run() {
        builds.extend(pull_or_build(cx, &store, project, &pulls, policy)?);
        let options = BuildOptions { quiet: policy.quiet_build, ..BuildOptions::default() };
        build_services(cx, &store, project, &builds, &options)?;
    }
    let mut all = BTreeMap::new();
    for service in services.iter().filter_map(|n| project.services.get(n)) {
        let key = image_key(project, service);
        let facts = match find(&store, service, &key)? {
            Some(image) => image_facts(&store, &key, &image)?,
            // Only a plan is wanted: what isn't there would have been made.
            None if cx.dry_run() => not_yet(key),
            None => return Err(missing(service, &key)),
        };
        all.insert(service.name.clone(), facts);
    }
    Ok(all)
}

/// The services, one for each image: who can build it stands for those who only use it.
fn one_for_each_image<'p>(project: &'p Project, services: &[ServiceName]) -> Vec<&'p Service> {
    let mut out: Vec<(String, &Service)> = Vec::new();
    for service in services.iter().filter_map(|n| project.services.get(n)) {
        let key = image_key(project, service);
        match out.iter_mut().find(|(k, _)| *k == key) {
            Some((_, first)) if first.build.is_none() && service.build.is_some() => *first = service,
            Some(_) => {}
            None => out.push((key, service)),
        }
    }
    out.into_iter().map(|(_, service)| service).collect()
}

/// Pulls; returns what is to be built because its registry doesn't give it. What is here is used then.
fn pull_or_build<'p>(
    cx: &Context,
    store: &Store,
    project: &Project,
    pulls: &[(&'p Service, bool)],
    policy: &Policy,
) -> Result<Vec<&'p Service>, Failure> {
    let wanted = pulls.iter().map(|(s, _)| Wanted::of(project, s)).collect::<Result<Vec<_>, _>>()?;
    let (mut builds, mut results) = (Vec::new(), Vec::new());
    for ((service, may_fail), result) in pulls.iter().zip(pull_each(cx, store, &wanted, policy.quiet_pull)) {
        let failure = match result {
            Err(failure) if *may_fail => failure,
            other => {
                results.push(other.map(drop));
                continue;
            }
        };
        let is_here = fitting(store, service, &image_key(project, service))?.is_some();
        match (is_here, policy.build) {
            (true, _) => cx.warn(&format!("{}; the one that is here is used", failure.text())),
            (false, BuildWhen::Never) => results.push(Err(failure)),
            (false, _) => {
                cx.warn(&format!("{}; it is built instead", failure.text()));
                builds.push(*service);
            }
        }
    }
    together(results).map(|_| builds)
}

fn todo(store: &Store, project: &Project, service: &Service, policy: &Policy) -> Result<Todo, Failure> {
    if service.image.is_none() && service.build.is_none() {
        return Err(Failure::new(
            rcompose_engine::FailureKind::Compose,
            format!("service \"{}\" has neither an image nor a build context specified", service.name),
        )
        .at(&service.origin));
    }
    let key = image_key(project, service);
    let image = fitting(store, service, &key)?;
    let wanted = policy.pull.or(service.pull_policy).unwrap_or(PullPolicy::Missing);
    let buildable = service.build.is_some() && policy.build != BuildWhen::Never;
    if buildable && (policy.build == BuildWhen::Always || wanted == PullPolicy::Build) {
        return Ok(Todo::Build);
    }
    let fresh = match (wanted, &image) {
        (PullPolicy::Always, _) => false,
        (PullPolicy::Every(age), Some(image)) => !is_older(image, age),
        (_, image) => image.is_some(),
    };
    if fresh {
        return Ok(Todo::Nothing);
    }
    match wanted {
        // What has no name of its own is in no registry.
        _ if service.image.is_none() || (buildable && wanted == PullPolicy::Never) => {
            match (buildable, &image) {
                (_, Some(_)) => Ok(Todo::Nothing),
                (true, None) => Ok(Todo::Build),
                (false, None) => Err(missing(service, &key).hint("build it: leave --no-build out")),
            }
        }
        PullPolicy::Never | PullPolicy::Build => {
            Err(missing(service, &key).hint("its pull policy says that it must not be pulled"))
        }
        _ if service.build.is_some() => Ok(Todo::PullOrBuild),
        _ => Ok(Todo::Pull),
    }
}

/// The service's image, as far as it is for its platform: one of another is as if it weren't there, as with docker compose.
fn fitting(store: &Store, service: &Service, key: &str) -> Result<Option<Image>, Failure> {
    Ok(find(store, service, key)?.filter(|image| {
        let platform = service.platform.as_ref().and_then(|p| pulling::platform(p).ok());
        platform.is_none_or(|p| p.rank_within(&image.config.platform()).is_some())
    }))
}

/// The service's image in the store.
fn find(store: &Store, service: &Service, key: &str) -> Result<Option<Image>, Failure> {
    let all = store.find_all(key).map_err(|e| at_image(Failure::from(e), service))?;
    let platform = service.platform.as_ref().and_then(|p| pulling::platform(p).ok());
    let rank = |i: &Image| platform.as_ref().and_then(|p| p.rank(&i.config.platform()));
    let own = all.iter().filter_map(|i| Some((rank(i)?, i))).min_by_key(|(rank, _)| *rank);
    Ok(own.map(|(_, i)| i).or(all.first()).cloned())
}

fn missing(service: &Service, key: &str) -> Failure {
    let message = format!("service \"{}\": image {key} is not here", service.name);
    at_image(Failure::new(rcompose_engine::FailureKind::User, message), service)
}

/// Adds the place where the service's image is written.
pub(crate) fn at_image(failure: Failure, service: &Service) -> Failure {
    let place = service.attribute_origins.get("image").or_else(|| service.attribute_origins.get("build"));
    failure.at(place.unwrap_or(&service.origin))
}

/// RFC 3339 in UTC compares as text.
fn is_older(image: &Image, age: Duration) -> bool {
    let Some(limit) = SystemTime::now().checked_sub(age) else { return false };
    image.last_tagged.as_deref().is_none_or(|t| t < rfc3339(limit).as_str())
}

/// What the planner wants to know: the project and its images. Mounts of images are resolved on the way.
pub(crate) fn desired(
    cx: &Context,
    project: &Project,
    services: &[ServiceName],
    policy: &Policy,
) -> Result<rcompose_plan::Desired, Failure> {
    let images = ensure(cx, project, services, policy)?;
    let keys: BTreeMap<String, String> =
        project.services.iter().map(|(name, s)| (name.to_string(), image_key(project, s))).collect();
    let mut project = project.clone();
    for name in services {
        if let Some(service) = project.services.get_mut(name) {
            mounted_images(cx, service, &keys)?;
        }
    }
    let further = step_images(cx, &project, services)?;
    Ok(rcompose_plan::Desired { project, images, further })
}

/// The images of `pre_start` that aren't the services' own.
fn step_images(
    cx: &Context,
    project: &Project,
    services: &[ServiceName],
) -> Result<BTreeMap<String, ImageFacts>, Failure> {
    let mut out = BTreeMap::new();
    for service in services.iter().filter_map(|n| project.services.get(n)) {
        for image in service.pre_start.iter().filter_map(|s| s.image.as_ref()) {
            if service.image.as_ref() == Some(image) || out.contains_key(image.as_str()) {
                continue;
            }
            let store = Store::open(&cx.dirs.images())?;
            let facts = match found_or_pulled(cx, &store, image.as_str(), service)? {
                Some(found) => image_facts(&store, image.as_str(), &found)?,
                None => not_yet(image.to_string()),
            };
            out.insert(image.to_string(), facts);
        }
    }
    Ok(out)
}

/// An image that is named beside a service's own; `None` if it is only to be planned for.
fn found_or_pulled(
    cx: &Context,
    store: &Store,
    name: &str,
    service: &Service,
) -> Result<Option<Image>, Failure> {
    if let Some(image) = store.find(name)? {
        return Ok(Some(image));
    }
    if cx.dry_run() {
        return Ok(None);
    }
    let reference = parse_reference(name)?;
    let wanted = Wanted { reference, platform: None, service: Some(Box::new(service.clone())) };
    let mut pulled = pull_all(cx, store, &[wanted], false)?;
    pulled.pop().map(Some).ok_or_else(|| Failure::user(format!("no such image: {name}")))
}

/// What is known of an image that would be there by now.
fn not_yet(reference: String) -> ImageFacts {
    let defaults = rcompose_plan::ImageDefaults::default();
    ImageFacts { reference, id: String::new(), layers: Vec::new(), defaults }
}

/// Finds or pulls the images that a service mounts. A service's name stands for its image, which `keys` has.
fn mounted_images(
    cx: &Context,
    service: &mut Service,
    keys: &BTreeMap<String, String>,
) -> Result<(), Failure> {
    let mut mounts = std::mem::take(&mut service.mounts);
    for mount in &mut mounts {
        let rcompose_model::MountKind::Image { image: name, layers, .. } = &mut mount.kind else { continue };
        let name = keys.get(name.as_str()).map_or(name.as_str(), String::as_str);
        let store = Store::open(&cx.dirs.images())?;
        if let Some(image) = found_or_pulled(cx, &store, name, service)? {
            *layers = store.layer_paths(&image)?;
        }
    }
    service.mounts = mounts;
    Ok(())
}
