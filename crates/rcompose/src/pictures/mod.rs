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

use std::collections::{BTreeMap, BTreeSet};
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
pub(crate) use request::{context_place, network as build_network};

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
    let mut seen = BTreeSet::new();
    let mut builds = Vec::new();
    let mut pulls = Vec::new();
    for service in services.iter().filter_map(|n| project.services.get(n)) {
        if !seen.insert(image_key(project, service)) {
            continue;
        }
        match todo(&store, project, service, policy)? {
            Todo::Nothing => {}
            Todo::Build => builds.push(service),
            Todo::Pull => pulls.push(service),
        }
    }
    let made = !builds.is_empty() || !pulls.is_empty();
    if made && !cx.dry_run() {
        let wanted = pulls.iter().map(|s| Wanted::of(project, s)).collect::<Result<Vec<_>, _>>()?;
        pull_all(cx, &store, &wanted, policy.quiet_pull)?;
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

fn todo(store: &Store, project: &Project, service: &Service, policy: &Policy) -> Result<Todo, Failure> {
    if service.image.is_none() && service.build.is_none() {
        return Err(Failure::new(
            rcompose_engine::FailureKind::Compose,
            format!("service \"{}\" has neither an image nor a build context specified", service.name),
        )
        .at(&service.origin));
    }
    let key = image_key(project, service);
    let image = find(store, service, &key)?.filter(|image| {
        // One of another platform is as if it weren't there, as with docker compose.
        let platform = service.platform.as_ref().and_then(|p| pulling::platform(p).ok());
        platform.is_none_or(|p| p.rank_within(&image.config.platform()).is_some())
    });
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
        // What only the file names can't be in a registry.
        _ if service.image.is_none() || (buildable && image.is_none()) => match (buildable, &image) {
            (_, Some(_)) => Ok(Todo::Nothing),
            (true, None) => Ok(Todo::Build),
            (false, None) => Err(missing(service, &key).hint("build it: leave --no-build out")),
        },
        PullPolicy::Never | PullPolicy::Build => {
            Err(missing(service, &key).hint("its pull policy says that it must not be pulled"))
        }
        _ => Ok(Todo::Pull),
    }
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
