//! How an image came to be: SLSA provenance with the members that BuildKit gives it (slsa.dev/provenance/v1; BuildKit,
//! docs/attestations/slsa-definitions.md). There is no LLB here, so `mode=max` has the Dockerfile itself and no
//! `llbDefinition`.

use std::collections::BTreeMap;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcompose_image::{Attestation, Platform, rfc3339, without_password};
use serde_json::{Map, Value, json};

use crate::{BuildRequest, Facts, GitAccess, Material, RunNetwork};

const TYPE_1: &str = "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md";
const TYPE_02: &str = "https://mobyproject.org/buildkit@v1";

/// What is wanted of a provenance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProvenanceOptions {
    /// All that is known (`mode=max`), the values of build arguments and labels and the Dockerfile among it.
    pub max: bool,
    /// SLSA 0.2 rather than 1.
    pub old: bool,
    /// Who built it, a URI.
    pub builder: String,
    /// The builder says that it is reproducible.
    pub reproducible: bool,
}

/// A context that came from elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContextSource {
    /// Its address, without passwords.
    pub uri: String,
    /// The commit, if it is a repository.
    pub commit: Option<String>,
    /// Seconds since the epoch: when it was made, as far as that is known (BuildKit, docs/build-repro.md).
    pub time: Option<u64>,
}

/// When a build was done, and as which.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Unique.
    pub id: String,
    /// When it began.
    pub started: SystemTime,
    /// When it ended.
    pub finished: SystemTime,
}

/// Everything that a provenance speaks of.
#[derive(Debug)]
pub struct Provenance<'a> {
    /// What was asked for.
    pub request: &'a BuildRequest,
    /// What was used.
    pub facts: &'a Facts,
    /// When, and as which.
    pub invocation: &'a Invocation,
}

