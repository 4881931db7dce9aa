//! One transfer from or to a registry: a short-lived runtime around the image crate's asynchronous one.

use std::sync::Once;

use rcompose_engine::FailureKind;
use rcompose_image::{
    ArtifactBlob, AuthConfig, AuthSource, Digest, Document, Hold, Image, LayerBlob, LayerId, LayerProgress,
    LayerState, LoggedIn, Packing, Platform, PullOptions, PullProgress, Pushed, Reference, RegistryError,
    RegistryOptions, RegistrySettings, Store, Trouble,
};
use tokio::runtime::Runtime;

use super::parse_reference;
use crate::context::{Context, to_stderr};
use crate::env::Registries;
use crate::failure::{Failure, with_causes};

/// How far a layer is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes {
    pub(super) have: u64,
    pub(super) total: u64,
    pub(super) state: LayerState,
}

struct Tell<'a>(&'a (dyn Fn(&str, Bytes) + Sync));

impl PullProgress for Tell<'_> {
    fn layer(&self, p: &LayerProgress) {
        (self.0)(&p.layer.0.hex(), Bytes { have: p.bytes, total: p.total, state: p.state });
    }
}

/// Pulls an image; `progress` hears of each layer.
pub(super) fn fetch(
    cx: &Context,
    store: &Store,
    reference: &Reference,
    platform: Option<&Platform>,
    progress: &(dyn Fn(&str, Bytes) + Sync),
) -> Result<Image, Failure> {
    let options = PullOptions {
        platform: platform.cloned().unwrap_or_else(Platform::host),
        registry: options(&cx.env.registries())?,
        ..PullOptions::default()
    };
    runtime()?.block_on(rcompose_image::pull(store, reference, &options, &Tell(progress))).map_err(failure)
}

/// Pushes what a name stands for, or only one platform's image; `progress` hears of each layer.
pub(super) fn send(
    cx: &Context,
    store: &Store,
    reference: &Reference,
    platform: Option<&Platform>,
    progress: &(dyn Fn(&str, Bytes) + Sync),
) -> Result<Pushed, Failure> {
    let options = options(&cx.env.registries())?;
    let progress = Tell(progress);
    let pushed = rcompose_image::push(store, reference, platform, &options, &progress);
    runtime()?.block_on(pushed).map_err(failure_to_send)
}

/// Tries to log in.
pub(crate) fn log_in(cx: &Context, registry: &str, auth: AuthSource) -> Result<LoggedIn, Failure> {
    let options = RegistryOptions { auth, ..options(&cx.env.registries())? };
    runtime()?.block_on(rcompose_image::login(registry, &options)).map_err(failure)
}

/// All tags of a repository.
pub(crate) fn tags(cx: &Context, reference: &Reference) -> Result<Vec<String>, Failure> {
    let options = options(&cx.env.registries())?;
    runtime()?.block_on(rcompose_image::tags(reference, &options)).map_err(failure)
}

fn options(registries: &Registries) -> Result<RegistryOptions, Failure> {
    let mut settings = RegistrySettings::read(&registries.settings).map_err(failure)?;
    settings.allow_insecure(&registries.insecure);
    Ok(RegistryOptions { auth: auth_source(registries), settings, ..RegistryOptions::default() })
}

/// Who we are to registries. As with docker, a variable that can't be read is told and left out.
pub(crate) fn auth_source(registries: &Registries) -> AuthSource {
    static TOLD: Once = Once::new();
    let kept = registries.docker_config.clone().map_or(AuthSource::Anonymous, AuthSource::DockerConfig);
    match registries.auths.as_deref().map(AuthConfig::parse) {
        None => kept,
        Some(Ok(auths)) => AuthSource::Environment(auths, Box::new(kept)),
        Some(Err(why)) => {
            TOLD.call_once(|| to_stderr(&format!("warning: DOCKER_AUTH_CONFIG is left out: {why}\n")));
            kept
        }
    }
}

/// The options for one repository, that may be without TLS.
fn options_for(cx: &Context, name: &Reference, insecure: bool) -> Result<RegistryOptions, Failure> {
    let mut options = options(&cx.env.registries())?;
    if insecure {
        options.settings.allow_insecure(&[name.domain().to_owned()]);
    }
    Ok(options)
}

/// A document with its configuration: of an index the entry of type `config`, else the platform's image.
pub(super) fn document(
    cx: &Context,
    (name, insecure): (&Reference, bool),
    platform: &Platform,
    config: &str,
) -> Result<Document, Failure> {
    let options = options_for(cx, name, insecure)?;
    runtime()?.block_on(rcompose_image::document(name, &options, platform, config)).map_err(failure)
}

