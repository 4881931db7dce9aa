//! `build` of a service as a request to the builder.

use std::collections::{BTreeMap, BTreeSet};

use rcompose_build::{BuildRequest, DockerfileSource, RunNetwork};
use rcompose_image::{Platform, Store};
use rcompose_model::{Build, Project, Service, ServiceName};
use rcompose_plan::image_key;

use super::building::BuildOptions;
use super::inputs::{Inputs, project_secret};
use super::pulling::{parse_reference, platform};
use crate::context::Context;
use crate::failure::Failure;

/// The requests, one for each platform, with the same names.
pub(super) fn service_requests(
    cx: &Context,
    store: &Store,
    project: &Project,
    service: &Service,
    build: &Build,
    options: &BuildOptions,
    inputs: &mut Inputs,
) -> Result<Vec<BuildRequest>, Failure> {
    let mut tags = vec![parse_reference(&image_key(project, service))?];
    for tag in &build.tags {
        let tag = parse_reference(tag.as_str())?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    let mut args = build.args.clone();
    args.extend(options.args.clone());
    for (name, value) in &mut args {
        if value.is_none() {
            *value = cx.env.all.get(name).cloned();
        }
    }
    cx.env.put_epoch(&mut args);
    let mut secrets = BTreeMap::new();
    for secret in &build.secrets {
        let object = project.secrets.get(&secret.source).ok_or_else(|| {
            Failure::user(format!("the build refers to the undefined secret \"{}\"", secret.source))
        })?;
        secrets.insert(secret.id.clone(), project_secret(&secret.source, &object.source)?);
    }
    let mut ssh = BTreeMap::new();
    let given = options.ssh.iter().map(|(k, v)| (k, v.as_deref()));
    for (id, path) in build.ssh.iter().map(|(k, v)| (k, v.as_deref())).chain(given) {
        ssh.insert(id.clone(), inputs.agent(cx, id, path)?);
    }
    inputs.secrets.clone_from(&secrets);
    inputs.ssh.clone_from(&ssh);
    build.entitlements.iter().try_for_each(|text| known_entitlement(text))?;
    if let Some(u) = build.ulimits.iter().find(|u| u.hard >= 0 && (u.soft > u.hard || u.soft < 0)) {
        let message = format!("the soft limit of {} is above the hard one: {} > {}", u.name, u.soft, u.hard);
        return Err(Failure::user(message).hint("lower `soft`, or raise `hard`; -1 is no limit"));
    }
    let mut allow: BTreeSet<String> = build.entitlements.iter().cloned().collect();
    if build.privileged {
        allow.insert("security.insecure".into());
    }
    let (mut contexts, mut sources) = (BTreeMap::new(), BTreeMap::new());
    let said = |name: &str| format!("additional context \"{name}\"");
    for (name, place) in &build.additional_contexts {
        let place = match place.strip_prefix("service:") {
            Some(other) => match project.services.get(other) {
                Some(other) => format!("docker-image://{}", image_key(project, other)),
                None => {
                    let known = project.services.keys().map(ServiceName::as_str);
                    return Err(Failure::no_such_service(other, known).context(said(name)));
                }
            },
            None => {
                let at = context_place(cx, store, place, inputs).map_err(|f| f.context(said(name)))?;
                sources.extend(inputs.source(place).map(|source| (name.clone(), source)));
                at
            }
        };
        contexts.insert(name.clone(), place);
    }
    let request = BuildRequest {
        dockerfile: match &build.dockerfile_inline {
            Some(text) => DockerfileSource::Inline(text.clone()),
            None => DockerfileSource::Path(build.dockerfile.as_deref().unwrap_or("Dockerfile").into()),
        },
        target: build.target.clone(),
        args,
        labels: labels(project, service, build),
        tags,
        no_cache: build.no_cache || options.no_cache,
        no_cache_filter: build.no_cache_filter.iter().cloned().collect(),
        pull: build.pull || options.pull,
        network: network(build.network.as_deref())?,
        extra_hosts: build.extra_hosts.iter().map(|(name, a)| (name.clone(), a.to_string())).collect(),
        shm_size: build.shm_size,
        ulimits: build.ulimits.iter().map(|u| (u.name.clone(), u.soft, u.hard)).collect(),
        limits: options.limits.clone(),
        additional_contexts: contexts,
        context_sources: sources,
        secrets,
        ssh,
        allow,
        debug_shell: options.debug_shell,
        cache_root: cx.dirs.build_cache(),
        ..BuildRequest::default()
    };
    let mut request = request.with_known_arguments();
    request.context = inputs.context_with(cx, &build.context, request.keeps_git_dir())?;
    request.context_source = inputs.source(&build.context);
    let one = |platform| BuildRequest { platform, ..request.clone() };
    Ok(platforms(build, service)?.into_iter().map(one).collect())
}

/// The image's labels, docker compose's among them.
pub(super) fn labels(project: &Project, service: &Service, build: &Build) -> BTreeMap<String, String> {
    let own = [
        ("project", project.name.as_str()),
        ("service", service.name.as_str()),
        ("version", env!("CARGO_PKG_VERSION")),
    ];
    let own = own.map(|(key, value)| (format!("com.docker.compose.{key}"), value.to_owned()));
    own.into_iter().chain(build.labels.clone()).collect()
}

/// Is it something that RUN may ask for beyond the usual?
pub(crate) fn known_entitlement(text: &str) -> Result<(), Failure> {
    let name = text.split_once('=').map_or(text, |(name, _)| name);
    match ["", "network.host", "security.insecure", "device", "buildx.local.delete"].contains(&name) {
        true => Ok(()),
        false => Err(Failure::user(format!("unknown entitlement `{text}`"))
            .hint("there are: network.host, security.insecure, device")),
    }
}

/// An additional context as the builder takes it.
pub(crate) fn context_place(
    cx: &Context,
    store: &Store,
    place: &str,
    inputs: &mut Inputs,
) -> Result<String, Failure> {
    if let Some(image) = place.strip_prefix("docker-image://") {
        return parse_reference(image).map(|_| place.to_owned());
    }
    if let Some(layout) = place.strip_prefix("oci-layout://") {
        return Ok(format!("docker-image://{}", inputs.layout(cx, store, layout)?));
    }
    let at = inputs.context(cx, place)?;
    rcompose_build::check_context(&at, "the directory").map_err(|e| match place.contains(':') {
        true => Failure::from(e).hint("an image is written docker-image://NAME"),
        false => e.into(),
    })?;
    Ok(at.display().to_string())
}

/// Those of the build in their order, else the service's own.
fn platforms(build: &Build, service: &Service) -> Result<Vec<Option<Platform>>, Failure> {
    let own = service.platform.as_ref().map(platform).transpose()?;
    let mut all: Vec<Option<Platform>> = Vec::new();
    for platform in &build.platforms {
        let platform = Some(super::pulling::platform(platform)?);
        if !all.contains(&platform) {
            all.push(platform);
        }
    }
    Ok(if all.is_empty() { vec![own] } else { all })
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