impl Provenance<'_> {
    /// The attestation.
    pub fn attestation(&self, options: &ProvenanceOptions) -> Attestation {
        match options.old {
            true => Attestation {
                predicate_type: "https://slsa.dev/provenance/v0.2".into(),
                predicate: self.version_02(options),
            },
            false => Attestation {
                predicate_type: "https://slsa.dev/provenance/v1".into(),
                predicate: self.version_1(options),
            },
        }
    }

    /// What `--metadata-file` has of it, as buildx writes it there.
    pub fn summary(&self) -> Value {
        let whole = self.version_02(&ProvenanceOptions { max: true, ..ProvenanceOptions::default() });
        let mut out = Map::new();
        for key in ["builder", "buildType", "materials", "invocation"] {
            if let Some(value) = whole.get(key) {
                out.insert(key.to_owned(), value.clone());
            }
        }
        Value::Object(out)
    }

    fn version_1(&self, options: &ProvenanceOptions) -> Value {
        let mut definition = Map::new();
        definition.insert("buildType".into(), json!(TYPE_1));
        definition.insert(
            "externalParameters".into(),
            json!({ "configSource": self.config_source("path"), "request": self.parameters(options.max) }),
        );
        definition
            .insert("internalParameters".into(), json!({ "builderPlatform": Platform::host().to_string() }));
        let materials = self.materials();
        if !materials.is_empty() {
            definition.insert("resolvedDependencies".into(), Value::Array(materials));
        }
        let mut metadata = json!({
            "invocationId": self.invocation.id,
            "startedOn": rfc3339(self.invocation.started),
            "finishedOn": rfc3339(self.invocation.finished),
            "buildkit_metadata": self.details(options.max),
        });
        if self.is_hermetic() {
            metadata["buildkit_hermetic"] = json!(true);
        }
        metadata["buildkit_completeness"] =
            json!({ "request": self.is_complete(options.max), "resolvedDependencies": self.is_resolved() });
        if options.reproducible {
            metadata["buildkit_reproducible"] = json!(true);
        }
        let builder = json!({ "id": options.builder, "version": { "rcompose": env!("CARGO_PKG_VERSION") } });
        json!({ "buildDefinition": definition, "runDetails": { "builder": builder, "metadata": metadata } })
    }

    fn version_02(&self, options: &ProvenanceOptions) -> Value {
        let mut out = json!({
            "builder": { "id": options.builder },
            "buildType": TYPE_02,
        });
        let materials = self.materials();
        if !materials.is_empty() {
            out["materials"] = Value::Array(materials);
        }
        out["invocation"] = json!({
            "configSource": self.config_source("entryPoint"),
            "parameters": self.parameters(options.max),
            "environment": { "platform": Platform::host().to_string() },
        });
        out["metadata"] = json!({
            "buildInvocationID": self.invocation.id,
            "buildStartedOn": rfc3339(self.invocation.started),
            "buildFinishedOn": rfc3339(self.invocation.finished),
            "completeness": {
                "parameters": self.is_complete(options.max),
                "environment": true,
                "materials": self.is_resolved(),
            },
            "reproducible": options.reproducible,
            "https://mobyproject.org/buildkit@v1#metadata": self.details(options.max),
        });
        if self.is_hermetic() {
            out["metadata"]["https://mobyproject.org/buildkit@v1#hermetic"] = json!(true);
        }
        out
    }

    fn config_source(&self, path: &str) -> Value {
        let mut out = Map::new();
        if let Some(source) = &self.request.context_source {
            out.insert("uri".into(), json!(source.uri));
            if let Some(commit) = &source.commit {
                out.insert("digest".into(), digest_of(commit));
            }
        }
        out.insert(path.to_owned(), json!(self.facts.filename));
        Value::Object(out)
    }

    /// BuildKit's options of the frontend. Values that may be nobody's business are only in the full form.
    fn arguments(&self, max: bool) -> BTreeMap<String, String> {
        let r = self.request;
        let mut all = BTreeMap::new();
        let mut put = |key: &str, value: String| drop(all.insert(key.to_owned(), value));
        if max {
            for (name, value) in &r.args {
                value.iter().for_each(|v| put(&format!("build-arg:{name}"), without_password(v)));
            }
            r.labels.iter().for_each(|(name, value)| put(&format!("label:{name}"), value.clone()));
        }
        if let Some(target) = &r.target {
            put("target", target.clone());
        }
        if r.no_cache || !r.no_cache_filter.is_empty() {
            let stages: Vec<&str> = r.no_cache_filter.iter().map(String::as_str).collect();
            put("no-cache", if r.no_cache { String::new() } else { stages.join(",") });
        }
        if !r.extra_hosts.is_empty() {
            let hosts: Vec<String> = r.extra_hosts.iter().map(|(n, a)| format!("{n}={a}")).collect();
            put("add-hosts", hosts.join(","));
        }
        match r.network {
            RunNetwork::Default => {}
            RunNetwork::Host => put("force-network-mode", "host".into()),
            RunNetwork::None => put("force-network-mode", "none".into()),
        }
        if let Some(bytes) = r.shm_size {
            put("shm-size", bytes.to_string());
        }
        if !r.ulimits.is_empty() {
            let limits: Vec<String> = r.ulimits.iter().map(|(n, s, h)| format!("{n}={s}:{h}")).collect();
            put("ulimit", limits.join(","));
        }
        for (name, place) in &r.additional_contexts {
            let value = match r.context_sources.get(name) {
                Some(source) => source.uri.clone(),
                None if place.starts_with("docker-image://") => place.clone(),
                None => format!("local:{name}"),
            };
            put(&format!("context:{name}"), value);
        }
        all
    }

    fn parameters(&self, max: bool) -> Value {
        let mut out = json!({ "frontend": "dockerfile.v0" });
        let arguments = self.arguments(max);
        if !arguments.is_empty() {
            out["args"] = json!(arguments);
        }
        let needed = |all: &BTreeMap<String, bool>| -> Value {
            let one = |(id, optional): (&String, &bool)| match optional {
                true => json!({ "id": id, "optional": true }),
                false => json!({ "id": id }),
            };
            all.iter().map(one).collect()
        };
        for (key, all) in [("secrets", &self.secrets()), ("ssh", &self.facts.ssh)] {
            if max && !all.is_empty() {
                out[key] = needed(all);
            }
        }
        let locals: Vec<Value> = self.locals().map(|n| json!({ "name": n })).collect();
        if !locals.is_empty() {
            out["locals"] = Value::Array(locals);
        }
        if !self.arguments(true).is_empty() {
            let mut root = json!({ "configSource": self.config_source("path"), "request": {} });
            if !arguments.is_empty() {
                root["request"]["args"] = json!(arguments);
            }
            out["root"] = root;
        }
        out
    }

    /// What comes from this machine and has no address.
    fn locals(&self) -> impl Iterator<Item = &str> {
        let own = match &self.request.context_source {
            Some(_) => &[][..],
            None => &["context", "dockerfile"],
        };
        own.iter().copied().chain(self.facts.locals.iter().map(String::as_str))
    }

    /// In BuildKit's order, the context among them.
    fn materials(&self) -> Vec<Value> {
        let context = self
            .request
            .context_source
            .as_ref()
            .and_then(|s| Some((Material::Git(s.uri.clone()), digest_of(s.commit.as_ref()?))));
        let known = |(algorithm, hex): &(&str, String)| json!({ *algorithm: hex });
        let facts = self.facts.materials.iter().map(|(m, digest)| (m.clone(), digest.as_ref().map(known)));
        let all: BTreeMap<_, _> = facts.chain(context.map(|(m, digest)| (m, Some(digest)))).collect();
        let one = |(material, digest): (Material, Option<Value>)| match digest {
            Some(digest) => json!({ "uri": material.uri(), "digest": digest }),
            None => json!({ "uri": material.uri() }),
        };
        all.into_iter().map(one).collect()
    }

    /// The secrets that were asked for; those that log in at repositories are looked for whenever there is one.
    fn secrets(&self) -> BTreeMap<String, bool> {
        let mut all = self.facts.secrets.clone();
        if self.request.context_source.as_ref().is_some_and(|s| s.commit.is_some()) {
            all.extend(GitAccess::SECRETS.map(|s| (s.to_owned(), true)));
        }
        all
    }

    fn details(&self, max: bool) -> Value {
        if !max {
            return json!({});
        }
        let data = STANDARD.encode(without_password(&self.facts.dockerfile));
        let info = json!({ "filename": self.facts.filename, "language": "Dockerfile", "data": data });
        json!({ "source": { "infos": [info] } })
    }

    fn is_complete(&self, max: bool) -> bool {
        max || self.arguments(true) == self.arguments(false)
    }

    fn is_resolved(&self) -> bool {
        self.locals().next().is_none()
    }

    fn is_hermetic(&self) -> bool {
        self.is_resolved() && !self.facts.network
    }
}

/// A commit by the algorithm of its repository.
fn digest_of(commit: &str) -> Value {
    json!({ git_algorithm(commit): commit })
}

pub(crate) fn git_algorithm(commit: &str) -> &'static str {
    if commit.len() == 64 { "sha256" } else { "sha1" }
}