/// Gets one layer; the hold keeps it.
pub(super) fn pull_layer(
    cx: &Context,
    store: &Store,
    (name, insecure): (&Reference, bool),
    blob: &LayerBlob,
    hold: &Hold,
) -> Result<(), Failure> {
    let options = options_for(cx, name, insecure)?;
    let pulled = runtime()?.block_on(rcompose_image::pull_layer(store, name, &options, blob, hold));
    pulled.map(drop).map_err(failure)
}

/// Sends layers, and the document that `tell` makes of them.
pub(super) fn push_parts(
    cx: &Context,
    store: &Store,
    (name, insecure): (&Reference, bool),
    layers: (&[LayerId], &Packing),
    tell: impl FnOnce(&[LayerBlob]) -> Document,
) -> Result<(), Failure> {
    let options = options_for(cx, name, insecure)?;
    let pushed = runtime()?.block_on(rcompose_image::push_parts(store, name, &options, layers, tell));
    pushed.map(drop).map_err(failure_to_send)
}

fn runtime() -> Result<Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| Failure::io("speak to a registry", &e))
}

/// An image's name with the digest that its registry has now; one that has a digest keeps it.
pub(crate) fn digest_of(cx: &Context, image: &str) -> Result<String, Failure> {
    let reference = parse_reference(image)?;
    if reference.digest().is_some() {
        return Ok(reference.to_string());
    }
    let digest = digest(&reference, &cx.env.registries())?;
    let tag = reference.tag().unwrap_or("latest");
    Ok(format!("{}/{}:{tag}@{digest}", reference.domain(), reference.path()))
}

/// What is in a registry under a name: its digest.
pub(crate) fn digest(reference: &Reference, registries: &Registries) -> Result<Digest, Failure> {
    runtime()?.block_on(rcompose_image::digest(reference, &options(registries)?)).map_err(failure)
}

/// The parts of an artifact.
pub(crate) fn artifact(
    reference: &Reference,
    registries: &Registries,
    kind: &str,
    config: &str,
) -> Result<Vec<ArtifactBlob>, Failure> {
    let options = options(registries)?;
    runtime()?.block_on(rcompose_image::artifact(reference, &options, kind, config)).map_err(failure)
}

fn failure(e: RegistryError) -> Failure {
    told(e, ", or import the image: rcompose image import")
}

/// Who sends an image has it already.
fn failure_to_send(e: RegistryError) -> Failure {
    told(e, "")
}

/// With what helps, `instead` of a registry too.
fn told(e: RegistryError, instead: &str) -> Failure {
    let docker = |host: &str| match host {
        "docker.io" => String::new(),
        host => format!(" {host}"),
    };
    let e = match e {
        RegistryError::Store(e) => return e.into(),
        e => e,
    };
    let (kind, hint) = match &e {
        RegistryError::NotFound { .. } => (FailureKind::User, Some("check the name and the tag".to_owned())),
        RegistryError::Unauthorized { host, .. } => {
            (FailureKind::User, Some(format!("check the name; log in with `rcompose login{}`", docker(host))))
        }
        RegistryError::LoginRefused { .. } => {
            (FailureKind::User, Some("check the user name and the password".to_owned()))
        }
        RegistryError::Platform { .. } => {
            (FailureKind::User, Some("choose one of these with `platform` or --platform".to_owned()))
        }
        RegistryError::Unreachable { host, why: Trouble::Certificate(_) } => (
            FailureKind::Environment,
            Some(format!(
                "put the certificate of who signed it into /etc/docker/certs.d/{host}/ca.crt, or list {host} under `insecure-registries` in /etc/docker/daemon.json"
            )),
        ),
        RegistryError::Unreachable { host, why: Trouble::Tls(_) } => (
            FailureKind::Environment,
            Some(format!(
                "if it speaks plain HTTP, list {host} under `insecure-registries` in /etc/docker/daemon.json"
            )),
        ),
        RegistryError::Unreachable { why: Trouble::Circle, .. } => {
            (FailureKind::Environment, Some("tell who runs the registry".to_owned()))
        }
        RegistryError::Mismatch { .. } => (
            FailureKind::Environment,
            Some("pull it again; if that doesn't help, what the registry or a proxy before it has is damaged: push it there again".to_owned()),
        ),
        RegistryError::Unreachable { why: Trouble::Name, .. } => (
            FailureKind::Environment,
            Some(format!("check the name and the network{instead}")),
        ),
        RegistryError::Unreachable { .. } => (
            FailureKind::Environment,
            Some(format!("check the network{instead}")),
        ),
        RegistryError::NoRegistry { .. } => {
            (FailureKind::User, Some("check the host and the port of the image's name".to_owned()))
        }
        RegistryError::Failing { .. } | RegistryError::Broken { .. } => {
            (FailureKind::Environment, Some("try again later: it was tried several times".to_owned()))
        }
        _ => (FailureKind::Environment, None),
    };
    let f = Failure::new(kind, with_causes(&e));
    match hint {
        Some(h) => f.hint(h),
        None => f,
    }
}
