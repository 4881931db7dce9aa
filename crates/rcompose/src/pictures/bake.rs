//! Builds as a bake file, as `docker compose build --print` writes it.

use rcompose_model::{Build, FileSource, Project, Service};
use rcompose_plan::image_key;
use serde_json::{Map, Value, json};

use super::building::BuildOptions;
use crate::context::Context;

/// What the command line adds.
#[derive(Debug, Clone, Default)]
pub(crate) struct BakeOptions<'a> {
    pub(crate) push: bool,
    pub(crate) provenance: Option<&'a str>,
    pub(crate) sbom: Option<&'a str>,
}

/// The bake file of services.
pub(crate) fn bake(
    cx: &Context,
    project: &Project,
    services: &[&Service],
    options: &BuildOptions,
    more: &BakeOptions<'_>,
) -> Value {
    let mut targets = Map::new();
    for service in services {
        if let Some(build) = &service.build {
            targets.insert(service.name.to_string(), target(cx, project, service, build, options, more));
        }
    }
    let names: Vec<&str> = services.iter().map(|s| s.name.as_str()).collect();
    json!({ "group": { "default": { "targets": names } }, "target": targets })
}

fn target(
    cx: &Context,
    project: &Project,
    service: &Service,
    build: &Build,
    options: &BuildOptions,
    more: &BakeOptions<'_>,
) -> Value {
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| {
        let empty = match &value {
            Value::Null => true,
            Value::Bool(b) => !b,
            Value::Array(a) => a.is_empty(),
            Value::Object(o) => o.is_empty(),
            _ => false,
        };
        if !empty {
            out.insert(key.to_owned(), value);
        }
    };
    put("context", json!(build.context));
    let contexts = build.additional_contexts.iter().map(|(name, place)| {
        let place = match place.strip_prefix("service:") {
            Some(other) => format!("target:{other}"),
            None => place.clone(),
        };
        (name.clone(), Value::from(place))
    });
    put("contexts", contexts.collect());
    match &build.dockerfile_inline {
        Some(text) => put("dockerfile-inline", json!(text)),
        None => {
            let file = build.dockerfile.as_deref().unwrap_or("Dockerfile");
            let remote = build.context.contains("://") || build.context.starts_with("git@");
            let file = match remote {
                true => file.to_owned(),
                false => cx.env.cwd.join(&build.context).join(file).display().to_string(),
            };
            put("dockerfile", json!(file));
        }
    }
    let mut args = build.args.clone();
    args.extend(options.args.clone());
    let args = args.into_iter().filter_map(|(name, value)| {
        let value = value.or_else(|| cx.env.all.get(&name).cloned())?;
        Some((name, Value::from(value)))
    });
    put("args", args.collect());
    put("labels", json!(super::request::labels(project, service, build)));
    let mut tags: Vec<String> = build.tags.iter().map(ToString::to_string).collect();
    tags.push(image_key(project, service));
    put("tags", json!(tags));
    put("cache-from", json!(build.cache_from));
    put("cache-to", json!(build.cache_to));
    put("target", json!(build.target));
    let secrets = build.secrets.iter().filter_map(|s| {
        Some(Value::from(match &project.secrets.get(&s.source)?.source {
            FileSource::File(path) => format!("id={},type=file,src={}", s.id, path.display()),
            FileSource::Environment { variable, .. } => format!("id={},type=env,env={variable}", s.id),
            _ => return None,
        }))
    });
    put("secret", secrets.collect());
    let mut ssh = build.ssh.clone();
    ssh.extend(options.ssh.clone());
    let ssh = ssh.iter().map(|(id, path)| format!("{id}={}", path.as_deref().unwrap_or_default()));
    put("ssh", json!(ssh.collect::<Vec<_>>()));
    put("platforms", json!(build.platforms.iter().map(ToString::to_string).collect::<Vec<_>>()));
    put("pull", json!(build.pull || options.pull));
    put("no-cache", json!(build.no_cache || options.no_cache));
    put("network", json!(build.network));
    put("no-cache-filter", json!(build.no_cache_filter));
    put("shm-size", json!(build.shm_size.map(|n| n.to_string())));
    let ulimits = build.ulimits.iter().map(|u| match u.soft == u.hard {
        true => format!("{}={}", u.name, u.soft),
        false => format!("{}={}:{}", u.name, u.soft, u.hard),
    });
    put("ulimits", json!(ulimits.collect::<Vec<_>>()));
    let mut entitlements = build.entitlements.clone();
    if build.privileged && !entitlements.iter().any(|e| e == "security.insecure") {
        entitlements.push("security.insecure".into());
    }
    put("entitlements", json!(entitlements));
    put("extra-hosts", build.extra_hosts.iter().map(|(n, a)| (n.clone(), json!(a.to_string()))).collect());
    let several = !build.platforms.is_empty() || more.push;
    let output = if several { format!("type=image,push={}", more.push) } else { "type=docker".to_owned() };
    put("output", json!([output]));
    let mut attest = Vec::new();
    for (kind, value) in [
        ("provenance", more.provenance.or(build.provenance.as_deref())),
        ("sbom", more.sbom.or(build.sbom.as_deref())),
    ] {
        match value {
            None => {}
            Some("true") => attest.push(format!("type={kind}")),
            Some("false") => attest.push(format!("type={kind},disabled=true")),
            Some(more) => attest.push(format!("type={kind},{more}")),
        }
    }
    put("attest", json!(attest));
    Value::Object(out)
}
